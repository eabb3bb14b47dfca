//! Goroutines that borrow: a scope waits for all goroutines that were started in it, as
//! `std::thread::scope` does.
//!
//! **Rule:** a goroutine is counted until its closure has returned, or was unwound. The scope ends
//! when the count is 0 and every result that nobody joined is dropped.
#![allow(unsafe_code)] // Closures that are not 'static.

use crate::recover::{Panic, goexit, is_caught, recover};
use crate::sync::{Count, Mutex};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::mem::{ManuallyDrop, needs_drop, transmute};
use executive_core::g::WaitReason;
use executive_core::join::{Builder, JoinHandle};

/// Runs `f`, which can start goroutines that borrow. Parks until all of them have ended, however
/// `f` returns.
///
/// If the caller's panics are caught ([`recover`]), a panic of one of these goroutines is the
/// scope's: when all have ended, the first one goes on in the caller. If not, it is the end of the
/// run, as everywhere, with a report of the stack as it was.
///
/// ```
/// # hosted::run(|| {
/// let mut halves = [vec![1, 2], vec![3, 4]];
/// let [a, b] = &mut halves;
/// executive::scope(|s| {
///     s.go(|| a.push(0));
///     s.go(|| b.push(0));
/// });
/// assert_eq!(halves.concat(), [1, 2, 0, 3, 4, 0]);
/// # });
/// ```
pub fn scope<'env, R>(f: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R) -> R {
    let scope = Scope {
        running: Count::new(),
        rest: Rest { unjoined: Mutex::new(Vec::new()), panic: Mutex::new(None) },
        is_caught: is_caught(),
        _lifetimes: PhantomData,
    };
    let result = {
        let _at_end = AtEnd(|| {
            loop {
                scope.running.wait();
                let Some(result) = scope.rest.unjoined.lock().pop() else { break };
                drop(result); // joins it, and drops its result, which may start others
            }
        });
        f(&scope)
    };
    scope.rest.resume();
    result
}

/// Calls the closure when it is dropped, so also when a panic unwinds the scope.
struct AtEnd<F: Fn()>(F);
impl<F: Fn()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Where goroutines that may borrow `'env` are started.
///
/// ```
/// # hosted::run(|| {
/// fn helper<'s>(s: &'s executive::scope::Scope<'s, '_>, n: &'s u64) {
///     s.go(move || n + 1);
/// }
/// executive::scope(|s| helper(s, &1));
/// # });
/// ```
pub struct Scope<'scope, 'env: 'scope> {
    running: Count,
    rest: Rest,
    /// Whether whoever opened the scope catches panics.
    is_caught: bool,
    // Invariant, as in std.
    _lifetimes: PhantomData<(&'scope mut &'scope (), &'env mut &'env ())>,
}

/// What goroutines leave behind for the scope.
struct Rest {
    /// Handles that were dropped, if the result has a drop, which must run while what the result
    /// borrows still exists.
    unjoined: Mutex<Vec<Box<dyn Unjoined>>>,
    /// The first panic.
    panic: Mutex<Option<Panic>>,
}

impl Rest {
    /// The caller goes on with the panic, if there is one.
    fn resume(&self) {
        let panic = { self.panic.lock().take() };
        if let Some(panic) = panic {
            panic.resume()
        }
    }
}

/// Counts a goroutine as running until it is dropped: its last use of the scope.
struct Running<'a>(&'a Count);
impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

/// A handle whose drop joins.
trait Unjoined: Send {}
struct Join<T>(Option<JoinHandle<T>>);
impl<T: Send> Unjoined for Join<T> {}
impl<T> Drop for Join<T> {
    fn drop(&mut self) {
        drop(self.0.take().map(JoinHandle::try_join));
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a goroutine that runs `f`. Panics when there is no memory for a stack.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let n = 5;
    /// assert_eq!(executive::scope(|s| s.go(|| &n).join() + 1), 6);
    /// # });
    /// ```
    #[track_caller]
    pub fn go<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.go_with(Builder::new(), f)
    }

    /// As [`go`](Self::go), with a name or a stack of an unusual size.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::Builder;
    /// let words = vec![1, 2];
    /// executive::scope(|s| drop(s.go_with(Builder::new().name("counter"), || words.len())));
    /// # });
    /// ```
    #[track_caller]
    pub fn go_with<F, T>(&'scope self, how: Builder, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.running.add(1);
        let (running, rest, is_caught) = (Running(&self.running), &self.rest, self.is_caught);
        let body = move || {
            // Dropped last. The result is dropped before the scope ends: see `ScopedJoinHandle`'s
            // drop.
            let _running = running;
            if !is_caught {
                return f();
            }
            recover(f).unwrap_or_else(|panic| {
                rest.panic.lock().get_or_insert(panic);
                goexit()
            })
        };
        // SAFETY: `scope` returns when the count is 0, and a goroutine is counted until its closure
        // has returned. A result is joined, or dropped by `scope`, or has no drop.
        match unsafe { how.spawn_unchecked(body) } {
            Ok(handle) => ScopedJoinHandle { handle: ManuallyDrop::new(handle), rest: &self.rest },
            Err(e) => panic!("go: {e}"),
        }
    }
}

/// A handle of a scoped goroutine, to wait for its result.
///
/// ```
/// # hosted::run(|| {
/// let (a, b) = (1, 2);
/// let sum = executive::scope(|s| {
///     let (a, b) = (s.go(|| a), s.go(|| b));
///     a.join() + b.join()
/// });
/// assert_eq!(sum, 3);
/// # });
/// ```
pub struct ScopedJoinHandle<'scope, T: Send> {
    handle: ManuallyDrop<JoinHandle<T>>,
    rest: &'scope Rest,
}

impl<T: Send> ScopedJoinHandle<'_, T> {
    /// Parks until the goroutine has ended, and returns the goroutine's result. Panics if it left
    /// none: with the goroutine's panic if it had one.
    pub fn join(self) -> T {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: taken once, as `this` is not dropped.
        let handle = unsafe { ManuallyDrop::take(&mut this.handle) };
        handle.try_join().unwrap_or_else(|| {
            this.rest.resume();
            panic!("join: the goroutine has ended without a result")
        })
    }
    /// Whether the goroutine has ended: then `join` does not park.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
    /// What the goroutine waits for; `None`: it does not wait. A snapshot.
    pub fn waiting(&self) -> Option<WaitReason> {
        self.handle.waiting()
    }
    /// The goroutine's number.
    pub fn id(&self) -> u64 {
        self.handle.id()
    }
}

impl<T: Send> Drop for ScopedJoinHandle<'_, T> {
    /// The goroutine goes on; its result is dropped before the scope ends.
    fn drop(&mut self) {
        // SAFETY: taken once.
        let handle = unsafe { ManuallyDrop::take(&mut self.handle) };
        if !needs_drop::<T>() {
            return drop(handle); // detached: when it is no longer counted, nothing of it borrows
        }
        let join: Box<dyn Unjoined + '_> = Box::new(Join(Some(handle)));
        // SAFETY: only the lifetime changes; `scope` drops the box before that lifetime ends.
        self.rest
            .unjoined
            .lock()
            .push(unsafe { transmute::<Box<dyn Unjoined + '_>, Box<dyn Unjoined>>(join) });
    }
}
