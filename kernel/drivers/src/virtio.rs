//! Virtio over PCI (Virtual I/O Device Version 1.2, OASIS): what QEMU and clouds have for disks,
//! random numbers, files of the host, and networks.
//!
//! A driver opens a [`Pci`], which is a transport for crate `virtio-drivers`, agrees with the
//! device on its features ([`Pci::begin`]), makes its [`Queue`]s, and says that it is ready. Any
//! number of goroutines then [`call`](Queue::call) at the same time.
//!
//! ```no_run
//! # fn driver(function: kernel::device::Function) -> Result<(), drivers::Error> {
//! use core::time::Duration;
//! use drivers::virtio::{Pci, Queue};
//! let mut pci = Pci::open(function, 1)?;
//! pci.begin(0)?;
//! let queue = Queue::<8>::new(&mut pci, 0)?;
//! pci.ready();
//! let mut answer = [0; 16];
//! let length = queue.call(Duration::from_secs(1), &[b"question"], &mut [&mut answer])?;
//! # Ok(())
//! # }
//! ```

mod hal;
mod pci;
pub mod ring;
mod queue;

pub use hal::KernelHal;
pub use pci::{Doorbell, Health, Interrupt, Pci, devices};
pub use queue::Queue;
pub use virtio_drivers::transport::{DeviceType, Transport};
