//! The p: the right to run g's, and a queue of them. It stays with its m (docs/decisions/0001).
//!
//! **Rule (PINNED):** a p is touched by its owner only, pinned or on g0. Others have the thief's
//! half of its ring, its timers under their lock, and its counters. Whoever has claimed an idle CPU
//! may take that p's free list (reclaim.rs).
#![allow(unsafe_code)] // `Sync` for cells of the owner.

use crate::ground::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, with_new};
use crate::ground::param::MAX_CPUS;
use crate::nouns::freelist::FreeList;
use crate::nouns::g::G;
use crate::nouns::runq::{Owner, Runq, Thief};
use crate::nouns::timers::Timers;
use crate::tools::percpu;
use core::cell::Cell;

with_new! {
#[repr(C, align(128))]
pub struct P {
    runq: Runq<G> = Runq::new(),
    pub(crate) timers: Timers = Timers::new(),

    // For the owner.
    /// Counts slices: a g that inherits one through runnext does not count.
    pub(crate) schedtick: Cell<u32> = Cell::new(0),
    /// The schedtick from which on the global queue comes first.
    pub(crate) global_at: Cell<u32> = Cell::new(0),
    /// Free g's, with stacks of the usual size.
    pub(crate) gfree: FreeList<G> = FreeList::new(),
    /// Memory is short: the owner gives its free g's to all. Set by anyone.
    pub(crate) give_free: AtomicBool = AtomicBool::new(false),
    /// Few pages are left. Set by its CPU's page-fault handler, taken by the owner.
    pub(crate) low_memory: AtomicBool = AtomicBool::new(false),
    /// Goroutine numbers taken from the global counter in batches.
    #[doc(alias = "goidcache")]
    pub(crate) goid_next: Cell<u64> = Cell::new(0),
    pub(crate) goid_end: Cell<u64> = Cell::new(0),
    /// When this CPU last looked at the clock (ns): within a slice or so.
    pub(crate) coarse_now: Cell<u64> = Cell::new(0),

    // Written by the owner, read by anyone.
    pub(crate) stats: Stats = Stats::new(),
}
}

/// A counter that its owner bumps and anyone reads.
pub struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Self {
        Counter(AtomicU64::new(0))
    }
    /// By the owner alone: load and store will do.
    #[inline]
    pub(crate) fn bump(&self) {
        self.0.store(self.0.load(Relaxed) + 1, Relaxed);
    }
    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

with_new! {
/// What a CPU has done so far.
pub struct Stats {
    /// Times a g was run.
    pub runs: Counter = Counter::new(),
    /// Steals that brought something.
    pub steals: Counter = Counter::new(),
    /// Idle CPUs woken by this one.
    pub wakes_sent: Counter = Counter::new(),
    /// Times this one was claimed and woken.
    pub wakes_received: Counter = Counter::new(),
    /// Times it went to sleep.
    pub halts: Counter = Counter::new(),
    /// Timer interrupts and kicks.
    pub ticks: Counter = Counter::new(),
    /// Goroutines that it took the CPU from.
    pub preemptions: Counter = Counter::new(),
    /// Goroutines that were started here.
    pub born: Counter = Counter::new(),
    /// Goroutines that ended here.
    pub died: Counter = Counter::new(),
}
}

// SAFETY: cells are the owner's (PINNED); the rest is atomic or locked.
unsafe impl Sync for P {}

static PS: [P; MAX_CPUS] = [const { P::new() }; MAX_CPUS];

pub(crate) fn p_of(cpu: usize) -> &'static P {
    &PS[cpu]
}

/// This CPU's p. Pinned or on g0.
#[inline]
pub(crate) fn p() -> &'static P {
    // SAFETY: set up before this CPU started, and never changed.
    unsafe { &*percpu::raw_p().cast::<P>() }
}

impl P {
    /// The owner's half of the queue. Called on [`p()`](p) alone.
    #[inline]
    pub(crate) fn runq(&self) -> Owner<'_, G> {
        debug_assert!(core::ptr::eq(self, p()), "PINNED");
        self.runq.owner()
    }
    /// There is one CPU: nobody will use [`others`](Self::others).
    pub(crate) fn leave_alone(&self) {
        self.runq.leave_alone();
    }
    /// Whether the global queue comes first now. It stays due until it is looked at.
    #[inline]
    pub(crate) fn global_is_due(&self) -> bool {
        self.global_overdue() >= 0
    }
    /// For how many ticks it has been due.
    #[inline]
    pub(crate) fn global_overdue(&self) -> i32 {
        self.schedtick.get().wrapping_sub(self.global_at.get()) as i32
    }
    /// The half for others.
    pub(crate) fn others(&self) -> Thief<'_, G> {
        self.runq.thief()
    }
    pub(crate) fn ring_is_empty(&self) -> bool {
        self.runq.ring_is_empty()
    }
    pub(crate) fn runq_is_empty(&self) -> bool {
        self.runq.is_empty()
    }
    pub(crate) fn runq_len(&self) -> usize {
        self.runq.len()
    }
}
