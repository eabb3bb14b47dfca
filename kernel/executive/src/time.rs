//! Time: instants, and sleeping.
//!
//! A sleeping goroutine's timer lies on its own stack, in the heap of the P it slept on. That CPU's hardware timer is set to the heap's
//! earliest deadline, whether the CPU runs or sleeps; there is no periodic tick.
#![allow(unsafe_code)] // Timers on stacks.

use crate::g::{G, WaitReason};
use crate::m::m;
use crate::machine;
use crate::p::{p, p_of};
use crate::param::TIMER_SLACK_NS;
use crate::percpu;
use crate::proc::{park::park, wake::ready};
use crate::timers::Timer;
pub use core::time::Duration;

/// A point in time: nanoseconds of the machine's monotonic clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Instant(u64);

impl Instant {
    pub fn now() -> Self {
        Instant(machine::now())
    }
    /// Time since this instant; zero if it lies ahead.
    pub fn elapsed(self) -> Duration {
        Self::now() - self
    }
    pub fn as_nanos(self) -> u64 {
        self.0
    }
    /// The instant that many nanoseconds of the machine's clock.
    pub fn from_nanos(ns: u64) -> Self {
        Instant(ns)
    }
}

impl core::ops::Add<Duration> for Instant {
    type Output = Instant;
    /// Saturates at the end of time, some 584 years after the machine started.
    fn add(self, d: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl core::ops::Sub for Instant {
    type Output = Duration;
    /// Zero if `earlier` is later.
    fn sub(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Puts a timer into this P's heap and sees that it is looked at in time.
///
/// # Safety
/// As for [`crate::timers::Timers::add`], but the caller need not be pinned.
pub(crate) unsafe fn start_timer(timer: &Timer, when: u64) {
    percpu::pin();
    let p = p();
    // SAFETY: pinned to this CPU; the rest is the caller's promise.
    unsafe { p.timers.add(percpu::cpu(), timer, when) };
    m().tick_by(p.timers.next().saturating_add(TIMER_SLACK_NS));
    percpu::unpin();
}

/// Takes a timer back; `false`: it has fired.
pub(crate) fn stop_timer(timer: &Timer) -> bool {
    p_of(timer.cpu()).timers.remove(timer)
}

/// Readies the goroutine that `arg` is.
pub(crate) unsafe fn fire_ready(timer: *const Timer, _: u64) -> Option<u64> {
    // SAFETY: the timer is in a heap, so alive; its arg is a parked goroutine.
    ready(unsafe { &*(*timer).arg.get().cast::<G>() });
    None
}

/// Parks the calling goroutine for at least `d`. Go: `time.Sleep`.
pub fn sleep(d: Duration) {
    sleep_until(Instant::now() + d)
}

/// Parks the calling goroutine until `deadline` or a little later; returns at once if it has passed.
pub fn sleep_until(deadline: Instant) {
    if deadline <= Instant::now() {
        return;
    }
    let me: *const G = crate::g::getg();
    // SAFETY: `me` will be parked when it fires.
    let timer = unsafe { Timer::new(fire_ready, me.cast()) };
    park(WaitReason::Sleep, |_| {
        // SAFETY: the timer lies on the stack of a goroutine that is parked until it fires.
        unsafe { start_timer(&timer, deadline.0) };
        true
    });
}
