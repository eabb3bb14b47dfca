//! Who sleeps and who searches: the one place where a wake could be lost.
//!
//! A pure structure with named transitions, for the model checker's sake (tests/loom/idle.rs).
//!
//! **Rule (NO-LOST-WAKE)**, in six lines:
//! - *Submit:* publish work; full fence; [`wakep`](Idle::wakep): if nobody searches and somebody is
//!   idle, claim one idle CPU, as a searcher.
//! - One searcher at a time is woken; a searcher that finds work stops counting, and wakes the next
//!   if there is more ([`found_work`](Idle::found_work)).
//! - *Give up:* [`go_idle`](Idle::go_idle): set my bit, stop counting as searcher, full fence; then
//!   **recheck every source**, and sleep only if all are empty. The sleep itself is made atomic by
//!   the machine.
//! - A claimed CPU's bit is off before it is woken: it wakes knowing that it is a searcher (Go: the
//!   P is taken before the M is started).
//! - A CPU that wakes by itself takes its own bit back ([`take_back`](Idle::take_back)); if it is
//!   gone, a waker has claimed it.
//!
//! Why it holds: the submitter's fence and the idler's fence are ordered one way or the other. If
//! the submitter's comes first, the idler's recheck sees the work. If the idler's comes first, the
//! submitter sees the bit and no searcher, and claims; or it sees a searcher that has not passed
//! *its* fence yet. That one will recheck, or will find work and then look for more.
//!
//! **The napper.** Two goroutines that only talk (a send, a park, a reply, a park) ready each other
//! into an empty `runnext`, which the P runs in the next instant. If each such hand-over woke an
//! idle CPU, that CPU would find nothing that lasts, and take the cache lines that the two need. So
//! a searcher that saw nothing else becomes the *napper*: it is idle for a bounded time, after
//! which it searches again. While there is one, a hand-over wakes nobody, and others that go idle
//! need not recheck runnexts: the napper will. Any other work claims it like every idle CPU.
//!
//! **CPUs that are switched off** ([`set_procs`](crate::procs::set_procs)). Such a CPU runs
//! goroutines that are locked to it, and no others. It sleeps apart from the idle ones
//! ([`go_off`](Idle::go_off)): no work claims it, except what only that CPU can do; and it rechecks
//! only its own sources. Three things could be lost, and are not:
//! - *What it has.* Others can steal it until the CPU comes to `schedule`. There it publishes all
//!   of it anew, and then wakes somebody, as every submitter does.
//! - *What it would have found.* A submitter may have left its work to this CPU, which counted as
//!   searching. The CPU stops counting, fences, and wakes another in its place
//!   ([`resign`](Idle::resign)). The submitter, which saw it count, has fenced before. So its work
//!   is seen by the CPU that is woken; or, if none is, by another searcher that has yet to fence,
//!   or by the next CPU that goes idle.
//! - *That it is switched off, or on again.* The mark is written before the CPU's bits are looked
//!   at (`wake_this`), and the CPU looks at the mark after it has set its bit. Both change one
//!   word, so one of the two sees the other: the CPU is woken, or it does not sleep.
//!
//! It is a deadlock when all sleep, idle or switched off. (Go's way: docs/decisions/0002.)

use crate::ground::atomic::{
    AtomicU32, AtomicU64, Ordering, atomics, full_fence, full_fence_after_exchange, with_new,
};
use crate::ground::param::MAX_CPUS;

const WORDS: usize = if cfg!(loom) { 1 } else { MAX_CPUS / 64 };

with_new! {
/// See the head of this file.
pub struct Idle {
    /// How many CPUs look for work, or were woken to.
    #[doc(alias = "nmspinning")]
    searching: AtomicU32 = AtomicU32::new(0),
    /// 1: a CPU naps. It is idle, and looks at every runnext after it has set this to 0 again.
    napping: AtomicU32 = AtomicU32::new(0),
    /// Bit n: CPU n is idle and may be claimed.
    #[doc(alias = "pidle")]
    idle: [AtomicU64; WORDS] = atomics![AtomicU64::new(0); WORDS],
    /// Bit n: CPU n is switched off and asleep, and may be claimed for what only it can do.
    off: [AtomicU64; WORDS] = atomics![AtomicU64::new(0); WORDS],
    /// Bits 0..16: how many are idle. Bits 16..32: how many sleep, idle or switched off. High half:
    /// how many times one stopped to. Seen unchanged over a look at every source while all CPUs
    /// sleep, it proves that nothing can ever run.
    #[doc(alias = "npidle")]
    count_and_epoch: AtomicU64 = AtomicU64::new(0),
}
}

