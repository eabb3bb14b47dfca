//! The drivers' ring (kernel/drivers/src/virtio/ring.rs), on the host, before devices of the test's
//! own: one that does its work, in any order, and ones that fill the ring with nonsense. Case N is
//! made by seed N; CASES=1000000 tries as many.

extern crate alloc;

#[allow(dead_code)] // what only the kernel uses
#[path = "../../kernel/drivers/src/virtio/ring.rs"]
mod ring;

#[path = "drivers/model.rs"]
mod model;

#[path = "drivers/hal.rs"]
mod hal;

use hal::Host;
use model::{Device, SIZE};
use ring::{Buffers, Nonsense, Ring};
use std::ptr::NonNull;
use tests::Random;

const ROOM: usize = Ring::<Host, SIZE>::ROOM;

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
