//! Timers and tickers: channels on which the time is sent. Go: `time.Timer`, `time.Ticker`.
//!
//! **Rule (Go 1.23's):** once `stop` or `reset` has returned, no value of an earlier firing
//! arrives. The channel has room for one value, and one that finds no room is dropped: a slow
//! receiver of ticks gets fewer ticks, not old ones. A timer exists for as long as somebody can
//! receive from it, be it by a clone of its receiver.
#![allow(unsafe_code)] // The heap of timers points into a box.

use super::{Duration, Instant, nanos};
use crate::chan::{Chan, Receiver, fed};
use crate::select::RecvFrom;
use alloc::sync::Arc;
use core::cell::Cell;
use core::ptr::null;
use executive_core::lock::{Lock, Rank};
use executive_core::wait::{self, start_timer, stop_timer};

/// What the heap points at.
struct Inner {
    timer: wait::Timer,
    /// The channel that it feeds.
    to: Cell<*const Chan<Instant>>,
    /// For a ticker: the period, and when the next tick is due (ns). Guarded by the heap's lock
    /// while the timer is in a heap.
    period: Cell<u64>,
    next: Cell<u64>,
}
// SAFETY: the cells are written while the timer is in no heap, and used under the heap's lock.
unsafe impl Sync for Inner {}
// SAFETY: as above.
unsafe impl Send for Inner {}
// SAFETY: as a reference to it.
unsafe impl Sync for Clock {}
// SAFETY: as above.
unsafe impl Send for Clock {}

impl Inner {
    /// Called by a firing, or before the first.
    fn send(&self, now: u64) {
        // SAFETY: the last receiver, when it is dropped, waits in our `drop` for a firing under
        // way.
        let _ = unsafe { &*self.to.get() }.try_send(Instant(now)); // no room: the receiver is slow
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        stop_timer(&self.timer);
    }
}

/// A channel on which times are sent.
struct Clock {
    /// Alive while `from` is.
    inner: *const Inner,
    from: Receiver<Instant>,
    /// One start or stop at a time.
    turn: Lock<()>,
}

impl Clock {
    fn new(fire: wait::Fire) -> Self {
        // SAFETY: both `fire`s are sound while the timer is in a heap; it is taken out when its
        // `Inner` is dropped.
        let timer = unsafe { wait::Timer::new(fire, null()) };
        let feeder = Arc::new(Inner {
            timer,
            to: Cell::new(null()),
            period: Cell::new(0),
            next: Cell::new(0),
        });
        let inner = Arc::as_ptr(&feeder);
        let clock = Clock { inner, from: fed(1, feeder), turn: Lock::new(Rank::User, ()) };
        clock.inner().timer.arg.set(inner.cast());
        clock.inner().to.set(Arc::as_ptr(&clock.from.chan));
        clock
    }

    fn inner(&self) -> &Inner {
        // SAFETY: `from` is a receiver, so the channel keeps it alive.
        unsafe { &*self.inner }
    }

    /// Starts the time anew: `d` from now.
    fn reset(&self, d: Duration, period: u64) -> bool {
        let _turn = self.turn.lock();
        let pending = self.take_back();
        let when = (Instant::now() + d).as_nanos();
        let inner = self.inner();
        inner.period.set(period);
        inner.next.set(when);
        // SAFETY: in no heap; it stays where it is, and is taken out before it is freed.
        unsafe { start_timer(&inner.timer, when) };
        pending
    }

    fn stop(&self) -> bool {
        let _turn = self.turn.lock();
        self.take_back()
    }

    /// Stops it. `true`: a value was still to come, or had come and was not received, as Go counts
    /// it.
    fn take_back(&self) -> bool {
        let pending = stop_timer(&self.inner().timer);
        self.from.try_recv().is_ok() || pending
    }
}

unsafe fn fire_once(timer: *const wait::Timer, now: u64) -> Option<u64> {
    // SAFETY: in a heap, so it is alive.
    let inner = unsafe { &*(*timer).arg.get().cast::<Inner>() };
    inner.send(now);
    None
}

unsafe fn fire_tick(timer: *const wait::Timer, now: u64) -> Option<u64> {
    // SAFETY: as above.
    let inner = unsafe { &*(*timer).arg.get().cast::<Inner>() };
    inner.send(now);
    // A whole number of periods after this tick was due: late ticks do not make the next ones late.
    let (due, period) = (inner.next.get(), inner.period.get());
    let next = due.saturating_add(((now - due) / period + 1).saturating_mul(period));
    inner.next.set(next);
    Some(next)
}

/// Sends the time on its channel once. Dropping it stops it, unless a clone of its receiver is
/// left, which gets the time. Go: `time.Timer`, with Go 1.23's meaning of `Stop` and `Reset`.
///
/// In a select: `recv(timer) -> t => ..`.
///
/// ```
/// # hosted::run(|| {
/// use executive::time::{Duration, Timer};
/// let timer = Timer::new(Duration::from_secs(60));
/// assert!(timer.reset(Duration::from_millis(1))); // it had not come
/// timer.recv();
/// assert!(!timer.stop()); // it has come
/// # });
/// ```
#[doc(alias = "time.Timer")]
pub struct Timer(Clock);

