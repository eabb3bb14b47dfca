//! What a timer wheel promises, and the goroutine that serves one.
//!
//! The wheel's time is a number, so nothing here waits for it. What sleeps by the machine's clock
//! is asked that it does not come early, and that it comes.

use executive::chan::TryRecvError;
use executive::g::WaitReason;
use executive::join::{Builder, JoinHandle};
use executive::time::{Duration, Instant};
use executive::{chan, go, yield_now};
use timers::alarms::{Alarms, Full};
use timers::wheel::{Handle, Wheel};

fn main() {
    harness::answer(&[
        ("a_timer_fires_once", a_timer_fires_once),
        ("nothing_comes_early", nothing_comes_early),
        ("all_that_are_due_come", all_that_are_due_come),
        ("later_rounds_wait", later_rounds_wait),
        ("what_is_stopped_is_given_back", what_is_stopped_is_given_back),
        ("an_old_handle_stops_nobody", an_old_handle_stops_nobody),
        ("a_full_wheel_gives_back", a_full_wheel_gives_back),
        ("a_long_pause_is_no_work", a_long_pause_is_no_work),
        ("next_is_never_late", next_is_never_late),
        ("any_mix_is_as_a_list", any_mix_is_as_a_list),
        ("sleepers_wake", sleepers_wake),
        ("the_server_hears_of_new_sleepers", the_server_hears_of_new_sleepers),
        ("who_computes_delays_nobody", who_computes_delays_nobody),
        ("no_alarm_is_lost", no_alarm_is_lost),
    ]);
}

const TICK: u64 = 10;
type Eight = Wheel<usize, 8, 16>;

fn advance(wheel: &mut Eight, now: u64) -> Vec<usize> {
    let mut fired = Vec::new();
    wheel.advance(now, |what| fired.push(what));
    fired.sort_unstable();
    fired
}

fn a_timer_fires_once() {
    let mut wheel = Eight::new(TICK);
    assert_eq!(advance(&mut wheel, 5), []);
    wheel.start(30, 7).unwrap();
    assert_eq!(advance(&mut wheel, 29), []);
    assert_eq!(advance(&mut wheel, 30), [7]);
    assert_eq!(advance(&mut wheel, 30), []);
    assert_eq!(advance(&mut wheel, 1000), []);
    assert_eq!(wheel.next(), None);
}

/// Time is rounded up, not down.
fn nothing_comes_early() {
    for deadline in 1..=200 {
        let mut wheel = Eight::new(TICK);
        wheel.start(deadline, 1).unwrap();
        let due = deadline.div_ceil(TICK) * TICK;
        for now in 0..due {
            assert_eq!(advance(&mut wheel, now), [], "at {now}, for {deadline}");
        }
        assert_eq!(advance(&mut wheel, due), [1], "at {due}, for {deadline}");
    }
}

/// However far time has gone on, and also what was due when it was started.
fn all_that_are_due_come() {
    for step in [1, TICK, 3 * TICK, 7 * TICK, 8 * TICK, 9 * TICK, 100 * TICK] {
        let mut wheel = Eight::new(TICK);
        advance(&mut wheel, 500);
        (0..12).for_each(|n| drop(wheel.start(500 + step - n as u64 % step, n).unwrap()));
        let due = (500 + step).next_multiple_of(TICK);
        assert_eq!(advance(&mut wheel, due), Vec::from_iter(0..12), "{step} ns on");
    }
    let mut wheel = Eight::new(TICK);
    advance(&mut wheel, 1005);
    (0..10).for_each(|n| drop(wheel.start(100 * n as u64, n).unwrap()));
    assert_eq!(advance(&mut wheel, 1005), Vec::from_iter(0..10), "which had passed before");
    wheel.start(3, 1).unwrap();
    assert_eq!(advance(&mut wheel, 0), [1], "time does not go back");
}

/// What is due a round later lies in the same slot.
fn later_rounds_wait() {
    let mut wheel = Eight::new(TICK);
    (0..10).for_each(|n| drop(wheel.start(30 + 8 * TICK * n as u64, n).unwrap()));
    for n in 0..10 {
        let due = 30 + 8 * TICK * n as u64;
        assert_eq!(advance(&mut wheel, due - 1), []);
        assert_eq!(advance(&mut wheel, due), [n]);
    }
}

