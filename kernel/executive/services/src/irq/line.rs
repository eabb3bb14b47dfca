//! An interrupt line's word, in which the interrupt and the goroutine that waits for it meet.
//!
//! **Rule:** the word is EMPTY, PENDING (an interrupt came, and nobody has waited since) or the
//! goroutine that waits. In one step the handler turns EMPTY into PENDING, and a goroutine into
//! EMPTY; the goroutine turns PENDING into EMPTY, and EMPTY into itself. So an interrupt that comes
//! between a look at the device and the wait is not lost, and each wait is ended by one interrupt.
#![allow(unsafe_code)] // A goroutine or a mark in one word.

use core::ptr::{null_mut, without_provenance_mut};
use executive_core::atomic::{AtomicPtr, Ordering, const_fn};

pub struct Line<T: 'static>(AtomicPtr<T>);

/// The outcome of [`Line::wait`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// The next interrupt's handler will find the goroutine.
    Waits,
    /// An interrupt came before: there is nothing to wait for.
    Came,
    /// Another goroutine waits on this line.
    Taken,
}

impl<T> Line<T> {
    const_fn! {
        pub fn new() -> Self {
            Line(AtomicPtr::new(null_mut()))
        }
    }

    // An address that no goroutine has.
    fn pending() -> *mut T {
        without_provenance_mut(1)
    }

    /// An interrupt came. Returns the goroutine that waits, which the caller has to ready. Lost if
    /// one is pending already, as in hardware. Called by the handler.
    pub fn raise(&self) -> Option<&'static T> {
        let mut was = self.0.load(Ordering::Relaxed);
        loop {
            let waits = !was.is_null() && was != Self::pending();
            let then = if waits { null_mut() } else { Self::pending() };
            // AcqRel: partner of the exchanges in `wait` and `take`. The goroutine sees what the
            // handler took from its device.
            match self.0.compare_exchange_weak(was, then, Ordering::AcqRel, Ordering::Relaxed) {
                // SAFETY: not the mark, so what `wait` made of a `&'static T`.
                Ok(_) => return if waits { unsafe { was.as_ref() } } else { None },
                Err(now) => was = now,
            }
        }
    }

    /// Takes the pending interrupt; `false`: there is none. Acquire: partner of `raise`.
    pub fn take(&self) -> bool {
        self.0
            .compare_exchange(Self::pending(), null_mut(), Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// `me`, parked (PARK-COMMIT), waits for the next interrupt.
    pub fn wait(&self, me: &'static T) -> Wait {
        let me = core::ptr::from_ref(me).cast_mut();
        // AcqRel: the handler that finds `me` sees it saved. Partner: `raise`.
        match self.0.compare_exchange(null_mut(), me, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Wait::Waits,
            // Only the waiting goroutine takes what is pending, so it is still there.
            Err(_) if self.take() => Wait::Came,
            Err(_) => Wait::Taken,
        }
    }

    /// `me` does not wait any more. `false`: a handler has taken it out, or it never waited.
    pub fn leave(&self, me: &'static T) -> bool {
        let me = core::ptr::from_ref(me).cast_mut();
        // Acquire when it fails: partner of `raise`, whose handler has begun before.
        self.0.compare_exchange(me, null_mut(), Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self::new()
    }
}
