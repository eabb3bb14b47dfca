//! A condition variable: wait until another goroutine says that something has changed. Go: `sync.Cond`.
//!
//! **Rule:** who waits is queued before the mutex is unlocked, and unlocks it when parked (PARK-COMMIT): so whoever changes the condition under the mutex finds it queued.
#![allow(unsafe_code)] // Waiters on stacks.

use super::mutex::MutexGuard;
use crate::alarm::Alarm;
use crate::g::{WaitReason, getg};
use crate::lock::{Lock, Rank};
use crate::machine;
use crate::proc::{park::park, wake::ready};
use crate::waitq::{self, WaitQ, Waiter, woken};
use core::ptr::null_mut;
use core::time::Duration;

/// Where goroutines wait for a condition. First come first served; nobody is woken without a notification, but the condition may be false again when it runs:
/// look, in a loop.
///
/// ```no_run
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
/// ```
pub struct Condvar {
    // Below the mutex's semaphore, whose lock is taken while this is held.
    waiters: Lock<WaitQ>,
}

impl Condvar {
    /// Nobody waits.
    pub const fn new() -> Self {
        Condvar { waiters: Lock::new(Rank::Chan, WaitQ::new()) }
    }

    /// Unlocks the mutex and parks until notified, in one step; then locks it again. Go: `Cond.Wait`.
    ///
    /// ```no_run
    /// # use executive::sync::{Condvar, Mutex};
    /// # static READY: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    /// let mut ready = READY.0.lock();
    /// while !*ready {
    ///     ready = READY.1.wait(ready);
    /// }
    /// ```
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let mutex = guard.mutex;
        core::mem::forget(guard); // unlocked by the commit
        let waiters = self.waiters.lock();
        let w = Waiter::new(getg(), null_mut());
        // SAFETY: `w` stays here while we are parked, and who readies us has taken it off.
        unsafe { waiters.enqueue(&w) };
        park(WaitReason::CondWait, move |_| {
            mutex.unlock();
            waiters.release_on_g0();
            true
        });
        mutex.lock()
    }

    /// [`wait`](Self::wait)s while `condition` says so.
    ///
    /// ```no_run
    /// # use executive::sync::{Condvar, Mutex};
    /// # static READY: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    /// let ready = READY.1.wait_while(READY.0.lock(), |ready| !*ready);
    /// assert!(*ready);
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

    /// As [`wait`](Self::wait), for at most `d` (a little more, never less); `false`: the time was over first.
    ///
    /// ```no_run
    /// use executive::sync::{Condvar, Mutex};
    /// let (mutex, cond) = (Mutex::new(()), Condvar::new());
    /// let (_guard, notified) = cond.wait_timeout(mutex.lock(), core::time::Duration::from_millis(1));
    /// assert!(!notified);
    /// ```
    pub fn wait_timeout<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>, d: Duration) -> (MutexGuard<'a, T>, bool) {
        let mutex = guard.mutex;
        core::mem::forget(guard);
        let me = getg();
        let alarm = Alarm::new();
        me.param.set(null_mut());
        waitq::prepare(me);
        // SAFETY: prepared; it stays here until it is stopped.
        unsafe { alarm.set(machine::now().saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))) };
        let waiters = self.waiters.lock();
        let w = Waiter::of_select(me, null_mut());
        // SAFETY: `w` stays here until it was taken off, below.
        unsafe { waiters.enqueue(&w) };
        park(WaitReason::CondWait, move |me| {
            mutex.unlock();
            let parked = waitq::open(me);
            waiters.release_on_g0(); // the last we touch: the goroutine needs this lock before it goes on
            parked
        });
        alarm.stop();
        self.waiters.lock().remove(&w);
        let notified = me.param.get() != alarm.mark();
        (mutex.lock(), notified)
    }

    /// Wakes the first who waits, if any. The mutex may be held or not. Never parks. Go: `Cond.Signal`.
    ///
    /// ```no_run
    /// executive::sync::Condvar::new().notify_one(); // nobody waits: forgotten
    /// ```
    pub fn notify_one(&self) {
        let waiters = self.waiters.lock();
        let g = waiters.dequeue().map(woken);
        drop(waiters);
        g.into_iter().for_each(ready);
    }

    /// Wakes all who wait now. Never parks. Go: `Cond.Broadcast`.
    ///
    /// ```no_run
    /// executive::sync::Condvar::new().notify_all();
    /// ```
    pub fn notify_all(&self) {
        let waiters = self.waiters.lock();
        // In one hold of the lock: who is woken and waits again is not meant.
        while let Some(w) = waiters.dequeue() {
            ready(woken(w));
        }
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}
