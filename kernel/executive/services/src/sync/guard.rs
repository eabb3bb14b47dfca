//! A value beside its lock, and the guards through which goroutines use the value.
//!
//! **Rule:** a guard exists while its lock is held: it is made after the lock was taken, and gives
//! the lock back when it is dropped. Whoever has the guard may use the value. What is written once
//! ([`Once`]) is shared afterwards, and needs no guard.
#![allow(unsafe_code)] // A guard's holder has the value behind its lock.

use super::mutex::RawMutex;
use super::once::Once;
use super::rwlock::RawRwLock;
use core::cell::{OnceCell, UnsafeCell};
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

/// A lock without a value, for one goroutine at a time.
pub trait Exclusive {
    /// Parks while others have the lock.
    fn lock(&self);
    /// Never parks. `false`: another has the lock.
    fn try_lock(&self) -> bool;
    /// Called by the holder.
    fn unlock(&self);
}

/// A lock that several goroutines may have for reading, or one for writing.
pub trait Shared: Exclusive {
    /// Parks while a writer has the lock or waits for it.
    fn read(&self);
    /// Never parks. `false`: `read` would park or panic.
    fn try_read(&self) -> bool;
    /// Called by a reader.
    fn end_read(&self);
}

/// A `T` that `L` lets goroutines use.
#[repr(C)] // the lock first: one register is enough for all of it
pub struct Guarded<L, T: ?Sized> {
    pub(super) lock: L,
    value: UnsafeCell<T>,
}
// SAFETY: the lock lets one goroutine at a time use the value.
unsafe impl<T: ?Sized + Send> Sync for Guarded<RawMutex, T> {}
// SAFETY: the lock lets either readers share the value or one writer have it.
unsafe impl<T: ?Sized + Send + Sync> Sync for Guarded<RawRwLock, T> {}
// SAFETY: one goroutine writes the value, and all share it afterwards.
unsafe impl<T: Send + Sync> Sync for Guarded<Once, OnceCell<T>> {}

/// The value may be used and changed while this lives. It stays in its goroutine.
pub struct Guard<'a, L: Exclusive, T: ?Sized> {
    pub(super) of: &'a Guarded<L, T>,
    _not_send: PhantomData<*const ()>,
}
// SAFETY: sharing it shares a `&T`.
unsafe impl<L: Exclusive, T: ?Sized + Sync> Sync for Guard<'_, L, T> {}

/// The value may be used while this lives. It stays in its goroutine.
pub struct SharedGuard<'a, L: Shared, T: ?Sized> {
    of: &'a Guarded<L, T>,
    _not_send: PhantomData<*const ()>,
}
// SAFETY: as above.
unsafe impl<L: Shared, T: ?Sized + Sync> Sync for SharedGuard<'_, L, T> {}

impl<L, T> Guarded<L, T> {
    pub const fn new(lock: L, value: T) -> Self {
        Guarded { lock, value: UnsafeCell::new(value) }
    }
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<L, T: ?Sized> Guarded<L, T> {
    /// `&mut` says that nobody else has the lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<L: Exclusive, T: ?Sized> Guarded<L, T> {
    #[inline]
    pub fn lock(&self) -> Guard<'_, L, T> {
        self.lock.lock();
        Guard { of: self, _not_send: PhantomData }
    }
    pub fn try_lock(&self) -> Option<Guard<'_, L, T>> {
        self.lock.try_lock().then(|| Guard { of: self, _not_send: PhantomData })
    }
}

impl<L: Shared, T: ?Sized> Guarded<L, T> {
    #[inline]
    pub fn read(&self) -> SharedGuard<'_, L, T> {
        self.lock.read();
        SharedGuard { of: self, _not_send: PhantomData }
    }
    pub fn try_read(&self) -> Option<SharedGuard<'_, L, T>> {
        self.lock.try_read().then(|| SharedGuard { of: self, _not_send: PhantomData })
    }
}

impl<T> Guarded<Once, OnceCell<T>> {
    /// The value, if it was written.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: completed: the value was written, and will not be written again.
        self.lock.is_completed().then(|| unsafe { &*self.value.get() }.get())?
    }
    /// The value. If there is none yet, the first to come writes what `f` returns.
    #[inline]
    pub fn get_or_init(&self, f: impl FnOnce() -> T) -> &T {
        self.lock.call_until_done(|| {
            let value = f();
            // SAFETY: only one goroutine ever gets here, and nobody reads before it has returned.
            let _ = unsafe { &*self.value.get() }.set(value);
        });
        // SAFETY: completed.
        unsafe { &*self.value.get() }.get().unwrap_or_else(|| unreachable!("written just now"))
    }
}

impl<L: Exclusive, T: ?Sized> Drop for Guard<'_, L, T> {
    #[inline]
    fn drop(&mut self) {
        self.of.lock.unlock();
    }
}
impl<L: Shared, T: ?Sized> Drop for SharedGuard<'_, L, T> {
    #[inline]
    fn drop(&mut self) {
        self.of.lock.end_read();
    }
}
impl<L: Exclusive, T: ?Sized> Deref for Guard<'_, L, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.of.value.get() }
    }
}
impl<L: Exclusive, T: ?Sized> DerefMut for Guard<'_, L, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, and the guard is borrowed mutably.
        unsafe { &mut *self.of.value.get() }
    }
}
impl<L: Shared, T: ?Sized> Deref for SharedGuard<'_, L, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held for reading.
        unsafe { &*self.of.value.get() }
    }
}
