//! Mutual exclusion. Go: `sync.Mutex`. What the word means, and who gets the lock, is told in
//! lockword.rs.
// The value behind the lock, and a mutex that is found by what a goroutine waits for.
#![allow(unsafe_code)]

use super::lockword::{LockWord, Position, Queue};
use super::sema::Semaphore;
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::offset_of;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use executive_core::arch::store_sp;
use executive_core::g::{WaitReason, getg};
use executive_core::machine;
use executive_core::percpu;
use executive_core::wait::{can_park, can_spin, may_park};
use executive_core::yield_now;

/// A lock around a `T`. Not recursive. There is no poisoning: a panic ends the run.
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
#[repr(C)] // `raw` first: one register is enough to lock it and to say so
pub struct Mutex<T: ?Sized> {
    raw: Raw,
    value: UnsafeCell<T>,
}
/// All of the mutex but the value. `repr(C)`: it is found by the address of the semaphore's lock,
/// which is what a waiter's g names.
#[repr(C)]
struct Raw {
    sema: Semaphore,
    word: LockWord,
    /// An address on the stack of the goroutine that locked the mutex last, for reports. That
    /// goroutine is the owner if the word says that there is one. (An address takes one instruction
    /// to write, where a number would take three.)
    owner: AtomicUsize,
}
// SAFETY: the lock lets one goroutine at a time use the value.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
// SAFETY: as a T is.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}

/// The lock is held while this guard lives. Its goroutine may park meanwhile. It stays in its
/// goroutine:
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
        let raw =
            Raw { sema: Semaphore::new(0), word: LockWord::new(), owner: AtomicUsize::new(0) };
        Mutex { raw, value: UnsafeCell::new(value) }
    }
    /// The value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks; parks while another goroutine has the lock (after spinning for less than a
    /// microsecond). Locking a mutex twice in one goroutine deadlocks, as in Go.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let mutex = executive::sync::Mutex::new(vec![1]);
    /// mutex.lock().push(2);
    /// let guard = mutex.lock();
    /// assert_eq!(*guard, [1, 2]);
    /// # });
    /// ```
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.raw.word.lock(&self.raw);
        self.guard()
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
        let guard = self.raw.word.try_lock().then(|| self.guard());
        if guard.is_none() {
            percpu::point();
        }
        guard
    }

    /// The value, without locking: `&mut` says that nobody else has the mutex.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// An address on the owner's stack; 0: there is no owner.
    pub(super) fn owner(&self) -> usize {
        self.raw.owner()
    }

    /// Unlocks, without yielding to a waiter that was handed the lock: the caller parks next.
    pub(super) fn unlock(guard: MutexGuard<'_, T>) {
        let mutex = core::mem::ManuallyDrop::new(guard).mutex;
        mutex.raw.word.unlock(&mutex.raw);
    }

    #[inline]
    fn guard(&self) -> MutexGuard<'_, T> {
        self.raw.is_mine();
        MutexGuard { mutex: self, _not_send: PhantomData }
    }
}

impl Raw {
    /// Notes who the owner is. A part of every lock, so it is one instruction, and needs no GS.
    #[inline(always)]
    fn is_mine(&self) {
        // SAFETY: there lies an atomic of ours.
        unsafe { store_sp::<{ offset_of!(Raw, owner) }, Raw>(self) }
    }
    /// An address on the owner's stack; 0: there is no owner. (A goroutine that has just locked may
    /// not have noted itself yet.)
    fn owner(&self) -> usize {
        if self.word.is_locked() { self.owner.load(Relaxed) } else { 0 }
    }
}

/// The owner of the mutex for which a goroutine waits: an address on the owner's stack. 0: there is
/// none.
///
/// # Safety
/// `waits_for` was read from a g that waits for `MutexLock`, and goes on waiting: so the mutex
/// exists.
pub unsafe fn owner_of(waits_for: usize) -> usize {
    let raw = waits_for - offset_of!(Raw, sema) - Semaphore::LOCK_AT;
    // SAFETY: a `Raw`, which the waiter borrows (the caller's promise).
    unsafe { (*core::ptr::with_exposed_provenance::<Raw>(raw)).owner() }
}

impl Queue for Raw {
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

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    /// Unlocks. Yields if the lock was handed to a waiter that starved.
    #[inline]
    fn drop(&mut self) {
        if self.mutex.raw.word.unlock(&self.mutex.raw) {
            let_it_run();
        }
        percpu::point();
    }
}

/// The lock was handed to one that starved. Not inlined: a loop that locks would keep registers for
/// the yield.
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