fn what_is_stopped_is_given_back() {
    let mut wheel = Eight::new(TICK);
    let timers: Vec<_> = (0..9).map(|n| wheel.start(40 + n as u64 % 3, n).unwrap()).collect();
    for n in [4, 0, 8, 3] {
        assert_eq!(wheel.stop(timers[n]), Some(n));
        assert_eq!(wheel.stop(timers[n]), None, "stopped twice");
    }
    assert_eq!(advance(&mut wheel, 50), [1, 2, 5, 6, 7]);
    timers.into_iter().for_each(|timer| assert_eq!(wheel.stop(timer), None, "it has fired"));
    assert_eq!(wheel.next(), None);
}

/// Somebody else has its place.
fn an_old_handle_stops_nobody() {
    let mut wheel = Eight::new(TICK);
    let mut old: Vec<Handle> = Vec::new();
    for round in 1..50 {
        let deadline = 20 * TICK * round;
        let new: Vec<_> = (0..16).map(|n| wheel.start(deadline, n).unwrap()).collect();
        for handle in &old {
            assert!(!new.contains(handle), "two timers have one handle");
            assert_eq!(wheel.stop(*handle), None, "of an earlier round");
        }
        old.extend(&new);
        for n in (0..16).step_by(3) {
            assert_eq!(wheel.stop(new[n]), Some(n));
        }
        let rest: Vec<_> = (0..16).filter(|n| n % 3 != 0).collect();
        assert_eq!(advance(&mut wheel, deadline), rest);
    }
}

fn a_full_wheel_gives_back() {
    let mut wheel = Eight::new(TICK);
    for round in 0..5 {
        let timers: Vec<_> = (0..16).map(|n| wheel.start(50, n).unwrap()).collect();
        assert_eq!(wheel.start(50, 99), Err(99));
        assert_eq!(wheel.stop(timers[5]), Some(5));
        wheel.start(60, 100).expect("a stopped one makes room");
        assert_eq!(wheel.start(50, 99), Err(99));
        let mut fired = advance(&mut wheel, 1000 * (round + 1));
        assert_eq!((fired.len(), fired.pop()), (16, Some(100)), "and so do those that have fired");
    }
}

/// A computer that was closed for a year does not count its ticks.
fn a_long_pause_is_no_work() {
    let mut wheel: Wheel<usize, 8, 16> = Wheel::new(1);
    for year in 1..100u64 {
        let now = year << 55;
        wheel.start(now - 1, 1).unwrap();
        wheel.start(now + 1, 2).unwrap();
        assert_eq!(advance(&mut wheel, now), [1]);
        assert_eq!(advance(&mut wheel, now + 1), [2]);
    }
    wheel.start(u64::MAX, 3).unwrap();
    assert_eq!(advance(&mut wheel, u64::MAX - 1), []);
    assert_eq!(advance(&mut wheel, u64::MAX), [3]);
}

/// Who follows it comes to each timer in time, and does not stand still.
fn next_is_never_late() {
    for deadline in (1..600).step_by(7) {
        let mut wheel = Eight::new(TICK);
        advance(&mut wheel, 105);
        wheel.start(105 + deadline, 1).unwrap();
        wheel.start(105 + 2 * deadline, 2).unwrap();
        let (mut now, mut steps, mut left) = (105, 0, 2);
        while left > 0 {
            let next = wheel.next().expect("there is a timer");
            let first = 105 + if left == 2 { deadline } else { 2 * deadline };
            let due = first.div_ceil(TICK) * TICK;
            assert!(next <= due, "at {now}: {next} is too late for {due}");
            assert!(next > now, "at {now}: {next} is no progress");
            now = next;
            left -= advance(&mut wheel, now).len();
            steps += 1;
            assert!(steps < 1000, "it gets nowhere");
        }
        assert_eq!(wheel.next(), None);
        wheel.start(now.saturating_sub(50), 3).unwrap();
        assert!(wheel.next().is_some_and(|next| next <= now), "one is due already");
    }
}

/// Compared with a list that is looked through each time.
fn any_mix_is_as_a_list() {
    for seed in 1..200u64 {
        let mut state = seed;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        let (mut wheel, mut list, mut now) = (Eight::new(TICK), Vec::new(), 0);
        for n in 0..300 {
            match random(4) {
                0 | 1 => match wheel.start(now + random(300), n) {
                    Ok(handle) => list.push((n, handle)),
                    Err(back) => assert_eq!((back, list.len()), (n, 16), "it is full, or is not"),
                },
                2 if !list.is_empty() => {
                    let (what, handle) = list.swap_remove(random(list.len() as u64) as usize);
                    assert_eq!(wheel.stop(handle), Some(what));
                }
                _ => {
                    now += random(120);
                    for what in advance(&mut wheel, now) {
                        let at = list.iter().position(|(other, _)| *other == what);
                        list.swap_remove(at.expect("it was started, and fires once"));
                    }
                }
            }
        }
        let rest = advance(&mut wheel, now + 400);
        list.sort_unstable_by_key(|(what, _)| *what);
        assert_eq!(rest, Vec::from_iter(list.iter().map(|(what, _)| *what)), "the rest");
    }
}

