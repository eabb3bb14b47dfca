//! Being woken from outside: by an interrupt's handler, or by a thread that runs no goroutines.
//!
//! **Rule (IRQ-CLEAN):** whoever wakes so takes no lock and touches no P's queue. What it hands over
//! is readied by the next CPU that comes to `schedule`.
//!
//! **Rule:** what may be woken from outside is expected before anybody outside can find it, and is
//! expected no more when it was handed over or will not be. While anything is expected, CPUs that all
//! sleep are no deadlock.
#![allow(unsafe_code)] // Pointers in wakers, to g's.

use crate::nouns::g::{G, WaitReason, getg, on_g0};
use crate::nouns::sched::SCHED;
use crate::nouns::waitq::Parked;
use crate::proc::park;
use crate::proc::preempt::look_soon;
use crate::proc::wake::{self, wakep};
use crate::tools::percpu;

/// A wake from outside may come. Before anybody outside can find whom to wake.
pub fn expect() {
    SCHED.injected.expect();
}

/// It will not come any more.
pub fn expect_no_more() {
    SCHED.injected.expect_no_more();
}

/// The expected wake: hands over a goroutine. May be called in a handler.
pub fn ready(parked: Parked) {
    SCHED.injected.hand_over(parked.into_g());
    wakep();
    look_soon();
}

/// Runs what a handler does, on a CPU's interrupt stack or in a goroutine: the CPU is not given to
/// another meanwhile, and not at its end.
pub fn pinned(work: impl FnOnce()) {
    percpu::pin();
    work();
    percpu::unpin_quietly();
}

/// A goroutine as those see it who may wake it from anywhere, again and again: by a future's wakers,
/// which are counted (wakeword.rs). It may be kept for ever: g's are never freed.
#[derive(Clone, Copy)]
pub struct Wakee(&'static G);

impl Wakee {
    /// The calling goroutine.
    pub fn me() -> Self {
        Wakee(getg())
    }
    /// As a pointer.
    pub fn into_raw(self) -> *const () {
        core::ptr::from_ref(self.0).cast()
    }
    /// # Safety
    /// `raw` came from [`into_raw`](Self::into_raw).
    pub unsafe fn from_raw(raw: *const ()) -> Self {
        // SAFETY: a g.
        Wakee(unsafe { &*raw.cast() })
    }

    /// The calling goroutine polls, and whoever wakes it from here on makes it poll again.
    pub fn begin_poll(self) {
        self.0.future.begin_poll();
    }
    /// It has polled to the end.
    pub fn is_done(self) {
        self.0.future.is_done();
    }
    /// Parks the calling goroutine until it is woken; not if it was woken since `begin_poll`.
    pub fn park(self) {
        park::park(self.0, WaitReason::Future, |me| me.future.park(&SCHED.injected));
    }

    /// Wakes it. From anywhere, handlers and foreign threads too.
    pub fn wake(self) {
        if !self.0.future.wake(&SCHED.injected) {
            return;
        }
        if on_own_stack() {
            wake::ready(self.0);
            SCHED.injected.expect_no_more();
        } else {
            // In a handler, perhaps: no queue of this P and no lock may be touched. Or on a foreign
            // thread.
            // SAFETY: `wake` said that it had parked, and is ours.
            ready(unsafe { Parked::new(self.0) });
        }
    }
    /// There is one waker more.
    pub fn add_waker(self) {
        self.0.future.add_waker(&SCHED.injected);
    }
    /// There is one waker less. If that was the last, and all goroutines wait for nothing else, they
    /// are dead.
    pub fn drop_waker(self) {
        if self.0.future.drop_waker(&SCHED.injected) {
            pinned(wakep); // whoever sleeps has counted on us, and looks again
        }
    }
}

/// Whether we run on the stack of the goroutine that this CPU runs. A handler has a stack of its own
/// (IRQ-CLEAN).
fn on_own_stack() -> bool {
    let here = 0u8;
    !on_g0() && getg().stack().contains((&raw const here).addr())
}
