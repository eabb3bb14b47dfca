//! The word in which a goroutine that runs a future meets its wakers.
//!
//! **Rule:** it has two marks and a number. WOKEN: a waker was called since the poll began. PARKED:
//! the goroutine is off its stack; whoever adds WOKEN to PARKED alone has it. The number is that of
//! the wakers that somebody keeps. The one that a poll is lent is none of them.
//!
//! **Rule:** the goroutine is expected (inject.rs) while the word is PARKED, not WOKEN, and its
//! number is above 0. Whoever makes that so has called `expect` before, or another might take back
//! what was not given yet. Whoever ends it calls `expect_no_more` or `hand_over` afterwards. Both
//! learn it from the word that their own exchange replaced; so the calls pair, in any order.
//!
//! The number is the g's. A waker that is kept beyond its goroutine's end counts for the next
//! goroutine of that g, too. That is no lie: it wakes that one, which then polls once too often.
//!
//! All exchanges are AcqRel, each the others' partner: who has the goroutine finds it saved; the
//! poll sees what its wakers did before they called; and who finds no waker left sees what those
//! who had one have done before, or it would take work that they made for a deadlock.

use executive_core::atomic::{AtomicU64, Ordering};

const WOKEN: u64 = 1;
const PARKED: u64 = 2;
const MARKS: u64 = WOKEN | PARKED;
/// One waker. There is room for 2^62, so no number that can be reached by `mem::forget` overflows.
const WAKER: u64 = 4;

/// Where it is counted who is expected.
pub trait Expected {
    /// One more is.
    fn expect(&self);
    /// One less.
    fn expect_no_more(&self);
}

/// A goroutine's word; see the head of this file.
#[derive(Clone, Copy)]
pub struct WakeWord<'a>(pub &'a AtomicU64);

impl WakeWord<'_> {
    /// The goroutine polls, and whoever wakes it from here on makes it poll again.
    pub fn begin_poll(self) {
        self.0.fetch_and(!MARKS, Ordering::AcqRel);
    }

    /// The goroutine has run its future to the end. If it did so within another future's poll, that
    /// one is polled again: its wakers may have called while nobody took notice.
    pub fn is_done(self) {
        self.0.fetch_or(WOKEN, Ordering::Relaxed);
    }

    /// The goroutine, which is saved, waits from here on for a waker; `false`: one has called.
    pub fn park(self, expected: &impl Expected) -> bool {
        self.exchange(expected, |word| (word & WOKEN == 0).then_some(word | PARKED))
    }

    /// Wakes. `true`: the goroutine had parked, and is the caller's, who hands it over or readies it
    /// and calls `expect_no_more`.
    #[must_use = "a goroutine that had parked must be readied"]
    pub fn wake(self, expected: &impl Expected) -> bool {
        let was = self.0.fetch_or(WOKEN, Ordering::AcqRel);
        let parked = was & MARKS == PARKED;
        if parked && !is_expected(was) {
            expected.expect(); // so that it is, as any other: there is only a waker that was lent
        }
        parked
    }

    /// There is one waker more.
    pub fn add_waker(self, expected: &impl Expected) {
        self.exchange(expected, |word| Some(word + WAKER));
    }

    /// There is one waker less. `true`: it was the last, and the goroutine waits: the caller sees to
    /// it that CPUs that sleep look once more whether that is a deadlock.
    #[must_use = "CPUs that sleep may have counted on this waker"]
    pub fn drop_waker(self, expected: &impl Expected) -> bool {
        let was = self.0.fetch_sub(WAKER, Ordering::AcqRel);
        let last = is_expected(was) && !is_expected(was - WAKER);
        if last {
            expected.expect_no_more();
        }
        last
    }

    /// Changes the word, unless `to` says `None`, by an exchange that may make the goroutine
    /// expected; whether it did change it.
    fn exchange(self, expected: &impl Expected, to: impl Fn(u64) -> Option<u64>) -> bool {
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
