//! The two modes of a mutex, one step at a time. Whether it excludes in every order of steps is
//! what the models ask.
use super::services::lockword::{LockWord, Position, Queue};
use super::services::param::STARVATION_NS;
use super::{leak, std};
use core::cell::{Cell, RefCell};
use std::{boxed::Box, collections::VecDeque, vec::Vec};

/// What others do meanwhile.
type Others = Box<dyn FnOnce(&'static World)>;

/// A mutex, and a script: what happens each time that somebody waits for it or looks whether to
/// spin.
struct World {
    word: LockWord,
    now: Cell<u64>,
    permits: Cell<u32>,
    /// Each wait, and how long it is.
    waits: RefCell<VecDeque<(u64, Others)>>,
    /// Each look at whether to spin. The answer is yes as long as there are any.
    looks: RefCell<VecDeque<Others>>,
    /// Whether each wait was in front of the others.
    in_front: RefCell<Vec<bool>>,
}

fn world() -> &'static World {
    leak(World {
        word: LockWord::new(),
        now: Cell::new(1),
        permits: Cell::new(0),
        waits: RefCell::default(),
        looks: RefCell::default(),
        in_front: RefCell::default(),
    })
}

impl World {
    fn wait(&self, ns: u64, others: impl FnOnce(&'static World) + 'static) {
        self.waits.borrow_mut().push_back((ns, Box::new(others)));
    }
    fn look(&self, others: impl FnOnce(&'static World) + 'static) {
        self.looks.borrow_mut().push_back(Box::new(others));
    }
    fn lock(&'static self) {
        self.word.lock(&self);
    }
    /// Tells whether the lock was handed over.
    fn unlock(&'static self) -> bool {
        self.word.unlock(&self)
    }
    /// The script is played, the waits were so, and the mutex is as new.
    fn over(&'static self, in_front: &[bool]) {
        assert!(self.waits.borrow().is_empty(), "it should have waited more often");
        assert!(self.looks.borrow().is_empty(), "it should have looked more often");
        assert_eq!((&**self.in_front.borrow(), self.permits.get()), (in_front, 0));
        assert!(self.word.try_lock() && !self.unlock());
    }
}

impl Queue for &'static World {
    fn acquire(&self, position: Position) {
        self.in_front.borrow_mut().push(position == Position::Front);
        let (ns, others) = self.waits.borrow_mut().pop_front().expect("it should not wait");
        self.now.set(self.now.get() + ns);
        others(self);
        self.permits.set(self.permits.get().checked_sub(1).expect("it was woken"));
    }
    fn release(&self) {
        self.permits.set(self.permits.get() + 1);
    }
    fn may_spin(&self) -> bool {
        let others = self.looks.borrow_mut().pop_front();
        others.map(|others| others(self)).is_some()
    }
    fn now(&self) -> u64 {
        self.now.get()
    }
}

/// It is unlocked, and another takes it before the one that is woken.
fn overtake(world: &'static World) {
    assert!(!world.unlock(), "not handed over");
    assert!(world.word.try_lock(), "who runs may overtake");
}

/// It is unlocked, and nobody can take it but the one that it was handed to.
fn hand_over(world: &'static World) {
    assert!(world.unlock(), "handed over");
    assert!(!world.word.try_lock(), "who comes now may not overtake");
}

#[test]
fn who_has_lost_for_more_than_a_millisecond_is_handed_the_lock() {
    let world = world();
    world.lock();
    world.wait(STARVATION_NS + 1, overtake);
    world.wait(0, hand_over);
    world.lock();
    assert!(!world.word.try_lock());
    assert!(!world.unlock(), "nobody waits");
    world.over(&[false, true]);
}

/// All of its waits count together; who has waited is in front of the others when it waits again.
#[test]
fn who_has_lost_for_a_millisecond_can_be_overtaken_still() {
    let world = world();
    world.lock();
    world.wait(STARVATION_NS / 2, overtake);
    world.wait(STARVATION_NS - STARVATION_NS / 2, overtake);
    world.wait(1, overtake);
    world.wait(0, hand_over);
    world.lock();
    assert!(!world.unlock(), "nobody waits");
    world.over(&[false, true, true, true]);
}

/// Nobody is to lose for it that the lock was free when it woke.
#[test]
fn who_finds_it_free_makes_nobody_wait() {
    let world = world();
    world.lock();
    world.wait(10 * STARVATION_NS, |world| assert!(!world.unlock()));
    world.lock();
    assert!(!world.unlock(), "not starving");
    world.over(&[false]);
}

/// It spins four times, and then waits; each time anew.
#[test]
fn who_may_spin_does_so_for_a_while() {
    let world = world();
    world.lock();
    for _ in 0..8 {
        world.look(|_| ());
    }
    world.wait(0, |world| {
        assert_eq!(world.looks.borrow().len(), 4);
        overtake(world);
    });
    world.wait(0, |world| assert!(!world.unlock()));
    world.lock();
    assert!(!world.unlock());
    world.over(&[false, true]);
}

/// A spinner says that it is awake: an unlock wakes nobody else for it.
#[test]
fn while_one_spins_nobody_is_woken() {
    let world = world();
    world.lock();
    world.wait(0, |world| {
        // One waits; now another comes, and spins.
        world.look(|_| ());
        world.look(|world| {
            assert!(!world.unlock());
            assert_eq!(world.permits.get(), 0, "the one that waits is left alone");
        });
        world.lock();
        assert!(!world.unlock());
        assert_eq!(world.permits.get(), 1, "the spinner is gone");
    });
    world.lock();
    assert!(!world.unlock());
    world.over(&[false]);
}

/// Nobody spins for a lock that is handed over.
#[test]
fn nobody_spins_while_another_starves() {
    let world = world();
    world.lock();
    world.wait(2 * STARVATION_NS, overtake);
    world.wait(0, |world| {
        // It starves. Another comes, and would spin if it could.
        world.look(|_| unreachable!("it spins"));
        world.wait(0, |world| {
            world.looks.borrow_mut().clear();
            hand_over(world);
        });
        world.lock();
        assert!(!world.unlock(), "who was handed it has not starved: it is an ordinary lock again");
    });
    world.lock();
    assert!(!world.unlock());
    world.over(&[false, true, false]);
}
