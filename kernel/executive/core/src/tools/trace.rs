//! What happened lately, CPU by CPU: a ring of events for each, written while tracing is on. It is
//! printed by the crate `executive`, in the form that trace viewers read.
//!
//! **Rule:** a ring is written by its own CPU, pinned or on g0, and read by anyone; an event is two
//! words, so a reader may see a torn one at the place that is being overwritten, which is left out.
//! While tracing is off an event costs one load and a branch that is not taken.

use crate::ground::machine;
use crate::ground::param::{MAX_CPUS, TRACE_EVENTS};
use crate::tools::percpu;
use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use spin::Once;

/// What can happen to a goroutine, or to a CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Event {
    /// It was created.
    Go = 1,
    /// It runs from here on.
    Run = 2,
    /// It parks.
    Park = 3,
    /// It lets others run.
    Yield = 4,
    /// Its slice is over.
    Preempt = 5,
    /// It ended.
    End = 6,
    /// It was made runnable.
    Ready = 7,
    /// It was stolen from another CPU.
    Steal = 8,
    /// The CPU sleeps.
    Halt = 9,
    /// The CPU wakes.
    Wake = 10,
}

/// All of them in the order of their numbers, and as traces print them.
const EVENTS: [(Event, &str); 10] = {
    use Event::*;
    [
        (Go, "go"),
        (Run, "run"),
        (Park, "park"),
        (Yield, "yield"),
        (Preempt, "preempt"),
        (End, "end"),
        (Ready, "ready"),
        (Steal, "steal"),
        (Halt, "halt"),
        (Wake, "wake"),
    ]
};

impl Event {
    /// Of a word in a ring. `None`: nothing was written there.
    fn of(what: u64) -> Option<Event> {
        EVENTS.get((what >> 56).checked_sub(1)? as usize).map(|&(event, _)| event)
    }
    /// As traces print it.
    pub fn name(self) -> &'static str {
        EVENTS[self as usize - 1].1
    }
}

/// What one CPU has recorded.
pub struct Ring {
    next: AtomicUsize,
    events: Box<[[AtomicU64; 2]]>,
}

/// When recording began, and when it ended.
static SPAN: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
static ON: AtomicBool = AtomicBool::new(false);
static RINGS: [Once<Box<Ring>>; MAX_CPUS] = [const { Once::new() }; MAX_CPUS];

/// Begins to record, from nothing. Allocates a ring per CPU the first time.
pub fn start() {
    ON.store(false, Relaxed);
    for ring in &RINGS[..machine::cpus().min(MAX_CPUS)] {
        ring.call_once(|| {
            let events =
                (0..TRACE_EVENTS).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect();
            Box::new(Ring { next: AtomicUsize::new(0), events })
        })
        .next
        .store(0, Relaxed);
    }
    SPAN[0].store(machine::now(), Relaxed);
    ON.store(true, Release); // partner: the Acquire in `write`
}

/// Ends recording; what was recorded stays.
pub fn stop() {
    ON.store(false, Relaxed);
    SPAN[1].store(machine::now(), Relaxed);
}

/// Records an event of goroutine `goid` (0: of the CPU itself). Pinned or on g0.
#[inline(always)]
pub(crate) fn record(event: Event, goid: impl FnOnce() -> u64) {
    if ON.load(Relaxed) {
        write(event, goid());
    }
}

/// The same, in the hottest places: gives back what the caller goes on with, so that it need not
/// save a register for a call that is seldom made.
#[inline(always)]
pub(crate) fn record_keeping<K>(event: Event, keep: K, goid: impl FnOnce() -> u64) -> K {
    #[cold]
    #[inline(never)]
    fn write_keeping<K>(event: Event, keep: K, goid: impl FnOnce() -> u64) -> K {
        write(event, goid());
        keep
    }
    if ON.load(Relaxed) { write_keeping(event, keep, goid) } else { keep }
}

#[cold]
fn write(event: Event, goid: u64) {
    if !ON.load(Acquire) {
        return;
    }
    let Some(ring) = RINGS.get(percpu::cpu()).and_then(Once::get) else { return }; // (none: a foreign thread)
    let n = ring.next.load(Relaxed);
    let [when, what] = &ring.events[n % TRACE_EVENTS];
    when.store(machine::now(), Relaxed);
    what.store((event as u64) << 56 | goid, Relaxed);
    ring.next.store(n + 1, Release); // partner: the Acquire in `events`
}

/// The rings of those CPUs that have one, with their numbers.
pub fn rings() -> impl Iterator<Item = (usize, &'static Ring)> {
    RINGS.iter().enumerate().filter_map(|(cpu, ring)| Some((cpu, &**ring.get()?)))
}

/// When recording began, and when it ended (ns).
pub fn span() -> [u64; 2] {
    SPAN.each_ref().map(|time| time.load(Relaxed))
}

impl Ring {
    /// The events that are there: when (ns), what, and of which goroutine. The oldest place is left
    /// out once the ring has gone round: its CPU may be writing there.
    pub fn events(&self) -> impl Iterator<Item = (u64, Event, u64)> {
        let next = self.next.load(Acquire);
        (next.saturating_sub(TRACE_EVENTS - 1)..next).filter_map(|n| {
            let [when, what] =
                self.events[n % TRACE_EVENTS].each_ref().map(|word| word.load(Relaxed));
            Some((when, Event::of(what)?, what & ((1 << 56) - 1)))
        })
    }

    /// The time before which it has not everything any more.
    pub fn lost_until(&self) -> Option<u64> {
        let lost = self.next.load(Acquire) >= TRACE_EVENTS;
        lost.then(|| self.events().next()).flatten().map(|(when, ..)| when)
    }
}
