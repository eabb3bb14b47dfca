//! A counting semaphore, of which most of the others are made. Go: `semacquire`, `semrelease`
//! (sema.go).
//!
//! **Rule:** while the lock is free there are permits or there are waiters, never both: a release
//! hands its permit to the first waiter.
//!
//! A spin lock costs one locked instruction, as an atomic fast path would; so there is no fast
//! path.

use super::lockword::Position;
use crate::monitor::Monitor;
use core::mem::offset_of;
use executive_core::g::WaitReason;

/// Permits that can be taken and given back. First come, first served. It can be a `static`.
///
/// ```
/// # hosted::run(|| {
/// use executive::sync::Semaphore;
/// static TWO_AT_A_TIME: Semaphore = Semaphore::new(2);
/// TWO_AT_A_TIME.acquire();
/// // ..
/// TWO_AT_A_TIME.release();
/// # });
/// ```
pub struct Semaphore {
    permits: Monitor<usize>,
}

impl Semaphore {
    /// The offset in a semaphore of the lock, whose address a waiter's `G::waits_for` is.
    pub(super) const LOCK_AT: usize = offset_of!(Semaphore, permits);

    /// A semaphore with this many permits.
    pub const fn new(permits: usize) -> Self {
        Semaphore { permits: Monitor::new(permits) }
    }

    /// Takes a permit; parks until there is one. Go: `semacquire`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let sema = executive::sync::Semaphore::new(1);
    /// sema.acquire();
    /// assert_eq!(sema.permits(), 0);
    /// # });
    /// ```
    #[doc(alias = "semacquire")]
    #[inline]
    pub fn acquire(&self) {
        self.acquire_for(WaitReason::Semacquire, Position::Back);
    }

    /// Takes a permit if there is one; never parks.
    ///
    /// ```
    /// # hosted::run(|| {
    /// assert!(!executive::sync::Semaphore::new(0).try_acquire());
    /// # });
    /// ```
    pub fn try_acquire(&self) -> bool {
        let mut permits = self.permits.lock();
        let any = *permits > 0;
        *permits -= usize::from(any);
        any
    }

    /// Gives a permit, to the first waiter if there is one. Any goroutine may call it. Never parks.
    /// Panics with `semaphore: released more than held` if there are `usize::MAX` permits already.
    /// Go: `semrelease`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let sema = executive::sync::Semaphore::new(0);
    /// sema.release();
    /// sema.acquire();
    /// # });
    /// ```
    #[doc(alias = "semrelease")]
    #[inline]
    pub fn release(&self) {
        let mut permits = self.permits.lock();
        let first = permits.take_first();
        if first.is_none() {
            match permits.checked_add(1) {
                Some(more) => *permits = more,
                None => {
                    drop(permits);
                    panic!("semaphore: released more than held"); // as x/sync/semaphore says
                }
            }
        }
        permits.ready(first);
    }

    /// How many permits there are: a snapshot.
    pub fn permits(&self) -> usize {
        *self.permits.lock()
    }

    /// As `acquire`, for any reason, and at a position in the queue.
    #[inline]
    pub(super) fn acquire_for(&self, reason: WaitReason, position: Position) {
        let mut permits = self.permits.lock();
        if *permits > 0 {
            *permits -= 1;
            return;
        }
        match position {
            Position::Back => permits.wait_for(0, reason),
            Position::Front => permits.wait_in_front(reason),
        }
    }
}
