//! Goroutines: birth, life, end. Go spec, "Go statements"; package runtime.

use crate::counter;
use crate::help::{Counted, WaitReason, hog_until, until, until_waits};
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use executive::machine::cpus;
use executive::sync::Barrier;
use executive::time::{Duration, Instant};
use executive::{Builder, SpawnError, chan, current, go, goid, yield_now};

/// What the console's `gs` prints.
fn report() -> Vec<String> {
    let mut lines = Vec::new();
    executive::census::goroutines(usize::MAX, |line| {
        lines.push(alloc::format!("{line}"));
        true
    });
    lines
}

scenarios! { goroutines:

/// `go` does not wait for the function.
fn go_does_not_wait() {
    let (tx, rx) = chan(0);
    let h = go(move || rx.recv());
    tx.send(7).unwrap(); // were it waited for, we would not be here
    assert_eq!(h.join(), Some(7));
}

/// What the function gets is evaluated by the one who says `go`, before it starts.
fn arguments_are_evaluated_by_the_caller() {
    let mut n = 1;
    let h = go(move || n);
    n += 1;
    assert_eq!((h.join(), n), (1, 2));
}

fn all_run() {
    counter!(RAN);
    let handles: Vec<_> = (0..1000).map(|_| go(|| RAN.fetch_add(1, SeqCst))).collect();
    let mut seen: Vec<_> = handles.into_iter().map(|h| h.join()).collect();
    seen.sort();
    assert!(seen.into_iter().eq(0..1000));
}

/// A result is handed over by `join`, whatever its size.
fn join_gives_the_result() {
    assert_eq!(go(|| "small").join(), "small");
    assert_eq!(go(|| [7u64; 500]).join()[499], 7);
    go(|| ()).join();
}

fn join_waits_for_the_end() {
    let (tx, rx) = chan::<()>(0);
    let worker = go(move || rx.recv());
    let joiner = go(move || worker.join());
    until_waits(&joiner, WaitReason::Join);
    drop(tx);
    assert_eq!(joiner.join(), None);
}

fn is_finished_says_so() {
    let (tx, rx) = chan::<()>(0);
    let h = go(move || rx.recv());
    assert!(!h.is_finished());
    drop(tx);
    until(|| h.is_finished());
    h.join();
}

/// A goroutine goes on when the one that started it ends.
fn children_outlive_their_parents() {
    let (tx, rx) = chan(0);
    go(move || drop(go(move || tx.send("alive").unwrap()))).join();
    assert_eq!(rx.recv(), Some("alive"));
}

/// The result of a detached goroutine is dropped, once.
fn a_result_nobody_wants_is_dropped_once() {
    counter!(DROPS);
    for _ in 0..100 {
        drop(go(|| Counted(&DROPS)));
    }
    until(|| DROPS.load(SeqCst) == 100);
    // Dropped after the end, too.
    let h = go(|| Counted(&DROPS));
    until(|| h.is_finished());
    drop(h);
    assert_eq!(DROPS.load(SeqCst), 101);
    drop(go(|| Counted(&DROPS)).join());
    assert_eq!(DROPS.load(SeqCst), 102);
}

/// What a closure captured is dropped when it returns.
fn captures_are_dropped_at_the_end() {
    counter!(DROPS);
    let counted = Counted(&DROPS);
    go(move || {
        let _kept = &counted;
    })
    .join();
    assert_eq!(DROPS.load(SeqCst), 1);
}

fn numbers_are_never_used_twice() {
    let mut ids: Vec<_> = (0..500).map(|_| go(goid).join()).collect();
    ids.extend((0..500).map(|_| go(goid)).collect::<Vec<_>>().into_iter().map(|h| h.join()));
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1000);
    assert!(!ids.contains(&goid()));
}

fn a_goroutine_has_the_name_it_was_given() {
    let h = Builder::new().name("bob").spawn(|| current().name).unwrap();
    assert_eq!(h.join(), Some("bob"));
    assert_eq!(go(|| current().name).join(), None); // a name is not left to the next
}

fn a_stack_has_the_size_it_was_given() {
    #[inline(never)]
    fn depth(n: usize) -> usize {
        let frame = core::hint::black_box([n as u8; 1024]);
        if n == 0 { 0 } else { depth(n - 1) + usize::from(frame[0] == n as u8) }
    }
    let h = Builder::new().stack_bytes(1 << 20).spawn(|| depth(700)).unwrap();
    assert_eq!(h.join(), 700);
}

/// A closure that does not fit is refused, and given up undamaged.
fn a_closure_too_large_for_the_stack_is_refused() {
    counter!(DROPS);
    let (large, counted) = ([0u8; 40_000], Counted(&DROPS));
    let refused = Builder::new().spawn(move || (large[0], drop(counted)));
    assert_eq!(refused.map(drop), Err(executive::SpawnError::StackTooSmall));
    assert_eq!(DROPS.load(SeqCst), 1);
}

