//! Drivers for devices that goroutines wait for. Each is one file on
//! [`kernel::device`], as anybody's would be.
//!
//! Each module uses only those above it.
#![no_std]
#![deny(unsafe_code)] // allowed in the files that say why at their top

extern crate alloc;

pub mod param;
mod error;
pub mod virtio;

pub use error::Error;
