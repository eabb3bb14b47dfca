//! Memory is short: what goroutines that are off their CPUs do not need of their stacks.

use executive_core::g::{G, Status};
use executive_core::kit;
use executive_core::machine::Stack;

/// A goroutine that was off its CPU when [`resting`] saw it.
#[derive(Clone, Copy)]
pub struct Resting(&'static G);

impl Resting {
    /// Its stack, and the saved stack pointer, below which nothing of it lies. `None`: it runs, or
    /// is free.
    ///
    /// True as long as no CPU executes anything of the executive's: while all others stand still,
    /// and the caller calls nothing of it. (STACK-OWNER: the states in which it is off its CPU are
    /// entered on g0, after it was saved, and left on g0, before it runs.)
    pub fn stack(&self) -> Option<(Stack, usize)> {
        let (stack, sp) = (self.0.seen()?.stack, self.0.saved_sp());
        let off = match self.0.status() {
            Status::Waiting | Status::Runnable => true,
            Status::Dead => self.0.has_ended(), // its result, or a first frame to drop that, lies above
            _ => false,
        };
        (off && stack.contains(sp)).then_some((stack, sp))
    }

    /// Notes how much of its stack is committed, before some of it is taken. Under the same
    /// conditions.
    pub fn note_depth(&self, committed: usize) {
        self.0.note_depth(committed);
    }
}

/// Goroutines that are off their CPUs, from `after` on (exclusive) in an order that does not
/// change, newer ones first. Takes no lock; a moment's truth.
pub fn resting(after: Option<Resting>) -> impl Iterator<Item = Resting> {
    kit::gs_after(after.map(|resting| resting.0))
        .map(Resting)
        .filter(|resting| resting.stack().is_some())
}
