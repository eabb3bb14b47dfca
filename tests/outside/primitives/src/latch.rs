//! A latch, as Java's `CountDownLatch`: goroutines wait until a count has come down to zero.

use executive::g::WaitReason;
use executive::wait::Monitor;

/// Counts down once; whoever waits goes on when it is at zero. Can be a `static`.
pub struct CountDownLatch {
    left: Monitor<usize>,
}

impl CountDownLatch {
    /// A latch that opens after so many [`count_down`](Self::count_down)s.
    pub const fn new(count: usize) -> Self {
        CountDownLatch { left: Monitor::new(count) }
    }

    /// One less; the last one lets all go on who wait. At zero it does nothing. Never parks.
    pub fn count_down(&self) {
        let mut left = self.left.lock();
        *left = left.saturating_sub(1);
        if *left == 0 {
            left.ready_all();
        }
    }

    /// Parks until the count is zero.
    pub fn wait(&self) {
        let left = self.left.lock();
        if *left > 0 {
            left.wait(WaitReason::Monitor);
        }
    }

    /// The count. A moment's truth.
    pub fn count(&self) -> usize {
        *self.left.lock()
    }
}
