//! Models of a P's queue: the owner, thieves, runnext, and a ring of 4 that is full and wraps.

use super::model::{Item, check, item, leak};
use crate::nouns::runq::{List, Owner, Runq, Thief};
use loom::thread;

fn runq() -> &'static Runq<Item> {
    leak(Runq::new())
}

fn owner(q: &'static Runq<Item>) -> Owner<'static, Item> {
    // PINNED: each model asks once, for the thread that is the owner.
    q.owner()
}

fn put(q: &Owner<'_, Item>, item: &'static Item) {
    item.run();
    assert!(q.put(item).is_none());
}

/// Makes it the next; the one that was goes to the ring.
fn put_next(q: &Owner<'_, Item>, item: &'static Item) -> Option<List<Item>> {
    q.put(q.swap_next(item)?)
}

/// Takes a runnext as thieves do.
fn take_runnext(victim: Thief<'_, Item>) -> Option<&'static Item> {
    victim.runnext().filter(|next| victim.take_runnext(next))
}

/// Runs all that the owner finds; tells how many.
fn drain(q: &Owner<'_, Item>) -> usize {
    core::iter::from_fn(|| q.get()).inspect(|item| item.run()).count()
}

fn run_all(mut batch: List<Item>) -> usize {
    core::iter::from_fn(|| batch.pop_front()).inspect(|item| item.run()).count()
}

/// Steals once into a ring of its own; runs what it got; tells how many.
fn steal(victim: Thief<'static, Item>) -> usize {
    let mine = owner(runq());
    let first = mine.steal_from(victim).inspect(|item| item.run());
    usize::from(first.is_some()) + drain(&mine)
}

/// Owner puts and gets while a thief steals: does each g run once, and see what its maker did?
#[test]
fn each_runs_once() {
    check(|| {
        let q = runq();
        let thief = thread::spawn(move || steal(q.thief()));
        let q = owner(q);
        for id in 0..3 {
            put(&q, item(id));
        }
        let ran = drain(&q) + thief.join().unwrap() + drain(&q);
        assert_eq!(ran, 3);
    });
}

/// Do two thieves and the owner share three?
#[test]
fn two_thieves_share() {
    check(|| {
        let q = runq();
        let mine = owner(q);
        for id in 0..3 {
            put(&mine, item(id));
        }
        let thieves = [(); 2].map(|_| thread::spawn(move || steal(q.thief())));
        let mut ran = drain(&mine);
        for thief in thieves {
            ran += thief.join().unwrap();
        }
        assert_eq!(ran, 3);
    });
}

/// The ring is full: the fifth spills half of it, or finds room that a thief made. Is anything lost
/// or doubled?
#[test]
fn a_full_ring_spills() {
    check(|| {
        let q = runq();
        let mine = owner(q);
        for id in 0..4 {
            put(&mine, item(id));
        }
        let thief = thread::spawn(move || steal(q.thief()));
        let last = item(4);
        last.run();
        let spilled = mine.put(last).map_or(0, run_all);
        let ran = spilled + drain(&mine) + thief.join().unwrap();
        assert_eq!(ran, 5);
    });
}

/// The ring wraps: is a slot used again only after who took from it is done with it?
#[test]
fn slots_are_used_again() {
    check(|| {
        let q = runq();
        let mine = owner(q);
        for id in 0..3 {
            put(&mine, item(id));
        }
        let thief = thread::spawn(move || steal(q.thief()));
        let mut ran = 0;
        for id in 3..6 {
            ran += mine.get().inspect(|item| item.run()).iter().count();
            put(&mine, item(id));
        }
        ran += drain(&mine) + thief.join().unwrap();
        assert_eq!(ran, 6);
    });
}

/// A thief wants the runnext that its owner kicks out, replaces and runs: does each still run once?
#[test]
fn runnext_has_one_winner() {
    check(|| {
        let q = runq();
        let thief = thread::spawn(move || {
            take_runnext(q.thief()).inspect(|item| item.run()).iter().count()
        });
        let q = owner(q);
        for id in 0..2 {
            let item = item(id);
            item.run();
            assert!(put_next(&q, item).is_none());
        }
        q.get().inspect(|item| item.run()).expect("a thief takes one at most");
        let ran = 1 + drain(&q) + thief.join().unwrap();
        assert_eq!(ran, 2);
    });
}

/// A g goes from runnext to the ring: can anyone find the queue empty meanwhile?
#[test]
fn never_empty_on_the_way() {
    check(|| {
        let q = runq();
        let mine = owner(q);
        assert!(put_next(&mine, item(0)).is_none());
        let observer = thread::spawn(move || q.is_empty());
        assert!(put_next(&mine, item(1)).is_none()); // kicks 0 to the ring
        assert!(mine.get_next().is_some_and(|item| item.id == 1));
        assert!(!observer.join().unwrap());
    });
}
