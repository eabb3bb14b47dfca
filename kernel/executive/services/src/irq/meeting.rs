//! Interrupt wakeups that race with other wakeups of the same goroutine: in a select, it may be
//! woken by another arm when a handler has just taken it out of the line's word.
//!
//! **Rule:** a handler counts itself before it looks into the word, until it is done with the
//! goroutine that it found there. A goroutine that goes on, and does not find itself in the word
//! any more, waits until no handler is at work; so no handler claims it for a later wait. A handler
//! that has found a goroutine which was claimed otherwise raises once more: the interrupt is for
//! the next to wait.

use super::lineword::{LineWord, Wait};
use executive_core::atomic::{AtomicU32, Ordering, const_fn, relax};

pub struct Meeting<T: 'static> {
    word: LineWord<T>,
    /// Handlers at work.
    handlers: AtomicU32,
}

impl<T: Sync> Meeting<T> {
    const_fn! {
        pub fn new() -> Self {
            Meeting { word: LineWord::new(), handlers: AtomicU32::new(0) }
        }
    }

    /// An interrupt came. `claim` is given the goroutine that waits, and returns whether it could
    /// be claimed. Called by the handler.
    pub fn interrupt(&self, mut claim: impl FnMut(&'static T) -> bool) {
        // Before the word is changed, so that a goroutine that finds it changed waits for us.
        // Partner: the load in `leave`.
        self.handlers.fetch_add(1, Ordering::AcqRel);
        while self.word.raise().is_some_and(|t| !claim(t)) {}
        self.handlers.fetch_sub(1, Ordering::Release); // partner: `leave`
    }

    /// Takes the pending interrupt; `false`: there is none.
    pub fn take(&self) -> bool {
        self.word.take()
    }

    /// `me` waits from here on, and can be claimed.
    pub fn wait(&self, me: &'static T) -> Wait {
        self.word.wait(me)
    }

    /// `me` does not wait any more, and no handler will touch it. `false`: a handler had taken it
    /// out.
    pub fn leave(&self, me: &'static T) -> bool {
        let out = self.word.leave(me);
        while !out && self.handlers.load(Ordering::Acquire) != 0 {
            relax();
        }
        out
    }
}

impl<T: Sync> Default for Meeting<T> {
    fn default() -> Self {
        Self::new()
    }
}
