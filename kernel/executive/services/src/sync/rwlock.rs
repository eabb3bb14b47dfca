//! Many readers or one writer. Go: `sync.RWMutex`. Who waits for whom is told in readers.rs.

use super::guard::{Exclusive, Guard, Guarded, Shared, SharedGuard};
use super::lockword::Position;
use super::mutex::RawMutex;
use super::readers::{Entered, Readers};
use super::sema::Semaphore;
use core::fmt;
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
pub struct RwLock<T: ?Sized>(Guarded<RawRwLock, T>);

/// All of the lock but the value.
pub struct RawRwLock {
    /// One writer at a time.
    writers: RawMutex,
    readers: Readers,
    for_readers: Semaphore,
    for_writer: Semaphore,
}

/// The lock is held for reading while this guard lives. Its goroutine may park meanwhile. It stays
/// in its goroutine:
///
/// ```compile_fail,E0277
/// fn send(_: impl Send) {}
/// send(executive::sync::RwLock::new(1).read());
/// ```
pub struct RwLockReadGuard<'a, T: ?Sized>(SharedGuard<'a, RawRwLock, T>);
/// The lock is held for writing while this guard lives. Its goroutine may park meanwhile.
pub struct RwLockWriteGuard<'a, T: ?Sized>(Guard<'a, RawRwLock, T>);

impl<T> RwLock<T> {
    /// An unlocked lock.
    pub const fn new(value: T) -> Self {
        let lock = RawRwLock {
            writers: RawMutex::new(),
            readers: Readers::new(),
            for_readers: Semaphore::new(0),
            for_writer: Semaphore::new(0),
        };
        RwLock(Guarded::new(lock, value))
    }
    /// The value.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks for reading; parks while a writer has the lock or waits for it. Panics if 2^29 readers
    /// (536,870,912) have the lock, guards that were forgotten included. Go: `RWMutex.RLock`.
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
        // A reader that is counted may have to wait, and a thread that is no CPU cannot: it tries.
        if Parking::here().is_none() {
            return self.try_read().unwrap_or_else(|| cannot_park());
        }
        RwLockReadGuard(self.0.read())
    }

    /// Locks for reading if that can be done at once; never parks. `None`: a writer has the lock or
    /// waits for it, or there are 2^29 readers. Go: `RWMutex.TryRLock`.
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
        self.0.try_read().map(RwLockReadGuard)
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
        RwLockWriteGuard(self.0.lock())
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
        self.0.try_lock().map(RwLockWriteGuard)
    }

    /// The value, without locking: `&mut` says that nobody else has the lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

impl RawRwLock {
    #[cold]
    fn read_slow(&self, entered: Entered) {
        if entered == Entered::TooMany {
            self.end_read();
            panic!("sync: too many readers of an RwLock");
        }
        // A writer has `writers` locked until it has let in all readers that it kept waiting.
        getg().set_behind(self.writers.owner());
        self.for_readers.acquire_for(WaitReason::RwLockRead, Position::Back);
    }
}

impl Shared for RawRwLock {
    #[inline]
    fn read(&self) {
        match self.readers.enter() {
            Entered::Reads => {}
            entered => self.read_slow(entered),
        }
    }
    fn try_read(&self) -> bool {
        let reads = self.readers.try_enter();
        if !reads {
            percpu::point();
        }
        reads
    }
    #[inline]
    fn end_read(&self) {
        if self.readers.leave() {
            self.for_writer.release();
        }
        percpu::point();
    }
}

impl Exclusive for RawRwLock {
    fn lock(&self) {
        self.writers.lock();
        if !self.readers.begin_write() {
            getg().set_behind(self.readers.left());
            self.for_writer.acquire_for(WaitReason::RwLockWrite, Position::Back);
        }
    }
    fn try_lock(&self) -> bool {
        if !self.writers.try_lock() {
            return false;
        }
        let writes = self.readers.try_begin_write();
        if !writes {
            self.writers.unlock();
        }
        writes
    }
    fn unlock(&self) {
        for _ in 0..self.readers.end_write() {
            self.for_readers.release();
        }
        self.writers.unlock(); // the next writer may come
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}
impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}
impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
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
