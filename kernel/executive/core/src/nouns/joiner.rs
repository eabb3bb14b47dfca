//! The word in which a goroutine's end and its handle meet.
//!
//! **Rule:** the handle turns EMPTY into DETACHED (it was dropped) or into the goroutine that
//! waits; the goroutine's end turns any of these into DONE, once. Each side learns in the same step
//! what the other has done. So one frees the goroutine: the end, if it finds DETACHED; else the
//! handle.
//!
//! All exchanges are AcqRel, each the others' partner: the second sees all that the first did.
#![allow(unsafe_code)] // A goroutine or a mark in one word.

use crate::ground::atomic::{AtomicPtr, Ordering, const_fn};
use core::ptr::{null_mut, without_provenance_mut};

pub struct Joiner<T: 'static>(AtomicPtr<T>);

/// What the end of a goroutine finds.
#[must_use = "who finds the other's mark has the goroutine to free or to ready"]
pub enum Ended<T: 'static> {
    /// The handle is gone: the caller frees the goroutine.
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

    /// Before the goroutine's life. Relaxed: published with the goroutine, by its queue.
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

    /// The handle is dropped; `true`: the goroutine had ended, and the caller frees it.
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

    /// Whether nobody wants the result. By the goroutine, before its end: the answer may be late.
    #[inline]
    pub fn is_detached(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::detached() // partner: `detach`
    }
}
