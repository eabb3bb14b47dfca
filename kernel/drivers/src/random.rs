//! Random numbers for seeds: of hash tables and sequence numbers. The executive's own choices have
//! none, so that a run repeats (docs/conformance.md, "Select statements").
//!
//! The best source that the machine has: the CPU (RDRAND); else a virtio device; else the jitter of
//! the clock, which nobody should make keys of.

use crate::rng;
use core::fmt;
use x86_64::instructions::random::RdRand;

/// Where random numbers come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The instruction RDRAND.
    Cpu,
    /// A virtio device.
    Virtio,
    /// How long the CPU takes for the same, each time.
    Jitter,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Cpu => "the CPU",
            Source::Virtio => "virtio-rng",
            Source::Jitter => "the clock's jitter",
        })
    }
}

/// Fills `bytes`, and says where they came from. May park.
pub fn fill(bytes: &mut [u8]) -> Source {
    if from_cpu(bytes) {
        Source::Cpu
    } else if rng::get().is_some_and(|rng| rng.fill(bytes).is_ok()) {
        Source::Virtio
    } else {
        each_word(bytes, || Some(jitter()));
        Source::Jitter
    }
}

/// `false`: the CPU has no RDRAND, or it is out of order. (Some give the same number each time.)
fn from_cpu(bytes: &mut [u8]) -> bool {
    let Some(rdrand) = RdRand::new() else { return false };
    let word = || (0..TRIES).find_map(|_| rdrand.get_u64());
    word() != word() && each_word(bytes, word)
}

/// Intel SDM vol. 1, 7.3.17.1: after ten failures the generator is broken.
const TRIES: usize = 10;

fn each_word(bytes: &mut [u8], mut word: impl FnMut() -> Option<u64>) -> bool {
    bytes.chunks_mut(8).all(|part| {
        let random = word();
        random.inspect(|word| part.copy_from_slice(&word.to_le_bytes()[..part.len()]));
        random.is_some()
    })
}

/// The clock, looked at so often that its lowest bits, of which each look has little, fill a word.
fn jitter() -> u64 {
    const LOOKS: usize = 256;
    // splitmix64's mixer (Vigna), after each look.
    (0..LOOKS).fold(0, |state: u64, _| {
        let mixed = state.wrapping_add(kernel::tsc::read()).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    })
}
