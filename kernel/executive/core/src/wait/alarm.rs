//! Being woken by time: timers, and the alarm that is a select's.
//!
//! A timer is in the heap of the P it was started on, and that CPU's hardware timer is set to the heap's earliest deadline.
//! (A foreign thread's is in P 0's: no tick comes on that thread.)
//!
//! **Rule:** a timer's firing runs under its heap's lock (timers.rs), so [`stop_timer`] comes back when it is over: until then, and no longer, the timer
//! and the goroutine that it names must be there.
#![allow(unsafe_code)] // Timers on stacks.

use super::park;
use crate::ground::param::TIMER_SLACK_NS;
use crate::nouns::g::{G, WaitReason, getg};
use crate::nouns::m::m;
use crate::nouns::p::{p, p_of};
use crate::nouns::timers::Timer;
use crate::nouns::waitq::{Claim, Parked, claim_as};
use crate::proc::wake::look;
use crate::tools::percpu;
use core::ptr::null;

/// Puts a timer into this P's heap and sees that it is looked at in time.
///
/// # Safety
/// As for `Timers::add`, but the caller need not be pinned.
pub unsafe fn start_timer(timer: &Timer, when: u64) {
    percpu::pin();
    if percpu::is_foreign() {
        // SAFETY: the caller's promise.
        unsafe { p_of(0).timers.add(0, timer, when) };
        look(0); // and it sleeps no longer than until then
        return percpu::unpin();
    }
    let p = p();
    // SAFETY: the caller's promise.
    unsafe { p.timers.add(percpu::cpu(), timer, when) };
    m().tick_by(p.timers.next().saturating_add(TIMER_SLACK_NS));
    percpu::unpin();
}

/// Takes a timer back; `false`: it has fired, or was never started.
pub fn stop_timer(timer: &Timer) -> bool {
    loop {
        let cpu = timer.cpu();
        if let Some(removed) = p_of(cpu).timers.remove(cpu, timer) {
            return removed;
        }
    }
}

/// Parks the calling goroutine until `when` (ns), or a little later.
pub fn sleep_until(when: u64) {
    // SAFETY: `fire_ready`'s argument is set before the timer is in a heap.
    let timer = unsafe { Timer::new(fire_ready, null()) };
    park(WaitReason::Sleep, |me| {
        timer.arg.set(me.into_g().as_ptr().cast_const().cast());
        // SAFETY: the timer lies on the stack of a goroutine that is parked until it fires.
        unsafe { start_timer(&timer, when) };
        None
    });
}

/// Readies the goroutine that `arg` is.
unsafe fn fire_ready(timer: *const Timer, _: u64) -> Option<u64> {
    // SAFETY: the timer is in a heap, so alive; its argument is a goroutine that `sleep_until` parked
    // and left with it.
    unsafe { Parked::new(&*(*timer).arg.get().cast::<G>()) }.ready();
    None
}

/// A timer that claims the goroutine which made it, and tells it so by `g.param`.
pub struct Alarm {
    g: &'static G,
    timer: Timer,
}

impl Alarm {
    /// An alarm for the calling goroutine, not set yet.
    #[expect(clippy::new_without_default, reason = "of the calling goroutine")]
    pub fn new() -> Self {
        // SAFETY: `fire` is sound while the timer is in a heap: `set`'s promise.
        Alarm { g: getg(), timer: unsafe { Timer::new(fire, null()) } }
    }

    /// Sets it for `when` (ns).
    ///
    /// # Safety
    /// The goroutine has called [`waitq::prepare`](crate::nouns::waitq::prepare), and the alarm stays where it is until [`stop`](Self::stop).
    pub unsafe fn set(&self, when: u64) {
        self.timer.arg.set(core::ptr::from_ref(self).cast());
        // SAFETY: it stays where it is.
        unsafe { start_timer(&self.timer, when) };
    }

    /// Takes it back, and waits for a firing under way. By its goroutine, before it leaves the select.
    pub fn stop(&self) {
        if !self.timer.arg.get().is_null() {
            stop_timer(&self.timer);
        }
    }

    /// Whether it won. By its goroutine, after `stop`.
    pub fn has_won(&self) -> bool {
        self.g.param.get() == self.mark()
    }

    /// What `g.param` is when this alarm won; to be asked after `stop`.
    pub fn mark(&self) -> *mut () {
        core::ptr::from_ref(self).cast_mut().cast()
    }
}

unsafe fn fire(timer: *const Timer, _: u64) -> Option<u64> {
    // SAFETY: the timer is in a heap, so its alarm is alive, and stays so until `stop` gets the lock that we are under.
    let alarm = unsafe { &*(*timer).arg.get().cast::<Alarm>() };
    if let Claim::Parked(parked) = claim_as(alarm.g, alarm.mark()) {
        parked.ready();
    }
    None
}
