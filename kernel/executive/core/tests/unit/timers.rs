//! The timer heap against a sorted list.
use super::{Random, Story, rounds, std};
use crate::ground::machine::NEVER;
use crate::nouns::timers::{Timer, Timers};
use core::cell::RefCell;
use std::boxed::Box;
use std::vec::Vec;

/// What fired, in order. Each timer carries its log and its number.
struct Tag {
    log: *const RefCell<Vec<usize>>,
    id: usize,
    again: u64,
}

unsafe fn fire(timer: *const Timer, now: u64) -> Option<u64> {
    // SAFETY: the test keeps the tag and the log.
    let tag = unsafe { &*(*timer).arg.get().cast::<Tag>() };
    // SAFETY: as above.
    unsafe { &*tag.log }.borrow_mut().push(tag.id);
    (tag.again != 0).then(|| now + tag.again)
}

fn timer(log: &RefCell<Vec<usize>>, id: usize, again: u64) -> Box<Timer> {
    let tag: *const Tag = super::leak(Tag { log, id, again });
    // SAFETY: `fire` expects a tag that is alive.
    Box::new(unsafe { Timer::new(fire, tag.cast()) })
}

/// The later seeds take more steps, so that the first that fails tells a short story.
#[test]
fn any_mix_of_add_remove_and_run_is_as_sorted() {
    for seed in 0..rounds(300) as u64 {
        let (mut random, mut story) = (Random::new(seed), Story::new(seed));
        let (log, heap) = (RefCell::new(Vec::new()), Timers::new());
        let timers: Vec<_> = (0..64).map(|id| timer(&log, id, 0)).collect();
        let mut model: Vec<(u64, usize)> = Vec::new();
        let mut now = 0;
        for _ in 0..3 + seed {
            let id = random.below(timers.len());
            let there = model.iter().position(|&(_, other)| other == id);
            match (random.below(5), there) {
                (0..=2, None) => {
                    let when = now + 1 + random.next() % 1000;
                    story.step(format_args!("timer {id} is added for {when}"));
                    // SAFETY: it is in no heap, and boxed.
                    unsafe { heap.add(0, &timers[id], when) };
                    model.push((when, id));
                }
                (3, there) => {
                    story.step(format_args!("timer {id} is removed, if it is there"));
                    assert_eq!(
                        heap.remove(0, &timers[id]),
                        Some(there.is_some()),
                        "was timer {id} there?"
                    );
                    there.map(|at| model.swap_remove(at));
                }
                (4, _) => {
                    now += random.next() % 200;
                    story.step(format_args!("it is {now}: what is due fires"));
                    let mut due: Vec<_>;
                    (due, model) = model.into_iter().partition(|&(when, _)| when <= now);
                    due.sort();
                    let count = heap.run(now);
                    let fired: Vec<_> = log.borrow_mut().drain(..).collect();
                    // In order of deadlines; among equals any.
                    let when = |id| due.iter().find(|d| d.1 == id).map_or(NEVER, |d| d.0);
                    let mut fired: Vec<_> = fired.into_iter().map(|id| (when(id), id)).collect();
                    let in_order = fired.is_sorted_by_key(|fired| fired.0);
                    assert!(
                        in_order,
                        "(when, timer) of what fired: {fired:?}, of what was due: {due:?}"
                    );
                    fired.sort();
                    assert_eq!(fired, due, "which (when, timer) fire?");
                    assert_eq!(count, due.len(), "how many does it say that it fired?");
                }
                _ => {}
            }
            let earliest = model.iter().map(|&(when, _)| when).min().unwrap_or(NEVER);
            assert_eq!(heap.next(), earliest, "when is the earliest due?");
            assert_eq!(heap.len(), model.len(), "how many are there?");
        }
        for (id, timer) in timers.iter().enumerate() {
            story.step(format_args!("timer {id} is removed, if it is there"));
            let there = model.iter().any(|&(_, other)| other == id);
            assert_eq!(heap.remove(0, timer), Some(there), "was timer {id} there?");
        }
    }
}

#[test]
fn a_ticker_comes_back_until_removed() {
    let (log, heap) = (RefCell::new(Vec::new()), Timers::new());
    let ticker = timer(&log, 7, 10);
    // SAFETY: boxed, and in no heap.
    unsafe { heap.add(0, &ticker, 10) };
    assert_eq!((heap.run(9), heap.next()), (0, 10));
    assert_eq!((heap.run(10), heap.next()), (1, 20));
    assert_eq!((heap.run(35), heap.next()), (1, 45)); // late: once, and from now on
    assert_eq!((heap.remove(0, &ticker), heap.remove(0, &ticker)), (Some(true), Some(false)));
    assert_eq!((heap.run(1000), heap.next(), log.borrow().len()), (0, NEVER, 2));
}

#[test]
fn more_are_due_than_fire_in_one_hold() {
    let (log, heap) = (RefCell::new(Vec::new()), Timers::new());
    let timers: Vec<_> = (0..1000).map(|id| timer(&log, id, 0)).collect();
    for (id, timer) in timers.iter().enumerate() {
        // SAFETY: boxed, and in no heap.
        unsafe { heap.add(0, timer, (id * 7919 % 1000) as u64) };
    }
    assert_eq!(heap.run(499), 500);
    assert_eq!(heap.run(999), 500);
    let mut expected: Vec<_> = (0..1000).collect();
    expected.sort_by_key(|id| id * 7919 % 1000);
    assert_eq!(*log.borrow(), expected);
}

/// A deadline at the end of time, or beyond it, is one to wait for: it is not taken for "no timer".
#[test]
fn the_end_of_time_is_a_time() {
    let (log, heap) = (RefCell::new(Vec::new()), Timers::new());
    let (sleeper, ticker) = (timer(&log, 1, 0), timer(&log, 2, NEVER - 10));
    // SAFETY: boxed, and in no heap.
    unsafe { heap.add(0, &sleeper, NEVER) };
    assert_eq!(heap.next(), NEVER - 1);
    // SAFETY: as above.
    unsafe { heap.add(0, &ticker, 10) };
    // It comes back for NEVER.
    assert_eq!((heap.run(10), heap.len(), heap.next()), (1, 2, NEVER - 1));
    assert_eq!((heap.remove(0, &ticker), heap.remove(0, &sleeper)), (Some(true), Some(true)));
    assert_eq!((heap.next(), heap.len()), (NEVER, 0));
}

#[test]
fn moved_timers_are_in_the_other_heap_and_fire_in_order() {
    let (log, from, to) = (RefCell::new(Vec::new()), Timers::new(), Timers::new());
    let timers: Vec<_> = (0..6).map(|id| timer(&log, id, 0)).collect();
    for (id, when) in [50, 10, 30, 20, 40, 60].into_iter().enumerate() {
        // SAFETY: it is in no heap, and boxed.
        unsafe {
            if id % 2 == 0 { from.add(3, &timers[id], when) } else { to.add(0, &timers[id], when) }
        };
    }
    from.move_to(&to, 0);
    assert_eq!((from.next(), from.len(), to.next(), to.len()), (NEVER, 0, 10, 6));
    assert!(timers.iter().all(|timer| timer.cpu() == 0));
    assert_eq!(from.remove(3, &timers[2]), None, "it is not here any more");
    assert_eq!(to.remove(0, &timers[2]), Some(true));
    assert_eq!(to.run(100), 5);
    assert_eq!(*log.borrow(), [1, 3, 4, 0, 5]);
}
