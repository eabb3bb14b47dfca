//! Drivers, in anybody's crate: what a driver needs of the kernel.
//!
//! A driver takes a [`Device`] from the PCI bus ([`take`]), or [`ports`] that a device has had on
//! every PC. It reads and writes the device's [`Registers`], gives it [`Dma`] memory, and waits for
//! its interrupts ([`Irq`]) in a goroutine. tests/outside has some, of one file each.
//!
//! ```no_run
//! # fn driver() -> Result<(), kernel::device::Error> {
//! let mut device = kernel::device::take(0x1234, 0x11e8)?;
//! let registers = device.bar(0)?;
//! // SAFETY: the device is told no address but those of `Dma` memory, and none after that is gone.
//! unsafe { device.master() };
//! let interrupt = &device.irqs(1)?[0];
//! registers.write(0x60, 1u32);
//! while registers.read::<u32>(0x24) == 0 {
//!     interrupt.wait();
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A goroutine that serves a device for ever should be the system's
//! ([`Builder::system`](executive::Builder::system)): it hides no deadlock of the others. While one
//! of the others waits for an answer of the device, its driver holds an
//! [`Outside`](executive::foreign::Outside), so that the wait is no deadlock.
//!
//! The files below stand in layer order, each using only those above it.

mod error;
mod header;
mod config;
mod registers;
mod dma;
mod irq;
// The firmware's code is run where its panic is caught.
#[cfg_attr(not(panic = "unwind"), allow(dead_code))]
mod aml;
#[cfg_attr(not(panic = "unwind"), allow(dead_code))]
mod pins;
mod pci;

pub use config::is_ecam;
pub use dma::Dma;
pub use error::Error;
pub use header::{Function, Place};
pub use irq::{Irq, on_interrupt, tell as tell_interrupts};
pub use pci::{Device, functions, take};
pub use registers::{Registers, Word, ports};
