//! A driver for a solid-state disk (NVM Express). What you write is in `disk.rs`; what only
//! `unsafe` can do is here: [`find`].
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

use kernel::device::{Device, Error, Irq, Registers, functions};

#[forbid(unsafe_code)]
pub mod disk;

/// A controller that was found: ours alone as long as this lives.
pub struct Controller {
    /// Its registers, by their offsets ("NVM Express Base Specification", 3.1).
    pub registers: Registers,
    /// It interrupts when an entry was added to a completion queue whose vector is 0. One goroutine
    /// at a time may wait for it.
    pub interrupt: Irq,
    _device: Device,
}

/// Takes the first controller on the PCI bus that nobody has.
pub fn find() -> Result<Controller, Error> {
    // Mass storage, non-volatile memory, NVM Express.
    let mut all = functions().into_iter();
    let found = all.find(|f| (f.class, f.subclass, f.interface) == (1, 8, 2));
    let mut device = found.ok_or(Error::NotThere)?.take()?;
    let registers = device.bar(0)?;
    // SAFETY: the driver tells it the addresses of `Dma` memory alone, and keeps that as long as
    // the controller may use it: disk.rs's promise.
    #[allow(unsafe_code)]
    unsafe {
        device.master()
    };
    let interrupt = device.irqs(1)?.remove(0);
    Ok(Controller { registers, interrupt, _device: device })
}
