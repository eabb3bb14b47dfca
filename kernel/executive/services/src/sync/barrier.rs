//! A barrier: goroutines wait until a number of them are there. Go has none; `std::sync::Barrier`
//! is one.

use crate::monitor::Monitor;
use executive_core::g::WaitReason;
use executive_core::wait::Parking;

/// A place where `n` goroutines wait until all of them are there; then it serves the next `n`.
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
    /// A barrier for `n` goroutines; 0 means 1. If fewer than `n` ever come, they wait for ever.
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
            if Parking::here().is_none() {
                *here -= 1; // not counted, for `wait` will panic
            }
            here.wait(WaitReason::Barrier);
            return false;
        }
        *here = 0;
        here.ready_all();
        true
    }
}
