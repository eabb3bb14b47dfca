//! Time: instants, sleeping, timers and tickers.
//!
//! The timer of a sleeping goroutine lies on the goroutine's stack, that of a [`Timer`] or a
//! [`Ticker`] in an `Arc`. All are in the heap of the P on which they were started (alarm.rs):
//! there is no timer goroutine and no periodic tick.
//!
//! **Rule:** nothing comes early. How late it comes is for benchmarks to show.

mod func;
mod timer;
pub use func::{AfterFunc, after_func};
pub use timer::{Ticker, Timer, after};

use crate::alarm::{self, nanos};
pub use core::time::Duration;
use executive_core::machine;
use executive_core::percpu;

/// A point in time: nanoseconds of the machine's monotonic clock.
///
/// ```
/// # hosted::run(|| {
/// use executive::time::{Duration, Instant};
/// let begin = Instant::now();
/// assert!(begin.remaining().is_zero());
/// assert!(begin + Duration::from_secs(1) > begin);
/// assert_eq!((begin + Duration::from_nanos(5)) - begin, Duration::from_nanos(5));
/// assert_eq!(Instant::from_nanos(begin.as_nanos()), begin);
/// # });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The time now. Go: `time.Now`, its monotonic part.
    #[doc(alias = "time.Now")]
    pub fn now() -> Self {
        Instant(machine::now())
    }
    /// Time since this instant; zero if it is in the future. Go: `time.Since`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let begin = executive::time::Instant::now();
    /// executive::time::sleep(core::time::Duration::from_millis(1));
    /// println!("{:?}", begin.elapsed());
    /// # assert!(begin.elapsed().as_millis() >= 1);
    /// # });
    /// ```
    #[doc(alias("time.Since", "Since"))]
    pub fn elapsed(self) -> Duration {
        Self::now() - self
    }
    /// Time from now to this instant; zero if it has passed. Go: `time.Until`.
    #[doc(alias("time.Until", "Until"))]
    pub fn remaining(self) -> Duration {
        self - Self::now()
    }
    /// Nanoseconds of the machine's clock.
    pub fn as_nanos(self) -> u64 {
        self.0
    }
    /// The instant at which the machine's clock shows `ns` nanoseconds.
    pub fn from_nanos(ns: u64) -> Self {
        Instant(ns)
    }
}

impl core::ops::Add<Duration> for Instant {
    type Output = Instant;
    /// Saturates at the end of time, some 584 years after the machine started.
    fn add(self, d: Duration) -> Instant {
        Instant(self.0.saturating_add(nanos(d)))
    }
}

impl core::ops::Sub for Instant {
    type Output = Duration;
    /// Zero if `earlier` is later.
    fn sub(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Parks the calling goroutine for at least `d`. Go: `time.Sleep`.
///
/// ```
/// # hosted::run(|| {
/// use executive::time::{Duration, Instant, sleep};
/// let begin = Instant::now();
/// sleep(Duration::from_millis(10));
/// assert!(begin.elapsed() >= Duration::from_millis(10));
/// # });
/// ```
#[doc(alias = "time.Sleep")]
pub fn sleep(d: Duration) {
    sleep_until(Instant::now() + d)
}

/// Parks the calling goroutine until `deadline` or a little later; returns at once if that has
/// passed.
///
/// ```
/// # hosted::run(|| {
/// use executive::time::{Duration, Instant, sleep_until};
/// let mut next = Instant::now();
/// for _ in 0..3 {
///     next = next + Duration::from_millis(10); // the work in between costs no drift
///     sleep_until(next);
/// }
/// # });
/// ```
pub fn sleep_until(deadline: Instant) {
    if deadline <= Instant::now() {
        return percpu::point();
    }
    alarm::sleep_until(deadline.0);
}
