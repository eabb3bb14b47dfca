//! A device's side of a virtqueue, for the tests of both: the ring, and the queue above it.

use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Descriptors of the queue.
pub const SIZE: usize = 8;

/// The device's side of the ring (2.7 of virtio's specification).
#[derive(Default)]
pub struct Device {
    pub descriptors: u64,
    pub available: u64,
    pub used: u64,
    seen: u16,
    pub done: u16,
    /// Requests that it has seen and not answered: first descriptors.
    pub pending: Vec<u16>,
}

/// A place in the ring, as the device reaches it.
fn place<T>(base: u64, offset: usize) -> *mut T {
    std::ptr::with_exposed_provenance_mut(base as usize + offset)
}

impl Device {
    pub fn read<T: Copy>(&self, base: u64, offset: usize) -> T {
        // SAFETY: within the ring, whose memory lives as long as the test's `Ring`.
        unsafe { place::<T>(base, offset).read_volatile() }
    }
    pub fn write<T>(&self, base: u64, offset: usize, value: T) {
        // SAFETY: as in `read`.
        unsafe { place::<T>(base, offset).write_volatile(value) }
    }
    pub fn look(&mut self) {
        while self.seen != self.read::<u16>(self.available, 2) {
            let slot = usize::from(self.seen) % SIZE;
            self.pending.push(self.read(self.available, 4 + 2 * slot));
            self.seen = self.seen.wrapping_add(1);
        }
    }
    /// Answers as a device should: every byte that it is to write is 1 more than the first byte
    /// that it reads.
    pub fn answer(&mut self, nth: usize) {
        let head = self.pending.remove(nth);
        let (mut at, mut first, mut written) = (head, 0, 0);
        loop {
            let descriptor = 16 * usize::from(at);
            let address: u64 = self.read(self.descriptors, descriptor);
            let length: u32 = self.read(self.descriptors, descriptor + 8);
            let [flags, next]: [u16; 2] = self.read(self.descriptors, descriptor + 12);
            if flags & 2 == 0 {
                first = self.read::<u8>(address, 0);
            } else {
                (0..length as usize).for_each(|n| self.write(address, n, first.wrapping_add(1)));
                written += length;
            }
            if flags & 1 == 0 {
                break;
            }
            at = next;
        }
        self.say(head.into(), written);
    }
    /// Where the memory is of the requests that it has seen and not answered.
    #[allow(dead_code)] // the ring's test knows it
    pub fn buffers(&self) -> Vec<u64> {
        let first = |&head: &u16| self.read(self.descriptors, 16 * usize::from(head));
        self.pending.iter().map(first).collect()
    }
    pub fn say(&mut self, id: u32, length: u32) {
        let slot = 4 + 8 * (usize::from(self.done) % SIZE);
        self.write(self.used, slot, id);
        self.write(self.used, slot + 4, length);
        self.done = self.done.wrapping_add(1);
        self.write(self.used, 2, self.done);
    }
}

/// What a transport answers where the ring and the queue do not care.
macro_rules! the_rest_of_a_transport {
    () => {
        fn device_type(&self) -> DeviceType {
            DeviceType::Block
        }
        fn read_device_features(&mut self) -> u64 {
            0
        }
        fn write_driver_features(&mut self, _: u64) {}
        fn notify(&mut self, _: u16) {}
        fn get_status(&self) -> DeviceStatus {
            DeviceStatus::empty()
        }
        fn set_status(&mut self, _: DeviceStatus) {}
        fn set_guest_page_size(&mut self, _: u32) {}
        fn requires_legacy_layout(&self) -> bool {
            false
        }
        fn queue_unset(&mut self, _: u16) {}
        fn queue_used(&mut self, _: u16) -> bool {
            false
        }
        fn ack_interrupt(&mut self) -> InterruptStatus {
            InterruptStatus::empty()
        }
        fn read_config_generation(&self) -> u32 {
            0
        }
        fn read_config_space<T: FromBytes + IntoBytes>(
            &self,
            _: usize,
        ) -> virtio_drivers::Result<T> {
            Err(virtio_drivers::Error::ConfigSpaceMissing)
        }
        fn write_config_space<T: IntoBytes + Immutable>(
            &mut self,
            _: usize,
            _: T,
        ) -> virtio_drivers::Result<()> {
            Err(virtio_drivers::Error::ConfigSpaceMissing)
        }
    };
}
#[allow(unused_imports)] // the ring's tests have no other transport
pub(crate) use the_rest_of_a_transport;

impl Transport for Device {
    fn max_queue_size(&mut self, _: u16) -> u32 {
        SIZE as u32
    }
    fn queue_set(&mut self, _: u16, _: u32, descriptors: u64, driver: u64, device: u64) {
        (self.descriptors, self.available, self.used) = (descriptors, driver, device);
    }
    the_rest_of_a_transport! {}
}
