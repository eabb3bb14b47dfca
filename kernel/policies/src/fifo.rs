//! First come, first served.

use crate::{Order, Task};
use executive_core::kit::List;

/// Who became runnable first runs first, whoever made it so, and on whatever CPU is free first.
/// After its slice a goroutine is the last again.
pub struct Fifo<T: Task>(List<T>);

impl<T: Task> Fifo<T> {
    /// Nobody waits.
    #[expect(clippy::new_without_default, reason = "as the others")]
    pub const fn new() -> Self {
        Fifo(List::new())
    }
}

impl<T: Task> Order<T> for Fifo<T> {
    fn put(&mut self, t: &'static T, _: bool, _: u64) {
        self.0.push_back(t);
    }
    fn take(&mut self, _: usize, _: u64) -> Option<&'static T> {
        self.0.pop_front()
    }
}
