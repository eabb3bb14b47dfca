//! Who has allocated what, and what of it is in use: Go's profiles `heap` and `allocs`.
//!
//! A program whose allocator is [`Heard`](executive::lock::Heard) has them, from
//! [`set_mem_profile_rate`] on. That of the library `kernel` is; one of your own may be. One byte
//! in so many is looked at, by chance, and the block that it is in is counted with the stack that
//! allocated it. So large blocks are seen sooner than small ones, and a profile counts each for as
//! many as it stands for (Go: `scaleHeapSample`).
//!
//! ```no_run,standalone_crate
//! # use std::alloc::System as Heap;
//! use executive::lock::{Heard, Pinned};
//!
//! #[global_allocator]
//! static HEAP: Heard<Pinned<Heap>> = Heard(Pinned(Heap));
//! ```
//!
//! Until then a call of the allocator costs a load and a branch more. Afterwards one that frees
//! looks at the few places where its block would be. Blocks that were allocated before are not
//! counted.
//!
//! **Rule:** a block's place is taken by an exchange, and given back by whoever frees the block,
//! who is one. Its bucket is written before its address (Release, partner: the Acquire in `freed`).

use crate::pprof::Profile;
use crate::stacks::{Stacks, places, random};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::*};
use executive::lock::{HearsOfBlocks, hear_of_blocks};
use executive::sampling;

/// Go's `MemProfileRate`: a block in so many bytes.
pub const MEM_PROFILE_RATE: u64 = 512 << 10;

static RATE: AtomicU64 = AtomicU64::new(0);
/// The last that was not 0; 0: there was none yet.
static LAST_RATE: AtomicU64 = AtomicU64::new(0);
/// Bytes until the next one that is looked at.
static LEFT: AtomicI64 = AtomicI64::new(0);
/// Of each stack: blocks and bytes that were allocated, and that were freed.
static STACKS: Stacks<4> = Stacks::new();

/// Blocks in use that were counted, at the places of a set each. 0: no block.
struct Block {
    address: AtomicUsize,
    bucket: AtomicUsize,
    size: AtomicUsize,
}
const SETS: usize = 1 << 9;
const PLACES: usize = 1 << 3;
static BLOCKS: [[Block; PLACES]; SETS] = [const {
    [const {
        let [address, bucket, size] = [const { AtomicUsize::new(0) }; 3];
        Block { address, bucket, size }
    }; PLACES]
}; SETS];
/// A place that is being taken. (No block's address is odd and so low.)
const TAKEN: usize = 1;
/// Blocks that were counted, and for which there was no place: they are told as freed.
static LOST: AtomicU64 = AtomicU64::new(0);

fn set(address: usize) -> &'static [Block; PLACES] {
    &BLOCKS[(address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize >> 40 & (SETS - 1)]
}

/// Looks at one byte in so many from here on, on average ([`MEM_PROFILE_RATE`] is Go's); 1: counts
/// each block; 0: none more. Blocks that were counted are heard of until they are freed. Allocates
/// some tables. Go: `MemProfileRate`.
#[doc(alias = "MemProfileRate")]
pub fn set_mem_profile_rate(bytes: u64) {
    STACKS.make();
    RATE.store(bytes, Relaxed);
    LEFT.store(next(bytes), Relaxed);
    if bytes != 0 {
        LAST_RATE.store(bytes, Relaxed);
    }
    hear_of_blocks(&HearsOfBlocks { allocated, freed });
}

fn allocated(address: usize, size: usize) {
    let rate = RATE.load(Relaxed);
    if rate == 0 {
        return;
    }
    // Of those that allocate at once, the one whose block has the byte looks.
    let left = LEFT.fetch_sub(size as i64, Relaxed);
    if rate > 1 && !(left > 0 && left <= size as i64) {
        return;
    }
    LEFT.store(next(rate), Relaxed);
    let bytes = size as u64;
    let Some(bucket) = STACKS.add(|tell| sampling::here(tell), [1, bytes, 0, 0]) else {
        return;
    };
    let free = |block: &&Block| block.address.compare_exchange(0, TAKEN, Relaxed, Relaxed).is_ok();
    match set(address).iter().find(free) {
        Some(block) => {
            block.bucket.store(bucket, Relaxed);
            block.size.store(size, Relaxed);
            block.address.store(address, Release); // partner: the Acquire in `freed`
        }
        None => {
            LOST.fetch_add(1, Relaxed);
            STACKS.add_to(bucket, [0, 0, 1, bytes]);
        }
    }
}

fn freed(address: usize) {
    let its = |block: &&Block| block.address.load(Acquire) == address;
    if let Some(block) = set(address).iter().find(its) {
        let (bucket, size) = (block.bucket.load(Relaxed), block.size.load(Relaxed));
        block.address.store(0, Relaxed);
        STACKS.add_to(bucket, [0, 0, 1, size as u64]);
    }
}

