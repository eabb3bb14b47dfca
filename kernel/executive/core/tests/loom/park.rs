//! Models of park against ready: the words in which a goroutine that waits and its waker meet.
//! PARK-COMMIT is the models' own: a goroutine is saved (its `stack` written) before it gives
//! itself to a word; who readies it runs it, so must see it saved.

use super::model::{Item, Ready, check, item, leak};
use super::services::lineword::{LineWord, Wait};
use crate::ground::atomic::{AtomicU32, Ordering};
use crate::nouns::joiner::{Ended, Joiner};
use loom::thread;

/// A goroutine: its stack, and its being readied.
struct Goroutine {
    stack: &'static Item,
    ready: Ready,
}

fn goroutine() -> &'static Goroutine {
    leak(Goroutine { stack: item(0), ready: Ready::new() })
}

impl Goroutine {
    /// Off its stack from here on: what follows is done on g0.
    fn save(&self) {
        self.stack.run();
    }
    /// By its waker: as if it ran there at once.
    fn ready(&self) {
        self.stack.run();
        self.ready.ready();
    }
    fn run_again(&self) {
        self.stack.run();
    }
}

struct Child {
    joiner: Joiner<Goroutine>,
    /// The result, on the child's stack, and then the g itself, on a free list.
    body: &'static Item,
}

impl Child {
    fn new() -> &'static Self {
        leak(Child { joiner: Joiner::new(), body: item(1) })
    }
    /// The child's end. Tells whether it freed itself.
    fn end(&self) -> bool {
        self.body.run(); // the result
        match self.joiner.end() {
            Ended::Detached => {
                self.body.run(); // free
                true
            }
            Ended::Awaited(joiner) => {
                joiner.ready();
                false
            }
            Ended::NotYetAwaited => false,
        }
    }
}

/// A goroutine ends as its handle joins: is the joiner always readied or told, and does it see the
/// result?
#[test]
fn join_meets_the_end() {
    check(|| {
        let (me, child) = (goroutine(), Child::new());
        let end = thread::spawn(move || child.end());
        if !child.joiner.has_ended() {
            me.save();
            if child.joiner.wait(me) {
                me.ready.wait();
            }
            me.run_again();
        }
        child.body.run(); // takes the result and frees the g
        assert!(!end.join().unwrap());
    });
}

/// A goroutine ends as its handle is dropped: does exactly one of them free it?
#[test]
fn detach_meets_the_end() {
    check(|| {
        let child = Child::new();
        let end = thread::spawn(move || child.end());
        let mine = child.joiner.detach();
        if mine {
            child.body.run();
        }
        assert!(mine != end.join().unwrap());
    });
}

/// A goroutine looks whether its result is wanted, and the handle goes meanwhile: does the end see
/// to what it missed?
#[test]
fn a_late_detach_is_seen_at_the_end() {
    check(|| {
        let child = Child::new();
        let run = thread::spawn(move || {
            let drops_it = child.joiner.is_detached();
            let freed = child.end();
            assert!(!drops_it || freed);
            freed
        });
        let mine = child.joiner.detach();
        if mine {
            child.body.run();
        }
        assert!(mine != run.join().unwrap());
    });
}

/// Interrupts come while a goroutine looks at its device and waits for more: does it see all that
/// the device had, and never sleep through one?
#[test]
fn an_interrupt_before_the_wait_is_not_lost() {
    check(|| {
        let me = goroutine();
        let line: &'static LineWord<Goroutine> = leak(LineWord::new());
        let device: &'static AtomicU32 = leak(AtomicU32::new(0));
        let handler = thread::spawn(move || {
            for n in 1..=2 {
                device.store(n, Ordering::Relaxed); // the line's word alone orders this
                if let Some(waiting) = line.raise() {
                    waiting.ready();
                }
            }
        });
        while device.load(Ordering::Relaxed) != 2 {
            if line.take() {
                continue;
            }
            me.save();
            match line.wait(me) {
                Wait::Waits => me.ready.wait(),
                Wait::Came => {}
                Wait::Already | Wait::Taken => panic!("nobody waits there yet"),
            }
            me.run_again();
        }
        handler.join().unwrap();
    });
}

/// Two CPUs take the same interrupt while a goroutine waits: is it readied once?
#[test]
fn an_interrupt_readies_once() {
    check(|| {
        let me = goroutine();
        let line: &'static LineWord<Goroutine> = leak(LineWord::new());
        me.save();
        assert_eq!(line.wait(me), Wait::Waits);
        let raise = move || line.raise().inspect(|waiting| waiting.ready()).is_some();
        let other = thread::spawn(raise);
        let mine = raise();
        assert!(mine != other.join().unwrap());
        me.ready.wait();
        me.run_again();
        assert!(line.take(), "the second is pending");
    });
}
