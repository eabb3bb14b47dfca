//! A note: one m sleeps on it, anyone wakes it, once. As in Go.
//!
//! **Rule:** between two [`clear`](Note::clear)s at most one m sleeps, and only the first wakeup
//! counts. One that comes before the sleep is not lost: checking the word and going to sleep are
//! one step of the machine's `wait`.

use crate::ground::atomic::{AtomicU32, Ordering, const_fn};

const CLEAR: u32 = 0;
const WOKEN: u32 = 1;

/// See the head of this file.
pub struct Note {
    word: AtomicU32,
}

/// What a note needs of the machine; a model checker brings its own.
pub trait Sleeper {
    /// [`Machine::wait`](crate::ground::machine::Machine::wait).
    fn wait(&self, word: &AtomicU32, expect: u32, deadline: u64);
    /// [`Machine::wake`](crate::ground::machine::Machine::wake), of the sleeper's CPU.
    fn wake(&self, word: &AtomicU32);
}

impl Note {
    const_fn! {
        /// A note that is clear.
        pub fn new() -> Self {
            Note { word: AtomicU32::new(CLEAR) }
        }
    }

    /// Makes the note ready for its next use. Called by its m.
    #[doc(alias = "noteclear")]
    pub fn clear(&self) {
        self.word.store(CLEAR, Ordering::Relaxed);
    }

    /// Whether it was woken since it was cleared.
    pub fn woken(&self) -> bool {
        // Acquire: partner of the Release in `wakeup`; what the waker did before is seen.
        self.word.load(Ordering::Acquire) == WOKEN
    }

    /// Sleeps until woken, until `deadline` (ns), or until the machine's `wait` returns early.
    /// Returns whether the note was woken. Called by its m.
    #[doc(alias("notesleep", "notetsleep"))]
    pub fn sleep(&self, machine: &impl Sleeper, deadline: u64) -> bool {
        if !self.woken() {
            machine.wait(&self.word, CLEAR, deadline);
        }
        self.woken()
    }

    /// Wakes the sleeper, or the next one to sleep. `false`: the note was woken already. May be
    /// called from an interrupt handler.
    #[doc(alias = "notewakeup")]
    pub fn wakeup(&self, machine: &impl Sleeper) -> bool {
        // Release: partner of the Acquire in `woken`. The machine's `wake` orders it for sleepers.
        let first = self.word.swap(WOKEN, Ordering::AcqRel) == CLEAR;
        if first {
            machine.wake(&self.word);
        }
        first
    }
}