/// After how many bytes one is looked at: by chance, with an exponential distribution, so that each
/// byte has the same chance. Go: `nextSample`.
fn next(rate: u64) -> i64 {
    // From 2^-53 to 1.
    let chance = ((random() >> 11) + 1) as f64 / (1u64 << 53) as f64;
    ((-ln(chance) * rate as f64) as i64).max(1)
}

/// The natural logarithm of a positive number. (There is none in `core`.)
fn ln(x: f64) -> f64 {
    const FRACTION: u64 = (1 << 52) - 1;
    let exponent = (x.to_bits() >> 52) as i32 - 1023;
    let m = f64::from_bits(x.to_bits() & FRACTION | 1023 << 52); // from 1 to 2
    let z = (m - 1.0) / (m + 1.0);
    let (mut sum, mut power) = (0.0, z);
    for n in 0..16 {
        sum += power / f64::from(2 * n + 1);
        power *= z * z;
    }
    2.0 * sum + f64::from(exponent) * core::f64::consts::LN_2
}

/// `1 - e^-x`, for a positive x: the chance that a block is looked at that is x times as large as
/// what lies between two looks.
fn chance(x: f64) -> f64 {
    if x > 40.0 {
        return 1.0;
    }
    if x > 0.5 {
        let half = 1.0 - chance(x / 2.0);
        return 1.0 - half * half;
    }
    let (mut sum, mut term) = (0.0, -1.0);
    for n in 1..16 {
        term *= -x / f64::from(n);
        sum += term;
    }
    sum
}

/// What so many blocks that were counted stand for. Go: `scaleHeapSample`.
fn scaled(blocks: u64, bytes: u64, rate: u64) -> [u64; 2] {
    if blocks == 0 || rate <= 1 {
        return [blocks, bytes];
    }
    let average = bytes as f64 / blocks as f64;
    let scale = 1.0 / chance(average / rate as f64).max(f64::MIN_POSITIVE);
    [blocks, bytes].map(|count| (count as f64 * scale) as u64)
}

/// For `go tool pprof`: what was allocated so far, and what of it is in use. A snapshot. `None`:
/// nobody has set a rate. Go: the profiles `heap` and `allocs`.
pub fn profile() -> Option<Vec<u8>> {
    let rate @ 1.. = LAST_RATE.load(Relaxed) else { return None };
    let mut profile = Profile::new();
    for (stack, [blocks, bytes, freed, freed_bytes]) in STACKS.so_far() {
        let all = scaled(blocks, bytes, rate);
        let in_use = scaled(blocks.saturating_sub(freed), bytes.saturating_sub(freed_bytes), rate);
        profile.sample(places(&stack), &[all[0], all[1], in_use[0], in_use[1]], &[]);
    }
    let types = [
        ("alloc_objects", "count"),
        ("alloc_space", "bytes"),
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
    ];
    Some(profile.finish(&types, (("space", "bytes"), rate), 0))
}

/// Blocks that were counted and could not be kept in mind: a profile has their allocation, and not
/// that they are in use; and those whose stack had no room, which it does not have at all.
pub fn lost() -> u64 {
    LOST.load(Relaxed) + STACKS.lost()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::{chance, ln, next, scaled};

    #[test]
    fn numbers_are_those_of_the_library() {
        for x in [1e-9, 0.001, 0.1, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 10.0, 1e9] {
            assert!((ln(x) - x.ln()).abs() < 1e-12 * x.ln().abs().max(1.0), "ln {x}");
            let expected = -(-x).exp_m1();
            assert!((chance(x) - expected).abs() < 1e-12 * expected, "chance {x}");
        }
    }

    #[test]
    fn looks_are_as_far_apart_as_they_should_be() {
        const LOOKS: i64 = 100_000;
        let sum: i64 = (0..LOOKS).map(|_| next(1000)).sum();
        assert!((980..1020).contains(&(sum / LOOKS)), "{} on average", sum / LOOKS);
    }

    #[test]
    fn samples_stand_for_as_many_as_go_says() {
        assert_eq!(scaled(3, 300, 1), [3, 300]);
        assert_eq!(scaled(0, 0, 1 << 19), [0, 0]);
        // Ten blocks of 1 KiB, one in 512.5; and of 8 MiB, nearly each.
        let [blocks, bytes] = scaled(10, 10 << 10, 1 << 19);
        assert!((5120..5130).contains(&blocks) && bytes >> 10 == blocks, "{blocks}, {bytes}");
        assert_eq!(scaled(10, 80 << 20, 1 << 19), [10, (80 << 20) + 9]);
    }
}
