//! The word in which a goroutine that runs a future meets its wakers.
//!
//! **Rule:** the word has three marks and a number. WOKEN: a waker was called since the poll began.
//! PARKED: the goroutine is off its stack; only whoever adds WOKEN to PARKED may ready it. SYSTEM,
//! beside PARKED: it is a system goroutine. The number counts the wakers that are kept; the one
//! that is lent to each poll is not counted.
//!
//! **Rule:** the goroutine is expected to be woken (the core's arrivals.rs) while the word is
//! PARKED, not WOKEN, not SYSTEM, and the number is above 0. Whoever begins that state has called
//! `expect` before, or another might take back what was not given yet. Whoever ends it calls
//! `expect_no_more`, or hands over, afterwards. Both learn from the value that their own exchange
//! replaced whether they did; so the calls pair, in any order.
//!
//! The number belongs to the g. A waker that is kept beyond its goroutine's end counts for the next
//! goroutine of that g, too. That is correct: it wakes that one, which then polls once too often.
//!
//! All exchanges but `is_done`'s are AcqRel, each the others' partner. Whoever gets the goroutine
//! finds it saved.
//! The poll sees what its wakers did before they called. Whoever finds no waker left sees what was
//! done before the last one was dropped; otherwise work that was made there could be missed, and a
//! deadlock reported.

use executive_core::Expected;
use executive_core::atomic::{AtomicU64, Ordering};

const WOKEN: u64 = 1;
const PARKED: u64 = 2;
const SYSTEM: u64 = 4;
const MARKS: u64 = WOKEN | PARKED | SYSTEM;
/// One waker. There is room for 2^61: `mem::forget` cannot overflow the number.
const WAKER: u64 = 8;

/// A goroutine's word; see the head of this file.
#[derive(Clone, Copy)]
pub struct WakeWord<'a>(pub &'a AtomicU64);

impl WakeWord<'_> {
    /// The goroutine polls. A wake from here on makes it poll again.
    pub fn begin_poll(self) {
        self.0.fetch_and(!MARKS, Ordering::AcqRel);
    }

    /// The goroutine has run its future to the end. If it did so within another future's poll, that
    /// one is polled again: its wakers may have been called in vain meanwhile.
    pub fn is_done(self) {
        // Relaxed: only this goroutine acts on this mark, in `park`.
        self.0.fetch_or(WOKEN, Ordering::Relaxed);
    }

    /// The goroutine, which is saved, waits for a waker from here on. `false`: one was called
    /// before. `system`: it is a system goroutine.
    pub fn park(self, system: bool, expected: &Expected) -> bool {
        let marks = if system { PARKED | SYSTEM } else { PARKED };
        self.exchange(expected, |word| (word & WOKEN == 0).then_some(word | marks))
    }

    /// Wakes. `true`: the goroutine had parked, and belongs to the caller, who hands it over or
    /// readies it and calls `expect_no_more`.
    #[must_use = "a goroutine that had parked must be readied"]
    pub fn wake(self, expected: &Expected) -> bool {
        let was = self.0.fetch_or(WOKEN, Ordering::AcqRel);
        let parked = was & (WOKEN | PARKED) == PARKED;
        if parked && !is_expected(was) {
            // Nobody has called this yet: it is the system's, or only the waker that is lent to the
            // poll is left. The caller's `expect_no_more` needs its partner.
            expected.expect();
        }
        parked
    }

    /// Adds a waker.
    pub fn add_waker(self, expected: &Expected) {
        self.exchange(expected, |word| Some(word + WAKER));
    }

    /// Takes a waker away. `true`: it was the last, and the goroutine waits: the caller makes
    /// sleeping CPUs look once more whether that is a deadlock.
    #[must_use = "CPUs that sleep may have counted on this waker"]
    pub fn drop_waker(self, expected: &Expected) -> bool {
        let was = self.0.fetch_sub(WAKER, Ordering::AcqRel);
        let last = is_expected(was) && !is_expected(was - WAKER);
        if last {
            expected.expect_no_more();
        }
        last
    }

    /// Changes the word, unless `to` returns `None`, by an exchange that may begin the expected
    /// state. Returns whether it changed the word.
    fn exchange(self, expected: &Expected, to: impl Fn(u64) -> Option<u64>) -> bool {
        let mut was = self.0.load(Ordering::Relaxed);
        while let Some(word) = to(was) {
            let begins = is_expected(word) && !is_expected(was);
            if begins {
                expected.expect();
            }
            match self.0.compare_exchange_weak(was, word, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => was = now,
            }
            if begins {
                expected.expect_no_more();
            }
        }
        false
    }
}

fn is_expected(word: u64) -> bool {
    word & MARKS == PARKED && word >= WAKER
}
