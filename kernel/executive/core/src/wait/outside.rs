//! Being woken from outside: by an interrupt's handler, or by a thread that runs no goroutines.
//!
//! **Rule (IRQ-CLEAN):** whoever wakes so takes no lock and touches no P's queue. What it hands
//! over is readied by the next CPU that comes to `schedule`.
//!
//! **Rule:** what may be woken from outside is expected before anybody outside can find it, and is
//! expected no more when it was handed over or will not be. While anything is expected, CPUs that
//! all sleep are no deadlock.

use crate::nouns::sched::SCHED;
use crate::nouns::waitq::Parked;
use crate::proc::preempt::look_soon;
use crate::proc::wake::wakep;
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

/// Nobody is expected any more who was: CPUs that sleep look again whether that is a deadlock.
pub fn look_again() {
    pinned(wakep);
}
