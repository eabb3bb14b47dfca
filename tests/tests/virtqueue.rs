//! The drivers' ring (kernel/drivers/src/virtio/ring.rs), on the host, before devices of the test's
//! own: one that does its work, in any order, and ones that fill the ring with nonsense. Case N is
//! made by seed N; CASES=1000000 tries as many.

#[allow(dead_code)] // what only the kernel uses
#[path = "../../kernel/drivers/src/virtio/ring.rs"]
mod ring;

use ring::{Buffers, Nonsense, Ring};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use tests::Random;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

const SIZE: usize = 8;
const ROOM: usize = Ring::<Host, SIZE>::ROOM;

/// Memory of the host, whose addresses the device is told.
struct Host;

// SAFETY: pages of the host's heap, which are the caller's until it gives them back.
unsafe impl Hal for Host {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let layout = Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).unwrap();
        // SAFETY: it has bytes.
        let at = NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap();
        (at.as_ptr().expose_provenance() as PhysAddr, at)
    }
    unsafe fn dma_dealloc(_: PhysAddr, at: NonNull<u8>, pages: usize) -> i32 {
        // SAFETY: `dma_alloc` gave it, by this layout.
        unsafe {
            dealloc(at.as_ptr(), Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).unwrap());
        }
        0
    }
    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        unreachable!()
    }
    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr().expose_provenance() as PhysAddr
    }
    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// The device's side of the ring (2.7 of virtio's specification).
#[derive(Default)]
struct Device {
    descriptors: u64,
    available: u64,
    used: u64,
    seen: u16,
    done: u16,
    /// Requests that it has seen and not answered: first descriptors.
    pending: Vec<u16>,
}

/// A place in the ring, as the device reaches it.
fn place<T>(base: u64, offset: usize) -> *mut T {
    std::ptr::with_exposed_provenance_mut(base as usize + offset)
}

impl Device {
    fn read<T: Copy>(&self, base: u64, offset: usize) -> T {
        // SAFETY: within the ring, whose memory lives as long as the test's `Ring`.
        unsafe { place::<T>(base, offset).read_volatile() }
    }
    fn write<T>(&self, base: u64, offset: usize, value: T) {
        // SAFETY: as in `read`.
        unsafe { place::<T>(base, offset).write_volatile(value) }
    }
    fn look(&mut self) {
        while self.seen != self.read::<u16>(self.available, 2) {
            let slot = usize::from(self.seen) % SIZE;
            self.pending.push(self.read(self.available, 4 + 2 * slot));
            self.seen = self.seen.wrapping_add(1);
        }
    }
    /// Answers as a device should: every byte that it is to write is 1 more than the first byte
    /// that it reads.
    fn answer(&mut self, nth: usize) {
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
    fn say(&mut self, id: u32, length: u32) {
        let slot = 4 + 8 * (usize::from(self.done) % SIZE);
        self.write(self.used, slot, id);
        self.write(self.used, slot + 4, length);
        self.done = self.done.wrapping_add(1);
        self.write(self.used, 2, self.done);
    }
}

impl Transport for Device {
    fn device_type(&self) -> DeviceType {
        DeviceType::Block
    }
    fn read_device_features(&mut self) -> u64 {
        0
    }
    fn write_driver_features(&mut self, _: u64) {}
    fn max_queue_size(&mut self, _: u16) -> u32 {
        SIZE as u32
    }
    fn notify(&mut self, _: u16) {}
    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::empty()
    }
    fn set_status(&mut self, _: DeviceStatus) {}
    fn set_guest_page_size(&mut self, _: u32) {}
    fn requires_legacy_layout(&self) -> bool {
        false
    }
    fn queue_set(&mut self, _: u16, _: u32, descriptors: u64, driver: u64, device: u64) {
        (self.descriptors, self.available, self.used) = (descriptors, driver, device);
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
    fn read_config_space<T: FromBytes + IntoBytes>(&self, _: usize) -> virtio_drivers::Result<T> {
        Err(virtio_drivers::Error::ConfigSpaceMissing)
    }
    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        _: usize,
        _: T,
    ) -> virtio_drivers::Result<()> {
        Err(virtio_drivers::Error::ConfigSpaceMissing)
    }
}

/// A driver before a device: which requests are out, with their buffers.
struct Case {
    random: Random,
    device: Device,
    ring: Ring<Host, SIZE>,
    out: [Option<Buffers>; ROOM],
    memory: [Box<[u8; 64]>; ROOM],
    answered: usize,
}