/// A [`Timer`], by Go's other name for it: `time.After`. In a select, `after(d)` does the same
/// without allocating.
///
/// ```
/// # hosted::run(|| {
/// use executive::time::{Duration, after};
/// after(Duration::from_millis(1)).recv();
/// # });
/// ```
#[doc(alias = "time.After")]
pub fn after(d: Duration) -> Timer {
    Timer::new(d)
}

impl Timer {
    /// A timer that fires `d` from now. Go: `time.NewTimer`.
    #[doc(alias("time.NewTimer", "NewTimer"))]
    pub fn new(d: Duration) -> Self {
        let timer = Timer(Clock::new(fire_once));
        timer.reset(d);
        timer
    }
    /// Parks until the timer fires; returns the time at which it did. Parks for ever if it was
    /// stopped or its value was received already.
    pub fn recv(&self) -> Instant {
        self.0.from.recv().unwrap_or_else(|| unreachable!("the timer has a sender"))
    }
    /// The channel. Go: `Timer.C`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::time::{Duration, Timer};
    /// let timer = Timer::new(Duration::from_secs(60));
    /// assert!(timer.receiver().try_recv().is_err());
    /// # });
    /// ```
    #[doc(alias = "Timer.C")]
    pub fn receiver(&self) -> &Receiver<Instant> {
        &self.0.from
    }
    /// Stops it. `true`: it had not fired, or nobody had received the value, which is gone now.
    /// Go: `Timer.Stop`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::time::{Duration, Timer};
    /// let timer = Timer::new(Duration::from_secs(60));
    /// assert!(timer.stop());
    /// # });
    /// ```
    #[doc(alias = "Timer.Stop")]
    pub fn stop(&self) -> bool {
        self.0.stop()
    }
    /// Starts the time anew: it fires `d` from now. Returns what `stop` would. Go: `Timer.Reset`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::time::{Duration, Timer};
    /// let timer = Timer::new(Duration::from_secs(60));
    /// assert!(timer.reset(Duration::from_millis(1)));
    /// timer.recv();
    /// # });
    /// ```
    #[doc(alias = "Timer.Reset")]
    pub fn reset(&self, d: Duration) -> bool {
        self.0.reset(d, 0)
    }
}

/// Sends the time on its channel again and again. Never drifts; drops ticks for a slow receiver.
/// Dropping it stops it, unless a clone of its receiver is left, which gets the ticks.
/// Go: `time.Ticker`.
///
/// In a select: `recv(ticker) -> t => ..`.
///
/// ```
/// # hosted::run(|| {
/// use executive::time::{Duration, Ticker};
/// let ticker = Ticker::new(Duration::from_millis(10));
/// let (first, second) = (ticker.recv(), ticker.recv());
/// assert!(first < second);
/// # });
/// ```
#[doc(alias = "time.Ticker")]
pub struct Ticker(Clock);

impl Ticker {
    /// A ticker whose first tick comes a period from now. Panics if `period` is zero.
    /// Go: `time.NewTicker`.
    #[doc(alias("time.NewTicker", "NewTicker"))]
    pub fn new(period: Duration) -> Self {
        assert!(!period.is_zero(), "non-positive interval for NewTicker");
        let ticker = Ticker(Clock::new(fire_tick));
        ticker.reset(period);
        ticker
    }
    /// Parks until the next tick; returns the time at which it came. Parks for ever if the ticker
    /// was stopped.
    pub fn recv(&self) -> Instant {
        self.0.from.recv().unwrap_or_else(|| unreachable!("the ticker has a sender"))
    }
    /// The channel. Go: `Ticker.C`.
    #[doc(alias = "Ticker.C")]
    pub fn receiver(&self) -> &Receiver<Instant> {
        &self.0.from
    }
    /// Stops it: no more ticks come. Go: `Ticker.Stop`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::time::{Duration, Ticker};
    /// let ticker = Ticker::new(Duration::from_millis(1));
    /// ticker.recv();
    /// ticker.stop();
    /// assert!(ticker.receiver().try_recv().is_err());
    /// # });
    /// ```
    #[doc(alias = "Ticker.Stop")]
    pub fn stop(&self) {
        self.0.stop();
    }
    /// Starts it anew with this period. Panics if that is zero. Go: `Ticker.Reset`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::time::{Duration, Ticker};
    /// let ticker = Ticker::new(Duration::from_secs(60));
    /// ticker.reset(Duration::from_millis(1));
    /// ticker.recv();
    /// # });
    /// ```
    #[doc(alias = "Ticker.Reset")]
    pub fn reset(&self, period: Duration) {
        assert!(!period.is_zero(), "non-positive interval for Ticker.Reset");
        self.0.reset(period, nanos(period));
    }
}

impl RecvFrom for Timer {
    type Item = Instant;
    fn receiver(&self) -> Option<&Receiver<Instant>> {
        Some(&self.0.from)
    }
}
impl RecvFrom for Ticker {
    type Item = Instant;
    fn receiver(&self) -> Option<&Receiver<Instant>> {
        Some(&self.0.from)
    }
}
