//! Mutual exclusion. Go: `sync.Mutex`. What the word means, and who gets the lock, is told in
//! lockword.rs.

use super::guard::{Exclusive, Guard, Guarded};
use super::lockword::{LockWord, Position, Queue};
use super::sema::Semaphore;
use core::fmt;
use core::mem::{forget, offset_of};
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use executive_core::arch::store_sp;
use executive_core::g::{WaitReason, getg};
use executive_core::machine;
use executive_core::percpu;
use executive_core::wait::{can_park, can_spin, may_park};
use executive_core::yield_now;

/// A lock around a `T`. Not recursive. There is no poisoning: a panic that unwinds unlocks, as Go's
/// `defer mu.Unlock()` does ([`panicking`](crate::recover::panicking) tells how to leave a mark).
///
/// ```
/// # hosted::run(|| {
/// use executive::sync::Mutex;
/// static SUM: Mutex<u64> = Mutex::new(0);
/// executive::scope(|s| {
///     for n in 0..10 {
///         s.go(move || *SUM.lock() += n);
///     }
/// });
/// assert_eq!(*SUM.lock(), 45);
/// # });
/// ```
#[doc(alias = "sync.Mutex")]
pub struct Mutex<T: ?Sized>(Guarded<RawMutex, T>);

/// All of the mutex but the value. `repr(C)`: a report finds it by the address of the semaphore's
/// lock, which a waiter's g names.
#[repr(C)]
pub struct RawMutex {
    /// An address on the stack of the goroutine that locked the mutex last, for reports. That
    /// goroutine is the owner if the word says that there is one. (In the first field an address
    /// takes one instruction to write; a goroutine's number would take three.)
    owner: AtomicUsize,
    sema: Semaphore,
    word: LockWord,
}

/// The lock is held while this guard lives. Its goroutine may park meanwhile. It stays in its
/// goroutine:
///
/// ```compile_fail,E0277
/// fn send(_: impl Send) {}
/// send(executive::sync::Mutex::new(1).lock());
/// ```
pub struct MutexGuard<'a, T: ?Sized>(Guard<'a, RawMutex, T>);

impl<T> Mutex<T> {
    /// An unlocked mutex.
    pub const fn new(value: T) -> Self {
        Mutex(Guarded::new(RawMutex::new(), value))
    }
    /// The value.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks; parks while another goroutine has the lock, after spinning for a few microseconds at
    /// the most. Locking a mutex twice in one goroutine deadlocks, as in Go.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let mutex = executive::sync::Mutex::new(vec![1]);
    /// mutex.lock().push(2);
    /// let guard = mutex.lock();
    /// assert_eq!(*guard, [1, 2]);
    /// # });
    /// ```
    // (No `#[inline]`: rustc would then inline it before LLVM does, and where the reference lies in
    // memory it would be read again after the exchange.)
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(self.0.lock())
    }

    /// Locks if that can be done at once; never parks, and never goes before starving waiters.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let mutex = executive::sync::Mutex::new(1);
    /// let guard = mutex.lock();
    /// assert!(mutex.try_lock().is_none());
    /// # });
    /// ```
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().map(MutexGuard)
    }

    /// The value, without locking: `&mut` says that nobody else has the mutex.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// Unlocks, for a caller that parks next: so without yielding to a waiter that was handed the
    /// lock.
    pub(super) fn unlock_to_park(self) {
        let mutex = self.0.of;
        forget(self);
        mutex.lock.word.unlock(&mutex.lock);
    }

    /// A closure that locks the same mutex again, when this guard is gone.
    pub(super) fn relock(&self) -> impl FnOnce() -> MutexGuard<'a, T> + use<'a, T> {
        let mutex = self.0.of;
        move || MutexGuard(mutex.lock())
    }
}

impl RawMutex {
    pub(super) const fn new() -> Self {
        RawMutex { owner: AtomicUsize::new(0), sema: Semaphore::new(0), word: LockWord::new() }
    }
    /// The mutex for which a goroutine waits: `waits_for` was read from a g that waits for
    /// `MutexLock`, as only waiters of a mutex can (`Parking::for_a_lock`). The mutex exists while
    /// that goroutine goes on waiting.
    pub fn of_waiter(waits_for: usize) -> *const Self {
        let at = waits_for - offset_of!(RawMutex, sema) - Semaphore::LOCK_AT;
        core::ptr::with_exposed_provenance(at)
    }
    /// An address on the owner's stack; 0: there is no owner. (A goroutine that has just locked may
    /// not have noted itself yet.)
    pub fn owner(&self) -> usize {
        if self.word.is_locked() { self.owner.load(Relaxed) } else { 0 }
    }
}

impl Exclusive for RawMutex {
    #[inline]
    fn lock(&self) {
        self.word.lock(self);
        store_sp(&self.owner); // on the fast path: one instruction, without GS
    }
    fn try_lock(&self) -> bool {
        let locked = self.word.try_lock();
        if locked {
            store_sp(&self.owner);
        } else {
            percpu::point();
        }
        locked
    }
    /// Yields if the lock was handed to a waiter that starved.
    #[inline]
    fn unlock(&self) {
        if self.word.unlock(self) {
            let_it_run();
        }
        percpu::point();
    }
}

impl Queue for RawMutex {
    fn acquire(&self, position: Position) {
        getg().set_behind(self.owner());
        self.sema.acquire_for(WaitReason::MutexLock, position);
    }
    fn release(&self) {
        self.sema.release();
    }
    fn may_park(&self) {
        may_park();
    }
    fn may_spin(&self) -> bool {
        can_spin()
    }
    fn now(&self) -> u64 {
        machine::now()
    }
}

/// Yields to the waiter that was handed the lock. Not inlined: a loop that locks would keep
/// registers for the yield.
#[cold]
#[inline(never)]
fn let_it_run() {
    if can_park() {
        yield_now();
    }
}
impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
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