/// `yield_now` lets the others run: on one CPU nobody comes back from it before somebody else has
/// run. Go: `Gosched`.
fn yield_lets_others_run() {
    static START: Barrier = Barrier::new(3);
    static TURNS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];
    static ALL_RUN: AtomicBool = AtomicBool::new(true);
    let handles: Vec<_> = (0..3).map(|me| go(move || {
        let all = || TURNS.iter().map(|turns| turns.load(SeqCst)).sum::<usize>();
        let others = || all() - TURNS[me].load(SeqCst);
        START.wait();
        for _ in 0..50 {
            TURNS[me].fetch_add(1, SeqCst);
            let before = others();
            // More than once: another may have come no further than to its own `yield_now`
            // when the timer took its CPU.
            (0..8).for_each(|_| yield_now());
            let let_run = others() > before || !ALL_RUN.load(SeqCst);
            assert!(cpus() > 1 || let_run, "goroutine {me} of 3 yields, and nobody else runs");
        }
        ALL_RUN.store(false, SeqCst);
    })).collect();
    handles.into_iter().for_each(|h| h.join());
}

/// Two that ready each other do not starve a third.
fn a_pair_that_talks_does_not_starve_others() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let (ping, pings) = chan::<()>(0);
    let (pong, pongs) = chan::<()>(0);
    let a = go(move || while pings.recv().is_some() { pong.send(()).unwrap() });
    let b = go(move || while !STOP.load(SeqCst) {
        ping.send(()).unwrap();
        pongs.recv();
    });
    go(|| STOP.store(true, SeqCst)).join();
    b.join();
    a.join();
}

/// A goroutine readied by one that never parks runs nevertheless, if only because that one is
/// preempted or calls the executive. Two that yield on one CPU take turns.
fn yielding_hogs_share() {
    counter!(A);
    counter!(B);
    let hog = |mine: &'static AtomicUsize| while A.load(SeqCst) < 100 || B.load(SeqCst) < 100 {
        let turns = mine.fetch_add(1, SeqCst);
        assert!(cpus() > 1 || turns < 1000, "it yields, and the other one does not run");
        yield_now();
    };
    let (a, b) = (go(move || hog(&A)), go(move || hog(&B)));
    a.join();
    b.join();
}

/// Whoever waits behind one that gives its CPU to nobody gets its turn, whatever the CPU did
/// before: here it has often run dry in the middle of a slice, and was woken at any moment of that.
fn who_waits_behind_a_hog_gets_its_turn() {
    counter!(BEHIND);
    fn hog(until: usize) {
        go(|| BEHIND.fetch_add(1, SeqCst));
        hog_until(|| BEHIND.load(SeqCst) >= until);
    }
    for round in 1..=20 {
        let (tx, rx) = chan(1);
        let other = go(move || {
            rx.iter().for_each(drop::<usize>);
            hog(2 * round);
        });
        (0..20 + round).for_each(|n| tx.send(n).unwrap());
        drop(tx);
        hog(2 * round);
        other.join();
    }
}

/// More yield than a ring holds, so that some are in the global queue: they take turns
/// nevertheless. (With several CPUs a host may stop one of them for long; then that all come to
/// their end is all that can be said.)
fn more_that_yield_than_a_ring_holds_take_turns() {
    const ALL: usize = 600;
    const TURNS: usize = 1000;
    static START: Barrier = Barrier::new(ALL);
    static STOP: AtomicBool = AtomicBool::new(false);
    STOP.store(false, SeqCst); // it may run twice
    let all: Vec<_> = (0..ALL)
        .map(|_| {
            go(|| {
                START.wait(); // whoever yields here finds the others in the queues
                let mut turns = 0;
                while !STOP.load(SeqCst) {
                    turns += 1;
                    if turns == TURNS {
                        STOP.store(true, SeqCst);
                    }
                    yield_now();
                }
                turns
            })
        })
        .collect();
    let fewest = all.into_iter().map(|g| g.join()).min().unwrap();
    let alone = executive::affinity::num_cpus() == 1;
    assert!(!alone || fewest >= TURNS / 2, "{fewest} turns of {TURNS}");
}

fn a_waiting_goroutine_says_for_what() {
    let (tx, rx) = chan::<u8>(0);
    let h = go(move || rx.recv());
    until_waits(&h, WaitReason::ChanReceive);
    let all = report();
    assert!(all.iter().any(|line| line.contains("[chan receive")), "{all:?}");
    drop(tx);
    h.join();
}

/// A stack of any size is made, or refused: not cut, not rounded up to nothing.
fn a_stack_that_cannot_be_is_refused() {
    for (bytes, why) in [
        (0, SpawnError::StackTooSmall),
        (usize::MAX / 2, SpawnError::OutOfMemory),
        (usize::MAX - 4096, SpawnError::OutOfMemory),
        (usize::MAX, SpawnError::OutOfMemory),
    ] {
        assert_eq!(Builder::new().stack_bytes(bytes).spawn(|| ()).map(drop), Err(why), "{bytes}");
    }
}