impl Case {
    fn new(seed: u64) -> Case {
        let mut device = Device::default();
        let ring = Ring::new(&mut device, 0).expect("a ring");
        let memory = std::array::from_fn(|_| Box::new([0; 64]));
        Case { random: Random(seed), device, ring, out: [None; ROOM], memory, answered: 0 }
    }

    fn send(&mut self) {
        let Some(free) = self.out.iter().position(Option::is_none) else { return };
        let (to_device, from_device) = match self.random.below(3) {
            0 => (0, 1 + self.random.below(64)),
            1 => (1 + self.random.below(64), 0),
            _ => (1 + self.random.below(32), 1 + self.random.below(32)),
        };
        self.memory[free].fill(7 * free as u8);
        let at = NonNull::from(&mut self.memory[free][..]).cast();
        let buffers = Buffers { at, to_device, from_device };
        // SAFETY: the memory is this request's until it is answered.
        let sent = unsafe { self.ring.send(free as u16, buffers) };
        sent.expect("as many fit as there is room");
        self.out[free] = Some(buffers);
    }

    /// Takes all answers. Only what is out may be answered, and by no more than there is room for.
    fn take(&mut self, honest: bool) -> Result<(), Nonsense> {
        while let Some(answer) = self.ring.take() {
            let (cookie, length) = answer?;
            let buffers = self.out[usize::from(cookie)].take().expect("it is out");
            assert!(length <= buffers.from_device);
            self.answered += 1;
            if honest {
                assert_eq!(length, buffers.from_device);
                let first = if buffers.to_device == 0 { 0 } else { 7 * cookie as u8 };
                let written = &self.memory[usize::from(cookie)][buffers.to_device..][..length];
                assert!(written.iter().all(|&byte| byte == first.wrapping_add(1)));
            }
        }
        Ok(())
    }
}

fn cases() -> u64 {
    std::env::var("CASES").map_or(20_000, |cases| cases.parse().expect("a number"))
}

#[test]
fn every_request_is_answered_in_whatever_order() {
    for seed in 0..cases() / 100 {
        let mut case = Case::new(seed);
        // The ring's indices wrap after 65536.
        for _ in 0..if seed == 0 { 300_000 } else { 1000 } {
            match case.random.below(3) {
                0 => case.send(),
                1 => {
                    case.device.look();
                    let pending = case.device.pending.len();
                    if pending > 0 {
                        let nth = case.random.below(pending);
                        case.device.answer(nth);
                    }
                }
                _ => case.take(true).expect("it makes sense"),
            }
        }
        case.device.look();
        while !case.device.pending.is_empty() {
            case.device.answer(0);
        }
        case.take(true).expect("it makes sense");
        assert!(case.out.iter().all(Option::is_none) && case.answered > 100, "seed {seed}");
    }
}

#[test]
fn nonsense_in_the_ring_is_noticed_or_harmless() {
    let mut noticed = 0;
    for seed in 0..cases() {
        let mut case = Case::new(seed);
        // The device would follow its own nonsense.
        let mut lost = false;
        for _ in 0..30 {
            let random = &mut case.random;
            let act = random.below(12);
            lost |= (6..10).contains(&act);
            match act {
                0..4 => case.send(),
                4..6 if !lost => {
                    case.device.look();
                    if !case.device.pending.is_empty() {
                        case.device.answer(0);
                    }
                }
                // An answer to what was perhaps never asked, perhaps longer than there is room for.
                6 => {
                    let (id, length) = (random.below(SIZE + 2), random.below(100));
                    case.device.say(id as u32, length as u32);
                }
                7 => {
                    let (id, length) = (random.below(usize::MAX), random.below(usize::MAX));
                    case.device.say(id as u32, length as u32);
                }
                // The index jumps.
                8 => {
                    let index = random.below(1 << 16) as u16;
                    case.device.write(case.device.used, 2, index);
                }
                // Any word of any part of the ring: the device can reach all of it.
                9 => {
                    let (base, length) = match random.below(3) {
                        0 => (case.device.descriptors, 16 * SIZE),
                        1 => (case.device.available, 4 + 2 * SIZE),
                        _ => (case.device.used, 4 + 8 * SIZE),
                    };
                    let at = 2 * random.below(length / 2);
                    let word = random.below(1 << 16) as u16;
                    case.device.write(base, at, word);
                }
                _ => {
                    if case.take(false).is_err() {
                        noticed += 1;
                        break; // it is not used any more
                    }
                }
            }
        }
    }
    assert!(noticed > cases() / 4, "{noticed} of {} cases were noticed", cases());
}
