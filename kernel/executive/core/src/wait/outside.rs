//! Being woken from outside: by an interrupt's handler, or by a thread that runs no goroutines.
//!
//! **Rule (IRQ-CLEAN):** a handler takes no lock and touches no P's queue. What it hands over is
//! among its P's arrivals: that P runs it next, unless a thief is faster.
//!
//! **Rule:** what may be woken from outside is expected before anybody outside can find it, and is
//! expected no more when it was handed over or will not be. Until then all may sleep.

pub use crate::proc::wake::arrive as ready;

use crate::nouns::arrivals::Expected;
use crate::nouns::sched::SCHED;
use crate::proc::wake::wakep;
use crate::tools::percpu;

/// The wakes from outside that may come.
pub fn expected() -> &'static Expected {
    &SCHED.expected
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
