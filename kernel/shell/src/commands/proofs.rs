//! Claims about the scheduler, put to the test on this very machine. Each can fail, and says then what it saw.

use super::{Args, Outcome};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use executive::census::{CpuState, cpu_reports};
use executive::machine::now;
use executive::param::SLICE_NS;
use executive::percpu::{Pin, cpu};
use executive::{chan, go, time};
use kernel::println;

const MS: u64 = 1_000_000;

/// How far a hog's share may lie from a fair one when nobody says (percent). An emulator's CPUs are threads, and a busy host
/// does not serve these evenly; on a quiet one it is a tenth of that.
const UNEVEN: u64 = 20;

/// N goroutines count, each for itself, without ever calling anything; only preemption lets the others count too.
pub fn hogs(args: &Args) -> Outcome {
    let n = args.number(0, 1, 1..=1000)? as usize;
    let span = args.seconds(1, 1)?;
    let uneven = args.number(2, UNEVEN, 1..=1_000_000)?;
    /// A cache line each, so that they don't slow each other down.
    #[repr(align(64))]
    #[derive(Default)]
    struct Count(AtomicU64);
    let counts: Arc<[Count]> = (0..n).map(|_| Count::default()).collect();
    let enough = Arc::new(AtomicBool::new(false));
    let hogs: Vec<_> = (0..n)
        .map(|i| {
            let (counts, enough) = (counts.clone(), enough.clone());
            go(move || {
                while !enough.load(Ordering::Relaxed) {
                    let count = &counts[i].0;
                    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let look = || counts.iter().map(|c| c.0.load(Ordering::Relaxed)).collect::<Vec<_>>();
    while look().contains(&0) && !args.stopped() {
        executive::yield_now();
    }
    let begin = look();
    // In pieces, so that Ctrl-C is heard.
    let end = time::Instant::now() + span;
    while time::Instant::now() < end && !args.stopped() {
        time::sleep((end - time::Instant::now()).min(Duration::from_millis(100)));
    }
    let work: Vec<u64> = look().iter().zip(&begin).map(|(now, then)| now - then).collect();
    enough.store(true, Ordering::Relaxed);
    hogs.into_iter().for_each(|hog| hog.join());
    if args.stopped() {
        return Err("stopped".into());
    }

    let fair = (work.iter().sum::<u64>() / n as u64).max(1);
    for (i, work) in work.iter().enumerate() {
        println!("hog {i}: {}% of a fair share", work * 100 / fair);
    }
    let worst = work.iter().map(|work| work.abs_diff(fair) * 100 / fair).max().unwrap_or(0);
    // With a CPU for each nobody has to share, and the emulator's threads are as fast as the host lets them be.
    if n > cpu_reports().count() && worst > uneven {
        return Err(format!("uneven: one is {worst}% off a fair share"));
    }
    Ok(())
}

/// A goroutine is made ready on a CPU whose own goroutine holds on to it, pinned, while every other CPU is halted. So it
/// can run only if one of them is woken; and if that CPU's tick count did not move, no timer has done it.
pub fn ipi_wake(args: &Args) -> Outcome {
    let rounds = args.number(0, 100, 1..=1_000_000)?;
    if cpu_reports().count() < 2 {
        return Err("it takes 2 CPUs".into());
    }
    let (mut ran_on, mut longest) = (alloc::vec![0; cpu_reports().count()], 0);
    for round in 1..=rounds {
        let (other, took) = one_wake().map_err(|why| format!("round {round}: {why}"))?;
        ran_on[other] += 1;
        longest = longest.max(took);
        if args.stopped() {
            return Err("stopped".into());
        }
    }
    println!("{rounds} of {rounds} wakes ended a halt, none by a tick; the longest took {} us", longest / 1000);
    println!("woken on each CPU: {ran_on:?}");
    Ok(())
}

/// How long the CPUs may take to come to rest, and a woken one to run what it was woken for. The host may be busy.
const PATIENCE: u64 = 5_000 * MS;
const NOBODY: usize = usize::MAX;

/// Where and how a goroutine was run; written by itself as the first thing it does there.
struct Ran {
    on: AtomicUsize,
    wakes_received: AtomicU64,
    ticks: AtomicU64,
}

/// One wake; returns which CPU it woke and how long that took (ns).
fn one_wake() -> Result<(usize, u64), String> {
    let (tx, rx) = chan::<()>(0);
    let ran =
        Arc::new(Ran { on: AtomicUsize::new(NOBODY), wakes_received: AtomicU64::new(0), ticks: AtomicU64::new(0) });
    let tell = ran.clone();
    let sleeper = go(move || {
        rx.recv();
        let _pin = Pin::new();
        let here = cpu_reports().nth(cpu()).expect("it runs us");
        tell.wakes_received.store(here.stats.wakes_received.get(), Ordering::Relaxed);
        tell.ticks.store(here.stats.ticks.get(), Ordering::Relaxed);
        tell.on.store(here.cpu, Ordering::Release); // partner: the Acquire below
    });
    executive::yield_now(); // to it, unless a thief has it
    let result = {
        let _pin = Pin::new(); // from here on this CPU is ours, and nobody else's
        let me = cpu();
        others_halted(me).map(|()| {
            let before: Vec<_> = cpu_reports().map(|c| (c.stats.wakes_received.get(), c.stats.ticks.get())).collect();
            let begin = now();
            tx.send(()).expect("it waits"); // and so does not park us
            while ran.on.load(Ordering::Acquire) == NOBODY && now() - begin < PATIENCE {
                core::hint::spin_loop();
            }
            (ran.on.load(Ordering::Acquire), now() - begin, me, before)
        })
    };
    let (other, took, me, before) = result?;
    if other == NOBODY {
        return Err("nobody was woken".into());
    }
    sleeper.join();
    let (wakes_received, ticks) = before[other];
    match () {
        _ if other == me => Err("it ran on the CPU that was held".into()),
        _ if ran.wakes_received.load(Ordering::Relaxed) == wakes_received => {
            Err(format!("CPU {other} ran it, but was not woken"))
        }
        _ if ran.ticks.load(Ordering::Relaxed) != ticks => Err(format!("CPU {other} had a tick meanwhile")),
        _ => Ok((other, took)),
    }
}

/// Waits until every CPU but `me` has been idle for a while. Spins.
///
/// CPU 0 is not idle before it has started the others, so one that is offline then is not coming.
fn others_halted(me: usize) -> Result<(), String> {
    /// From saying that it is idle to `hlt` a CPU needs far less.
    const A_WHILE: u64 = 2 * MS;
    let begin = now();
    let halts = || cpu_reports().map(|c| c.stats.halts.get()).collect::<Vec<_>>();
    let (mut seen, mut since) = (halts(), begin);
    loop {
        let states: Vec<_> = cpu_reports().map(|c| c.state).collect();
        let look = halts();
        let at_rest = (0..look.len()).all(|cpu| {
            let state = states[cpu];
            cpu == me || state == CpuState::Offline || state == CpuState::Idle && look[cpu] == seen[cpu]
        });
        // Judged by this look, not by the clock alone: our own CPU may have stood still meanwhile.
        match (at_rest, now() - since >= A_WHILE) {
            (true, true) => return Ok(()),
            (true, false) => {}
            (false, _) => (seen, since) = (look, now()),
        }
        if now() - begin > PATIENCE {
            return Err("the other CPUs do not come to rest".into());
        }
    }
}

/// With everyone parked, but for one timer at the end, CPUs neither tick nor wake; and whom a timer wakes, and who then runs alone, is not interrupted.
pub fn idle(args: &Args) -> Outcome {
    let span = args.seconds(0, 1)?;
    // What went before comes to rest: CPUs search for a moment before they sleep.
    time::sleep(Duration::from_millis(10));
    let cpus = cpu_reports().count();
    let sums = || {
        cpu_reports().fold([0; 3], |[ticks, halts, runs], c| {
            [ticks + c.stats.ticks.get(), halts + c.stats.halts.get(), runs + c.stats.runs.get()]
        })
    };
    let before = sums();
    time::sleep(span);
    let after = sums();
    let [ticks, halts, runs] = core::array::from_fn(|n| after[n] - before[n]);
    println!("in {} s on {} CPUs: {ticks} ticks, {halts} halts, {runs} runs of a goroutine", span.as_secs(), cpus);
    // Ours: we sleep (a halt), a timer wakes us (a tick; two if it rings early), and we run. A CPU that is woken to help may halt once more.
    if ticks > 2 || halts > 2 * cpus as u64 || runs > 2 {
        return Err("somebody is busy".into());
    }
    const NAPS: u64 = 20;
    let ticks: u64 = (0..NAPS).map(|_| ticks_after_a_nap()).sum();
    println!("{NAPS} naps, and work for longer than a slice after each: {ticks} ticks meanwhile");
    // None but where a host held our CPU back until the nap was over: the tick that was asked for, in case that we run then, comes still.
    if ticks > NAPS / 2 {
        return Err("ticks that nobody waited for".into());
    }
    Ok(())
}

/// Sleeps, and then works for longer than a slice: how many ticks its CPU has had meanwhile.
fn ticks_after_a_nap() -> u64 {
    time::sleep(Duration::from_millis(10));
    let _pin = Pin::new();
    let ticks = || cpu_reports().nth(cpu()).map_or(0, |c| c.stats.ticks.get());
    let (before, begin) = (ticks(), now());
    while now() - begin < SLICE_NS * 3 / 2 {
        core::hint::spin_loop();
    }
    ticks() - before
}
