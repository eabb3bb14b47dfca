//! A counting semaphore, with which most of the others are made. Go: `semacquire`, `semrelease` (sema.go).
//!
//! **Rule:** under the lock, there are permits or there are waiters, never both: a release hands its permit to the first waiter.
//!
//! A spin lock costs one locked instruction, which is what an atomic fast path would cost; so there is none.
#![allow(unsafe_code)] // Waiters on stacks.

use crate::nouns::g::{WaitReason, getg};
use crate::nouns::waitq::{WaitQ, Waiter};
use crate::proc::{park::park_unlock, wake::unlock_ready};
use crate::tools::lock::{Lock, Rank};
use core::mem::offset_of;
use core::ptr::null_mut;

struct State {
    permits: usize,
    waiters: WaitQ,
}

/// Permits to be had and given back. First come first served. A `static` will do.
///
/// ```no_run
/// use executive::sync::Semaphore;
/// static TWO_AT_A_TIME: Semaphore = Semaphore::new(2);
/// TWO_AT_A_TIME.acquire();
/// // ..
/// TWO_AT_A_TIME.release();
/// ```
pub struct Semaphore {
    state: Lock<State>,
}

impl Semaphore {
    /// Where in a semaphore the lock is that `G::waits_for` names.
    pub(super) const LOCK_AT: usize = offset_of!(Semaphore, state);

    /// A semaphore with so many permits.
    pub const fn new(permits: usize) -> Self {
        Semaphore { state: Lock::new(Rank::Wait, State { permits, waiters: WaitQ::new() }) }
    }

    /// Takes a permit; parks until there is one. Go: `semacquire`.
    ///
    /// ```no_run
    /// let sema = executive::sync::Semaphore::new(1);
    /// sema.acquire();
    /// assert_eq!(sema.permits(), 0);
    /// ```
    #[inline]
    pub fn acquire(&self) {
        self.acquire_for(WaitReason::Semacquire, false);
    }

    /// Takes a permit if there is one; never parks.
    ///
    /// ```no_run
    /// assert!(!executive::sync::Semaphore::new(0).try_acquire());
    /// ```
    pub fn try_acquire(&self) -> bool {
        let mut state = self.state.lock();
        let any = state.permits > 0;
        state.permits -= usize::from(any);
        any
    }

    /// Gives a permit, to the first who waits if someone does. Anyone may. Never parks. Panics with
    /// `semaphore: released more than held` if there are `usize::MAX` already. Go: `semrelease`.
    ///
    /// ```no_run
    /// let sema = executive::sync::Semaphore::new(0);
    /// sema.release();
    /// sema.acquire();
    /// ```
    #[inline]
    pub fn release(&self) {
        let mut state = self.state.lock();
        let g = state.waiters.dequeue().map(|w| w.g);
        if g.is_none() {
            match state.permits.checked_add(1) {
                Some(permits) => state.permits = permits,
                None => {
                    drop(state);
                    panic!("semaphore: released more than held"); // as x/sync/semaphore says
                }
            }
        }
        unlock_ready(state, g);
    }

    /// How many permits there are. A moment's truth.
    pub fn permits(&self) -> usize {
        self.state.lock().permits
    }

    /// As `acquire`; waits at the queue's front if told so.
    #[inline]
    pub(super) fn acquire_for(&self, reason: WaitReason, in_front: bool) {
        let mut state = self.state.lock();
        if state.permits > 0 {
            state.permits -= 1;
            return;
        }
        let me = getg();
        let w = Waiter::new(me, null_mut());
        // SAFETY: `w` stays here while we are parked, and who readies us has taken it off.
        unsafe { if in_front { state.waiters.enqueue_front(&w) } else { state.waiters.enqueue(&w) } }
        park_unlock(me, reason, state);
    }
}
