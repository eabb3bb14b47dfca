//! `go`, and waiting for what it started.
#![allow(unsafe_code)] // The result is taken from the goroutine's stack by pointer.

use crate::ground::param::STACK_BYTES;
use crate::nouns::g::{G, Status, WaitReason};
use crate::nouns::sched::SCHED;
use crate::nouns::waitq::Parked;
pub use crate::proc::birth::Builder;
use crate::proc::birth::{self, SpawnError, newproc};
use crate::proc::park::{may_park, park};
use crate::tools::percpu;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::panic::Location;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;

/// Starts a goroutine that runs `f`: next on this CPU, unless another takes it. Go: statement `go`.
///
/// Dropping the handle detaches the goroutine. Panics when the machine has no memory for a stack
/// (see [`Builder::spawn`]).
///
/// ```
/// # hosted::run(|| {
/// let h = executive::go(|| 6 * 7);
/// assert_eq!(h.join(), 42);
/// # });
/// ```
#[track_caller]
pub fn go<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match Builder::new().spawn(f) {
        Ok(handle) => handle,
        Err(e) => {
            let (goroutines, bytes) = (SCHED.goroutines(), SCHED.stack_bytes.load(Relaxed));
            panic!("go: {e} ({goroutines} goroutines, {bytes} bytes of stack)")
        }
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// No name, the usual stack.
    #[track_caller]
    pub const fn new() -> Self {
        let (at, stack_bytes) = (Location::caller(), STACK_BYTES);
        Builder { name: None, stack_bytes, system: false, at, detached: false }
    }
    /// A name for every report.
    pub const fn name(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }
    /// Usable bytes of stack, at least; only touched pages cost memory.
    pub const fn stack_bytes(mut self, bytes: usize) -> Self {
        self.stack_bytes = bytes;
        self
    }
    /// A name, and the goroutine is the system's (SYSTEM-G): a driver's, which serves its device
    /// for ever. Its waits for interrupts and futures hide no deadlock of the others. A user's
    /// goroutine that waits for the device holds an `executive::foreign::Outside` meanwhile. As in
    /// Go a timer of its own still is something to come, and what it starts is a user's.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let driver = executive::Builder::new().system("driver");
    /// drop(driver.spawn(|| executive::irq::Irq::new(9).wait()));
    /// # });
    /// ```
    #[doc(alias = "isSystemGoroutine")]
    pub const fn system(mut self, name: &'static str) -> Self {
        self.system = true;
        self.name(name)
    }
    /// Starts the goroutine, or says why not.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::{Builder, SpawnError};
    /// let large = [0u8; 1 << 12];
    /// let refused = Builder::new().stack_bytes(1 << 12).spawn(move || large[0]);
    /// assert_eq!(refused.map(drop), Err(SpawnError::StackTooSmall));
    /// # });
    /// ```
    #[track_caller]
    pub fn spawn<F, T>(self, f: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: 'static.
        unsafe { self.spawn_unchecked(f) }
    }
    /// As `spawn`, for closures that borrow.
    ///
    /// # Safety
    /// The goroutine has ended, and its result is gone, before what `f` and `T` borrow is.
    #[track_caller]
    #[inline]
    pub unsafe fn spawn_unchecked<F, T>(self, f: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        let start = Builder { at: Location::caller(), ..self };
        let mut f = ManuallyDrop::new(f);
        // SAFETY: only if there is an error `f` is touched: then it was not moved.
        let g = unsafe { newproc::<F, T>(start, &f).inspect_err(|_| ManuallyDrop::drop(&mut f))? };
        Ok(JoinHandle { g, result: PhantomData })
    }
}

/// As [`Builder::spawn`], for a function that nobody joins; or gives it back. Also on g0.
pub fn go_detached<F>(at: &'static Location<'static>, name: &'static str, f: F) -> Result<(), F>
where
    F: FnOnce() + Send + 'static,
{
    let start = Builder { at, detached: true, ..Builder::new().name(name) };
    let f = ManuallyDrop::new(f);
    // SAFETY: as above.
    unsafe { newproc(start, &f) }.map(drop).map_err(|_| ManuallyDrop::into_inner(f))
}

/// A goroutine's result to come. It *is* the goroutine, whose g and stack stay until the result is
/// taken or the handle dropped.
///
/// ```
/// # hosted::run(|| {
/// let h = executive::go(|| 1 + 1);
/// assert_eq!(h.join(), 2);
/// drop(executive::go(|| ())); // detached
/// let sleeper = executive::go(|| executive::time::sleep(std::time::Duration::from_millis(9)));
/// while sleeper.waiting() != Some(executive::g::WaitReason::Sleep) && !sleeper.is_finished() {
///     executive::yield_now();
/// }
/// # });
/// ```
pub struct JoinHandle<T> {
    g: &'static G,
    result: PhantomData<T>,
}

impl<T> JoinHandle<T> {
    /// Parks until the goroutine has ended, and takes its result. Panics if it has left none.
    pub fn join(self) -> T {
        self.try_join().unwrap_or_else(|| panic!("join: the goroutine has ended without a result"))
    }
    /// As [`join`](Self::join). `None`: it has left no result, because it called `goexit`.
    pub fn try_join(self) -> Option<T> {
        if !self.g.joiner.has_ended() {
            park(may_park(), WaitReason::Join, |me| {
                let me = me.into_g();
                if self.g.joiner.wait(me) { None } else { Some(Parked(me)) }
            });
        }
        let handle = ManuallyDrop::new(self);
        // SAFETY: it has ended, so the result is there, or `unwound` says that there is none; the
        // handle is forgotten, so nobody takes it twice.
        let result = handle.body().map(|body| unsafe { body.read() });
        birth::reap(handle.g);
        result
    }
    fn body(&self) -> Option<NonNull<T>> {
        NonNull::new(self.g.body.get().cast())
    }
    /// Whether it has ended, so that `join` will not park.
    pub fn is_finished(&self) -> bool {
        percpu::point();
        self.g.joiner.has_ended()
    }
    /// What it waits for: a snapshot; `None`: it does not wait.
    pub fn waiting(&self) -> Option<WaitReason> {
        percpu::point();
        (self.g.status() == Status::Waiting).then(|| self.g.wait_reason())
    }
    /// The goroutine's number.
    pub fn id(&self) -> u64 {
        self.g.id()
    }
}

impl<T> Drop for JoinHandle<T> {
    /// Detaches the goroutine: it goes on, and its result is dropped.
    fn drop(&mut self) {
        if self.g.joiner.detach() {
            // SAFETY: it has ended, and nobody else takes the result, which may be large.
            self.body().inspect(|body| unsafe { body.drop_in_place() });
            birth::reap(self.g);
        }
    }
}
