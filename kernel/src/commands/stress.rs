//! Everything at once: spawn and exit, channels, sleeps, yields, and goroutines that nobody waits for, on all CPUs, again and
//! again. Each part knows the sum that must come out, so whatever is lost or done twice shows; and in the end there are as
//! many goroutines as in the beginning.

use super::{Args, Outcome};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use executive::time::{Instant, sleep};
use executive::{chan, crash, go, yield_now};
use kernel::{frames, println};

pub fn stress(args: &Args) -> Outcome {
    let end = Instant::now() + Duration::from_secs(args.number(0, 1, 5)?);
    let before = crash::census().goroutines;
    let (mut rounds, mut frames_after_first) = (0, 0);
    while Instant::now() < end && !args.stopped() {
        round(rounds).map_err(|what| format!("round {rounds}: {what}"))?;
        rounds += 1;
        if rounds == 1 {
            frames_after_first = frames::counts().1;
        }
    }
    // Those that nobody waits for have done their work, but need a moment to end.
    let patience = Instant::now() + Duration::from_secs(5);
    // (Some of an earlier command may have been counted in `before` for the same reason.)
    while crash::census().goroutines > before {
        if Instant::now() > patience {
            return Err(format!("{} goroutines before, {} after", before, crash::census().goroutines));
        }
        yield_now();
    }
    let more = frames::counts().1 as i64 - frames_after_first as i64;
    println!(
        "{rounds} rounds, every sum right; no goroutine more than before; {more} pages more than after the first round"
    );
    Ok(())
}

/// One of each, all at the same time.
fn round(seed: u64) -> Result<(), String> {
    let parts: Vec<(&str, executive::JoinHandle<bool>)> = alloc::vec![
        ("tree", go(tree)),
        ("crowd", go(crowd)),
        ("sleepers", go(move || sleepers(seed))),
        ("ring", go(ring)),
        ("strays", go(strays)),
        ("deep", go(deep)),
        ("gifts", go(gifts)),
        ("hogs", go(hogs)),
        ("everything that talks", go(talk)),
    ];
    parts.into_iter().try_for_each(|(what, part)| if part.join() { Ok(()) } else { Err(format!("{what} went wrong")) })
}

fn tree() -> bool {
    demos::skynet(1000) == Ok(499_500)
}

/// Many senders, many receivers, one small channel.
fn crowd() -> bool {
    const EACH: u64 = 200;
    const SENDERS: u64 = 8;
    let (tx, rx) = chan::<u64>(3);
    for sender in 0..SENDERS {
        let tx = tx.clone();
        go(move || (sender * EACH..(sender + 1) * EACH).all(|i| tx.send(i).is_ok()));
    }
    drop(tx);
    let receivers: Vec<_> = (0..8)
        .map(|_| {
            let rx = rx.clone();
            go(move || rx.iter().sum::<u64>())
        })
        .collect();
    let all = SENDERS * EACH;
    receivers.into_iter().map(|receiver| receiver.join()).sum::<u64>() == all * (all - 1) / 2
}

/// Nobody wakes early, everybody wakes.
fn sleepers(seed: u64) -> bool {
    let sleepers: Vec<_> = (0..100u64)
        .map(|i| {
            // Up to 2 ms, in an order that is none (Knuth's multiplier).
            let ns = (seed * 100 + i).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 43;
            go(move || {
                let begin = Instant::now();
                sleep(Duration::from_nanos(ns));
                begin.elapsed() >= Duration::from_nanos(ns)
            })
        })
        .collect();
    sleepers.into_iter().fold(true, |right, sleeper| sleeper.join() & right)
}

/// A number goes round a ring of goroutines; each adds one, and yields before it hands it on.
fn ring() -> bool {
    const LAPS: u64 = 20;
    const MEMBERS: u64 = 50;
    let (first, mut last) = chan::<u64>(0);
    for _ in 0..MEMBERS {
        let (tx, next) = chan(0);
        let before = core::mem::replace(&mut last, next);
        go(move || {
            before.iter().all(|n| {
                yield_now();
                tx.send(n + 1).is_ok()
            })
        });
    }
    let lap = |n| {
        first.send(n).ok()?;
        last.recv()
    };
    (0..LAPS).try_fold(0, |n, _| lap(n)) == Some(LAPS * MEMBERS)
}

/// Started and forgotten.
fn strays() -> bool {
    const STRAYS: u64 = 500;
    let count = Arc::new(AtomicU64::new(0));
    let (done, all_done) = chan::<()>(0);
    for i in 0..STRAYS {
        let (count, done) = (count.clone(), done.clone());
        go(move || {
            count.fetch_add(i, Ordering::Relaxed);
            drop(done);
        });
    }
    drop(done);
    all_done.recv(); // `None`: the last is done, and what all added is seen
    count.load(Ordering::Relaxed) == STRAYS * (STRAYS - 1) / 2
}

/// Stacks that grow, on pages that others gave back.
fn deep() -> bool {
    fn down(depth: u64) -> u64 {
        let frame = core::hint::black_box([depth; 64]);
        if depth == 0 { 0 } else { down(depth - 1) + frame[depth as usize % 64] }
    }
    let divers: Vec<_> = (0..20).map(|_| go(|| down(60))).collect();
    divers.into_iter().all(|diver| diver.join() == 60 * 61 / 2)
}

/// Made on one CPU, freed on another.
fn gifts() -> bool {
    let (tx, rx) = chan::<Vec<u64>>(8);
    let receiver = go(move || rx.iter().map(|gift| gift.len() as u64).sum::<u64>());
    for size in 0..200 {
        let _ = tx.send(alloc::vec![size; size as usize]);
    }
    drop(tx);
    receiver.join() == 200 * 199 / 2
}

/// As many as there are CPUs, each longer than a slice: the others go on only by preemption.
fn hogs() -> bool {
    let hogs: Vec<_> = (0..executive::machine::cpus())
        .map(|_| {
            go(|| {
                let begin = Instant::now();
                while begin.elapsed() < Duration::from_millis(12) {}
                true
            })
        })
        .collect();
    hogs.into_iter().fold(true, |right, hog| hog.join() & right)
}

/// Select, close, deadlines, cancellation (package `scenarios`); panics if something is lost.
fn talk() -> bool {
    scenarios::stress(Duration::from_millis(10));
    true
}
