//! The injection stack: how an interrupt handler hands over goroutines, without a lock and without touching any P's queue.
//!
//! **Rule:** handlers push; whoever takes, takes all, so that there is no ABA.
#![allow(unsafe_code)] // Raw links.

use crate::ground::atomic::{AtomicPtr, AtomicU32, Ordering, const_fn};
use crate::nouns::runq::{Linked, List};
use core::ptr::null_mut;

pub struct Injected<T: Linked + 'static> {
    /// Newest first.
    head: AtomicPtr<T>,
    /// How many wait for a handler to hand them over: while there are any, sleeping CPUs are no deadlock.
    expected: AtomicU32,
}

impl<T: Linked> Injected<T> {
    const_fn! {
        pub fn new() -> Self {
            Injected { head: AtomicPtr::new(null_mut()), expected: AtomicU32::new(0) }
        }
    }

    /// A goroutine will be handed over by a handler. Before the handler can find it.
    pub fn expect(&self) {
        self.expected.fetch_add(1, Ordering::Relaxed);
    }

    /// It won't: what it would have waited for has come.
    pub fn expect_no_more(&self) {
        // Release: partner of the Acquire in `anything_to_come`: who sees it expected no more sees what it led to.
        self.expected.fetch_sub(1, Ordering::Release);
    }

    /// Hands over one that was expected. In a handler, which then calls `wakep`.
    pub fn hand_over(&self, t: &'static T) {
        self.push(t);
        // After the push: who sees it expected no more sees it pushed. Release: partner of the Acquire in `anything_to_come`.
        self.expected.fetch_sub(1, Ordering::Release);
    }

    /// Whether there is something or will be.
    pub fn anything_to_come(&self) -> bool {
        self.expected.load(Ordering::Acquire) != 0 || !self.is_empty() // in this order; partner: `hand_over`
    }

    // Lock-free: it fails only if another one succeeded.
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

    /// Whether there is something: a hint, and after `Idle`'s fence the truth.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Acquire: partner of `take_all`: who sees that it was emptied sees that the taker is not idle (`Idle::is_dead`).
        self.head.load(Ordering::Acquire).is_null()
    }

    /// All that was handed over, oldest first.
    pub fn take_all(&self) -> List<T> {
        let mut list = List::new();
        // Acquire: partner of the Release in `push`, and, the pushes between being read-modify-writes, of every one below it.
        // Release: partner of the Acquire in `is_empty`.
        let mut next = self.head.swap(null_mut(), Ordering::AcqRel);
        // SAFETY: only what `push` made of a `&'static T` is here.
        while let Some(t) = unsafe { next.as_ref::<'static>() } {
            next = t.link().load(Ordering::Relaxed);
            list.push_front(t);
        }
        list
    }
}
