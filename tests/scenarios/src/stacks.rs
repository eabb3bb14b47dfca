//! Stacks of goroutines, read while they are resumed, run, and wait again.

use crate::counter;
use crate::help::{Random, WaitReason};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hint::black_box;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use executive::affinity::num_cpus;
use executive::chan::{Receiver, Sender};
use executive::g::Status;
use executive::stacks::{self, Standing};
use executive::sync::Semaphore;
use executive::{JoinHandle, chan, go, machine, yield_now};

/// How deep the two places lie: beyond what fits into the frames of the other.
const LEFT: usize = 9;
const RIGHT: usize = 14;

#[inline(never)]
fn left(depth: usize, rx: &Receiver<()>) -> usize {
    match depth {
        0 => rx.recv().map_or(0, |()| 1),
        _ => black_box(left(depth - 1, rx)),
    }
}

/// With larger frames than the other's, so that the two mix up what is on the stack.
#[inline(never)]
fn right(depth: usize, semaphore: &Semaphore) -> usize {
    let mut room = black_box([depth; 20]);
    match depth {
        0 => {
            semaphore.acquire();
        }
        _ => room[0] = right(depth - 1, semaphore),
    }
    black_box(room)[0]
}

#[inline(never)]
fn alternates(rx: &Receiver<()>, semaphore: &Semaphore) {
    while black_box(left(LEFT - 1, rx)) > 0 {
        black_box(right(RIGHT - 1, semaphore));
    }
}

/// The functions of this file by their first letters. Each is looked up once.
type Letters = BTreeMap<usize, Option<char>>;

/// What a stack has of this file, innermost first.
fn letters(frames: &[usize], known: &mut Letters) -> String {
    let letter = |pc| {
        let mut name = String::new();
        machine::symbol(pc, &mut name);
        let name = name.split("+0x").next().unwrap_or("");
        ["left", "right", "alternates"]
            .iter()
            .find(|function| name.strip_prefix("scenarios::stacks::") == Some(function))
            .and_then(|function| function.chars().next())
    };
    frames.iter().filter_map(|&pc| *known.entry(pc).or_insert_with(|| letter(pc))).collect()
}

/// Whether a goroutine in [`alternates`] can have stood so.
fn is_possible(standing: &Standing<'_>, letters: &str) -> bool {
    let (depth, end) =
        (letters.trim_end_matches('a').len(), letters.trim_start_matches(['l', 'r']));
    let all = |letter| letters.starts_with(letter) && letters.matches(letter).count() == depth;
    match (standing.status, standing.reason) {
        (Status::Waiting, WaitReason::ChanReceive) => all('l') && depth == LEFT && end == "a",
        (Status::Waiting, WaitReason::Semacquire) => all('r') && depth == RIGHT && end == "a",
        (Status::Waiting, _) => false,
        // It was woken there, or stands anywhere: between a call and its frame one is missing. Of
        // one that another CPU runs nothing is told while that is on g0.
        (status, _) => {
            let known = status != Status::Runnable || !standing.frames.is_empty();
            known && (depth == 0 || all('l') && depth <= LEFT || all('r') && depth <= RIGHT)
        }
    }
}

#[inline(never)]
fn hog(runs: &AtomicUsize, over: &AtomicUsize) {
    runs.store(1, SeqCst);
    while over.load(SeqCst) == 0 {
        core::hint::spin_loop();
    }
}

scenarios! { stacks:

/// While others are resumed, run, and wait elsewhere, each stack that is told is one that its
/// goroutine had in the state that is told with it.
fn each_is_one_that_its_goroutine_had() {
    const GOROUTINES: usize = 4;
    // On one CPU nobody goes on while one looks; an emulator's all stand still at the host's pace.
    let each = if num_cpus() == 1 || !cfg!(unix) { 50 } else { 10_000 };
    counter!(OVER);
    let mut all = Vec::new();
    let mut feeders = Vec::new();
    for seed in 0..GOROUTINES as u64 {
        let (tx, rx): (Sender<()>, _) = chan(0);
        let semaphore = Arc::new(Semaphore::new(0));
        let released = semaphore.clone();
        all.push(go(move || alternates(&rx, &semaphore)));
        feeders.push(go(move || {
            let mut random = Random::new(seed);
            while OVER.load(SeqCst) == 0 {
                (0..random.below(4)).for_each(|_| yield_now());
                tx.send(()).unwrap();
                (0..random.below(4)).for_each(|_| yield_now());
                released.release();
            }
        }));
    }
    let ids: Vec<u64> = all.iter().map(JoinHandle::id).collect();
    let (mut random, mut seen, mut known) = (Random::new(99), [0; 2], Letters::new());
    while seen.iter().any(|&count| count < each) {
        (0..random.below(4)).for_each(|_| yield_now());
        stacks::all(|standing| {
            if ids.contains(&standing.seen.id) {
                let Standing { status, reason, frames, .. } = &standing;
                let letters = letters(frames, &mut known);
                assert!(is_possible(&standing, &letters), "{status:?} {reason:?} {letters}");
                seen[0] += usize::from(*reason == WaitReason::ChanReceive);
                seen[1] += usize::from(*reason == WaitReason::Semacquire);
            }
        });
    }
    OVER.store(1, SeqCst);
    feeders.into_iter().chain(all).for_each(JoinHandle::join);
}

/// A goroutine that never waits is seen where it runs, on another CPU.
fn one_that_runs_on_another_cpu_has_one() {
    if num_cpus() == 1 {
        return; // there it never runs while another looks
    }
    counter!(RUNS);
    counter!(OVER);
    let one = go(|| black_box(hog)(&RUNS, &OVER));
    while RUNS.load(SeqCst) == 0 {
        yield_now();
    }
    let mut is_seen = false;
    while !is_seen {
        stacks::all(|Standing { seen, status, frames, .. }| {
            if seen.id == one.id() && status == Status::Running {
                is_seen |= frames.iter().any(|&pc| {
                    let mut name = String::new();
                    machine::symbol(pc, &mut name);
                    name.starts_with("scenarios::stacks::hog")
                });
            }
        });
        yield_now();
    }
    OVER.store(1, SeqCst);
    one.join();
}

/// Its own is told as it asks.
fn the_asker_has_one() {
    let mut own = 0;
    stacks::all(|Standing { seen, status, frames, .. }| {
        if seen.id == executive::goid() {
            assert!(status == Status::Running);
            own += frames.len();
        }
    });
    assert!(own > 1, "{own} frames");
}
}
