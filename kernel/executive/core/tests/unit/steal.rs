//! The stealing policy: what is taken first, and what only at the end.

use crate::ground::param::STEAL_ROUNDS;
use crate::nouns::g::G;
use crate::nouns::runq::{Owner, Runq, Thief};
use crate::nouns::steal::{Found, Thieving, steal_work};
use core::cell::{Cell, RefCell};
use std::vec::Vec;

use super::{leak, std};

/// CPU 0 steals from the others, which talk (`talks`) or have a timer for it (`fires`).
struct World {
    rings: [Runq<G>; 3],
    fires: Cell<Option<&'static G>>,
    talks: bool,
    /// In which order timers and runnexts were looked at.
    asked: RefCell<Vec<(&'static str, usize)>>,
    rounds: Cell<usize>,
}

impl Thieving<G> for World {
    fn cpu(&self) -> usize {
        0
    }
    fn mine(&self) -> Owner<'_, G> {
        self.of(0)
    }
    fn busy(&self) -> impl Iterator<Item = usize> {
        self.rounds.set(self.rounds.get() + 1);
        [2, 0, 1].into_iter()
    }
    fn queue(&self, victim: usize) -> Thief<'_, G> {
        assert_ne!(victim, 0, "steals from itself");
        self.rings[victim].thief()
    }
    fn ready_due(&self, victim: usize) -> bool {
        self.asked.borrow_mut().push(("timers", victim));
        self.fires.take().inspect(|g| assert!(self.mine().put(g).is_none())).is_some()
    }
    fn talks(&self, victim: usize) -> bool {
        self.asked.borrow_mut().push(("talks", victim));
        self.talks
    }
}

impl World {
    fn new(talks: bool) -> Self {
        World {
            rings: [const { Runq::new() }; 3],
            fires: Cell::new(None),
            talks,
            asked: RefCell::default(),
            rounds: Cell::new(0),
        }
    }
    fn of(&self, cpu: usize) -> Owner<'_, G> {
        self.rings[cpu].owner()
    }
    fn steals(&self, wanted: &'static G) {
        assert!(matches!(steal_work(self), Found::Stolen(g) if core::ptr::eq(g, wanted)));
    }
}

fn g() -> &'static G {
    leak(G::new())
}

#[test]
fn a_ring_goes_before_any_runnext() {
    let (world, next, queued) = (World::new(false), g(), g());
    assert!(world.of(2).swap_next(next).is_none());
    assert!(world.of(1).put(queued).is_none());
    world.steals(queued);
    assert_eq!(*world.asked.borrow(), []);
    world.steals(next);
    assert_eq!(world.rounds.get(), 1 + STEAL_ROUNDS);
}

#[test]
fn what_a_timer_readies_is_taken() {
    let (world, readied) = (World::new(false), g());
    world.fires.set(Some(readied));
    world.steals(readied);
    assert_eq!(*world.asked.borrow(), [("timers", 2)]);
}

#[test]
fn a_runnext_is_left_to_those_who_talk() {
    let (world, next) = (World::new(true), g());
    assert!(world.of(1).swap_next(next).is_none());
    assert!(matches!(steal_work(&world), Found::HandOvers));
    assert_eq!(*world.asked.borrow(), [("timers", 2), ("timers", 1), ("talks", 1)]);
    assert!(world.queue(1).runnext().is_some());
}

#[test]
fn where_nothing_is_all_are_asked_in_each_round() {
    let world = World::new(false);
    assert!(matches!(steal_work(&world), Found::Nothing));
    assert_eq!(*world.asked.borrow(), [("timers", 2), ("timers", 1)]);
    assert_eq!(world.rounds.get(), STEAL_ROUNDS);
}
