//! What a gate and an exchanger promise.
//!
//! A goroutine "waits" when it is parked for [`WaitReason::Monitor`]: no claim depends on time.

use executive::g::WaitReason;
use executive::join::JoinHandle;
use executive::sync::WaitGroup;
use executive::{go, yield_now};
use meeting::meet::{Exchanger, Gate};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

fn main() {
    harness::answer(&[
        ("an_open_gate_lets_pass", an_open_gate_lets_pass),
        ("who_waits_is_parked", who_waits_is_parked),
        ("all_who_wait_pass", all_who_wait_pass),
        ("who_waited_passes_a_gate_that_is_shut_again", shut_again),
        ("two_swap", two_swap),
        ("the_first_is_parked", the_first_is_parked),
        ("a_third_waits_for_a_fourth", a_third_waits_for_a_fourth),
        ("each_value_goes_to_one", || each_value_goes_to_one(40, 500)),
        ("what_is_dropped_is_dropped_once", what_is_dropped_is_dropped_once),
        ("no_wake_is_lost", no_wake_is_lost),
    ]);
}

/// Lets others run until all of these wait.
fn until_all_wait<T>(these: &[JoinHandle<T>]) {
    for handle in these {
        loop {
            match handle.waiting() {
                Some(WaitReason::Monitor) => break,
                _ => assert!(!handle.is_finished(), "it has passed, and should have waited"),
            }
            yield_now();
        }
    }
}

fn join(these: Vec<JoinHandle<()>>) {
    these.into_iter().for_each(JoinHandle::join);
}

fn an_open_gate_lets_pass() {
    static GATE: Gate = Gate::new();
    for _ in 0..3 {
        GATE.open();
        GATE.open();
        GATE.pass();
        GATE.pass();
        go(|| GATE.pass()).join();
        GATE.shut();
    }
}

/// It has left its CPU. A gate that is opened and shut makes those wait who come later.
fn who_waits_is_parked() {
    static GATE: Gate = Gate::new();
    for _ in 0..3 {
        let waiting: Vec<_> = (0..3).map(|_| go(|| GATE.pass())).collect();
        until_all_wait(&waiting);
        GATE.open();
        join(waiting);
        GATE.shut();
        GATE.shut();
    }
}

fn all_who_wait_pass() {
    static GATE: Gate = Gate::new();
    for many in [1, 2, 3, 50] {
        let waiting: Vec<_> = (0..many).map(|_| go(|| GATE.pass())).collect();
        until_all_wait(&waiting);
        GATE.open();
        join(waiting);
        GATE.pass();
        GATE.shut();
    }
}

/// Their turn has come when it was opened, whatever becomes of the gate before they run.
fn shut_again() {
    static GATE: Gate = Gate::new();
    for _ in 0..100 {
        let waiting: Vec<_> = (0..5).map(|_| go(|| GATE.pass())).collect();
        until_all_wait(&waiting);
        GATE.open();
        GATE.shut();
        join(waiting);
    }
}

fn two_swap() {
    static PLACE: Exchanger<String> = Exchanger::new();
    for round in 0..100 {
        let other = go(move || PLACE.swap(format!("hers {round}")));
        assert_eq!(PLACE.swap(format!("his {round}")), format!("hers {round}"));
        assert_eq!(other.join(), format!("his {round}"));
    }
}

fn the_first_is_parked() {
    static PLACE: Exchanger<usize> = Exchanger::new();
    for round in 0..10 {
        let first = [go(move || PLACE.swap(round))];
        until_all_wait(&first);
        assert_eq!(PLACE.swap(100 + round), round);
        let [first] = first;
        assert_eq!(first.join(), 100 + round);
    }
}

/// A pair is complete when the second has come, though the first has not run since: on one CPU the
/// third and the fourth, which are new, run before it.
fn a_third_waits_for_a_fourth() {
    static PLACE: Exchanger<usize> = Exchanger::new();
    for _ in 0..100 {
        let first = [go(|| PLACE.swap(1))];
        until_all_wait(&first);
        assert_eq!(PLACE.swap(2), 1, "the second gets the first one's");
        let pair = go(|| {
            let fourth = go(|| PLACE.swap(4));
            (PLACE.swap(3), fourth.join())
        });
        assert_eq!(pair.join(), (4, 3), "the third and the fourth get each other's");
        let [first] = first;
        assert_eq!(first.join(), 2, "the first gets the second one's");
    }
}

/// Everybody swaps one of its own again and again; in the end each value is somewhere, once. Some
/// meet while one that was readied before has yet to run.
fn each_value_goes_to_one(many: usize, rounds: usize) {
    let (place, together) = (Arc::new(Exchanger::new()), Arc::new(WaitGroup::new()));
    let all: Vec<_> = (0..many)
        .map(|n| {
            let (place, together) = (place.clone(), together.clone());
            together.add(1);
            go(move || {
                let mut mine = vec![n];
                for round in 0..rounds {
                    mine = place.swap(mine);
                    if round.is_multiple_of(3) {
                        drop(go(|| ())); // it runs next, and whoever we met after the others
                    }
                    if (n + round).is_multiple_of(5) {
                        yield_now();
                    }
                }
                together.done();
                mine[0]
            })
        })
        .collect();
    // Whoever waits alone at the end is met by us, with what is nobody's.
    let mut left = usize::MAX;
    while all.iter().any(|one| !one.is_finished()) {
        let waits = |one: &JoinHandle<usize>| one.waiting() == Some(WaitReason::Monitor);
        let rest = all.iter().filter(|one| !one.is_finished()).count();
        if rest == 1 && all.iter().any(waits) {
            left = place.swap(vec![left])[0];
        }
        yield_now();
    }
    let mut found: Vec<_> = all.into_iter().map(JoinHandle::join).chain([left]).collect();
    found.retain(|&n| n != usize::MAX);
    found.sort_unstable();
    assert_eq!(found, (0..many).collect::<Vec<_>>(), "of the values 0 to {many}");
}

fn what_is_dropped_is_dropped_once() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct Counts;
    impl Drop for Counts {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, SeqCst);
        }
    }
    let place = Arc::new(Exchanger::new());
    for _ in 0..50 {
        let other = place.clone();
        let other = go(move || drop(other.swap(Counts)));
        drop(place.swap(Counts));
        other.join();
    }
    drop(place);
    assert_eq!(DROPPED.load(SeqCst), 100, "of 100 values");
}

/// The gate is opened while some are on their way to wait. Under a seed's schedule they are
/// preempted there.
fn no_wake_is_lost() {
    for _ in 0..30 {
        let gate = Arc::new(Gate::new());
        let coming = (0..4).map(|_| {
            let gate = gate.clone();
            go(move || gate.pass())
        });
        let coming: Vec<_> = coming.collect();
        yield_now();
        gate.open();
        join(coming);
    }
    each_value_goes_to_one(6, 20);
}
