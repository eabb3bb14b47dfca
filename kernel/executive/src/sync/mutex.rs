//! Mutual exclusion. Go: `sync.Mutex` (internal/sync/mutex.go), with its two modes.
//!
//! *Normally* an unlock wakes the first waiter, but who is running and wants the lock may get it first: that costs no switch. A waiter that loses
//! so for more than a millisecond makes the mutex *starving*: from then on each unlock hands the lock to the first waiter, and newcomers queue, until a waiter
//! gets it that is the last or has waited for less than that.
//!
//! **Rule:** the state word says everything; the semaphore only carries wake-ups to waiters that the word counts.
#![allow(unsafe_code)] // The value behind the lock.

use super::sema::Semaphore;
use crate::atomic::{AtomicU32, Left, Ordering, relax, sub_release};
use crate::g::WaitReason;
use crate::p::p;
use crate::proc::park::yield_now;
use crate::sched::SCHED;
use crate::{machine, percpu};
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

/// Someone has the lock.
const LOCKED: u32 = 1;
/// A waiter is awake and tries: an unlock need not wake another.
const WOKEN: u32 = 2;
/// One waiter; the bits between count them.
const WAITER: u32 = 4;
/// Hand the lock over. The highest bit: who unlocks sees it in the CPU's sign flag.
const STARVING: u32 = 1 << 31;

fn waiters(state: u32) -> u32 {
    (state & !STARVING) / WAITER
}

/// A waiter that lost for so long makes the mutex starving (Go: starvationThresholdNs).
const STARVATION_NS: u64 = 1_000_000;
/// How often someone who could get the lock soon spins before parking, and how long (Go: active_spin, active_spin_cnt).
const SPINS: u32 = 4;
const SPIN_PAUSES: u32 = 30;

/// A lock around a `T`. Not recursive. There is no poisoning: a panic ends the run.
///
/// ```no_run
/// use executive::sync::Mutex;
/// static SUM: Mutex<u64> = Mutex::new(0);
/// executive::scope(|s| {
///     for n in 0..10 {
///         s.go(move || *SUM.lock() += n);
///     }
/// });
/// assert_eq!(*SUM.lock(), 45);
/// ```
pub struct Mutex<T: ?Sized> {
    state: AtomicU32,
    sema: Semaphore,
    value: UnsafeCell<T>,
}
// SAFETY: the lock lets one at a time at the value.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
// SAFETY: as a T is.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}

