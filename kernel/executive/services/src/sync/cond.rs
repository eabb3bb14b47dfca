//! A condition variable: wait until another goroutine says that something has changed. Go: `sync.Cond`.
//!
//! **Rule:** who waits is queued before the mutex is unlocked: so whoever changes the condition under the mutex finds it queued. It may be notified before it has parked, and then does not: a
//! notification claims it, as a timer claims a select (waitq.rs), and looks at its waiter no more.
//!
//! Left: unlocking the mutex in the park's commit, under the queue's lock. It would save the claim, but an unlock may have to wake a CPU, and others would spin meanwhile.
#![allow(unsafe_code)] // Waiters on stacks.

use super::mutex::{Mutex, MutexGuard};
use crate::ground::machine;
use crate::nouns::g::{G, WaitReason, getg};
use crate::nouns::waitq::{self, Claim, WaitQ, Waiter, claim_without_lock};
use crate::proc::alarm::Alarm;
use crate::proc::{park::park, wake::ready, wake::unlock_ready};
use crate::tools::lock::{Lock, Rank};
use core::ptr::{null_mut, without_provenance_mut};
use core::time::Duration;

/// Goroutines readied in one go by `notify_all`, outside of the lock.
const BATCH: usize = 16;

struct Waiters {
    queue: WaitQ,
    /// How many have ever come: the next one's ticket, which is where others have a slot. Go: `notifyList.wait`.
    tickets: usize,
}

impl Waiters {
    /// Claims the first who waits, as long as `more` says so; tells whom to ready. `None`: nobody is left, or it had not parked.
    #[inline]
    fn claim_next(&self, more: impl Fn(&Self) -> bool) -> Option<&'static G> {
        while more(self) {
            let g = self.queue.dequeue()?.g;
            match claim_without_lock(g) {
                Claim::Parked => return Some(g),
                Claim::Early => return None,
                Claim::Lost => {} // its time was over; it waits for our lock
            }
        }
        None
    }
    /// Whether the first has a ticket below `end`.
    fn has_below(&self, end: usize) -> bool {
        // Tickets are some, of late: so they compare by their difference, and may wrap.
        self.queue.first().is_some_and(|w| (w.slot.get().addr().wrapping_sub(end) as isize) < 0)
    }
}

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
    waiters: Lock<Waiters>,
}

impl Condvar {
    /// Nobody waits.
    pub const fn new() -> Self {
        Condvar { waiters: Lock::new(Rank::Wait, Waiters { queue: WaitQ::new(), tickets: 0 }) }
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
        self.park(guard, None);
        mutex.lock()
    }

    /// Parks until notified or claimed by the alarm. The mutex is unlocked afterwards.
    #[inline(never)] // or every `wait` would be 200 bytes
    fn park<T: ?Sized>(&self, guard: MutexGuard<'_, T>, alarm: Option<(&Alarm, u64)>) {
        let me = getg();
        waitq::prepare(me);
        if let Some((alarm, when)) = alarm {
            me.param.set(null_mut());
            // SAFETY: prepared; it stays where it is until it is stopped, below.
            unsafe { alarm.set(when) };
        }
        let w = Waiter::new(me, null_mut());
        let mut waiters = self.waiters.lock();
        w.slot.set(without_provenance_mut(waiters.tickets));
        waiters.tickets = waiters.tickets.wrapping_add(1);
        // SAFETY: `w` stays here until it was taken off: by who notifies us, or below.
        unsafe { waiters.queue.enqueue(&w) };
        drop(waiters);
        Mutex::unlock(guard);
        park(me, WaitReason::CondWait, waitq::open);
        if let Some((alarm, _)) = alarm {
            alarm.stop();
            self.waiters.lock().queue.remove(&w);
        }
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
        let (mutex, alarm) = (guard.mutex, Alarm::new());
        let ns = u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        self.park(guard, Some((&alarm, machine::now().saturating_add(ns))));
        let notified = getg().param.get() != alarm.mark();
        (mutex.lock(), notified)
    }

    /// Wakes the first who waits, if any. The mutex may be held or not. Never parks. Go: `Cond.Signal`.
    ///
    /// ```no_run
    /// executive::sync::Condvar::new().notify_one(); // nobody waits: forgotten
    /// ```
    pub fn notify_one(&self) {
        let waiters = self.waiters.lock();
        let g = waiters.claim_next(|_| true);
        unlock_ready(waiters, g);
    }

    /// Wakes all who wait now. Never parks. Go: `Cond.Broadcast`.
    ///
    /// ```no_run
    /// executive::sync::Condvar::new().notify_all();
    /// ```
    pub fn notify_all(&self) {
        let mut waiters = self.waiters.lock();
        let end = waiters.tickets; // who is woken and waits again is not meant
        while waiters.has_below(end) {
            let batch: [_; BATCH] = core::array::from_fn(|_| waiters.claim_next(|waiters| waiters.has_below(end)));
            drop(waiters);
            batch.into_iter().flatten().for_each(ready);
            waiters = self.waiters.lock();
        }
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}
