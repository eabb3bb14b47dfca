//! The word in which a goroutine's end and its handle meet.
//!
//! **Rule:** it goes from EMPTY (a handle exists) to DETACHED (the handle was dropped) or to a goroutine that waits, by the handle; and from
//! any of these to DONE, once, by the goroutine's end. Each side learns in the same step what the other had done before, so
//! exactly one of them frees the goroutine: the end, if it found DETACHED; else the handle.
//!
//! All exchanges are AcqRel, each the others' partner: who comes second sees all that the first did before, the result above all.
#![allow(unsafe_code)] // A goroutine or a mark in one word.

use crate::ground::atomic::{AtomicPtr, Ordering, const_fn};
use core::ptr::{null_mut, without_provenance_mut};

pub struct Joiner<T: 'static>(AtomicPtr<T>);

/// What the end of a goroutine finds.
#[must_use = "who finds the other's mark has the goroutine to free or to ready"]
pub enum Ended<T: 'static> {
    /// The handle is gone: the goroutine is the caller's to free.
    Detached,
    /// This one waits, and must be readied.
    Awaited(&'static T),
    /// The handle will come for the result.
    NotYetAwaited,
}

impl<T> Joiner<T> {
    const_fn! {
        pub fn new() -> Self {
            Joiner(AtomicPtr::new(null_mut()))
        }
    }

    // Addresses that no goroutine has.
    fn detached() -> *mut T {
        without_provenance_mut(1)
    }
    fn done() -> *mut T {
        without_provenance_mut(2)
    }

    /// Before the goroutine's life. Relaxed: the queue that publishes the goroutine publishes this.
    #[inline]
    pub fn begin(&self, detached: bool) {
        self.0.store(if detached { Self::detached() } else { null_mut() }, Ordering::Relaxed);
    }

    /// The goroutine is off its stack and left its result. Once in its life.
    #[inline]
    pub fn end(&self) -> Ended<T> {
        let found = self.0.swap(Self::done(), Ordering::AcqRel);
        if found == Self::detached() {
            return Ended::Detached;
        }
        // SAFETY: not a mark, so null or what `wait` made of a `&'static T`.
        unsafe { found.as_ref() }.map_or(Ended::NotYetAwaited, Ended::Awaited)
    }

    /// `me` waits for the end, and is readied at it; `false`: it has ended. By the handle, once.
    #[inline]
    pub fn wait(&self, me: &'static T) -> bool {
        let me = core::ptr::from_ref(me).cast_mut();
        self.0.compare_exchange(null_mut(), me, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The handle is dropped; `true`: it had ended, so the caller frees it.
    #[inline]
    pub fn detach(&self) -> bool {
        self.0
            .compare_exchange(null_mut(), Self::detached(), Ordering::AcqRel, Ordering::Acquire)
            .is_err()
    }

    /// Whether it has ended; if so, its result is seen.
    #[inline]
    pub fn has_ended(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::done() // partner: `end`
    }

    /// Whether nobody wants the result. The goroutine may ask before its end; the answer may be late.
    #[inline]
    pub fn is_detached(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::detached() // partner: `detach`
    }
}