/// The lock is held while this lives. Parking meanwhile is allowed. It stays in its goroutine:
///
/// ```compile_fail,E0277
/// fn send(_: impl Send) {}
/// send(executive::sync::Mutex::new(1).lock());
/// ```
pub struct MutexGuard<'a, T: ?Sized> {
    pub(super) mutex: &'a Mutex<T>,
    _not_send: PhantomData<*const ()>,
}
// SAFETY: sharing it shares a `&T`.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<T> Mutex<T> {
    /// An unlocked mutex.
    pub const fn new(value: T) -> Self {
        Mutex { state: AtomicU32::new(0), sema: Semaphore::new(0), value: UnsafeCell::new(value) }
    }
    /// The value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks; parks while another goroutine has it (after spinning for less than a microsecond). Locking it twice in one goroutine deadlocks, as in Go.
    ///
    /// ```no_run
    /// let mutex = executive::sync::Mutex::new(vec![1]);
    /// mutex.lock().push(2);
    /// let guard = mutex.lock();
    /// assert_eq!(*guard, [1, 2]);
    /// ```
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        // Acquire: partner of the Release in `unlock`.
        if self.state.compare_exchange(0, LOCKED, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.lock_slow();
        }
        self.guard()
    }

    /// Locks if that can be done at once; never parks, and never goes before those who starve.
    ///
    /// ```no_run
    /// let mutex = executive::sync::Mutex::new(1);
    /// let guard = mutex.lock();
    /// assert!(mutex.try_lock().is_none());
    /// ```
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let old = self.state.load(Ordering::Relaxed);
        (old & (LOCKED | STARVING) == 0
            && self.state.compare_exchange(old, old | LOCKED, Ordering::Acquire, Ordering::Relaxed).is_ok())
        .then(|| self.guard())
    }

    /// The value, without locking: nobody else has the mutex.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Unlocks without yielding to the one that was handed the lock: for who parks next.
    pub(super) fn unlock(guard: MutexGuard<'_, T>) {
        core::mem::ManuallyDrop::new(guard).mutex.unlock_word();
    }

    fn guard(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, _not_send: PhantomData }
    }

    #[cold]
    fn lock_slow(&self) {
        let (mut since, mut starving, mut awoke, mut spins) = (0, false, false, 0);
        let mut old = self.state.load(Ordering::Relaxed);
        loop {
            if old & (LOCKED | STARVING) == LOCKED && may_spin(spins) {
                // Say that we are awake, so that the unlock need not wake another.
                if !awoke && old & WOKEN == 0 && waiters(old) != 0 {
                    awoke = self.swap(old, old | WOKEN);
                }
                (0..SPIN_PAUSES).for_each(|_| relax());
                spins += 1;
                old = self.state.load(Ordering::Relaxed);
                continue;
            }
            let mut new = old;
            if old & STARVING == 0 {
                new |= LOCKED;
            }
            if old & (LOCKED | STARVING) != 0 {
                new += WAITER;
            }
            if starving && old & LOCKED != 0 {
                new |= STARVING;
            }
            if awoke {
                new &= !WOKEN;
            }
            if !self.swap(old, new) {
                old = self.state.load(Ordering::Relaxed);
                continue;
            }
            if old & (LOCKED | STARVING) == 0 {
                return;
            }
            let waited_before = since != 0;
            if !waited_before {
                since = machine::now();
            }
            self.sema.acquire_for(WaitReason::MutexLock, waited_before); // who has waited keeps the place in front
            starving |= machine::now() - since > STARVATION_NS;
            old = self.state.load(Ordering::Relaxed);
            if old & STARVING != 0 {
                // The unlocker has handed the lock to us, and has left the word to us.
                let over = if !starving || waiters(old) == 1 { STARVING } else { 0 };
                // Acquire: partner of the Release in `unlock`.
                self.state.fetch_add(LOCKED.wrapping_sub(WAITER + over), Ordering::Acquire);
                return;
            }
            awoke = true;
            spins = 0;
        }
    }

    fn swap(&self, old: u32, new: u32) -> bool {
        self.state.compare_exchange(old, new, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// By who has the lock. `true`: the caller should yield, to the one that was handed the lock.
    #[inline]
    fn unlock_word(&self) -> bool {
        // Release: partner of the Acquire in `lock`.
        match sub_release(&self.state, LOCKED) {
            Left::Nothing => false,
            Left::Positive => {
                self.wake_waiter();
                false
            }
            Left::Negative => {
                self.hand_over();
                true
            }
        }
    }

    #[cold]
    fn hand_over(&self) {
        self.sema.release();
    }

    #[cold]
    fn wake_waiter(&self) {
        let mut old = self.state.load(Ordering::Relaxed);
        // Unless there is nobody to wake, or someone is awake, or has the lock already, or it was made starving and unlocked by another meanwhile.
        while waiters(old) != 0 && old & (LOCKED | WOKEN | STARVING) == 0 {
            if self.swap(old, (old - WAITER) | WOKEN) {
                self.sema.release();
                break;
            }
            old = self.state.load(Ordering::Relaxed);
        }
    }
}

/// Spinning pays if the holder runs on another CPU and nobody waits for this one. Go: `canSpin`.
fn may_spin(spins: u32) -> bool {
    percpu::pin();
    let alone = !p().runq().has_work();
    percpu::unpin();
    spins < SPINS
        && alone
        && SCHED.cpus() > SCHED.idle.idle_count().wrapping_add(SCHED.idle.searching()).wrapping_add(1)
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    /// Unlocks. Yields if the lock was handed to a waiter that starved.
    #[inline]
    fn drop(&mut self) {
        if self.mutex.unlock_word() && percpu::pins() == 0 {
            yield_now();
        }
    }
}
impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.mutex.value.get() }
    }
}
impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and we are borrowed mutably.
        unsafe { &mut *self.mutex.value.get() }
    }
}
impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}
impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(value) => write!(f, "Mutex({:?})", &*value),
            None => f.write_str("Mutex(locked)"),
        }
    }
}
impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
