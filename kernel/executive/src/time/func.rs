//! A function that is called, in a goroutine of its own, after a while. Go: `time.AfterFunc`.
//!
//! **Rule:** the heap of timers counts as an owner of what it points at, from the start until it has fired or was taken back: by the goroutine that it starts, or
//! by `stop`.
#![allow(unsafe_code)] // A reference count in the heap of timers.

use super::{Duration, nanos};
use crate::alarm::{start_timer, stop_timer};
use crate::param::STACK_BYTES;
use crate::proc::birth::{Start, newproc};
use crate::{machine, timers};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::Cell;
use core::panic::Location;
use core::ptr::null;

/// When there is no memory for the goroutine it is tried again after so long.
const AGAIN_NS: u64 = 1_000_000;

struct Func {
    timer: timers::Timer,
    start: Start,
    f: Cell<Option<Box<dyn FnOnce() + Send>>>,
}
// SAFETY: `f` is taken once, by the goroutine that a firing starts or by the `stop` that has prevented it.
unsafe impl Sync for Func {}
// SAFETY: as above; `f` is Send.
unsafe impl Send for Func {}

/// A call to come. Dropping it changes nothing: see [`stop`](Self::stop).
///
/// ```no_run
/// use executive::time::{Duration, after_func};
/// let call = after_func(Duration::from_secs(1), || unreachable!());
/// assert!(call.stop());
/// ```
pub struct AfterFunc(Arc<Func>);

/// Calls `f` in a goroutine of its own, after `d`. Allocates. Go: `time.AfterFunc`.
///
/// ```no_run
/// use executive::time::{Duration, after_func};
/// let (tx, rx) = executive::chan(1);
/// after_func(Duration::from_millis(1), move || tx.send("late").unwrap());
/// assert_eq!(rx.recv(), Some("late"));
/// ```
#[track_caller]
pub fn after_func<F: FnOnce() + Send + 'static>(d: Duration, f: F) -> AfterFunc {
    let start = Start { name: Some("after_func"), stack_bytes: STACK_BYTES, at: Location::caller(), detached: true };
    // SAFETY: `fire` is sound while the timer is in a heap, which counts as an owner.
    let timer = unsafe { timers::Timer::new(fire, null()) };
    let func = Arc::new(Func { timer, start, f: Cell::new(Some(Box::new(f))) });
    func.timer.arg.set(Arc::into_raw(func.clone()).cast());
    // SAFETY: in no heap yet; the count just taken keeps it where it is.
    unsafe { start_timer(&func.timer, machine::now().saturating_add(nanos(d))) };
    AfterFunc(func)
}

impl AfterFunc {
    /// Takes the call back; `false`: it was made, or taken back, already. Does not wait for `f`. Go: `Timer.Stop`.
    ///
    /// ```no_run
    /// use executive::time::{Duration, after_func};
    /// let call = after_func(Duration::from_secs(1), || unreachable!());
    /// assert!(call.stop());
    /// assert!(!call.stop());
    /// ```
    pub fn stop(&self) -> bool {
        let stopped = stop_timer(&self.0.timer);
        if stopped {
            // SAFETY: the heap's count, which came to us with the timer.
            drop(unsafe { Arc::from_raw(self.0.timer.arg.get().cast::<Func>()) });
            drop(self.0.f.take());
        }
        stopped
    }
}

unsafe fn fire(timer: *const timers::Timer, now: u64) -> Option<u64> {
    // SAFETY: in a heap, so it has its count, which is ours now.
    let func = unsafe { Arc::from_raw((*timer).arg.get().cast::<Func>()) };
    let start = func.start;
    let body = move || {
        let f = func.f.take();
        drop(func);
        if let Some(f) = f {
            f();
        }
    };
    match newproc(start, body) {
        Ok(_) => None, // the goroutine has the count, and may have given it up by now
        Err((_, body)) => {
            core::mem::forget(body); // the count is the heap's again
            Some(now.saturating_add(AGAIN_NS))
        }
    }
}
