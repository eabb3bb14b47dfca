//! Once: the first to come does it, the others wait. Go: `sync.Once`, `sync.OnceValue`.
//!
//! **Rule:** `done` is set, with Release, after the function has returned. Whoever sees it set,
//! with Acquire, sees what the function did.
#![allow(unsafe_code)] // The value that is written once.

use super::mutex::Mutex;
use core::cell::{Cell, UnsafeCell};
use core::fmt;
use core::mem::MaybeUninit;
use core::ops::Deref;
use executive_core::atomic::{AtomicBool, Ordering};
use executive_core::percpu;

/// Runs a function once, whoever comes first.
///
/// ```
/// # hosted::run(|| {
/// use executive::sync::Once;
/// static SET_UP: Once = Once::new();
/// SET_UP.call_once(|| { /* once */ });
/// SET_UP.call_once(|| unreachable!());
/// # });
/// ```
#[doc(alias = "sync.Once")]
pub struct Once {
    done: AtomicBool,
    turn: Mutex<()>,
}

impl Once {
    /// Not done yet.
    pub const fn new() -> Self {
        Once { done: AtomicBool::new(false), turn: Mutex::new(()) }
    }
    /// Calls `f` if this is the first call. Returns when the first call's `f` has returned, so it
    /// may park. Calling it from within `f` deadlocks. Go: `Once.Do`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let once = executive::sync::Once::new();
    /// once.call_once(|| ());
    /// assert!(once.is_completed());
    /// # });
    /// ```
    #[doc(alias("Once.Do", "Do"))]
    #[inline]
    pub fn call_once(&self, f: impl FnOnce()) {
        if !self.is_completed() {
            self.first(f);
        }
    }
    /// Whether the first call's `f` has returned.
    #[inline]
    pub fn is_completed(&self) -> bool {
        percpu::point();
        // Acquire: partner of the Release in `first`.
        self.done.load(Ordering::Acquire)
    }
    #[cold]
    fn first(&self, f: impl FnOnce()) {
        let _turn = self.turn.lock();
        if !self.done.load(Ordering::Relaxed) {
            f();
            self.done.store(true, Ordering::Release);
        }
    }
}

impl Default for Once {
    fn default() -> Self {
        Self::new()
    }
}

/// A place that is written once.
///
/// ```
/// # hosted::run(|| {
/// use executive::sync::OnceLock;
/// static NAME: OnceLock<String> = OnceLock::new();
/// assert_eq!(NAME.get_or_init(|| "first".into()), "first");
/// assert_eq!(NAME.set("second".into()), Err("second".into()));
/// # });
/// ```
pub struct OnceLock<T> {
    once: Once,
    value: UnsafeCell<MaybeUninit<T>>,
}
// SAFETY: written under the once's mutex, shared afterwards.
unsafe impl<T: Send + Sync> Sync for OnceLock<T> {}
// SAFETY: as a T is.
unsafe impl<T: Send> Send for OnceLock<T> {}

impl<T> OnceLock<T> {
    /// Empty.
    pub const fn new() -> Self {
        OnceLock { once: Once::new(), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }
    /// The value, if it is there. Never parks.
    ///
    /// ```
    /// # hosted::run(|| {
    /// assert_eq!(executive::sync::OnceLock::<u8>::new().get(), None);
    /// # });
    /// ```
    pub fn get(&self) -> Option<&T> {
        // SAFETY: completed: it was written, and will not be written again.
        self.once.is_completed().then(|| unsafe { (*self.value.get()).assume_init_ref() })
    }
    /// The value; if there is none yet, the result of `f`. Parks while another goroutine computes
    /// it.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let cell = executive::sync::OnceLock::new();
    /// assert_eq!(cell.get_or_init(|| 1), &1);
    /// assert_eq!(cell.get_or_init(|| 2), &1);
    /// # });
    /// ```
    pub fn get_or_init(&self, f: impl FnOnce() -> T) -> &T {
        // SAFETY: only one goroutine ever gets here, and nobody reads before it has returned.
        self.once.call_once(|| unsafe {
            (*self.value.get()).write(f());
        });
        // SAFETY: completed.
        unsafe { (*self.value.get()).assume_init_ref() }
    }
    /// Writes the value, or gives it back if there is one.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let cell = executive::sync::OnceLock::new();
    /// assert_eq!((cell.set(1), cell.set(2)), (Ok(()), Err(2)));
    /// # });
    /// ```
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().unwrap_or_else(|| unreachable!("called once")));
        value.map_or(Ok(()), Err)
    }
    /// The value, if it was written.
    pub fn into_inner(self) -> Option<T> {
        let this = core::mem::ManuallyDrop::new(self);
        // SAFETY: completed, so written; read once, as `this` is not dropped. The mutex within
        // needs no drop.
        this.once.is_completed().then(|| unsafe { (*this.value.get()).assume_init_read() })
    }
}

impl<T> Drop for OnceLock<T> {
    fn drop(&mut self) {
        if self.once.is_completed() {
            // SAFETY: completed, so written; nobody else is left.
            unsafe { self.value.get_mut().assume_init_drop() }
        }
    }
}
impl<T> From<T> for OnceLock<T> {
    /// Written already.
    fn from(value: T) -> Self {
        let cell = OnceLock::new();
        cell.get_or_init(|| value);
        cell
    }
}
impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}
impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnceLock({:?})", self.get())
    }
}

/// A value that is made when it is first used. Go: `sync.OnceValue`.
///
/// ```
/// # hosted::run(|| {
/// use executive::sync::LazyLock;
/// static SQUARES: LazyLock<Vec<u64>> = LazyLock::new(|| (0..10).map(|n| n * n).collect());
/// assert_eq!(SQUARES[3], 9);
/// # });
/// ```
#[doc(alias("sync.OnceValue", "OnceValue"))]
pub struct LazyLock<T, F = fn() -> T> {
    value: OnceLock<T>,
    make: Cell<Option<F>>,
}
// SAFETY: `make` is taken under the once's mutex.
unsafe impl<T: Send + Sync, F: Send> Sync for LazyLock<T, F> {}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// Not made yet.
    pub const fn new(make: F) -> Self {
        LazyLock { value: OnceLock::new(), make: Cell::new(Some(make)) }
    }
}
impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;
    /// Makes the value at the first use; parks while another goroutine makes it.
    fn deref(&self) -> &T {
        self.value.get_or_init(|| match self.make.take() {
            Some(make) => make(),
            None => unreachable!("called once"),
        })
    }
}
