//! The injection stack: how interrupt handlers hand over goroutines without locks and P's queues.
//!
//! **Rule:** handlers push; a taker takes all, so there is no ABA.

use crate::ground::atomic::{AtomicRef, AtomicU32, Ordering, with_new};
use crate::nouns::runq::{Linked, List};

with_new! {
pub struct Injected<T: Linked> {
    /// Newest first.
    head: AtomicRef<T> = AtomicRef::new(),
    /// How many handlers will hand over: while there are any, sleeping CPUs are no deadlock.
    expected: AtomicU32 = AtomicU32::new(0),
}
}

impl<T: Linked> Injected<T> {
    /// A handler will hand over a goroutine. Before the handler can find it.
    pub fn expect(&self) {
        self.expected.fetch_add(1, Ordering::Relaxed);
    }

    /// It will not: what it would have waited for has come.
    pub fn expect_no_more(&self) {
        // Release: partner of the Acquire in `anything_to_come`, which then sees what led to this.
        self.expected.fetch_sub(1, Ordering::Release);
    }

    /// Hands over one that was expected. In a handler, which then calls `wakep`.
    pub fn hand_over(&self, t: &'static T) {
        self.head.push(t, T::link); // partner: the Acquire in `take_all`
        // After the push, Release: partner of the Acquire in `anything_to_come`, which then sees
        // it.
        self.expected.fetch_sub(1, Ordering::Release);
    }

    /// Whether something is here or expected.
    pub fn anything_to_come(&self) -> bool {
        // In this order. Partner: `hand_over`.
        self.expected.load(Ordering::Acquire) != 0 || !self.is_empty()
    }

    /// Whether something is here: a hint, and after `Idle`'s fence the truth.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Acquire: partner of `take_all`: if it is seen emptied, its taker is not idle
        // (`Idle::is_dead`).
        self.head.load(Ordering::Acquire).is_none()
    }

    /// All that was handed over, oldest first.
    pub fn take_all(&self) -> List<T> {
        let mut list = List::new();
        // Acquire: partner of the Release of the newest push, and of all pushes below it, which are
        // read-modify-writes. Release: partner of the Acquire in `is_empty`.
        let mut next = self.head.swap(None, Ordering::AcqRel);
        while let Some(t) = next {
            next = t.link().load(Ordering::Relaxed);
            list.push_front(t);
        }
        list
    }
}
