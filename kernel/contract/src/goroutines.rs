//! Checks that need goroutines: while one lasts its caller is a goroutine, and CPU 0 schedules,
//! alone.

use super::{MS, SOON, Verdict, expect, stack};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hint::black_box;
use executive::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use executive::kit::{self, put, take_off};
use executive::machine::{self, now};
use executive::{go, yield_now};

/// The contract's least for a g0 stack.
const G0_STACK_BYTES: usize = 64 * 1024;

/// Calls `ask` as a goroutine, on the caller's stack. CPU 0's g0 gets a stack of its own meanwhile.
fn as_goroutine(ask: fn() -> Verdict) -> Verdict {
    let g0_stack = stack(G0_STACK_BYTES)?;
    // SAFETY: the questions run on CPU 0, on g0, and this is the first that makes goroutines.
    let verdict = unsafe { kit::as_goroutine(g0_stack, ask) };
    super::free(g0_stack);
    verdict
}

/// Spins, and lets the other goroutines run, until it holds; `false` when that isn't soon.
fn soon(mut holds: impl FnMut() -> bool) -> bool {
    let until = now() + SOON;
    while !holds() {
        if now() > until {
            return false;
        }
        yield_now();
    }
    true
}

/// How often the allocating goroutine is preempted. Where it is at that time is chance.
const PREEMPTIONS: u32 = 50;
/// A goroutine that has not been preempted for so long (ns), beside one that waits, never will be.
const NOT_PREEMPTED: u64 = 500 * MS;

/// How often the asker has run.
static TURNS: AtomicU32 = AtomicU32::new(0);
/// How often the other goroutine was told to allocate, and how often it has.
static TOLD: AtomicU32 = AtomicU32::new(0);
static DONE: AtomicU32 = AtomicU32::new(0);
static OVER: AtomicBool = AtomicBool::new(false);

/// Allocates, reallocates, and gives all of it back.
fn allocate() {
    let mut boxes = Vec::new();
    for n in 0..32usize {
        boxes.push(Box::new([n; 8]));
    }
    black_box(boxes);
}

/// Allocates until it is told to end, or until it is sure that this machine preempts nobody.
fn allocate_always() {
    let (mut turns, mut since) = (TURNS.load(Relaxed), now());
    while !OVER.load(Relaxed) && now() - since < NOT_PREEMPTED {
        allocate();
        if turns != TURNS.load(Relaxed) {
            (turns, since) = (TURNS.load(Relaxed), now());
        }
    }
}

/// Allocates once each time that it is told to.
fn allocate_when_told() {
    while !OVER.load(Relaxed) {
        if DONE.load(Relaxed) != TOLD.load(Relaxed) {
            allocate();
            DONE.store(TOLD.load(Relaxed), Relaxed);
        }
        yield_now();
    }
}

/// One goroutine allocates all the time, and is preempted. While it is held back, another must be
/// able to allocate: on g0, where the scheduler allocates, it could only spin for ever.
fn another_can_allocate() -> Verdict {
    let (holder, other) = (go(allocate_always), go(allocate_when_told));
    let mut verdict = Ok(());
    let (mut preemptions, until) = (0, now() + SOON);
    while preemptions < PREEMPTIONS && !holder.is_finished() && verdict.is_ok() {
        TURNS.fetch_add(1, Relaxed);
        yield_now();
        if let Some(held_back) = take_off(holder.id()) {
            preemptions += 1;
            TOLD.fetch_add(1, Relaxed);
            if !soon(|| DONE.load(Relaxed) == TOLD.load(Relaxed)) {
                verdict = Err("who was preempted in it has kept it from others");
            }
            put(held_back);
        } else if now() > until {
            verdict = Err("nobody was seen preempted in it");
        }
    }
    OVER.store(true, Relaxed);
    holder.join();
    other.join();
    verdict
}

pub(super) fn the_allocators_holder_is_not_preempted() -> Verdict {
    as_goroutine(another_can_allocate)
}

/// Counts its drops.
struct Counts<'a>(&'a AtomicU32);
impl Drop for Counts<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
        yield_now();
    }
}

fn raises(frames: u32, dropped: &AtomicU32, went_on: &AtomicBool) {
    let _counts = Counts(dropped);
    if frames == 0 {
        drop(machine::raise(Box::new(7u32), false));
        went_on.store(true, Relaxed);
    } else {
        raises(frames - 1, dropped, went_on);
        black_box(frames);
    }
}

fn catches() -> Verdict {
    let (dropped, went_on) = (AtomicU32::new(0), AtomicBool::new(false));
    if machine::catch(&mut || drop(Counts(&dropped))).is_some() {
        return Err("it caught something that nobody raised");
    }
    for round in 1..=3 {
        let caught = machine::catch(&mut || raises(9, &dropped, &went_on));
        if went_on.load(Relaxed) || caught.is_none() {
            return Err("a raise came back");
        }
        let value = caught.and_then(|value| value.downcast::<u32>().ok());
        expect(value.is_some_and(|value| *value == 7), "it caught another value")?;
        expect(dropped.load(Relaxed) == 1 + 10 * round, "not all was dropped, or not once")?;
    }
    Ok(())
}

pub(super) fn what_is_raised_comes() -> Verdict {
    as_goroutine(|| go(catches).join())
}