const ONE_OFF: u64 = 1 << 16;
const ONE_IDLE: u64 = 1 + ONE_OFF;
const ONE_EPOCH: u64 = 1 << 32;
const _: () = assert!(
    MAX_CPUS < 1 << 15,
    "counted in 16 bits, and a sleeper may be uncounted before it is counted"
);

impl Idle {
    /// After work was published: the idle CPU that must be woken for it, if any. It counts as
    /// searching from here on. Lock-free; also in interrupt handlers.
    #[doc(alias = "pidlegetSpinning")]
    #[must_use = "a claimed CPU must be woken"]
    #[inline]
    pub fn wakep(&self) -> Option<usize> {
        full_fence(); // partner: the fence in `go_idle`
        if self.wants_a_searcher() { self.claim_one() } else { None }
    }

    /// The same after an exchange put a goroutine into an empty runnext. The caller's own CPU is
    /// likely to run it next, so if a CPU naps, that will do; or if it is known to, by `soon`.
    #[must_use = "a claimed CPU must be woken"]
    #[inline]
    pub fn wakep_for_next(&self, soon: impl FnOnce() -> bool) -> Option<usize> {
        full_fence_after_exchange(); // partner: the fence in `go_idle`
        let wakes = self.wants_a_searcher() && self.napping.load(Ordering::Relaxed) == 0;
        if wakes && !soon() { self.claim_one() } else { None }
    }

    #[inline]
    fn wants_a_searcher(&self) -> bool {
        self.idle_count() != 0 && self.searching.load(Ordering::Relaxed) == 0
    }

