//! A condition variable: wait until another goroutine says that something has changed.
//! Go: `sync.Cond`.
//!
//! **Rule:** a waiter is queued before the mutex is unlocked, so whoever changes the condition
//! under the mutex finds it. It may be notified before it has parked, and then does not park: a
//! notification claims it, as a timer claims a select (waitq.rs), and does not touch its waiter
//! afterwards.
//!
//! Rejected: unlocking the mutex in the park's commit, under the queue's lock. That would save the
//! claim, but an unlock may have to wake a CPU, and others would spin meanwhile.

use super::mutex::MutexGuard;
use crate::monitor::Monitor;
use crate::time::Instant;
use core::time::Duration;
use executive_core::g::WaitReason;

/// Where goroutines wait for a condition. First come, first served. Nobody is woken without a
/// notification, but the condition may be false again by the time a woken goroutine runs: test it
/// in a loop.
///
/// ```
/// # hosted::run(|| {
/// use executive::sync::{Condvar, Mutex};
/// static READY: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
/// executive::go(|| {
///     *READY.0.lock() = true;
///     READY.1.notify_one();
/// });
/// let mut ready = READY.0.lock();
/// while !*ready {
///     ready = READY.1.wait(ready);
/// }
/// # });
/// ```
#[doc(alias("sync.Cond", "Cond"))]
pub struct Condvar {
    waiters: Monitor<()>,
}

impl Condvar {
    /// A condition variable for which nobody waits.
    pub const fn new() -> Self {
        Condvar { waiters: Monitor::new(()) }
    }

    /// Unlocks the mutex and parks until notified, in one step; then locks the mutex again.
    /// Go: `Cond.Wait`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// # use executive::sync::{Condvar, Mutex};
    /// # static READY: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    /// # executive::go(|| {
    /// #     *READY.0.lock() = true;
    /// #     READY.1.notify_one();
    /// # });
    /// let mut ready = READY.0.lock();
    /// while !*ready {
    ///     ready = READY.1.wait(ready);
    /// }
    /// # });
    /// ```
    #[doc(alias = "Cond.Wait")]
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let lock = guard.relock();
        self.park(guard, None);
        lock()
    }

    /// Parks until notified (`true`) or until the deadline. The mutex is unlocked afterwards.
    fn park<T: ?Sized>(&self, guard: MutexGuard<'_, T>, deadline: Option<u64>) -> bool {
        let unlock = || guard.unlock_to_park();
        self.waiters.lock().unlock_and_wait(deadline, WaitReason::CondWait, unlock)
    }

    /// [`wait`](Self::wait)s while `condition` returns true.
    ///
    /// ```
    /// # hosted::run(|| {
    /// # use executive::sync::{Condvar, Mutex};
    /// # static READY: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    /// # executive::go(|| {
    /// #     *READY.0.lock() = true;
    /// #     READY.1.notify_one();
    /// # });
    /// let ready = READY.1.wait_while(READY.0.lock(), |ready| !*ready);
    /// assert!(*ready);
    /// # });
    /// ```
    pub fn wait_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        while condition(&mut guard) {
            guard = self.wait(guard);
        }
        guard
    }

    /// As [`wait`](Self::wait), for at most `d` (a little more, never less). `false`: the time was
    /// over before a notification.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::sync::{Condvar, Mutex};
    /// use executive::time::Duration;
    /// let (mutex, cond) = (Mutex::new(()), Condvar::new());
    /// let (_guard, notified) = cond.wait_timeout(mutex.lock(), Duration::from_millis(1));
    /// assert!(!notified);
    /// # });
    /// ```
    pub fn wait_timeout<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        d: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        let lock = guard.relock();
        let notified = self.park(guard, Some((Instant::now() + d).as_nanos()));
        (lock(), notified)
    }

    /// Wakes the goroutine that has waited longest, if any. The mutex may be held or not. Never
    /// parks. Go: `Cond.Signal`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// executive::sync::Condvar::new().notify_one(); // nobody waits: forgotten
    /// # });
    /// ```
    #[doc(alias("Cond.Signal", "Signal"))]
    pub fn notify_one(&self) {
        self.waiters.lock().ready_first();
    }

    /// Wakes all goroutines that wait now. Never parks. Go: `Cond.Broadcast`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// executive::sync::Condvar::new().notify_all();
    /// # });
    /// ```
    #[doc(alias("Cond.Broadcast", "Broadcast"))]
    pub fn notify_all(&self) {
        self.waiters.lock().ready_all();
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}
