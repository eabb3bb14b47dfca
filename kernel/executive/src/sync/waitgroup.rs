//! Wait until a number of things are done. Go: `sync.WaitGroup`.
#![allow(unsafe_code)] // Waiters on stacks.

use crate::g::{WaitReason, getg};
use crate::lock::{Lock, Rank};
use crate::proc::{park::park_unlock, wake::ready};
use crate::waitq::{WaitQ, Waiter};
use alloc::sync::Arc;
use core::ptr::null_mut;

struct State {
    count: usize,
    waiters: WaitQ,
}

/// A count of things to be done; goroutines wait until it is 0. Can be used again then. See also [`scope`](crate::scope), which cannot be got wrong.
///
/// ```no_run
/// use executive::sync::WaitGroup;
/// let group = std::sync::Arc::new(WaitGroup::new());
/// for n in 0..3 {
///     group.go(move || drop(n));
/// }
/// group.wait();
/// ```
pub struct WaitGroup {
    state: Lock<State>,
}

impl WaitGroup {
    /// Nothing to be done.
    pub const fn new() -> Self {
        WaitGroup { state: Lock::new(Rank::Wait, State { count: 0, waiters: WaitQ::new() }) }
    }

    /// Changes the count; at 0 all who wait go on. Call it before what is counted is started. Never parks.
    /// Panics with `sync: negative WaitGroup counter` below 0 and, as Go's does, above the largest number
    /// (here `usize::MAX`). Go: `Add`.
    ///
    /// ```no_run
    /// let group = executive::sync::WaitGroup::new();
    /// group.add(2);
    /// group.done();
    /// assert_eq!(group.count(), 1);
    /// ```
    pub fn add(&self, delta: isize) {
        let mut state = self.state.lock();
        match state.count.checked_add_signed(delta) {
            Some(count) => state.count = count,
            None => {
                drop(state);
                panic!("sync: negative WaitGroup counter");
            }
        }
        if state.count != 0 {
            return;
        }
        // Off the queue they are ours alone, so the lock can go first: who goes on may drop us.
        let all = core::mem::take(&mut state.waiters);
        drop(state);
        while let Some(g) = all.dequeue().map(|w| w.g) {
            ready(g);
        }
    }

    /// One is done. Go: `Done`.
    pub fn done(&self) {
        self.add(-1);
    }

    /// Parks until the count is 0. Go: `Wait`.
    ///
    /// ```no_run
    /// executive::sync::WaitGroup::new().wait(); // nothing to be done: at once
    /// ```
    pub fn wait(&self) {
        let state = self.state.lock();
        if state.count == 0 {
            return;
        }
        let me = getg();
        let w = Waiter::new(me, null_mut());
        // SAFETY: `w` stays here while we are parked, and who readies us has taken it off.
        unsafe { state.waiters.enqueue(&w) };
        park_unlock(me, WaitReason::WaitGroup, state);
    }

    /// Starts a goroutine that counts. Go: `WaitGroup.Go`.
    ///
    /// ```no_run
    /// let group = std::sync::Arc::new(executive::sync::WaitGroup::new());
    /// group.go(|| ());
    /// group.wait();
    /// ```
    #[track_caller]
    pub fn go(self: &Arc<Self>, f: impl FnOnce() + Send + 'static) {
        self.add(1);
        let group = self.clone();
        drop(crate::join::go(move || {
            f();
            group.done();
        }));
    }

    /// How many are to be done. A moment's truth.
    pub fn count(&self) -> usize {
        self.state.lock().count
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}
