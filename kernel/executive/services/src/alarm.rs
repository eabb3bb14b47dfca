//! Being woken by time: sleeping, the alarm of a select, and timers in an `Arc`, of which those in
//! time.rs and cancel.rs are made. All that is `unsafe` about timers is here.
#![allow(unsafe_code)] // The core's heaps point at timers, on stacks and in `Arc`s.

use alloc::sync::Arc;
use core::marker::{PhantomData, PhantomPinned};
use core::mem::forget;
use core::pin::Pin;
use core::ptr::{from_ref, null};
use core::time::Duration;
use executive_core::g::{G, WaitReason, getg};
use executive_core::lock::{Lock, Rank};
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
        timer.arg.set(from_ref(me.into_g()).cast());
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

/// A timer that claims the goroutine that made it, and leaves its mark in `g.param`. It is pinned,
/// so that it is stopped before its place is used for anything else.
pub struct Alarm {
    g: &'static G,
    /// Its argument is the alarm while that is set; else null.
    timer: Timer,
    _pinned: PhantomPinned,
    /// Its goroutine alone sets and stops it.
    _not_sync: PhantomData<*const ()>,
}

impl Alarm {
    /// An alarm for the calling goroutine, not set yet.
    #[expect(clippy::new_without_default, reason = "of the calling goroutine")]
    pub fn new() -> Self {
        // SAFETY: `fire_alarm` is sound while the timer is in a heap: the alarm is pinned, and
        // takes it out before it is dropped.
        let timer = unsafe { Timer::new(fire_alarm, null()) };
        Alarm { g: getg(), timer, _pinned: PhantomPinned, _not_sync: PhantomData }
    }

    /// Sets it for `when` (ns). Its goroutine has called
    /// [`prepare`](executive_core::wait::prepare).
    pub fn set(self: Pin<&Self>, when: u64) {
        self.stop();
        self.timer.arg.set(from_ref(self.get_ref()).cast());
        // SAFETY: in no heap; it stays where it is until it is dropped, which stops it.
        unsafe { start_timer(&self.timer, when) };
    }

    /// Stops it, and waits for a firing under way. Called by its goroutine, before that leaves the
    /// select.
    pub fn stop(&self) {
        if !self.timer.arg.get().is_null() {
            stop_timer(&self.timer);
            self.timer.arg.set(null());
        }
    }

    /// Whether it won. Called by its goroutine, after `stop`.
    pub fn has_won(&self) -> bool {
        core::ptr::eq(winner().cast(), self)
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.stop();
    }
}

unsafe fn fire_alarm(timer: *const Timer, _: u64) -> Option<u64> {
    // SAFETY: the timer is in a heap, so its alarm is alive. It stays so until `stop` gets the
    // heap's lock, which we hold.
    let alarm = unsafe { &*(*timer).arg.get().cast::<Alarm>() };
    if let Claim::Parked(parked) = claim_as(alarm.g, from_ref(alarm).cast_mut().cast()) {
        parked.ready();
    }
    None
}

/// What happens when a [`Timed`] fires.
pub trait Fire: Send + Sync + Sized {
    /// Called under the lock of a heap of timers, on any CPU. It must be short, take only locks of
    /// a higher rank, drop nothing whose drop runs a user's code, and neither start nor stop this
    /// timer. `timed` is the heap's count; to fire again, return it with the next time (ns).
    fn fire(timed: Arc<Timed<Self>>, now: u64) -> Option<(Arc<Timed<Self>>, u64)>;
}

/// A timer in an `Arc`, and what fires. From its start until it fires or is stopped, the heap of
/// timers counts as one of its owners.
pub struct Timed<T> {
    timer: Timer,
    /// One start or stop at a time.
    turn: Lock<()>,
    /// What fires.
    pub on: T,
}

impl<T: Fire> Timed<T> {
    /// A timer that is not started.
    pub fn new(on: T) -> Arc<Self> {
        // SAFETY: `fire_timed` is sound while the timer is in a heap, which counts as an owner.
        let timer = unsafe { Timer::new(fire_timed::<T>, null()) };
        let timed = Arc::new(Timed { timer, turn: Lock::new(Rank::User, ()), on });
        timed.timer.arg.set(Arc::as_ptr(&timed).cast());
        timed
    }

    /// Stops it, calls `meanwhile`, and starts it anew for `when` (ns). `true`: it was started, and
    /// had not fired.
    pub fn restart(self: &Arc<Self>, when: u64, meanwhile: impl FnOnce()) -> bool {
        let _turn = self.turn.lock();
        let pending = stop_timer(&self.timer);
        meanwhile();
        if !pending {
            forget(self.clone()); // from here on this count is the heap's
        }
        // SAFETY: in no heap; the heap's count keeps it where it is.
        unsafe { start_timer(&self.timer, when) };
        pending
    }

    /// Stops it, waits for a firing under way, and calls `then`. `true`: it was started, and had
    /// not fired.
    pub fn stop(self: &Arc<Self>, then: impl FnOnce()) -> bool {
        let _turn = self.turn.lock();
        let pending = stop_timer(&self.timer);
        if pending {
            // SAFETY: the heap's count, which passed to us. It is not the last: the caller has one.
            unsafe { Arc::decrement_strong_count(Arc::as_ptr(self)) };
        }
        then();
        pending
    }
}

unsafe fn fire_timed<T: Fire>(timer: *const Timer, now: u64) -> Option<u64> {
    // SAFETY: the timer is in a heap, so the heap has its count, which is ours now.
    let timed = unsafe { Arc::from_raw((*timer).arg.get().cast::<Timed<T>>()) };
    let (timed, again) = T::fire(timed, now)?;
    assert!(core::ptr::eq(&timed.timer, timer), "alarm: another timer's count was given back");
    forget(timed); // the count is the heap's again
    Some(again)
}

/// Stops the timer when it is dropped.
pub struct Stops<T: Fire>(pub Arc<Timed<T>>);

impl<T: Fire> Drop for Stops<T> {
    fn drop(&mut self) {
        self.0.stop(|| ());
    }
}
