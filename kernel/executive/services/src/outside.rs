//! Threads and devices, which are no goroutines, may wake goroutines.

use core::marker::PhantomData;
use executive_core::wait::outside::{expected, look_again, ready};
use executive_core::wait::{Parked, Parking};

/// While one lives, something that is no goroutine may wake one: sleeping CPUs are no deadlock.
/// Create it before you give a foreign thread, or a device, the means to wake; drop it when no wake
/// can come any more.
///
/// ```
/// # hosted::run(|| {
/// use executive::foreign::Outside;
/// let (tx, rx) = executive::chan(1);
/// let outside = Outside::new();
/// std::thread::spawn(move || {
///     tx.try_send(42).unwrap();
///     drop(outside);
/// });
/// assert_eq!(rx.recv(), Some(42));
/// # });
/// ```
#[must_use = "it counts until it is dropped"]
#[derive(Debug)]
pub struct Outside(PhantomData<()>);

impl Outside {
    /// From here on sleeping CPUs are no deadlock. Never parks.
    #[expect(clippy::new_without_default, reason = "it is an act, not a value")]
    pub fn new() -> Self {
        expected().expect();
        Outside(PhantomData)
    }
}

impl Clone for Outside {
    /// One more thread or device that may wake goroutines.
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl Drop for Outside {
    /// If it was the last, and all goroutines wait for nothing else, that is a deadlock.
    fn drop(&mut self) {
        expected().expect_no_more();
        look_again();
    }
}

/// Hands over a goroutine that was expected, from anywhere: readies it at once, if a goroutine
/// calls.
pub(crate) fn ready_from_anywhere(parked: Parked) {
    let here = 0u8;
    let on_own_stack = |me: Parking| me.g().stack().contains((&raw const here).addr());
    // A handler has a stack of its own (IRQ-CLEAN).
    if Parking::here().is_some_and(on_own_stack) {
        parked.ready();
        expected().expect_no_more();
    } else {
        // In a handler, perhaps: no queue of this P and no lock may be touched. Or on a foreign
        // thread.
        ready(parked);
    }
}
