//! The injection stack: how an interrupt handler hands over goroutines, without a lock and without touching any P's queue.
//!
//! **Rule:** anyone pushes; whoever takes, takes all, so that there is no ABA.
#![allow(unsafe_code)] // Raw links.

use crate::atomic::{AtomicPtr, Ordering, const_fn};
use crate::runq::{Linked, List};
use core::ptr::null_mut;

/// Newest first.
pub struct Injected<T: Linked + 'static>(AtomicPtr<T>);

impl<T: Linked> Injected<T> {
    const_fn! {
        pub fn new() -> Self {
            Injected(AtomicPtr::new(null_mut()))
        }
    }

    /// Hands over `t`. Lock-free: a push fails only if another one succeeded.
    pub fn push(&self, t: &'static T) {
        let ptr = core::ptr::from_ref(t).cast_mut();
        let mut head = self.0.load(Ordering::Relaxed);
        loop {
            t.link().store(head, Ordering::Relaxed);
            // Release: partner of the Acquire in `take_all`.
            match self.0.compare_exchange_weak(head, ptr, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Whether there is something: a hint, and after `Idle`'s fence the truth.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Acquire: partner of `take_all`: who sees that it was emptied sees that the taker is not idle (`Idle::is_dead`).
        self.0.load(Ordering::Acquire).is_null()
    }

    /// All that was handed over, oldest first.
    pub fn take_all(&self) -> List<T> {
        let mut list = List::new();
        // Acquire: partner of the Release in `push`, and, the pushes between being read-modify-writes, of every one below it.
        // Release: partner of the Acquire in `is_empty`.
        let mut next = self.0.swap(null_mut(), Ordering::AcqRel);
        // SAFETY: only what `push` made of a `&'static T` is here.
        while let Some(t) = unsafe { next.as_ref::<'static>() } {
            next = t.link().load(Ordering::Relaxed);
            list.push_front(t);
        }
        list
    }
}

impl<T: Linked> Default for Injected<T> {
    fn default() -> Self {
        Self::new()
    }
}
