//! Counts by stack, for whoever may neither allocate nor take a lock.
//!
//! **Rule:** a bucket's hash is claimed by an exchange; the claimer writes the stack, and says that
//! it is whole (Release, partner: the Acquires of readers). Counts only grow. So nobody waits.

use crate::place::Place;
use crate::pprof::Frame;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::array;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use spin::Once;

/// Frames of a stack at the most.
const DEPTH: usize = 30;
/// Stacks at the most, and how many places one looks at to find its own.
const BUCKETS: usize = 1 << 10;
const LOOKS: usize = 1 << 5;

/// Takes a frame; returns whether it counts against the limit of those that a report lists.
pub(crate) type Walk<'a> = dyn FnMut(usize) -> bool + 'a;

/// What was counted, by stack, the innermost frame first.
pub(crate) type Counts<const N: usize> = BTreeMap<Vec<usize>, [u64; N]>;

struct Bucket<const N: usize> {
    /// Of the stack; 0: nobody's.
    hash: AtomicU64,
    is_whole: AtomicBool,
    depth: AtomicUsize,
    frames: [AtomicUsize; DEPTH],
    counts: [AtomicU64; N],
}

impl<const N: usize> Bucket<N> {
    fn stack(&self) -> Option<Vec<usize>> {
        let is_whole = self.is_whole.load(Acquire);
        let stack = || self.frames.iter().take(self.depth.load(Relaxed));
        is_whole.then(|| stack().map(|frame| frame.load(Relaxed)).collect())
    }
}

/// N counts for each stack.
pub(crate) struct Stacks<const N: usize> {
    buckets: Once<Box<[Bucket<N>]>>,
    /// For whose stack there was no room.
    lost: AtomicU64,
}

impl<const N: usize> Stacks<N> {
    pub const fn new() -> Self {
        Stacks { buckets: Once::new(), lost: AtomicU64::new(0) }
    }

    /// Allocates the buckets, once. Before that nothing is counted.
    pub fn make(&self) {
        self.buckets.call_once(|| {
            let bucket = || Bucket {
                hash: AtomicU64::new(0),
                is_whole: AtomicBool::new(false),
                depth: AtomicUsize::new(0),
                frames: [const { AtomicUsize::new(0) }; DEPTH],
                counts: [const { AtomicU64::new(0) }; N],
            };
            (0..BUCKETS).map(|_| bucket()).collect()
        });
    }

    /// Adds to the counts of the stack that `walk` tells. Which bucket it was; `None`: there is no
    /// room for this stack.
    pub fn add(&self, walk: impl FnOnce(&mut Walk<'_>), counts: [u64; N]) -> Option<usize> {
        let (mut frames, mut depth) = ([0; DEPTH], 0);
        walk(&mut |pc| {
            if let Some(frame) = frames.get_mut(depth) {
                *frame = pc;
                depth += 1;
            }
            true
        });
        self.add_stack(&frames[..depth], counts)
    }

    /// The same of a stack of which the innermost frames are kept.
    pub fn add_stack(&self, stack: &[usize], counts: [u64; N]) -> Option<usize> {
        let bucket = self.bucket(&stack[..stack.len().min(DEPTH)]);
        match bucket {
            Some(bucket) => self.add_to(bucket, counts),
            None => _ = self.lost.fetch_add(1, Relaxed),
        }
        bucket
    }

    /// Adds to the counts of a bucket that `add` has told.
    pub fn add_to(&self, bucket: usize, counts: [u64; N]) {
        let Some(bucket) = self.buckets.get().and_then(|all| all.get(bucket)) else { return };
        let both = bucket.counts.iter().zip(counts);
        both.for_each(|(count, more)| _ = count.fetch_add(more, Relaxed));
    }

    /// That of a stack. (Two stacks of one hash would be one.)
    fn bucket(&self, stack: &[usize]) -> Option<usize> {
        // The multiplier of FxHash.
        let mix = |hash: u64, pc: &usize| {
            (hash.rotate_left(5) ^ *pc as u64).wrapping_mul(0xf135_7aea_2e62_a9c5)
        };
        let hash = stack.iter().fold(0, mix).max(1);
        let buckets = self.buckets.get()?;
        (0..LOOKS).map(|look| ((hash >> 32) as usize + look) % BUCKETS).find(|&at| {
            let bucket = &buckets[at];
            let claimed = bucket.hash.compare_exchange(0, hash, Relaxed, Relaxed);
            if claimed.is_ok() {
                bucket.frames.iter().zip(stack).for_each(|(to, &pc)| to.store(pc, Relaxed));
                bucket.depth.store(stack.len(), Relaxed);
                bucket.is_whole.store(true, Release);
            }
            claimed.is_ok() || claimed == Err(hash)
        })
    }

    /// The stack of a bucket that `add` has told, if its claimer has written it.
    pub fn stack(&self, bucket: usize) -> Option<Vec<usize>> {
        self.buckets.get()?.get(bucket)?.stack()
    }

    /// What was counted so far.
    pub fn so_far(&self) -> Counts<N> {
        let buckets = self.buckets.get().map_or(&[][..], |buckets| buckets);
        let counts = |bucket: &Bucket<N>| array::from_fn(|n| bucket.counts[n].load(Relaxed));
        buckets.iter().filter_map(|bucket| Some((bucket.stack()?, counts(bucket)))).collect()
    }

    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }
}

/// What stands between the program's code and an event.
const MACHINERY: [&str; 9] = [
    "executive::",
    "executive_core::",
    "diagnostics::stacks::",
    "diagnostics::contention::",
    "diagnostics::gotrace::",
    "diagnostics::heap::",
    "core::",
    "alloc::",
    "__rustc::",
];

/// The places of stacks: each is looked up once.
#[derive(Default)]
pub(crate) struct Places(BTreeMap<usize, Place>);

impl Places {
    /// Those of a stack, without the innermost that are machinery.
    pub fn of(&mut self, stack: &[usize]) -> Vec<Frame> {
        let is_machinery = |frame: &Frame| {
            let name = frame.place.function.trim_start_matches('<');
            MACHINERY.iter().any(|machinery| name.starts_with(machinery))
        };
        let mut place = |pc| self.0.entry(pc).or_insert_with(|| Place::of(pc)).clone();
        let all: Vec<_> = stack.iter().map(|&pc| Frame { pc, place: place(pc) }).collect();
        let first = all.iter().position(|frame| !is_machinery(frame)).unwrap_or(0);
        all[first..].into()
    }
}

/// The places of one stack.
pub(crate) fn places(stack: &[usize]) -> Vec<Frame> {
    Places::default().of(stack)
}

/// SplitMix64. (The scheduler's own is for goroutines: it unpins.)
pub(crate) fn random() -> u64 {
    static STATE: AtomicU64 = AtomicU64::new(0);
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let z = STATE.fetch_add(STEP, Relaxed).wrapping_add(STEP);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
