//! Everything at once: spawn and exit, channels, sleeps, yields, panics, and goroutines that nobody
//! waits for, on all CPUs, again and again. Each part knows its sum, so that whatever is lost or
//! done twice shows. In the end there must be as many goroutines as in the beginning, and as much
//! memory in use as after the first minute.
//!
//! **What counts as a leak.** Memory is compared when all is quiet ([`InUse::settled`]): every g
//! that is not alive is free, and the free ones have given their stacks back. Then these must be
//! exactly as before:
//!
//! - The goroutines; and the g's and stacks that are neither free nor belong to a living goroutine
//!   (none).
//! - What is in use of the heap, except what the executive keeps for later use ([`InUse::kept`]).
//!   That is room for timers, and g's: as many as goroutines were ever alive at the same time,
//!   which depends on the schedule.
//!
//! And these may have grown, but by no more than this:
//!
//! - Frames other than those of stacks: by a stack's share of a page table for each new g, and by
//!   what the heap has mapped beyond what is in use (`kernel::heap::slack`).
//! - The stacks of goroutines that live on (this command's, the console's): by their size, because
//!   they may have been deeper since.

use super::{Args, Outcome};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use executive::chan::Sender;
use executive::g::G;
use executive::recover::{Panic, isolated};
use executive::time::{Instant, sleep};
use executive::{census, chan, go, yield_now};
use kernel::{frames, heap, println, reclaim, stacks};

pub fn stress(args: &Args) -> Outcome {
    let span = args.seconds(0, 5)?;
    let begin = Instant::now();
    let before = census::take().goroutines;
    let first = Duration::from_secs(60).min(span / 10);
    let mut rounds = 0;
    let mut in_use = None;
    // There is at least one more round after the first look.
    while begin.elapsed() < span && !args.stopped() || in_use.is_none() {
        round(rounds).map_err(|what| format!("round {rounds}: {what}"))?;
        rounds += 1;
        if in_use.is_none() && (begin.elapsed() >= first || args.stopped()) {
            let settled = InUse::settled(before)?;
            println!("after {} s and {rounds} rounds: {settled}", begin.elapsed().as_secs());
            in_use = Some(settled);
        }
    }
    let (then, now) = (in_use.expect("the loop has set it"), InUse::settled(before)?);
    println!("after {} s and {rounds} rounds: {now}", begin.elapsed().as_secs());
    now.no_leak_since(&then)?;
    println!("every sum right; no goroutine more than before; no memory lost");
    Ok(())
}

const G_BYTES: usize = heap::block_bytes(Layout::new::<G>());
/// How long it may take until all is quiet. The host may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// Memory in use while all is quiet. What is kept for later use and can be got back does not count.
struct InUse {
    /// G's ever made.
    gs: usize,
    /// The heap's blocks in use, and those of them that the executive keeps for later use.
    heap: usize,
    kept: usize,
    /// Frames that are neither free, nor in a CPU's reserve, nor part of a stack: the heap, page
    /// tables, CPUs' own stacks.
    frames: usize,
    /// Living goroutines' stacks.
    stacks: usize,
}

impl InUse {
    /// Waits until no more than `goroutines` live, every other g and stack is free, and no free
    /// stack has memory.
    fn settled(goroutines: u64) -> Result<InUse, String> {
        let patience = Instant::now() + PATIENCE;
        loop {
            reclaim::all_free();
            let (census, stacks) = (census::take(), stacks::usage());
            // Negative if they change meanwhile.
            let lost =
                |made: usize, free: usize| made as i64 - free as i64 - census.goroutines as i64;
            let (lost_gs, lost_stacks) =
                (lost(census.made, census.free), lost(stacks.made, stacks.free));
            if census.goroutines <= goroutines
                && lost_gs == 0
                && lost_stacks == 0
                && stacks.free == stacks.bare
            {
                let frames = frames::counts().1
                    - frames::reserved()
                    - stacks.committed / frames::FRAME as usize;
                return Ok(InUse {
                    gs: census.made,
                    heap: heap::in_use(),
                    kept: census.made * G_BYTES + census::timers_bytes(),
                    frames: frames * frames::FRAME as usize,
                    stacks: stacks.committed,
                });
            }
            if Instant::now() > patience {
                return Err(format!(
                    "it does not settle: {goroutines} goroutines before, {} now; {lost_gs} g's and \
                     {lost_stacks} stacks are neither free nor in use, {} free stacks have memory",
                    census.goroutines,
                    stacks.free - stacks.bare
                ));
            }
            // Let other goroutines end, which nobody waits for.
            sleep(Duration::from_millis(1));
        }
    }

