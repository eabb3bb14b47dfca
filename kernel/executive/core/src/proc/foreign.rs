//! Threads that are no CPU: a Linux process has some beside those that run goroutines. What they
//! may call, and how it reaches the CPUs.
//!
//! A foreign thread has an m of its own, with the block for GS to point at, a g0 and a p. It
//! stands on that g, which is its m's g0, for ever. So a call that never parks does its work there
//! as on any CPU. A call that would park panics, and leaves all as it was (PARKING, in park.rs).
//! Nobody steals from a foreign p, for no CPU has its number.
//!
//! **Rule:** what a foreign thread readies stands in its own p until its last unpin, and goes to
//! the global queue there (`hand_over`). CPUs pay nothing for this: a foreign block is never calm
//! (percpu.rs), so each of its last unpins takes the way that on a CPU only a preemption takes.

use crate::ground::param::MAX_CPUS;
use crate::nouns::m::M;
use core::ptr::from_ref;

/// What a thread that is no CPU needs to call the executive. Made by the machine, one for each such
/// thread at a time; never freed, only reused, as g's are.
pub struct Foreign {
    m: M,
}

impl Foreign {
    /// One that no thread has.
    #[expect(clippy::new_without_default, reason = "of no use before `begin`")]
    pub const fn new() -> Self {
        Foreign { m: M::new() }
    }

    /// A thread has it from here on, alone as its `number`, and sets its GS base to the result.
    pub fn begin(&'static self, number: usize) -> *const () {
        self.m.set_up(MAX_CPUS + number % (1 << 31)); // no CPU has that number
        from_ref(&self.m.block).cast()
    }
}
