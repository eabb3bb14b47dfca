//! The injection stack: how interrupt handlers hand over goroutines without locks and P's queues.
//!
//! **Rule:** handlers push; a taker takes all, so there is no ABA.
#![allow(unsafe_code)] // Raw links.

use crate::ground::atomic::{AtomicPtr, AtomicU32, Ordering, with_new};
use crate::nouns::runq::{Linked, List};
use core::ptr::null_mut;

with_new! {
pub struct Injected<T: Linked> {
    /// Newest first.
    head: AtomicPtr<T> = AtomicPtr::new(null_mut()),
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
        self.push(t);
        // After the push, Release: partner of the Acquire in `anything_to_come`, which then sees
        // it.
        self.expected.fetch_sub(1, Ordering::Release);
    }

    /// Whether something is here or expected.
    pub fn anything_to_come(&self) -> bool {
        // In this order. Partner: `hand_over`.
        self.expected.load(Ordering::Acquire) != 0 || !self.is_empty()
    }

    // Lock-free: an attempt fails only if another one succeeded.
    fn push(&self, t: &'static T) {
        let ptr = core::ptr::from_ref(t).cast_mut();
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            t.link().store(head, Ordering::Relaxed);
            // Release: partner of the Acquire in `take_all`.
            match self.head.compare_exchange_weak(head, ptr, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Whether something is here: a hint, and after `Idle`'s fence the truth.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Acquire: partner of `take_all`: if it is seen emptied, its taker is not idle
        // (`Idle::is_dead`).
        self.head.load(Ordering::Acquire).is_null()
    }

    /// All that was handed over, oldest first.
    pub fn take_all(&self) -> List<T> {
        let mut list = List::new();
        // Acquire: partner of the Release in `push`, and of all pushes below it, which are
        // read-modify-writes. Release: partner of the Acquire in `is_empty`.
        let mut next = self.head.swap(null_mut(), Ordering::AcqRel);
        // SAFETY: only what `push` made of a `&'static T` is here.
        while let Some(t) = unsafe { next.as_ref::<'static>() } {
            next = t.link().load(Ordering::Relaxed);
            list.push_front(t);
        }
        list
    }
}