    /// See the head of this file.
    fn no_leak_since(&self, then: &InUse) -> Outcome {
        let limit =
            |what: &str, now: usize, then: usize, most: usize| match now.saturating_sub(then) {
                more if more > most => {
                    Err(format!("a leak: {more} bytes more of {what}; {most} can be explained"))
                }
                _ => Ok(()),
            };
        limit("the heap", self.heap - self.kept, then.heap - then.kept, 0)?;
        let explained = (self.gs - then.gs) * (G_BYTES + stacks::TABLE_SHARE)
            + heap::slack(executive::machine::cpus());
        limit("frames", self.frames, then.frames, explained)?;
        let living = census::take().goroutines as usize * executive::param::STACK_BYTES;
        limit("stacks", self.stacks, then.stacks, living)
    }
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InUse { gs, heap, kept, frames, stacks } = self;
        write!(
            f,
            "{} KiB in use: {} of stacks, {} of all else",
            (frames + stacks) / 1024,
            stacks / 1024,
            frames / 1024
        )?;
        write!(
            f,
            "; {} bytes of the heap, but for the {gs} g's ever made and timers' room",
            heap - kept
        )
    }
}

/// One of each, all at the same time.
pub(super) fn round(seed: u64) -> Result<(), String> {
    let parts: Vec<(&str, executive::JoinHandle<bool>)> = alloc::vec![
        ("tree", go(tree)),
        ("crowd", go(crowd)),
        ("sleepers", go(move || sleepers(seed))),
        ("ring", go(ring)),
        ("strays", go(strays)),
        ("deep", go(deep)),
        ("gifts", go(gifts)),
        ("hogs", go(hogs)),
        ("panics", go(panics)),
        ("everything that talks", go(talk)),
    ];
    parts.into_iter().try_for_each(|(what, part)| {
        if part.join() { Ok(()) } else { Err(format!("{what} went wrong")) }
    })
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

/// Nobody wakes early, and everybody wakes.
fn sleepers(seed: u64) -> bool {
    let sleepers: Vec<_> = (0..100u64)
        .map(|i| {
            // Up to 2 ms, in no order (Knuth's multiplier).
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

/// A number goes round a ring of goroutines. Each yields, adds one, and hands it on.
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
    all_done.recv(); // `None`: the last has ended, and what all added is seen
    count.load(Ordering::Relaxed) == STRAYS * (STRAYS - 1) / 2
}

/// Stacks that grow, on pages that others have given back.
fn deep() -> bool {
    fn down(depth: u64) -> u64 {
        let frame = core::hint::black_box([depth; 64]);
        if depth == 0 { 0 } else { down(depth - 1) + frame[depth as usize % 64] }
    }
    let divers: Vec<_> = (0..20).map(|_| go(|| down(60))).collect();
    divers.into_iter().all(|diver| diver.join() == 60 * 61 / 2)
}

/// Blocks that are allocated on one CPU and freed on another.
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
    let hogs: Vec<_> = (0..executive::affinity::cpus())
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

/// Each panic is its handle's, and what the goroutine owned is given back. Some park in a
/// destructor meanwhile, until there is room in the channel.
fn panics() -> bool {
    const PANICS: u64 = 50;
    struct Tells(Sender<u64>, u64);
    impl Drop for Tells {
        fn drop(&mut self) {
            let _ = self.0.send(self.1);
        }
    }
    let (tx, rx) = chan::<u64>(3);
    let handles: Vec<_> = (0..PANICS)
        .map(|i| {
            let tells = Tells(tx.clone(), i);
            go(isolated(move || {
                let _owned = (tells, alloc::vec![i; i as usize]);
                yield_now();
                panic!("{i}")
            }))
        })
        .collect();
    drop(tx);
    let told = go(move || rx.iter().sum::<u64>());
    let caught = handles.into_iter().zip(0..PANICS).fold(true, |right, (handle, i)| {
        let panic: Result<(), Panic> = handle.join();
        panic.is_err_and(|panic| panic.message() == format!("{i}")) & right
    });
    caught & (told.join() == PANICS * (PANICS - 1) / 2)
}

/// Select, close, deadlines, cancellation (package `scenarios`); panics if something is lost.
fn talk() -> bool {
    scenarios::stress(Duration::from_millis(10));
    true
}
