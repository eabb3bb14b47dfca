//! The p: the right to run g's, and a queue of them. It stays with its m (docs/decisions/0001).
//!
//! **Rule (PINNED):** a p is touched by its owner only, pinned or on g0. Others have the thief's
//! half of its ring, its arrivals, its timers under their lock, and its counters. Whoever has
//! claimed an idle CPU may take that p's free list (reclaim.rs).

use crate::ground::atomic::{AtomicBool, Owned, with_new};
use crate::nouns::arrivals::Arrivals;
use crate::nouns::freelist::FreeList;
use crate::nouns::g::G;
use crate::nouns::runq::Runq;
use crate::nouns::timers::Timers;

with_new! {
/// See the head of this file.
#[repr(C, align(128))]
pub struct P {
    /// Its owner uses `runq()`.
    pub(crate) runq: Runq<G> = Runq::new(),
    pub(crate) timers: Timers = Timers::new(),
    /// What interrupts have woken for this P: it runs next. Thieves may take it, too.
    pub(crate) arrivals: Arrivals<G> = Arrivals::new(),

    // For the owner.
    /// Counts slices: a g that inherits one through runnext does not count.
    pub(crate) schedtick: Owned<u32> = Owned::new(),
    /// The schedtick from which on the global queue comes first.
    pub(crate) global_at: Owned<u32> = Owned::new(),
    /// Free g's, with stacks of the usual size.
    pub(crate) gfree: FreeList<G> = FreeList::new(),
    /// Memory is short: the owner gives its free g's to all. Set by anyone.
    pub(crate) give_free: AtomicBool = AtomicBool::new(false),
    /// Few pages are left. Set by its CPU's page-fault handler, taken by the owner.
    pub(crate) low_memory: AtomicBool = AtomicBool::new(false),
    /// Goroutine numbers taken from the global counter in batches.
    #[doc(alias = "goidcache")]
    pub(crate) goid_next: Owned<u64> = Owned::new(),
    pub(crate) goid_end: Owned<u64> = Owned::new(),
    /// When this CPU last looked at the clock (ns): within a slice or so.
    pub(crate) coarse_now: Owned<u64> = Owned::new(),

    // Written by the owner, read by anyone.
    /// What its CPU has done so far.
    pub stats: Stats = Stats::new(),
}
}

with_new! {
/// What a CPU has done so far.
pub struct Stats {
    /// Times a g was run.
    pub runs: Owned<u64> = Owned::new(),
    /// Steals that brought something.
    pub steals: Owned<u64> = Owned::new(),
    /// Idle CPUs woken by this one.
    pub wakes_sent: Owned<u64> = Owned::new(),
    /// Times this one was claimed and woken.
    pub wakes_received: Owned<u64> = Owned::new(),
    /// For how long it has slept (ns), less the time now while it sleeps.
    pub idle_ns: Owned<u64> = Owned::new(),
    /// Times it went to sleep.
    pub halts: Owned<u64> = Owned::new(),
    /// Timer interrupts and kicks.
    pub ticks: Owned<u64> = Owned::new(),
    /// Goroutines that it took the CPU from.
    pub preemptions: Owned<u64> = Owned::new(),
    /// Goroutines that were started here.
    pub born: Owned<u64> = Owned::new(),
    /// Goroutines that ended here.
    pub died: Owned<u64> = Owned::new(),
}
}

impl P {
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
    /// Goroutines queued here.
    pub fn runq_len(&self) -> usize {
        self.runq.len()
    }
    /// Bytes that its timers take. Takes their lock.
    pub fn timers_bytes(&self) -> usize {
        self.timers.bytes()
    }
}
