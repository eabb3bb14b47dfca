//! How long goroutines were runnable before they ran, in histograms: one for each CPU, of the
//! wakes, births and preemptions of which the recorder (trace.rs) keeps the time: 1 in 64.
//!
//! Go measures one in 8, those that yield (`Gosched`) too. A yield is not told here, so that it
//! costs nothing.
//!
//! A CPU counts cycles; who reads gets ns. Buckets are Go's idea (`timeHistogram`): each power of
//! two has four, so that what is told is at most a quarter too much.
//!
//! **Rule:** a CPU counts in its own, on g0. Anyone reads, and may miss what is being counted.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bits of a time that tell the bucket, below its highest.
const FINE: u32 = 2;
/// Buckets of a power of two.
const EACH: usize = 1 << FINE;
/// Buckets: up to 2^44 cycles, an hour or two. The last has all that took longer.
pub const BUCKETS: usize = (44 - FINE as usize + 1) * EACH;

/// The bucket of a time in cycles.
fn bucket(cycles: u64) -> usize {
    let exponent = (cycles | 1 << FINE).ilog2() - FINE;
    // What is left has EACH..2 * EACH, or less in the first.
    (exponent as usize * EACH + (cycles >> exponent) as usize).min(BUCKETS - 1)
}

/// The least time (cycles) that is beyond a bucket.
fn end_of(bucket: usize) -> u64 {
    let next = bucket + 1;
    let exponent = (next / EACH).saturating_sub(1);
    ((next - exponent * EACH) as u64) << exponent
}

/// A histogram that a CPU fills.
pub struct Histogram {
    counts: [AtomicU64; BUCKETS],
    longest: AtomicU64,
}

impl Histogram {
    pub const fn new() -> Self {
        Histogram { counts: [const { AtomicU64::new(0) }; BUCKETS], longest: AtomicU64::new(0) }
    }

    /// By its CPU, alone.
    pub fn add(&self, cycles: u64) {
        let count = &self.counts[bucket(cycles)];
        count.store(count.load(Relaxed) + 1, Relaxed);
        if cycles > self.longest.load(Relaxed) {
            self.longest.store(cycles, Relaxed);
        }
    }

    /// What is in it now. `rate`: so many cycles are so many ns.
    pub fn read(&self, rate: (u64, u64)) -> Latencies {
        let counts = self.counts.each_ref().map(|count| count.load(Relaxed));
        Latencies { counts, longest: self.longest.load(Relaxed), rate }
    }
}

/// How long goroutines were runnable before they ran: a histogram of a sample of them. Go:
/// `/sched/latencies:seconds`.
#[doc(alias("/sched/latencies:seconds", "timeHistogram"))]
#[derive(Clone)]
pub struct Latencies {
    counts: [u64; BUCKETS],
    longest: u64,
    rate: (u64, u64),
}

impl Latencies {
    /// None was measured.
    pub const fn new() -> Self {
        Latencies { counts: [0; BUCKETS], longest: 0, rate: (1, 1) }
    }

    fn ns(&self, cycles: u64) -> u64 {
        let (passed, ns) = self.rate;
        (u128::from(cycles) * u128::from(ns) / u128::from(passed)) as u64
    }

    /// How many were measured.
    pub fn samples(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The longest (ns).
    pub fn longest(&self) -> u64 {
        self.ns(self.longest)
    }

    /// The time (ns) within which so many of a thousand ran, rounded up to the end of its bucket;
    /// 0: none was measured.
    pub fn within(&self, per_mille: u64) -> u64 {
        let wanted = (self.samples() * per_mille).div_ceil(1000);
        let mut seen = 0;
        let enough = |(_, count): &(usize, u64)| {
            seen += count;
            seen >= wanted
        };
        let found =
            if wanted == 0 { None } else { self.counts.into_iter().enumerate().find(enough) };
        found.map_or(0, |(bucket, _)| self.ns(end_of(bucket).min(self.longest)))
    }

    /// The counts, each with the time (ns) below which it lies, ascending. Go:
    /// `Float64Histogram`.
    #[doc(alias = "Float64Histogram")]
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.counts.iter().enumerate().map(|(bucket, count)| (self.ns(end_of(bucket)), *count))
    }

    /// Counts what another has, too.
    pub fn add(&mut self, other: &Latencies) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.longest = self.longest.max(other.longest);
        self.rate = other.rate;
    }

    /// What was measured since `before`. (The longest may be older.)
    pub fn since(&self, before: &Latencies) -> Latencies {
        let mut new = self.clone();
        new.counts.iter_mut().zip(before.counts).for_each(|(count, less)| *count -= less);
        new
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}
