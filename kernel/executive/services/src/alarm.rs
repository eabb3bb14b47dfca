//! Being woken by time: sleeping, and the alarm of a select.
#![allow(unsafe_code)] // Timers on stacks.

use core::ptr::null;
use core::time::Duration;
use executive_core::g::{G, WaitReason, getg};
use executive_core::wait::{
    Claim, Parked, Timer, claim_as, may_park, park, start_timer, stop_timer, winner,
};

/// A duration in ns; `u64::MAX` if it is longer than that (584 years).
pub fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

/// Parks the calling goroutine until `when` (ns), or a little later.
pub fn sleep_until(when: u64) {
    let parking = may_park();
    // SAFETY: `fire_ready`'s argument is set before the timer is in a heap.
    let timer = unsafe { Timer::new(fire_ready, null()) };
    park(parking, WaitReason::Sleep, |me| {
        timer.arg.set(core::ptr::from_ref(me.into_g()).cast());
        // SAFETY: the timer lies on the stack of a goroutine that is parked until it fires.
        unsafe { start_timer(&timer, when) };
        None
    });
}

/// Readies the goroutine that `arg` is.
unsafe fn fire_ready(timer: *const Timer, _: u64) -> Option<u64> {
    // SAFETY: the timer is in a heap, so alive; its argument is a goroutine that `sleep_until`
    // parked and left with it.
    unsafe { Parked::new(&*(*timer).arg.get().cast::<G>()) }.ready();
    None
}

/// A timer that claims the goroutine that made it, and leaves its mark in `g.param`.
pub struct Alarm {
    g: &'static G,
    timer: Timer,
}

impl Alarm {
    /// An alarm for the calling goroutine, not set yet.
    #[expect(clippy::new_without_default, reason = "of the calling goroutine")]
    pub fn new() -> Self {
        // SAFETY: `fire` is sound while the timer is in a heap: the promise of `set`'s caller.
        Alarm { g: getg(), timer: unsafe { Timer::new(fire, null()) } }
    }

    /// Sets it for `when` (ns).
    ///
    /// # Safety
    /// The goroutine has called [`prepare`](executive_core::wait::prepare), and the alarm stays
    /// where it is until [`stop`](Self::stop).
    pub unsafe fn set(&self, when: u64) {
        self.timer.arg.set(core::ptr::from_ref(self).cast());
        // SAFETY: it stays where it is.
        unsafe { start_timer(&self.timer, when) };
    }

    /// Stops it, and waits for a firing under way. Called by its goroutine, before that leaves the
    /// select.
    pub fn stop(&self) {
        if !self.timer.arg.get().is_null() {
            stop_timer(&self.timer);
        }
    }

    /// Whether it won. Called by its goroutine, after `stop`.
    pub fn has_won(&self) -> bool {
        winner() == self.mark()
    }

    /// What `g.param` is when this alarm won. Valid after `stop`.
    pub fn mark(&self) -> *mut () {
        core::ptr::from_ref(self).cast_mut().cast()
    }
}

unsafe fn fire(timer: *const Timer, _: u64) -> Option<u64> {
    // SAFETY: the timer is in a heap, so its alarm is alive. It stays so until `stop` gets the
    // heap's lock, which we hold.
    let alarm = unsafe { &*(*timer).arg.get().cast::<Alarm>() };
    if let Claim::Parked(parked) = claim_as(alarm.g, alarm.mark()) {
        parked.ready();
    }
    None
}
