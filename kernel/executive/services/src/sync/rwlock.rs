//! Many readers or one writer. Go: `sync.RWMutex`. Who waits for whom is told in readers.rs.
#![allow(unsafe_code)] // The value behind the lock.

use super::lockword::Position;
use super::mutex::{Mutex, MutexGuard};
use super::readers::{Entered, Readers};
use super::sema::Semaphore;
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use executive_core::g::{WaitReason, getg};
use executive_core::percpu;
use executive_core::wait::{Parking, cannot_park};

/// A lock around a `T`, for many readers or one writer. Not recursive: a goroutine that reads and
/// locks for reading again may deadlock if a writer has come in between, as in Go.
///
/// ```
/// # hosted::run(|| {
/// use executive::sync::RwLock;
/// static CONFIG: RwLock<u32> = RwLock::new(1);
/// assert_eq!(*CONFIG.read() + *CONFIG.read(), 2);
/// *CONFIG.write() = 2;
/// # });
/// ```
#[doc(alias("sync.RWMutex", "RWMutex"))]
pub struct RwLock<T: ?Sized> {
    /// One writer at a time.
    writers: Mutex<()>,
    readers: Readers,
    for_readers: Semaphore,
    for_writer: Semaphore,
    value: UnsafeCell<T>,
}
// SAFETY: the lock lets either readers share the value or one writer have it.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}
// SAFETY: as a T is.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}

/// The lock is held for reading while this guard lives. Its goroutine may park meanwhile. It stays
/// in its goroutine:
///
/// ```compile_fail,E0277
/// fn send(_: impl Send) {}
/// send(executive::sync::RwLock::new(1).read());
/// ```
pub struct RwLockReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    _not_send: PhantomData<*const ()>,
}
/// The lock is held for writing while this guard lives. Its goroutine may park meanwhile.
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    _turn: MutexGuard<'a, ()>,
}
// SAFETY: sharing it shares a `&T`.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}

impl<T> RwLock<T> {
    /// An unlocked lock.
    pub const fn new(value: T) -> Self {
        RwLock {
            writers: Mutex::new(()),
            readers: Readers::new(),
            for_readers: Semaphore::new(0),
            for_writer: Semaphore::new(0),
            value: UnsafeCell::new(value),
        }
    }
    /// The value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks for reading; parks while a writer has the lock or waits for it. Panics if more than
    /// 500 million guards live, or were forgotten. Go: `RWMutex.RLock`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let lock = executive::sync::RwLock::new(1);
    /// let (a, b) = (lock.read(), lock.read());
    /// assert_eq!(*a + *b, 2);
    /// # });
    /// ```
    #[doc(alias("RWMutex.RLock", "RLock"))]
    #[inline]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        // A thread that is no CPU cannot wait, and could not take its count back: it tries.
        if Parking::here().is_none() {
            return self.try_read().unwrap_or_else(|| cannot_park());
        }
        match self.readers.enter() {
            Entered::Reads => self.read_guard(),
            entered => self.read_slow(entered),
        }
    }

    /// Locks for reading if that can be done at once; never parks. Go: `RWMutex.TryRLock`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let lock = executive::sync::RwLock::new(1);
    /// let writer = lock.write();
    /// assert!(lock.try_read().is_none());
    /// # });
    /// ```
    #[doc(alias("RWMutex.TryRLock", "TryRLock"))]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        let guard = self.readers.try_enter().then(|| self.read_guard());
        if guard.is_none() {
            percpu::point();
        }
        guard
    }

    /// Locks for writing; parks while other goroutines read or write. Go: `RWMutex.Lock`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let lock = executive::sync::RwLock::new(1);
    /// *lock.write() += 1;
    /// # });
    /// ```
    #[doc(alias = "RWMutex.Lock")]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        // As in `read`.
        if Parking::here().is_none() {
            return self.try_write().unwrap_or_else(|| cannot_park());
        }
        let turn = self.writers.lock();
        if !self.readers.begin_write() {
            getg().set_behind(self.readers.left());
            self.for_writer.acquire_for(WaitReason::RwLockWrite, Position::Back);
        }
        RwLockWriteGuard { lock: self, _turn: turn }
    }

    /// Locks for writing if that can be done at once; never parks. Go: `RWMutex.TryLock`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let lock = executive::sync::RwLock::new(1);
    /// let reader = lock.read();
    /// assert!(lock.try_write().is_none());
    /// # });
    /// ```
    #[doc(alias = "RWMutex.TryLock")]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        let turn = self.writers.try_lock()?;
        self.readers.try_begin_write().then(|| RwLockWriteGuard { lock: self, _turn: turn })
    }

    /// The value, without locking: `&mut` says that nobody else has the lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    #[cold]
    fn read_slow(&self, entered: Entered) -> RwLockReadGuard<'_, T> {
        if entered == Entered::TooMany {
            drop(self.read_guard());
            panic!("sync: too many readers of an RwLock");
        }
        // A writer has `writers` locked until it has let in all readers that it kept waiting.
        getg().set_behind(self.writers.owner());
        self.for_readers.acquire_for(WaitReason::RwLockRead, Position::Back);
        self.read_guard()
    }

    fn read_guard(&self) -> RwLockReadGuard<'_, T> {
        RwLockReadGuard { lock: self, _not_send: PhantomData }
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.lock.readers.leave() {
            self.lock.for_writer.release();
        }
        percpu::point();
    }
}
impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        for _ in 0..self.lock.readers.end_write() {
            self.lock.for_readers.release();
        }
        // Then `_turn` lets the next writer in.
    }
}
impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the lock is held for reading.
        unsafe { &*self.lock.value.get() }
    }
}
impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the lock is held for writing.
        unsafe { &*self.lock.value.get() }
    }
}
impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and we are borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}
impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        RwLock::new(T::default())
    }
}
impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_read() {
            Some(value) => write!(f, "RwLock({:?})", &*value),
            None => f.write_str("RwLock(locked)"),
        }
    }
}
