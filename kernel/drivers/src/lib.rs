//! Drivers for devices that goroutines wait for. Each is one file on
//! [`kernel::device`], as anybody's would be.
//!
//! [`start`] finds the devices; each module says what can be done with its own.
//!
//! Each module uses only those above it.
#![no_std]
#![deny(unsafe_code)] // allowed in the files that say why at their top

extern crate alloc;

pub mod param;
mod error;
pub mod virtio;
pub mod rng;
pub mod random;
pub mod blk;
pub mod share;
mod mounts;
pub mod card;
pub mod virtio_net;
pub mod e1000;
pub mod network;
pub mod xhci;

pub use error::Error;

use core::fmt::Display;
use kernel::device::{Function, Place, functions};
use kernel::println;
use virtio::{DeviceType, devices};

/// Finds and starts all devices that there is a driver for, and says so in a line each. Once, by a
/// goroutine. (USB keyboards are for the console: [`xhci::start`].)
pub fn start() {
    let functions = functions();
    start_each(&functions, DeviceType::EntropySource, "random numbers", |function| {
        rng::Rng::start(function).map(|rng| {
            rng::provide(rng);
            Place(function.address)
        })
    });
    start_each(&functions, DeviceType::Block, "disk", |function| {
        blk::Disk::start(function).map(blk::provide)
    });
    mounts::mount_all(&functions);
    network::start_all(&functions);
}

fn start_each<T: Display>(
    functions: &[Function],
    kind: DeviceType,
    name: &str,
    start: impl Fn(Function) -> Result<T, Error>,
) {
    for function in devices(functions, kind) {
        match start(function) {
            Ok(started) => println!("{name}: virtio, {started}"),
            Err(error) => println!("{name}: {} cannot be used: {error}", Place(function.address)),
        }
    }
}
