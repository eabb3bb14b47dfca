//! Wait until a number of tasks are done. Go: `sync.WaitGroup`.
//!
//! Goroutines that a group has started refer to its count, and may outlive the group: so the count
//! is in the heap, from the group's first use on. A [`scope`](crate::scope) outlives its
//! goroutines, and has the count on its stack.

use super::once::OnceLock;
use crate::monitor::Monitor;
use alloc::sync::Arc;
use executive_core::g::WaitReason;

/// The count itself.
pub(crate) struct Count(Monitor<usize>);

impl Count {
    pub(crate) const fn new() -> Self {
        Count(Monitor::new(0))
    }

    pub(crate) fn add(&self, delta: isize) {
        let mut count = self.0.lock();
        match count.checked_add_signed(delta) {
            Some(sum) => *count = sum,
            None => {
                drop(count);
                panic!("sync: negative WaitGroup counter");
            }
        }
        if *count == 0 {
            count.ready_all(); // the last waiter that goes on may drop this count
        }
    }

    pub(crate) fn wait(&self) {
        let count = self.0.lock();
        if *count != 0 {
            count.wait(WaitReason::WaitGroup);
        }
    }
}

/// A count of tasks; goroutines wait until it is 0. After that it can be used again. It can be a
/// `static`, and clones are the same group. See also [`scope`](crate::scope::scope), whose
/// goroutines may borrow.
///
/// ```
/// # hosted::run(|| {
/// use executive::sync::{Mutex, WaitGroup};
/// static SUM: Mutex<u32> = Mutex::new(0);
/// let group = WaitGroup::new();
/// for n in 0..3 {
///     group.go(move || *SUM.lock() += n);
/// }
/// group.wait();
/// assert_eq!(*SUM.lock(), 3);
/// # });
/// ```
#[doc(alias = "sync.WaitGroup")]
#[derive(Default)]
pub struct WaitGroup {
    /// Written at the first use.
    count: OnceLock<Arc<Count>>,
}

impl WaitGroup {
    /// A group without tasks.
    pub const fn new() -> Self {
        WaitGroup { count: OnceLock::new() }
    }

    fn shared(&self) -> &Arc<Count> {
        self.count.get_or_init(|| Arc::new(Count::new()))
    }

    /// Changes the count; when it reaches 0 all waiting goroutines go on. Call it before the task
    /// that is counted is started. Panics with `sync: negative WaitGroup counter` below 0 and, as
    /// Go's does, above the largest number (here `usize::MAX`). The group's first `add`, `go` or
    /// `clone` allocates, and parks while another goroutine does so; later ones never park.
    /// Go: `Add`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let group = executive::sync::WaitGroup::new();
    /// group.add(2);
    /// group.done();
    /// assert_eq!(group.count(), 1);
    /// # });
    /// ```
    pub fn add(&self, delta: isize) {
        self.shared().add(delta);
    }

    /// Says that one task is done. Panics, as [`add`](Self::add) does, if the count was 0.
    /// Go: `Done`.
    pub fn done(&self) {
        self.add(-1);
    }

    /// Parks until the count is 0. Go: `Wait`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// executive::sync::WaitGroup::new().wait(); // nothing to be done: at once
    /// # });
    /// ```
    pub fn wait(&self) {
        if let Some(count) = self.count.get() {
            count.wait();
        }
    }

    /// Starts a goroutine that is counted until `f` has returned, or was unwound. Parks as
    /// [`add`](Self::add) does.
    /// Panics when there is no memory for a stack. Go: `WaitGroup.Go`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let group = executive::sync::WaitGroup::new();
    /// group.go(|| ());
    /// group.wait();
    /// # });
    /// ```
    #[doc(alias = "WaitGroup.Go")]
    #[track_caller]
    pub fn go(&self, f: impl FnOnce() + Send + 'static) {
        self.add(1);
        let task = Task(self.shared().clone());
        drop(executive_core::join::go(move || {
            let _task = task;
            f()
        }));
    }

    /// How many tasks are not done: a snapshot.
    pub fn count(&self) -> usize {
        self.count.get().map_or(0, |count| *count.0.lock())
    }
}

/// A task that is done when this is dropped.
struct Task(Arc<Count>);
impl Drop for Task {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

impl Clone for WaitGroup {
    /// The same group. (In Go a copy is a bug.)
    fn clone(&self) -> Self {
        WaitGroup { count: OnceLock::from(self.shared().clone()) }
    }
}
