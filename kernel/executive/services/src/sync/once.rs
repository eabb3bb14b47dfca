//! Once: the first goroutine to come calls a function, and the others wait until it has returned.
//! Go: `sync.Once`, `sync.OnceValue`.
//!
//! **Rule:** `done` is set, with Release, after the function has returned. Whoever sees it set,
//! with Acquire, sees what the function did. A `Once` whose function panics is done, as in Go. A
//! value that was not made is not there: the next that comes makes it, as in std.

use super::guard::Guarded;
use super::mutex::Mutex;
use core::cell::OnceCell;
use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use executive_core::atomic::{AtomicBool, Ordering};
use executive_core::percpu;

/// Runs a function once: that of the first goroutine to come.
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
    /// Calls `f` if this is the first call; else parks until the first call's `f` has returned.
    /// Calling it from within `f` deadlocks. If `f` panics, that was the call. Go: `Once.Do`.
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
            self.first(|done| {
                let _at_end = done;
                f();
            });
        }
    }
    /// As [`call_once`](Self::call_once), but after a panic the next call is the first one.
    #[inline]
    pub(super) fn call_until_done(&self, f: impl FnOnce()) {
        if !self.is_completed() {
            self.first(|done| {
                let done = ManuallyDrop::new(done);
                f();
                drop(ManuallyDrop::into_inner(done));
            });
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
    fn first<'a>(&'a self, f: impl FnOnce(Done<'a>)) {
        let _turn = self.turn.lock();
        if !self.done.load(Ordering::Relaxed) {
            f(Done(&self.done));
        }
    }
}

/// Its drop says that the function was called.
struct Done<'a>(&'a AtomicBool);
impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release); // partner: the Acquire in `is_completed`
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
pub struct OnceLock<T>(Guarded<Once, OnceCell<T>>);

impl<T> OnceLock<T> {
    /// Empty.
    pub const fn new() -> Self {
        OnceLock(Guarded::new(Once::new(), OnceCell::new()))
    }
    /// The value, if it is there. Never parks.
    ///
    /// ```
    /// # hosted::run(|| {
    /// assert_eq!(executive::sync::OnceLock::<u8>::new().get(), None);
    /// # });
    /// ```
    pub fn get(&self) -> Option<&T> {
        self.0.get()
    }
    /// The value; if there is none yet, the result of `f`. If `f` panics there is still none. Parks
    /// while another goroutine computes the value. Using the cell within `f`, but for `get`,
    /// deadlocks.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let cell = executive::sync::OnceLock::new();
    /// assert_eq!(cell.get_or_init(|| 1), &1);
    /// assert_eq!(cell.get_or_init(|| 2), &1);
    /// # });
    /// ```
    pub fn get_or_init(&self, f: impl FnOnce() -> T) -> &T {
        self.0.get_or_init(f)
    }
    /// Writes the value, or gives it back if there is one. Parks while another goroutine writes.
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
        self.0.into_inner().into_inner()
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
    make: Mutex<Option<F>>,
}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// Not made yet.
    pub const fn new(make: F) -> Self {
        LazyLock { value: OnceLock::new(), make: Mutex::new(Some(make)) }
    }
}
impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;
    /// Makes the value at the first use; parks while another goroutine makes it. A value that uses
    /// itself while it is made deadlocks. Panics if the function that makes it has panicked.
    fn deref(&self) -> &T {
        self.value.get_or_init(|| match { self.make.lock().take() } {
            Some(make) => make(),
            None => panic!("LazyLock: its function has panicked"),
        })
    }
}