/// Who waits at the same channel is told with the same id, whoever else waits elsewhere.
fn a_channel_has_one_id_in_every_report() {
    let chans = [chan::<()>(0), chan::<()>(0)];
    let waiters = ["at the first", "at the first, too", "at the second"].map(|name| {
        let rx = chans[usize::from(name == "at the second")].1.clone();
        Builder::new().name(name).spawn(move || rx.recv()).unwrap()
    });
    waiters.iter().for_each(|h| until_waits(h, WaitReason::ChanReceive));
    let lines = report();
    let [first, too, second] = waiters.each_ref().map(|h| {
        let mine = alloc::format!("{} (at the ", h.id());
        let line = lines.iter().find(|line| line.starts_with(&mine));
        let line = line.unwrap_or_else(|| panic!("{lines:?}"));
        let (_, id) = line.split_once("[chan receive 0x").unwrap_or_else(|| panic!("{line}"));
        id.split_once(',').unwrap().0
    });
    assert!(first == too && first != second, "{lines:?}");
    drop(chans);
    waiters.into_iter().for_each(|h| assert_eq!(h.join(), None));
}

/// Goroutines that are alike are told in one line, with their number.
fn those_that_are_alike_share_a_line() {
    let (open, gate) = chan::<()>(0);
    let alike: Vec<_> = (0..100).map(|_| {
        let gate = gate.clone();
        Builder::new().name("alike").spawn(move || gate.recv()).unwrap()
    }).collect();
    alike.iter().for_each(|h| until_waits(h, WaitReason::ChanReceive));
    let mut lines = report();
    lines.retain(|line| line.contains(" (alike) [chan receive 0x"));
    assert!(lines.len() == 1 && lines[0].starts_with("100 @ "), "{lines:?}");
    drop(open);
    alike.into_iter().for_each(|h| assert_eq!(h.join(), None));
}

/// Reports read the names of goroutines that are born and end meanwhile, on other CPUs: whole, or
/// not at all. (A pointer with another name's length would be a name that nobody gave.)
fn a_name_is_seen_whole() {
    const NAMES: [&str; 3] =
        ["~1", "~22", "~ a name that is longer, by far, than any name of any other goroutine"];
    static STOP: AtomicBool = AtomicBool::new(false);
    STOP.store(false, SeqCst); // it may run twice
    let born = |first: usize| go(move || {
        for n in first.. {
            if STOP.load(SeqCst) { break }
            Builder::new().name(NAMES[n % NAMES.len()]).spawn(yield_now).unwrap().join();
        }
    });
    let births: Vec<_> = (0..3).map(born).collect();
    let mut seen = [0; NAMES.len()];
    let enough = if cpus() == 1 { 500 } else { 50_000 }; // on one CPU nobody is born meanwhile
    // A report goes over all g's ever made: in QEMU, among thousands, so many take minutes. There
    // fewer must do, but some of each.
    let begun = Instant::now();
    let will_do = |seen: &[usize]| !seen.contains(&0) && begun.elapsed() > Duration::from_secs(5);
    while seen.iter().sum::<usize>() < enough && !will_do(&seen) {
        for line in report() {
            let Some((_, name)) = line.split_once(" (~") else { continue };
            let name = name.split_once(") [").map_or(name, |(name, _)| name);
            let given = NAMES.iter().position(|given| &given[1..] == name);
            seen[given.unwrap_or_else(|| panic!("nobody gave this name: {line}"))] += 1;
        }
        yield_now();
    }
    STOP.store(true, SeqCst);
    births.into_iter().for_each(|h| h.join());
    assert!(!seen.contains(&0), "{seen:?}");
}

/// Ten thousand at once, and again in the same memory.
fn many_live_at_once_and_their_memory_is_reused() {
    let round = || {
        let (open, gate) = chan::<()>(0);
        let waits = |_| {
            let gate = gate.clone();
            go(move || gate.recv())
        };
        let handles: Vec<_> = (0..2_000).map(waits).collect();
        drop(open);
        handles.into_iter().for_each(|h| assert_eq!(h.join(), None));
    };
    round();
    let before = executive::census::take().stack_bytes;
    round();
    let after = executive::census::take().stack_bytes;
    assert!(after <= before + before / 2, "{before} -> {after}");
}
}

/// These want a run of their own.
pub(crate) const ALONE: &[crate::Scenario] = &[
    ("goroutines::main_is_goroutine_1", main_is_goroutine_1),
    ("goroutines::main_does_not_wait_for_others", main_does_not_wait_for_others),
];

fn main_is_goroutine_1() {
    assert_eq!(goid(), 1);
    assert_eq!(alloc::format!("{}", current()), "1 (main)");
}

/// When main returns the run is over, whatever the others do.
fn main_does_not_wait_for_others() {
    drop(go(|| {
        let (_tx, rx) = chan::<()>(0);
        rx.recv();
        unreachable!()
    }));
    drop(go(|| {
        loop {
            yield_now();
        }
    }));
}
