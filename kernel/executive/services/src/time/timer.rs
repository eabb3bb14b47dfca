//! Timers and tickers: channels on which the time is sent. Go: `time.Timer`, `time.Ticker`.
//!
//! **Rule (Go 1.23's):** once `stop` or `reset` has returned, no value of an earlier firing
//! arrives. The channel has room for one value, and one that finds no room is dropped: a slow
//! receiver of ticks gets fewer ticks, not old ones. A timer exists for as long as somebody can
//! receive from it, be it by a clone of its receiver.

use super::{Duration, Instant, nanos};
use crate::alarm::{Fire, Stops, Timed};
use crate::chan::{Chan, Receiver, fed};
use crate::select::RecvFrom;
use alloc::sync::{Arc, Weak};
use executive_core::atomic::{AtomicU64, Ordering};

/// What fires: it sends the time.
struct Ticks {
    /// The channel that it feeds.
    to: Weak<Chan<Instant>>,
    /// For a ticker, the period, and when its first tick is due (ns); else 0. Relaxed: written
    /// while the timer is in no heap, and used under the heap's lock.
    period: AtomicU64,
    due: AtomicU64,
}

impl Fire for Ticks {
    fn fire(timed: Arc<Timed<Self>>, now: u64) -> Option<(Arc<Timed<Self>>, u64)> {
        let ticks = &timed.on;
        // This is not the channel's last count: the last receiver, when it is dropped, waits until
        // the timer is stopped.
        let _ = ticks.to.upgrade()?.try_send(Instant(now)); // no room: the receiver is slow
        let (period, due) =
            (ticks.period.load(Ordering::Relaxed), ticks.due.load(Ordering::Relaxed));
        if period == 0 {
            return None;
        }
        // A whole number of periods after the first was due: late ticks make no later ones late.
        let next = due.saturating_add(((now - due) / period + 1).saturating_mul(period));
        Some((timed, next))
    }
}

/// A channel on which times are sent. Its feeder stops the timer when the last receiver is dropped.
struct Clock {
    timed: Arc<Timed<Ticks>>,
    from: Receiver<Instant>,
}

impl Clock {
    fn new() -> Self {
        let mut timed = None;
        let from = fed(1, |to| {
            let ticks = Ticks { to: to.clone(), period: AtomicU64::new(0), due: AtomicU64::new(0) };
            Stops(timed.insert(Timed::new(ticks)).clone())
        });
        let Some(timed) = timed else { unreachable!("made above") };
        Clock { timed, from }
    }

    /// Starts the time anew: `d` from now. Returns what `stop` would.
    fn reset(&self, d: Duration, period: u64) -> bool {
        let (when, mut came) = ((Instant::now() + d).as_nanos(), false);
        let pending = self.timed.restart(when, || {
            came = self.from.try_recv().is_ok();
            self.timed.on.period.store(period, Ordering::Relaxed);
            self.timed.on.due.store(when, Ordering::Relaxed);
        });
        came || pending
    }

    /// Stops it. `true`, as in Go: the value was still to come, or had come and was not received.
    fn stop(&self) -> bool {
        let mut came = false;
        let pending = self.timed.stop(|| came = self.from.try_recv().is_ok());
        came || pending
    }
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
    /// A timer that fires `d` from now. Allocates. Go: `time.NewTimer`.
    #[doc(alias("time.NewTimer", "NewTimer"))]
    pub fn new(d: Duration) -> Self {
        let timer = Timer(Clock::new());
        timer.reset(d);
        timer
    }
    /// Parks until the timer fires; returns the time at which it did. Parks for ever if it was
    /// stopped or its value was received already.
    pub fn recv(&self) -> Instant {
        self.0.from.recv().unwrap_or_else(|| unreachable!("nobody closes a timer's channel"))
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

/// Sends the time on its channel, once a period, without drift. A slow receiver gets fewer ticks.
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
    /// A ticker whose first tick comes a period from now. Allocates. Panics if `period` is zero.
    /// Go: `time.NewTicker`.
    #[doc(alias("time.NewTicker", "NewTicker"))]
    pub fn new(period: Duration) -> Self {
        assert!(!period.is_zero(), "non-positive interval for NewTicker");
        let ticker = Ticker(Clock::new());
        ticker.reset(period);
        ticker
    }
    /// Parks until the next tick; returns the time at which it came. Parks for ever if the ticker
    /// was stopped.
    pub fn recv(&self) -> Instant {
        self.0.from.recv().unwrap_or_else(|| unreachable!("nobody closes a ticker's channel"))
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