// --- by the machine's clock

fn served(alarms: &'static Alarms) -> JoinHandle<()> {
    Builder::new().system("server").spawn(|| -> () { alarms.serve() }).expect("there is memory")
}

fn until_it_waits<T>(one: &JoinHandle<T>, reason: WaitReason) {
    while one.waiting() != Some(reason) {
        assert!(!one.is_finished(), "it has gone on, and should have waited");
        yield_now();
    }
}

fn in_ms(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms)
}

fn in_an_hour() -> Instant {
    in_ms(3_600_000)
}

/// Not early, and parked meanwhile; and so is the server.
fn sleepers_wake() {
    static ALARMS: Alarms = Alarms::new();
    let server = served(&ALARMS);
    until_it_waits(&server, WaitReason::Monitor);
    for round in 0..3 {
        let sleepers = (0..20u64).map(|n| {
            go(move || {
                let deadline = in_ms((n * 7 + round) % 20);
                assert_eq!(ALARMS.sleep_until(deadline), Ok(()));
                assert!(Instant::now() >= deadline, "it was woken early");
            })
        });
        sleepers.collect::<Vec<_>>().into_iter().for_each(JoinHandle::join);
        until_it_waits(&server, WaitReason::Monitor);
    }
    let long: Vec<_> = (0..100).map(|_| go(|| ALARMS.sleep_until(in_an_hour()))).collect();
    long.iter().for_each(|sleeper| until_it_waits(sleeper, WaitReason::Sleep));
    until_it_waits(&server, WaitReason::Monitor);
    assert_eq!(ALARMS.sleep_until(in_ms(1)), Err(Full));
}

/// It sleeps until somebody comes; and then until an hour from now, or for as long as its wheel is
/// sure that nothing is due.
fn the_server_hears_of_new_sleepers() {
    static ALARMS: Alarms = Alarms::new();
    let server = served(&ALARMS);
    for _ in 0..5 {
        until_it_waits(&server, WaitReason::Monitor);
        assert_eq!(ALARMS.sleep_until(in_ms(1)), Ok(()));
    }
    let long = go(|| ALARMS.sleep_until(in_an_hour()));
    until_it_waits(&long, WaitReason::Sleep);
    for _ in 0..5 {
        until_it_waits(&server, WaitReason::Monitor);
        assert_eq!(ALARMS.sleep_until(in_ms(1)), Ok(()));
    }
    assert!(!long.is_finished(), "an hour has not passed");
}

/// A loop that only asks whether it shall end is preempted when a timer is due.
fn who_computes_delays_nobody() {
    static ALARMS: Alarms = Alarms::new();
    served(&ALARMS);
    let (tx, rx) = chan::<()>(1);
    let computes = (0..5).map(|_| {
        let rx = rx.clone();
        go(move || {
            let mut turns = 0u64;
            while rx.try_recv() == Err(TryRecvError::Empty) {
                turns += 1;
            }
            turns
        })
    });
    let computes: Vec<_> = computes.collect();
    for _ in 0..5 {
        assert_eq!(ALARMS.sleep_until(in_ms(1)), Ok(()));
    }
    drop(tx);
    computes.into_iter().for_each(|computes| drop(computes.join()));
}

/// Who was woken comes again while the server is on its way to sleep. If it is not seen then, all
/// sleep for ever, which the executive tells.
fn no_alarm_is_lost() {
    static ALARMS: Alarms = Alarms::new();
    served(&ALARMS);
    for round in 0..60 {
        let other = go(move || ALARMS.sleep_until(in_ms(round % 3)));
        for ms in [3, 1, 0, 2] {
            let deadline = in_ms(ms);
            assert_eq!(ALARMS.sleep_until(deadline), Ok(()));
            assert!(Instant::now() >= deadline, "it was woken early");
        }
        assert_eq!(other.join(), Ok(()));
    }
}
