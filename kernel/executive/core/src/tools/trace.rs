//! Events of goroutines and CPUs, told to one recorder. The crate `executive` has it: a ring of
//! events for each CPU, printed in the form that trace viewers read.
//!
//! While recording is off, an event costs one load and a branch that is not taken.

use core::sync::atomic::{AtomicBool, Ordering::*};
use spin::Once;

/// What can happen to a goroutine, or to a CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Event {
    /// The goroutine was created.
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

/// Whether events are told to the recorder.
static ON: AtomicBool = AtomicBool::new(false);
static RECORDER: Once<fn(Event, u64)> = Once::new();

/// From here on `recorder` gets each event and the number of its goroutine (0: the CPU's own
/// event). It is called pinned or on g0. Each `start` must give the same function.
pub fn start(recorder: fn(Event, u64)) {
    RECORDER.call_once(|| recorder);
    ON.store(true, Release); // partner: the Acquire in `tell`
}

/// The recorder gets no more events, except for those under way on other CPUs.
pub fn stop() {
    ON.store(false, Relaxed);
}

/// Tells the recorder an event of goroutine `goid` (0: of the CPU itself). Pinned or on g0.
#[inline(always)]
pub(crate) fn record(event: Event, goid: impl FnOnce() -> u64) {
    if ON.load(Relaxed) {
        tell(event, goid());
    }
}

/// As [`record`], for the hottest places: it returns `keep`, which the caller goes on with, and so
/// need not save in a register over a call that is seldom made.
#[inline(always)]
pub(crate) fn record_keeping<K>(event: Event, keep: K, goid: impl FnOnce() -> u64) -> K {
    #[cold]
    #[inline(never)]
    fn tell_keeping<K>(event: Event, keep: K, goid: impl FnOnce() -> u64) -> K {
        tell(event, goid());
        keep
    }
    if ON.load(Relaxed) { tell_keeping(event, keep, goid) } else { keep }
}

#[cold]
fn tell(event: Event, goid: u64) {
    if ON.load(Acquire)
        && let Some(recorder) = RECORDER.get()
    {
        recorder(event, goid);
    }
}
