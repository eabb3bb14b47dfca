//! A number of goroutines wait for each other. Go has none; `std::sync::Barrier` has.
#![allow(unsafe_code)] // Waiters on stacks.

use crate::nouns::g::{WaitReason, getg};
use crate::nouns::waitq::{WaitQ, Waiter};
use crate::proc::{park::park_unlock, wake::ready};
use crate::tools::lock::{Lock, Rank};
use core::ptr::null_mut;

struct State {
    here: usize,
    waiters: WaitQ,
}

/// Where `n` goroutines wait until all of them are there; then the next `n` can.
///
/// ```no_run
/// use executive::sync::Barrier;
/// static START: Barrier = Barrier::new(2);
/// executive::go(|| START.wait());
/// START.wait(); // both are here
/// ```
pub struct Barrier {
    n: usize,
    state: Lock<State>,
}

impl Barrier {
    /// For `n` goroutines; 0 is as 1. More than there ever are wait for good.
    pub const fn new(n: usize) -> Self {
        Barrier { n, state: Lock::new(Rank::Wait, State { here: 0, waiters: WaitQ::new() }) }
    }

    /// Parks until `n` goroutines are here. `true` for one of them, the last to come.
    ///
    /// ```no_run
    /// assert!(executive::sync::Barrier::new(1).wait());
    /// ```
    pub fn wait(&self) -> bool {
        let mut state = self.state.lock();
        state.here += 1;
        if state.here < self.n {
            let me = getg();
            let w = Waiter::new(me, null_mut());
            // SAFETY: `w` stays here while we are parked, and who readies us has taken it off.
            unsafe { state.waiters.enqueue(&w) };
            park_unlock(me, WaitReason::Barrier, state);
            return false;
        }
        state.here = 0;
        // Off the queue they are ours alone; unlocked, so that those who come for the next round need not wait.
        let all = core::mem::take(&mut state.waiters);
        drop(state);
        while let Some(g) = all.dequeue().map(|w| w.g) {
            ready(g);
        }
        true
    }
}
