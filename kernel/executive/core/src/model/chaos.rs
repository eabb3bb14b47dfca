//! A seeded schedule: with `--cfg fuzz` what the scheduler is free to choose comes from a seed.
//! Without it every hook is `false`, and costs nothing.
//!
//! Chosen so are: whose ring is stolen from first and which ready arm a select takes (`M::random`),
//! whether a readied goroutine goes to runnext or behind the others, whether a goroutine is
//! preempted where it can be (its last unpin), and whether the global queue comes first. All of it
//! is allowed without a seed too, only unlikely. On several CPUs one stands still now and then
//! where others may overtake it: between the steps of a protocol, as if its hypervisor ran
//! something else.
//!
//! **Rule:** one stream of numbers for the whole program. On one CPU, with a clock that comes from
//! the seed as well (hosted's fuzz.rs), a seed therefore makes the same run again; on several it is
//! just one more source of disorder.

/// One in `n` times, if there is a seed.
#[inline(always)]
pub fn one_in(n: u32) -> bool {
    #[cfg(fuzz)]
    return seeded::one_in(n);
    #[cfg(not(fuzz))]
    {
        let _ = n;
        false
    }
}

/// With a seed, and on several CPUs: now and then this one stands still for a moment. Anywhere,
/// also in a handler.
#[inline(always)]
pub fn stall() {
    #[cfg(fuzz)]
    seeded::stall();
}

#[cfg(fuzz)]
pub use seeded::{is_seeded, random, seed};

#[cfg(fuzz)]
mod seeded {
    use crate::{ground::atomic, ground::machine};
    use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

    /// A counter whose every value is mixed into a number (SplitMix64, Steele et al. 2014). 0: no
    /// seed.
    static STATE: AtomicU64 = AtomicU64::new(0);
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    /// The stream begins here. Before [`crate::start`].
    ///
    /// The seed is mixed: all streams are parts of one long one, and must not begin a few steps
    /// apart. A program that waits for a certain number, such as one that moves the clock, would
    /// bring them together.
    pub fn seed(seed: u64) {
        STATE.store(mix(seed.wrapping_mul(STEP)) | 1, Relaxed);
    }

    /// Whether [`seed`] was called.
    pub fn is_seeded() -> bool {
        STATE.load(Relaxed) != 0
    }

    /// The next number.
    pub fn random() -> u32 {
        mix(STATE.fetch_add(STEP.wrapping_mul(2), Relaxed)) as u32 // stays odd, so never 0
    }

    fn mix(mut z: u64) -> u64 {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn one_in(n: u32) -> bool {
        is_seeded() && random().is_multiple_of(n)
    }

    pub(super) fn stall() {
        const LONGEST_NS: u32 = 50_000;
        if is_seeded() && machine::cpus() > 1 && one_in(8) {
            let end = machine::now() + u64::from(random() % LONGEST_NS);
            while machine::now() < end {
                atomic::relax();
            }
        }
    }
}
