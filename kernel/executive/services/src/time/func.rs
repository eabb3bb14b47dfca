//! A function that is called later, in a goroutine of its own. Go: `time.AfterFunc`.
//!
//! It may be called again, by `reset`. In Go both calls may then run at the same time. Here the
//! function is an `FnMut`: a call that becomes due while another runs follows it, in the same
//! goroutine.
//!
//! **Rule:** a timer in a heap counts as an owner of its `Func`, from the start until it fires or
//! is stopped. Then the count passes to the goroutine that the firing starts, or is given up by
//! `stop`.
#![allow(unsafe_code)] // A reference count in the heap of timers.

use super::{Duration, Instant};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::panic::Location;
use core::ptr::null;
use executive_core::join::go_detached;
use executive_core::lock::{Lock, Rank};
use executive_core::wait::{self, start_timer, stop_timer};

/// When there is no memory for the goroutine, it is tried again after this time.
const AGAIN_NS: u64 = 1_000_000;

struct Func {
    timer: wait::Timer,
    at: &'static Location<'static>,
    call: Lock<Call>,
    /// One start or stop at a time.
    turn: Lock<()>,
}

struct Call {
    /// `None` while it runs.
    f: Option<Box<dyn FnMut() + Send>>,
    /// Calls that became due while it ran.
    more: usize,
}

impl Func {
    /// Runs in the goroutine that a firing has started.
    fn call(&self) {
        let mut call = self.call.lock();
        let Some(mut f) = call.f.take() else {
            call.more += 1;
            return;
        };
        loop {
            drop(call);
            f();
            call = self.call.lock();
            if call.more == 0 {
                call.f = Some(f);
                return;
            }
            call.more -= 1;
        }
    }
}

/// A pending call. Dropping this does not stop it: see [`stop`](Self::stop). The function is
/// dropped after the last call.
///
/// ```
/// # hosted::run(|| {
/// use executive::time::{Duration, after_func};
/// let call = after_func(Duration::from_secs(60), || unreachable!());
/// assert!(call.stop());
/// # });
/// ```
pub struct AfterFunc(Arc<Func>);

/// Calls `f` in a goroutine of its own, after `d`. Allocates. Go: `time.AfterFunc`.
///
/// ```
/// # hosted::run(|| {
/// use executive::time::{Duration, after_func};
/// let (tx, rx) = executive::chan(1);
/// after_func(Duration::from_millis(1), move || tx.send("late").unwrap());
/// assert_eq!(rx.recv(), Some("late"));
/// # });
/// ```
#[doc(alias = "time.AfterFunc")]
#[track_caller]
pub fn after_func<F: FnMut() + Send + 'static>(d: Duration, f: F) -> AfterFunc {
    // SAFETY: `fire` is sound while the timer is in a heap, which counts as an owner.
    let timer = unsafe { wait::Timer::new(fire, null()) };
    let call = Lock::new(Rank::User, Call { f: Some(Box::new(f)), more: 0 });
    let func = AfterFunc(Arc::new(Func {
        timer,
        at: Location::caller(),
        call,
        turn: Lock::new(Rank::User, ()),
    }));
    func.0.timer.arg.set(Arc::as_ptr(&func.0).cast());
    func.reset(d);
    func
}

impl AfterFunc {
    /// Stops the call. `false`: it was made, or stopped, already. Does not wait for `f`.
    /// Go: `Timer.Stop`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::time::{Duration, after_func};
    /// let call = after_func(Duration::from_secs(60), || unreachable!());
    /// assert!(call.stop());
    /// assert!(!call.stop());
    /// # });
    /// ```
    #[doc(alias = "Timer.Stop")]
    pub fn stop(&self) -> bool {
        let _turn = self.0.turn.lock();
        let stopped = stop_timer(&self.0.timer);
        if stopped {
            // SAFETY: the heap's count, which passed to us with the timer. It is not the last: we
            // have one.
            unsafe { Arc::decrement_strong_count(Arc::as_ptr(&self.0)) };
        }
        stopped
    }

    /// Starts the time anew: the call comes `d` from now. `true`: a call was pending, and is moved;
    /// `false`: it was made, or stopped, and there will be one more. Does not wait for `f`.
    /// Go: `Timer.Reset`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::time::{Duration, after_func};
    /// let watchdog = after_func(Duration::from_secs(60), || panic!("nothing moves"));
    /// for _ in 0..1000 {
    ///     watchdog.reset(Duration::from_secs(60)); // something did
    /// }
    /// watchdog.stop();
    /// # });
    /// ```
    #[doc(alias = "Timer.Reset")]
    pub fn reset(&self, d: Duration) -> bool {
        let _turn = self.0.turn.lock();
        let pending = stop_timer(&self.0.timer);
        if !pending {
            // SAFETY: we have an Arc. From here on this count is the heap's.
            unsafe { Arc::increment_strong_count(Arc::as_ptr(&self.0)) };
        }
        // SAFETY: in no heap; the heap's count keeps it where it is.
        unsafe { start_timer(&self.0.timer, (Instant::now() + d).as_nanos()) };
        pending
    }
}

unsafe fn fire(timer: *const wait::Timer, now: u64) -> Option<u64> {
    // SAFETY: in a heap, so it has its count, which is ours now.
    let func = unsafe { Arc::from_raw((*timer).arg.get().cast::<Func>()) };
    let at = func.at;
    match go_detached(at, "after_func", move || func.call()) {
        Ok(()) => None, // the goroutine has the count, and may have given it up by now
        Err(body) => {
            core::mem::forget(body); // the count is the heap's again
            Some(now.saturating_add(AGAIN_NS))
        }
    }
}
