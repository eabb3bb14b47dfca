//! An interrupt line's word, in which the interrupt and the goroutine that waits for it meet.
//!
//! **Rule:** the word is EMPTY, PENDING (an interrupt came, and nobody has waited since) or the
//! goroutine that waits. In one step the handler turns EMPTY into PENDING, and a goroutine into
//! EMPTY; the goroutine turns PENDING into EMPTY, and EMPTY into itself. So an interrupt that comes
//! between a look at the device and the wait is not lost, and each wait is ended by one interrupt.

use executive_core::atomic::{AtomicWord, Ordering, Word::*, const_fn};

/// Neither has come.
const EMPTY: usize = 0;
/// An interrupt came, and nobody has waited since.
const PENDING: usize = 1;

pub struct LineWord<T: 'static>(AtomicWord<T>);

/// The outcome of [`LineWord::wait`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// The next interrupt's handler will find the goroutine.
    Waits,
    /// It waits on this line already: another arm of its select names it.
    Already,
    /// An interrupt came before: there is nothing to wait for.
    Came,
    /// Another goroutine waits on this line.
    Taken,
}

impl<T: Sync> LineWord<T> {
    const_fn! {
        pub fn new() -> Self {
            LineWord(AtomicWord::new())
        }
    }

    /// An interrupt came. Returns the goroutine that waits, which the caller has to ready. Lost if
    /// one is pending already, as in hardware. Called by the handler.
    pub fn raise(&self) -> Option<&'static T> {
        loop {
            let was = self.0.load(Ordering::Relaxed);
            let waits = if let Ref(me) = was { Some(me) } else { None };
            let then = if waits.is_some() { Mark(EMPTY) } else { Mark(PENDING) };
            // AcqRel: partner of the exchanges in `wait` and `take`. The goroutine sees what the
            // handler took from its device.
            if self.0.replace(was, then, Ordering::AcqRel, Ordering::Relaxed) {
                return waits;
            }
        }
    }

    /// Takes the pending interrupt; `false`: there is none. Acquire: partner of `raise`.
    pub fn take(&self) -> bool {
        self.0.replace(Mark(PENDING), Mark(EMPTY), Ordering::Acquire, Ordering::Relaxed)
    }

    /// `me`, parked (PARK-COMMIT), waits for the next interrupt.
    pub fn wait(&self, me: &'static T) -> Wait {
        // AcqRel: the handler that finds `me` sees it saved. Partner: `raise`.
        while !self.0.replace(Mark(EMPTY), Ref(me), Ordering::AcqRel, Ordering::Relaxed) {
            if self.take() {
                return Wait::Came;
            }
            match self.0.load(Ordering::Relaxed) {
                Ref(other) if core::ptr::eq(other, me) => return Wait::Already,
                Ref(_) => return Wait::Taken,
                Mark(_) => {} // a handler has changed it meanwhile
            }
        }
        Wait::Waits
    }

    /// `me` does not wait any more. `false`: a handler has taken it out, or it never waited.
    pub fn leave(&self, me: &'static T) -> bool {
        // Acquire when it fails: partner of `raise`, whose handler has begun before.
        self.0.replace(Ref(me), Mark(EMPTY), Ordering::AcqRel, Ordering::Acquire)
    }
}

impl<T: Sync> Default for LineWord<T> {
    fn default() -> Self {
        Self::new()
    }
}
