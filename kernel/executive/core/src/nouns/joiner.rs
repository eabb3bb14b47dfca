//! The word in which a goroutine's end and its handle meet.
//!
//! **Rule:** the handle turns EMPTY into DETACHED (it was dropped) or into the goroutine that
//! waits; the goroutine's end turns any of these into DONE, once. Each side learns in the same step
//! what the other has done. So one frees it: the end, if it finds DETACHED; else the handle.
//!
//! All exchanges are AcqRel, each the others' partner: the second sees all that the first did.

use crate::ground::atomic::{AtomicWord, Ordering, Word::*, const_fn};

/// Neither has come.
const EMPTY: usize = 0;
/// The handle was dropped.
const DETACHED: usize = 1;
/// The goroutine has ended.
const DONE: usize = 2;

pub struct Joiner<T: 'static>(AtomicWord<T>);

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

impl<T: Sync> Joiner<T> {
    const_fn! {
        pub fn new() -> Self {
            Joiner(AtomicWord::new())
        }
    }

    /// Before the goroutine's life. Relaxed: published with the goroutine, by its queue.
    #[inline]
    pub fn begin(&self, detached: bool) {
        self.0.store(if detached { Mark(DETACHED) } else { Mark(EMPTY) }, Ordering::Relaxed);
    }

    /// The goroutine is off its stack and left its result. Once in its life.
    #[inline]
    pub fn end(&self) -> Ended<T> {
        match self.0.swap(Mark(DONE), Ordering::AcqRel) {
            Mark(DETACHED) => Ended::Detached,
            Mark(_) => Ended::NotYetAwaited,
            Ref(waiter) => Ended::Awaited(waiter),
        }
    }

    /// `me` waits for the end, and is readied at it; `false`: it has ended. By the handle, once.
    #[inline]
    pub fn wait(&self, me: &'static T) -> bool {
        self.0.replace(Mark(EMPTY), Ref(me), Ordering::AcqRel, Ordering::Acquire)
    }

    /// The handle is dropped; `true`: the goroutine had ended, and the caller frees it.
    #[inline]
    pub fn detach(&self) -> bool {
        !self.0.replace(Mark(EMPTY), Mark(DETACHED), Ordering::AcqRel, Ordering::Acquire)
    }

    /// Whether it has ended; if so, its result is seen.
    #[inline]
    pub fn has_ended(&self) -> bool {
        matches!(self.0.load(Ordering::Acquire), Mark(DONE)) // partner: `end`
    }

    /// Whether nobody wants the result. By the goroutine, before its end: the answer may be late.
    #[inline]
    pub fn is_detached(&self) -> bool {
        matches!(self.0.load(Ordering::Acquire), Mark(DETACHED)) // partner: `detach`
    }
}
