//! A function that is called later, in a goroutine of its own. Go: `time.AfterFunc`.
//!
//! It may be called again, by `reset`. In Go both calls may then run at the same time. Here the
//! function is an `FnMut`: a call that becomes due while another runs follows it, in the same
//! goroutine.
//!
//! **Rule:** while the call is pending the heap of timers counts as an owner of it (alarm.rs). A
//! firing gives that count to the goroutine that it starts.
//!
//! Three orders of steps matter where `stop` and `reset` meet firings:
//! 1. A firing, and a `stop` or the one in a `reset`. Both happen under the heap's lock. So either
//!    the call is taken back, or its goroutine exists already. That is what `timers.rs` promises,
//!    and the models of timers ask: `removed_means_over`, `it_fires_once`,
//!    `a_timer_on_its_way_is_found`, and `a_stopped_ticker_stays_stopped` for a firing that found
//!    no memory for a goroutine and is put back. The heap's count goes the way of the timer.
//! 2. Two of `stop` and `reset`. They take turns (`Timed`), so the timer stays in no heap between a
//!    reset's stop and its start.
//! 3. A call that becomes due, and the end of the one before. Under the lock of [`Call`] the first
//!    finds the function or counts itself; the second looks at the count and puts the function
//!    back.
//!
//! The last two are a lock's, and the models of timers have the first. So calls have no model of
//! their own.

use super::{Duration, Instant};
use crate::alarm::{Fire, Timed};
use crate::param::AFTER_FUNC_RETRY_NS;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::panic::Location;
use executive_core::join::go_detached;
use executive_core::lock::{Lock, Rank};

struct Func {
    at: &'static Location<'static>,
    call: Lock<Call>,
}

struct Call {
    /// `None` while it runs.
    f: Option<Box<dyn FnMut() + Send>>,
    /// Calls that became due while it ran.
    more: usize,
}

impl Func {
    /// Makes a call, in the goroutine that a firing has started.
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
pub struct AfterFunc(Arc<Timed<Func>>);

/// Calls `f` in a goroutine of its own, after `d`. Allocates. While there is no memory for the
/// goroutine, it is tried again every millisecond. Go: `time.AfterFunc`.
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
    let call = Lock::new(Rank::User, Call { f: Some(Box::new(f)), more: 0 });
    let func = AfterFunc(Timed::new(Func { at: Location::caller(), call }));
    func.reset(d);
    func
}

impl AfterFunc {
    /// Stops the call. `false`: the call was made, or stopped, already. Does not wait for `f`.
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
        self.0.stop(|| ())
    }

    /// Starts the time anew: the call comes `d` from now. `true`: a call was pending, and is moved;
    /// `false`: the last call was made, or stopped, and there will be one more. Does not wait for
    /// `f`. Go: `Timer.Reset`.
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
        self.0.restart((Instant::now() + d).as_nanos(), || ())
    }
}

impl Fire for Func {
    fn fire(func: Arc<Timed<Self>>, now: u64) -> Option<(Arc<Timed<Self>>, u64)> {
        // Weak: when the goroutine has started, the last count is dropped there, not here.
        let (at, again) = (func.on.at, Arc::downgrade(&func));
        let body = go_detached(at, "after_func", move || func.on.call()).err()?;
        let func = again.upgrade(); // not `None`: `body` still has a count
        drop(body);
        Some((func?, now.saturating_add(AFTER_FUNC_RETRY_NS)))
    }
}
