//! Models of a goroutine that runs a future against its wakers: the word in which they meet, and
//! whether it is expected (arrivals.rs) exactly while somebody may wake it. As in loom_park.rs a
//! goroutine is saved (its `stack` written) before it parks, and who wakes it must see it saved.

use super::model::{Item, Ready, check, item, leak, race};
use super::services::wakeword::WakeWord;
use crate::ground::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::nouns::arrivals::Expected;
use crate::nouns::idle::Idle;
use loom::thread;

/// A goroutine, and who is expected.
struct Goroutine {
    word: AtomicU64,
    stack: &'static Item,
    ready: Ready,
    expected: Expected,
    /// What its wakers have done before they called.
    done: [AtomicBool; 2],
}

/// It has so many wakers. Something else is expected all the while.
fn goroutine(wakers: usize) -> &'static Goroutine {
    let g = leak(Goroutine {
        word: AtomicU64::new(0),
        stack: item(0),
        ready: Ready::new(),
        expected: Expected::new(),
        done: [AtomicBool::new(false), AtomicBool::new(false)],
    });
    g.expected.expect();
    (0..wakers).for_each(|_| g.word().add_waker(&g.expected));
    g
}

impl Goroutine {
    fn word(&self) -> WakeWord<'_> {
        WakeWord(&self.word)
    }
    /// Polls once; whether all is done.
    fn polls(&self) -> bool {
        self.word().begin_poll();
        self.done.iter().all(|done| done.load(Ordering::Relaxed))
    }
    /// What it does for its future.
    fn block_on(&self) {
        while !self.polls() {
            self.stack.run(); // saved
            if self.word().park(false, &self.expected) {
                self.ready.wait();
            }
            self.stack.run();
        }
        self.word().is_done();
    }
    /// By a waker that is kept or lent.
    fn wake_by_ref(&self) {
        if self.word().wake(&self.expected) {
            self.stack.run();
            self.expected.expect_no_more();
            self.ready.ready();
        }
        self.something_is_expected();
    }
    fn drop_waker(&self) -> bool {
        let last = self.word().drop_waker(&self.expected);
        self.something_is_expected();
        last
    }
    fn does(&self, n: usize) {
        self.done[n].store(true, Ordering::Relaxed);
    }
    /// As it always must: no other expectation may be used up, not for a moment.
    fn something_is_expected(&self) {
        assert!(self.expected.any());
    }
    /// At the end of a model: whether the goroutine is expected.
    fn is_expected(&self) -> bool {
        self.expected.expect_no_more();
        self.expected.any()
    }
}

/// Two wakers are called as the goroutine polls and parks: does a poll see what each had done? Is
/// it found saved, and readied once, and nothing expected in the end?
#[test]
fn each_waker_is_heard() {
    check(|| {
        let g = goroutine(2);
        let wakes = move |n| {
            g.does(n);
            g.wake_by_ref();
            g.drop_waker();
        };
        let others = [0, 1].map(|n| thread::spawn(move || wakes(n)));
        g.block_on();
        others.into_iter().for_each(|other| other.join().unwrap());
        assert!(!g.is_expected());
    });
}

/// It parks as one of two wakers is copied and dropped, and the other one is kept: is it expected?
#[test]
fn it_is_expected_while_one_is_kept() {
    check(|| {
        let g = goroutine(2);
        let parks = move || assert!(!g.polls() && g.word().park(false, &g.expected));
        let comes_and_goes = move || {
            g.word().add_waker(&g.expected);
            [g.drop_waker(), g.drop_waker()]
        };
        let (_, told) = race(parks, comes_and_goes);
        assert_eq!(told, [false; 2]);
        assert!(g.is_expected());
    });
}

/// A future within a poll: the goroutine parks, and others have been lent a waker of the poll. One
/// keeps a clone for a while, the other just wakes. Does each expectation end that began?
#[test]
fn a_lent_waker_is_as_good() {
    check(|| {
        let g = goroutine(0);
        let clones = move || {
            g.word().add_waker(&g.expected);
            g.does(0);
            g.wake_by_ref();
            g.drop_waker();
        };
        let lent = move || {
            g.does(1);
            g.wake_by_ref();
        };
        let others = [thread::spawn(clones), thread::spawn(lent)];
        g.block_on();
        others.into_iter().for_each(|other| other.join().unwrap());
        assert!(!g.is_expected());
    });
}

/// The last waker is dropped as its goroutine parks and the only CPU goes to sleep: is the deadlock
/// found, by that CPU now or because it is woken to look again?
#[test]
fn the_last_waker_leaves_no_sleeper() {
    check(|| {
        let g = goroutine(2);
        g.expected.expect_no_more();
        let idle: &'static Idle = leak(Idle::new());
        let drops = move || {
            let last = [(); 2].map(|()| g.word().drop_waker(&g.expected));
            last.contains(&true) && idle.wakep().is_some()
        };
        let sleeps = move || {
            assert!(!g.polls() && g.word().park(false, &g.expected));
            idle.go_idle(0, false);
            idle.is_dead(1, || g.expected.any())
        };
        let (woken, dead) = race(drops, sleeps);
        assert!(woken || dead);
    });
}

/// Work is made, and then the last waker dropped: is that never taken for a deadlock?
#[test]
fn work_before_the_last_drop_is_no_deadlock() {
    check(|| {
        let g = goroutine(1);
        g.expected.expect_no_more();
        let idle: &'static Idle = leak(Idle::new());
        let works = move || {
            g.does(0);
            let _ = g.word().drop_waker(&g.expected);
        };
        let sleeps = move || {
            g.word().begin_poll();
            assert!(g.word().park(false, &g.expected));
            idle.go_idle(0, false);
            idle.is_dead(1, || g.expected.any() || g.done[0].load(Ordering::Relaxed))
        };
        assert!(!race(works, sleeps).1);
    });
}

/// A system goroutine parks with a waker kept, and is woken: is it expected at no time before, and
/// does the expectation with which it is handed over end?
#[test]
fn a_system_goroutine_is_not_expected() {
    check(|| {
        let g = goroutine(1);
        g.expected.expect_no_more();
        let parks = move || {
            g.stack.run(); // saved
            let parked = g.word().park(true, &g.expected);
            if parked {
                g.ready.wait();
            }
            g.stack.run();
        };
        let wakes = move || {
            assert!(!g.expected.any());
            if g.word().wake(&g.expected) {
                g.stack.run();
                g.expected.expect_no_more();
                g.ready.ready();
            }
            g.word().drop_waker(&g.expected)
        };
        let (_, told) = race(parks, wakes);
        assert!(!told && !g.expected.any());
    });
}
