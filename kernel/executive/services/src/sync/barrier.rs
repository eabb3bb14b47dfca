//! A number of goroutines wait for each other. Go has none; `std::sync::Barrier` has.

use crate::monitor::Monitor;
use executive_core::g::WaitReason;

/// Where `n` goroutines wait until all of them are there; then the next `n` can.
///
/// ```
/// # hosted::run(|| {
/// use executive::sync::Barrier;
/// static START: Barrier = Barrier::new(2);
/// executive::go(|| START.wait());
/// START.wait(); // both are here
/// # });
/// ```
pub struct Barrier {
    n: usize,
    here: Monitor<usize>,
}

impl Barrier {
    /// For `n` goroutines; 0 is as 1. More than there ever are wait for good.
    pub const fn new(n: usize) -> Self {
        Barrier { n, here: Monitor::new(0) }
    }

    /// Parks until `n` goroutines are here. `true` for one of them, the last to come.
    ///
    /// ```
    /// # hosted::run(|| {
    /// assert!(executive::sync::Barrier::new(1).wait());
    /// # });
    /// ```
    pub fn wait(&self) -> bool {
        let mut here = self.here.lock();
        *here += 1;
        if *here < self.n {
            here.wait(WaitReason::Barrier);
            return false;
        }
        *here = 0;
        here.ready_all();
        true
    }
}
