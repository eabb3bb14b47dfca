//! When memory is short: what parts of their stacks goroutines do not need while they are off their
//! CPUs.

use executive_core::g::{G, Status};
use executive_core::kit::SCHED;
use executive_core::machine::Stack;

/// A goroutine that was off its CPU when [`resting`] saw it.
#[derive(Clone, Copy)]
pub struct Resting(&'static G);

impl Resting {
    /// The goroutine's stack, and the saved stack pointer, below which the stack holds nothing.
    /// `None`: the goroutine runs, or is free.
    ///
    /// Stays true while no CPU executes code of the executive: while all other CPUs are stopped,
    /// and the caller calls nothing of it. (STACK-OWNER: a goroutine enters the states in which it
    /// is off its CPU on g0, after it was saved, and leaves them on g0, before it runs.)
    pub fn stack(&self) -> Option<(Stack, usize)> {
        let (stack, sp) = (self.0.seen()?.stack, self.0.saved_sp());
        let off = match self.0.status() {
            Status::Waiting | Status::Runnable => true,
            // above it lies the result, or a first frame to drop that
            Status::Dead => self.0.has_ended(),
            _ => false,
        };
        (off && stack.contains(sp)).then_some((stack, sp))
    }

    /// Notes how much of the stack is committed, before some of it is taken. Call it under the same
    /// conditions.
    pub fn note_depth(&self, committed: usize) {
        super::depth::note_depth(self.0, committed);
    }
}

/// Goroutines that are off their CPUs, newer ones first, beginning after `after`. The order never
/// changes. Takes no lock; a snapshot.
pub fn resting(after: Option<Resting>) -> impl Iterator<Item = Resting> {
    SCHED
        .all_after(after.map(|resting| resting.0))
        .map(Resting)
        .filter(|resting| resting.stack().is_some())
}