    #[cold]
    fn claim_one(&self) -> Option<usize> {
        loop {
            if self.searching.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                return None; // one searcher at a time
            }
            if let Some(cpu) = self.take_any() {
                return Some(cpu);
            }
            self.searching.fetch_sub(1, Ordering::AcqRel);
            // Someone may have gone idle since, and a submitter may have left its work to us
            // because we counted as a searcher: the second look finds the one for the other.
            full_fence(); // partner: the fence in `go_idle`
            if self.idle.iter().all(|word| word.load(Ordering::Relaxed) == 0) {
                return None;
            }
        }
    }

    fn take_any(&self) -> Option<usize> {
        for (w, word) in self.idle.iter().enumerate() {
            let bits = word.load(Ordering::Relaxed);
            if bits != 0 {
                let cpu = w * 64 + bits.trailing_zeros() as usize;
                if self.take_of(&self.idle, ONE_IDLE, cpu) {
                    return Some(cpu);
                }
            }
        }
        None
    }

    fn take_of(&self, sleepers: &[AtomicU64; WORDS], one: u64, cpu: usize) -> bool {
        let bit = 1 << (cpu % 64);
        // AcqRel: partner of the same RMW in `sleeps` (both ways: see `wake_this`), and of itself.
        if sleepers[cpu / 64].fetch_and(!bit, Ordering::AcqRel) & bit == 0 {
            return false;
        }
        self.count_and_epoch.fetch_add(ONE_EPOCH.wrapping_sub(one), Ordering::AcqRel);
        true
    }

    /// Claims this very CPU: for what only it can do or its interrupt has made, or because it is
    /// switched off or on. `true`: it was asleep, counts as searching, and must be woken.
    #[must_use = "a claimed CPU must be woken"]
    pub fn wake_this(&self, cpu: usize) -> bool {
        // No fence: this changes the very word in which `sleeps` sets the bit, so one of the two
        // sees the other's work. Claimed first and counted afterwards: a caller that counts for a
        // moment and finds nobody would owe the second look of `claim_one`. It is counted before it
        // is woken, and so before it gives up.
        let taken = self.take_back(cpu);
        if taken {
            self.searching.fetch_add(1, Ordering::AcqRel);
        }
        taken
    }

    /// May this CPU, which ran dry, search the others' queues? At most half of the busy ones do:
    /// more would mostly find each other. `true`: it counts as searching. Go: the test
    /// `2*nmspinning < gomaxprocs - npidle`.
    #[doc(alias = "becomeSpinning")]
    pub fn may_search(&self, cpus: usize) -> bool {
        if 2 * self.searching.load(Ordering::Relaxed)
            >= (cpus as u32).wrapping_sub(self.idle_count())
        {
            return false;
        }
        self.searching.fetch_add(1, Ordering::AcqRel);
        true
    }

    /// This CPU has taken itself back and looks for work.
    pub fn start_searching(&self) {
        self.searching.fetch_add(1, Ordering::AcqRel);
    }

    /// A searcher has found work and runs it. `true`: it was the last one, and there is more: the
    /// caller calls [`wakep`](Self::wakep). Go wakes one whether or not there is.
    #[doc(alias = "resetspinning")]
    #[must_use = "the last searcher that finds work wakes the next"]
    pub fn found_work(&self, here: &impl Stopping) -> bool {
        if self.searching.fetch_sub(1, Ordering::AcqRel) != 1 {
            return false;
        }
        // Who saw us search left its work to us. It had fenced before: this look sees the work.
        full_fence_after_exchange(); // partner: the fences in `wakep`
        self.others_have_work(here)
    }

    /// This CPU is out of work. From here on it may be claimed; the caller **rechecks every
    /// source**, then sleeps. Go: `pidleput` and the "delicate dance" after it.
    #[doc(alias = "pidleput")]
    pub fn go_idle(&self, cpu: usize, searching: bool) {
        self.sleeps(&self.idle, ONE_IDLE, cpu);
        if searching {
            self.searching.fetch_sub(1, Ordering::AcqRel);
        }
        full_fence(); // partner: the fences in `wakep`
    }

    /// This CPU is switched off, has handed over all that others can do, and does not count as
    /// searching. From here on `wake_this` alone may claim it; the caller rechecks **its own
    /// sources, and whether it is still switched off**, then sleeps.
    pub fn go_off(&self, cpu: usize) {
        self.sleeps(&self.off, ONE_OFF, cpu);
    }

    fn sleeps(&self, sleepers: &[AtomicU64; WORDS], one: u64, cpu: usize) {
        // The bit before the count: who sees 0 there precedes our fence; who sees 1 finds the bit.
        sleepers[cpu / 64].fetch_or(1 << (cpu % 64), Ordering::AcqRel); // partner: `take_of`
        self.count_and_epoch.fetch_add(one, Ordering::AcqRel);
    }

    /// This CPU is switched off and has published all that it had: the CPU that must be woken in
    /// its place, if any. `searching`: it counted as such, and stops to.
    #[must_use = "a claimed CPU must be woken"]
    pub fn resign(&self, searching: bool) -> Option<usize> {
        if searching {
            self.searching.fetch_sub(1, Ordering::AcqRel);
        }
        self.wakep()
    }

    /// This CPU, awake by itself, wants to work. `false`: a waker has claimed it; its note is or
    /// will be woken, and it counts as searching.
    pub fn take_back(&self, cpu: usize) -> bool {
        self.take_of(&self.idle, ONE_IDLE, cpu) || self.take_of(&self.off, ONE_OFF, cpu)
    }

    /// Sleeps until there may be work: all of the above in the order that loses no wake. The note
    /// was cleared before. `searching`: it counts as such, as afterwards. Go: in `findRunnable`.
    #[doc(alias = "stopm")]
    pub fn stop(&self, cpu: usize, searching: bool, why: Stops, here: &impl Stopping) {
        let off = why == Stops::Off;
        // One napper is enough. Relaxed: `go_idle`'s fence orders it for those that fill a runnext.
        let naps = why == Stops::AfterHandOvers
            && self.napping.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if off {
            self.go_off(cpu);
        } else {
            self.go_idle(cpu, searching);
        }
        // From here on a waker may claim us at any time.
        if !self.has_work(off, here) {
            here.will_sleep(off, naps);
            // If neither holds, an interrupt of no consequence for us has ended the sleep.
            while !here.sleep(naps) && !self.has_work(off, here) {}
        }
        if naps {
            // Whoever saw the 1 counts on us: from here on we look at every runnext, and not
            // before. Release: partner of loads by those that saw that we stopped being idle or
            // searching; for others the fence that we come to orders it (`wakep` or `go_idle`).
            self.napping.store(0, Ordering::Release);
        }
        if self.take_back(cpu) {
            self.start_searching();
        } else {
            here.await_wakeup(); // claimed: counted already, and woken or about to be
        }
    }

    /// The recheck.
    fn has_work(&self, off: bool, here: &impl Stopping) -> bool {
        here.is_off() != off || here.has_own_work() || !off && self.others_have_work(here)
    }

    /// Runnexts are the napper's, if there is one and it has yet to look.
    fn others_have_work(&self, here: &impl Stopping) -> bool {
        here.has_work(self.napping.load(Ordering::Relaxed) == 0)
    }

    /// Those of the CPUs `0..cpus` that are not asleep, once each, from `first` on and round. All
    /// work is on them: an idle CPU's queue is empty, and it puts nothing there before its bit is
    /// off. After `go_idle`'s fence a skipped CPU has no work, or has `wakep`'s fence before it.
    #[doc(alias = "idlepMask")]
    pub fn busy(&self, cpus: usize, first: usize) -> impl Iterator<Item = usize> + '_ {
        let (words, upper) = (cpus.div_ceil(64), u64::MAX << (first % 64));
        // The word of `first` comes twice: its upper part to begin with, its lower part at the end.
        (0..=words).flat_map(move |n| {
            let w = (first / 64 + n) % words;
            let part = if n == 0 {
                upper
            } else if n == words {
                !upper
            } else {
                u64::MAX
            };
            let there = u64::MAX >> (64 - (cpus - w * 64).min(64));
            // Relaxed: a hint for a searcher; for a recheck the fences order it.
            let asleep = self.idle[w].load(Ordering::Relaxed) | self.off[w].load(Ordering::Relaxed);
            let mut bits = !asleep & part & there;
            core::iter::from_fn(move || {
                let cpu = (bits != 0).then(|| w * 64 + bits.trailing_zeros() as usize)?;
                bits &= bits - 1;
                Some(cpu)
            })
        })
    }

    pub fn idle_count(&self) -> u32 {
        self.count_and_epoch.load(Ordering::Relaxed) as u16 as u32
    }
    pub fn searching(&self) -> u32 {
        self.searching.load(Ordering::Relaxed)
    }

    /// Whether nothing can ever run again: all of `cpus` sleep, and still do after a look at
    /// everything that could make work. By one of them.
    #[doc(alias = "checkdead")]
    pub fn is_dead(&self, cpus: usize, anything_to_come: impl FnOnce() -> bool) -> bool {
        // Acquire: partner of the RMW in `take_of`: a CPU stops sleeping before it has work.
        let before = self.count_and_epoch.load(Ordering::Acquire);
        (before >> 16) as u16 as usize == cpus
            && !anything_to_come()
            && self.count_and_epoch.load(Ordering::Acquire) == before
    }
}

/// Why a CPU stops.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stops {
    /// It found nothing to run.
    OutOfWork,
    /// It searched, and saw nothing but hand-overs: one such CPU naps.
    AfterHandOvers,
    /// It is switched off, and has [resigned](Idle::resign).
    Off,
}

/// A CPU that stops, as `Idle` sees it; a model brings its own.
pub trait Stopping {
    /// Whether this CPU is switched off.
    fn is_off(&self) -> bool;
    /// Whether there is work that only this CPU can do, or that an interrupt has left here.
    fn has_own_work(&self) -> bool;
    /// Whether any other source has work, runnexts included or not. Exact after `Idle`'s fences.
    fn has_work(&self, runnexts: bool) -> bool;
    /// There is no work: the CPU will sleep, switched off or not; or nap.
    fn will_sleep(&self, off: bool, nap: bool);
    /// Sleeps on its note, or naps for a bounded time. `true`: it was woken, or something of its
    /// own is due, such as the nap's end. May return early.
    fn sleep(&self, nap: bool) -> bool;
    /// Sleeps until its note is woken, which is sure to come.
    fn await_wakeup(&self);
}
