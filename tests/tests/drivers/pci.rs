//! The transport, as far as the drivers' queue uses it: between it and a device of the test's.

use crate::error::Error;
use crate::model::{Device, the_rest_of_a_transport};
use executive::irq::{Irq, Line};
use executive::lock::{Lock, Rank};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A device, and what the queue and the test see of it.
pub struct Shared {
    device: Lock<Device>,
    /// The device's interrupt.
    pub line: Line,
    /// How often it was told that there is something in the queue.
    pub rings: AtomicUsize,
    pub stopped: AtomicBool,
    pub health: Lock<Result<(), Error>>,
}

impl Shared {
    /// The device looks at the ring, and does this.
    pub fn with<T>(&self, act: impl FnOnce(&mut Device) -> T) -> T {
        let mut device = self.device.lock();
        device.look();
        act(&mut device)
    }
}

pub struct Pci(pub &'static Shared);

impl Pci {
    pub fn new() -> Pci {
        Pci(Box::leak(Box::new(Shared {
            device: Lock::new(Rank::User, Device::default()),
            line: Line::new(),
            rings: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            health: Lock::new(Rank::User, Ok(())),
        })))
    }
    pub fn interrupt(&mut self, _: u16) -> Result<Interrupt, Error> {
        Ok(Interrupt(self.0))
    }
    pub fn doorbell(&self, _: u16) -> Result<Doorbell, Error> {
        Ok(Doorbell(self.0))
    }
    pub fn health(&self) -> Result<Health, Error> {
        Ok(Health(self.0))
    }
}

pub struct Interrupt(&'static Shared);

impl Interrupt {
    pub fn quiet(&self) {}
    pub fn armed(&self) -> Irq {
        Irq::of(&self.0.line)
    }
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a line")
    }
}

pub struct Doorbell(&'static Shared);

impl Doorbell {
    pub fn ring(&self) {
        self.0.rings.fetch_add(1, SeqCst);
    }
}

pub struct Health(&'static Shared);

impl Health {
    pub fn check(&self) -> Result<(), Error> {
        *self.0.health.lock()
    }
    pub fn place(&self) -> &'static str {
        "the test's device"
    }
    pub fn stop(&self) {
        self.0.stopped.store(true, SeqCst);
    }
}

/// It is the device's.
impl Transport for Pci {
    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.0.device.lock().max_queue_size(queue)
    }
    fn queue_set(&mut self, queue: u16, size: u32, descriptors: u64, driver: u64, device: u64) {
        self.0.device.lock().queue_set(queue, size, descriptors, driver, device);
    }
    the_rest_of_a_transport! {}
}
