//! Models of what may wake a select without holding one of its locks: timers and interrupts, which
//! may come before it has parked.

use super::model::{Channel, Item, Ready, check, leak, race};
use super::services::lineword::Wait;
use super::services::meeting::Meeting;
use crate::ground::atomic::{AtomicU32, Ordering};
use crate::nouns::g::G;
use crate::nouns::waitq::{Claim, Parked, Waiter, claim_without_lock, prepare};
use loom::thread;

/// A selecting goroutine: what is on its stack is whose turn it is to touch.
struct Selecting {
    g: &'static G,
    stack: Item,
    readied: Ready,
}

fn selecting() -> &'static Selecting {
    leak(Selecting { g: leak(G::new()), stack: Item::new(0), readied: Ready::new() })
}

impl Selecting {
    /// As a timer's firing does; whether it won.
    fn alarm(&self) -> bool {
        match claim_without_lock(self.g) {
            Claim::Parked(_) => {
                self.stack.run(); // it stands still, saved
                self.readied.ready();
                true
            }
            Claim::Early => true,
            Claim::Lost => false,
        }
    }
    /// A park's end: saved, and open to be claimed. `false`: claimed before.
    fn park(&self) {
        self.stack.run();
        if Parked(self.g).open().is_none() {
            self.readied.wait();
        }
        self.stack.run();
    }
}

/// A timer fires at any moment from the select's beginning on: does the goroutine go on, once,
/// whether it had parked or not?
#[test]
fn an_alarm_before_the_park_is_not_lost() {
    check(|| {
        let me = selecting();
        prepare(me.g);
        let timer = thread::spawn(move || me.alarm());
        me.park();
        assert!(timer.join().unwrap());
    });
}

/// Two timers: does one win?
#[test]
fn one_of_two_alarms_wins() {
    check(|| {
        let me = selecting();
        prepare(me.g);
        let timers = [(); 2].map(|_| thread::spawn(move || me.alarm()));
        me.park();
        let won = timers.map(|timer| timer.join().unwrap());
        assert!(won[0] != won[1]);
    });
}

/// A timer and a sender: does one win, does only it write to the goroutine's stack, and is the
/// goroutine readied once?
#[test]
fn an_alarm_against_a_channel() {
    check(|| {
        let me = selecting();
        let channel: &'static Channel = leak(Channel::new());
        prepare(me.g);
        let timer = thread::spawn(move || me.alarm());
        let waiter = Waiter::of_select(me.g, core::ptr::null_mut());
        let queue = channel.waiters.lock();
        // SAFETY: the waiter stays here until it is removed, below.
        unsafe { queue.enqueue(&waiter) };
        let sender = thread::spawn(move || channel.send(&me.stack, &me.readied));
        me.stack.run(); // saved
        let parked = Parked(me.g).open().is_none();
        drop(queue);
        if parked {
            me.readied.wait();
        }
        let gone = !channel.waiters.lock().remove(&waiter);
        me.stack.run();
        drop(waiter);
        let (sent, fired) = (sender.join().unwrap(), timer.join().unwrap());
        assert!(sent != fired);
        assert!(gone || !sent);
    });
}

/// A handler takes the goroutine out of the line while something else wakes it, and it goes on to
/// its next wait: is it claimed for the first one only, and is an interrupt that lost still there?
#[test]
fn a_late_handler_does_not_claim_the_next_wait() {
    check(|| {
        let me = selecting();
        let meeting: &'static Meeting<Selecting> = leak(Meeting::new());
        prepare(me.g);
        assert_eq!(meeting.wait(me), Wait::Waits);
        let handler = thread::spawn(move || {
            let mut won = false;
            meeting.interrupt(|me| {
                won = me.alarm();
                won
            });
            won
        });
        let timer = thread::spawn(move || me.alarm());
        me.park();
        meeting.leave(me);
        let fired = timer.join().unwrap();

        // The next wait, for something that never comes.
        prepare(me.g);
        let claimed = handler.join().unwrap();
        assert!(claimed != fired, "one of them woke the first wait");
        assert!(Parked(me.g).open().is_none(), "and none the second");
        assert_eq!(meeting.take(), !claimed, "an interrupt that lost is pending");
    });
}

/// Two arms of a select name one line, and an interrupt comes meanwhile: does it wake the select,
/// and is the goroutine counted as expected once (`Irq::enlist`), and not for ever?
#[test]
fn two_arms_of_one_line_are_one() {
    check(|| {
        let me = selecting();
        let meeting: &'static Meeting<Selecting> = leak(Meeting::new());
        let expected: &'static AtomicU32 = leak(AtomicU32::new(0));
        let handler = move || {
            meeting.interrupt(|me| {
                let won = me.alarm();
                expected.fetch_sub(1, Ordering::Relaxed);
                won
            });
        };
        let waits = move || {
            expected.fetch_add(1, Ordering::Relaxed);
            let wait = meeting.wait(me);
            if wait != Wait::Waits {
                expected.fetch_sub(1, Ordering::Relaxed);
            }
            wait != Wait::Came
        };
        let leaves = move || {
            if meeting.leave(me) {
                expected.fetch_sub(1, Ordering::Relaxed);
            }
        };
        let selects = move || {
            prepare(me.g);
            if waits() && waits() {
                me.park();
            }
            leaves();
            leaves();
        };
        race(handler, selects);
        assert!(!meeting.take(), "one interrupt for two");
        assert_eq!(expected.load(Ordering::Relaxed), 0);
    });
}
