//! Note, idle, the joiner's and the line's word, one thread at a time: their meaning. Their
//! orderings are the models' (tests/loom_*.rs).
use super::services::lineword::{LineWord, Wait};
use super::services::readers::{Entered, Readers};
use super::{Random, leak, rounds, std};
use crate::ground::atomic::{AtomicU32, Ordering::Relaxed};
use crate::ground::machine::NEVER;
use crate::ground::param::MAX_CPUS;
use crate::nouns::g::{G, Status};
use crate::nouns::idle::{Idle, Stopping};
use crate::nouns::joiner::{Ended, Joiner};
use crate::tools::note::{Note, Sleeper};
use std::{vec, vec::Vec};

#[derive(Default)]
struct Counts {
    waits: AtomicU32,
    wakes: AtomicU32,
}

impl Sleeper for Counts {
    fn wait(&self, word: &AtomicU32, expect: u32, _: u64) {
        assert_eq!(word.load(Relaxed), expect, "it would not sleep");
        self.waits.fetch_add(1, Relaxed);
    }
    fn wake(&self, _: &AtomicU32) {
        self.wakes.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_note_wakes_once_and_a_woken_one_does_not_sleep() {
    let (note, machine) = (Note::new(), Counts::default());
    assert!(!note.sleep(&machine, NEVER), "the machine returned early");
    assert!(note.wakeup(&machine) && !note.wakeup(&machine));
    assert!(note.woken() && note.sleep(&machine, NEVER));
    assert_eq!((machine.waits.load(Relaxed), machine.wakes.load(Relaxed)), (1, 1));
    note.clear();
    assert!(!note.woken());
}

#[test]
fn one_searcher_is_woken_at_a_time() {
    let idle = Idle::new();
    assert_eq!(idle.wakep(), None, "nobody is idle");
    for cpu in [0, 63, 64, MAX_CPUS - 1] {
        idle.go_idle(cpu, false);
    }
    assert_eq!(idle.idle_count(), 4);
    let first = idle.wakep().expect("four are idle");
    assert_eq!((idle.searching(), idle.wakep()), (1, None));
    let (more, no_more) = (Sources(true), Sources(false));
    assert!(idle.found_work(&more), "the last searcher, and there is more");
    let second = idle.wakep().expect("three are idle");
    assert_ne!(first, second);
    assert!(!idle.take_back(first) && idle.take_back(MAX_CPUS - 1));
    assert_eq!(idle.idle_count(), 1);
    idle.start_searching();
    assert!(!idle.found_work(&more), "the other still searches");
    assert!(!idle.found_work(&no_more), "the last, and there is no more");
    assert_eq!(idle.searching(), 0);
}

/// A CPU, and whether any source has work.
struct Sources(bool);

impl Stopping for Sources {
    fn is_off(&self) -> bool {
        false
    }
    fn has_own_work(&self) -> bool {
        false
    }
    fn has_work(&self, _: bool) -> bool {
        self.0
    }
    fn will_sleep(&self, _: bool, _: bool) {}
    fn sleep(&self, _: bool) -> bool {
        true
    }
    fn await_wakeup(&self) {}
}

#[test]
fn the_busy_are_everyone_else_once() {
    let mut random = Random::new(1);
    for cpus in [1, 2, 5, 63, 64, 65, 128, 130, MAX_CPUS] {
        let (idle, mut busy) = (Idle::new(), vec![true; cpus]);
        for _ in 0..rounds(50) {
            let cpu = random.next() as usize % cpus;
            busy[cpu] = !busy[cpu];
            if !busy[cpu] {
                idle.go_idle(cpu, false);
            } else {
                assert!(idle.take_back(cpu));
            }
            let first = random.next() as usize % cpus;
            let expected: Vec<_> = (first..cpus).chain(0..first).filter(|&cpu| busy[cpu]).collect();
            assert_eq!(
                idle.busy(cpus, first).collect::<Vec<_>>(),
                expected,
                "{cpus} CPUs, from {first} on"
            );
        }
    }
}

#[test]
fn at_most_half_of_the_busy_search() {
    let idle = Idle::new();
    assert!(idle.may_search(4) && idle.may_search(4) && !idle.may_search(4));
    idle.go_idle(0, true);
    idle.go_idle(1, true);
    // Two are busy.
    assert!(idle.may_search(4) && !idle.may_search(4));
}

#[test]
fn a_cpu_can_be_wanted_by_name() {
    let idle = Idle::new();
    assert!(!idle.wake_this(5));
    idle.go_idle(5, false);
    idle.go_idle(6, false);
    assert!(idle.wake_this(5) && !idle.wake_this(5));
    assert_eq!((idle.searching(), idle.idle_count()), (1, 1));
}

#[test]
fn all_idle_with_nothing_to_come_is_dead() {
    let idle = Idle::new();
    idle.go_idle(0, false);
    assert!(!idle.is_dead(2, || false), "one is busy");
    idle.go_idle(1, false);
    assert!(!idle.is_dead(2, || true));
    assert!(idle.is_dead(2, || false));
    let there_and_back = || {
        assert!(idle.take_back(0));
        idle.go_idle(0, false);
        false
    };
    assert!(!idle.is_dead(2, there_and_back), "somebody worked meanwhile");
}

#[test]
fn who_comes_second_frees() {
    let waiting = leak(0u32);
    let joined = Joiner::new();
    assert!(!joined.has_ended() && joined.wait(waiting));
    assert!(matches!(joined.end(), Ended::Awaited(found) if core::ptr::eq(found, waiting)));
    assert!(joined.has_ended());

    let late = Joiner::<u32>::new();
    assert!(matches!(late.end(), Ended::NotYetAwaited));
    assert!(late.has_ended() && !late.wait(waiting), "no need to wait");

    let dropped = Joiner::<u32>::new();
    assert!(!dropped.detach() && dropped.is_detached());
    assert!(matches!(dropped.end(), Ended::Detached));

    let dropped_late = Joiner::<u32>::new();
    assert!(matches!(dropped_late.end(), Ended::NotYetAwaited));
    assert!(dropped_late.detach(), "the handle frees it");

    let reused = Joiner::<u32>::new();
    let _ = reused.end();
    reused.begin(true);
    assert!(reused.is_detached() && !reused.has_ended());
}

#[test]
fn a_line_keeps_one_interrupt() {
    let (line, g) = (LineWord::new(), leak(0u32));
    assert!(line.raise().is_none() && line.raise().is_none());
    assert!(line.take() && !line.take());
    assert!(line.raise().is_none());
    assert_eq!(line.wait(g), Wait::Came);
    assert_eq!(line.wait(g), Wait::Waits);
    assert_eq!(line.wait(g), Wait::Already);
    assert_eq!(line.wait(leak(1)), Wait::Taken);
    assert!(line.raise().is_some_and(|waiting| core::ptr::eq(waiting, g)));
    assert!(!line.take());
}

#[test]
#[should_panic(expected = "ready: goroutine is not waiting")]
fn a_status_that_is_not_as_thought_throws() {
    G::new().set_status(Status::Waiting, Status::Runnable, "ready: goroutine is not waiting");
}

#[test]
fn what_a_subtraction_left_is_in_the_flags() {
    use crate::ground::atomic::sub_release;
    use core::cmp::Ordering::{Equal, Greater, Less};
    for (value, left) in [
        (1, Equal),
        (5, Greater),
        (1 << 31 | 1, Less),
        (1 << 31, Greater), // overflows as an i32, and is positive all the same
        (0u32, Less),
    ] {
        let word = AtomicU32::new(value);
        assert_eq!(
            (sub_release::<1>(&word), word.load(Relaxed)),
            (left, value.wrapping_sub(1)),
            "{value:#x} - 1"
        );
    }
}

/// Guards can be forgotten. One reader too many is told so, and no writer is let in beside those
/// before.
#[test]
fn a_reader_too_many_is_refused() {
    let words = Readers::new();
    let entered: Vec<_> = (0..5).map(|_| words.enter()).collect();
    assert_eq!(entered[..4], [Entered::Reads; 4]);
    assert_eq!(entered[4], Entered::TooMany);
    assert!(!words.try_enter() && !words.leave());
    assert!(!words.try_enter() && !words.try_begin_write());
    assert!(!words.begin_write());
    assert_eq!((words.enter(), words.try_enter()), (Entered::Waits, false));
    // The last lets the writer in.
    assert_eq!([(); 4].map(|()| words.leave()), [false, false, false, true]);
    assert_eq!((words.end_write(), words.leave()), (1, false));
    assert!(words.try_begin_write());
}
