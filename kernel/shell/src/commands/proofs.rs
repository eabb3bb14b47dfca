//! Claims about the scheduler, put to the test on this machine. Each can fail, and then says what
//! it saw.

use super::{Args, Outcome, nap};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use executive::census::{CpuReport, CpuState, cpu_reports};
use executive::chan::Receiver;
use executive::machine::now;
use executive::param::SLICE_NS;
use executive::percpu::{Pin, cpu};
use executive::{Builder, affinity::cpus, chan, go, lock_to_cpu, select, time};
use kernel::{println, screen};
use x86_64::instructions::interrupts::without_interrupts;

const MS: u64 = 1_000_000;

/// How far a hog's share may lie from a fair one, by default (percent). An emulator's CPUs are
/// threads, which a busy host does not serve evenly; a quiet one needs a tenth of this.
const UNEVEN: u64 = 20;

/// So long nobody but an NMI interrupts it.
#[inline(never)]
fn spins_until(end: u64) {
    while now() < end {
        core::hint::spin_loop();
    }
}

/// A goroutine keeps interrupts off on the last CPU, for so long at a time.
pub fn masked(args: &Args) -> Outcome {
    let ns = args.number(0, 50, 1..=1000)? * MS;
    let span = args.seconds(1, 1)?;
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    let spinner = go(move || {
        let _here = lock_to_cpu(cpus() - 1);
        while !told.load(Ordering::Relaxed) {
            without_interrupts(|| spins_until(now() + ns));
        }
    });
    nap(span, args.stop);
    stop.store(true, Ordering::Relaxed);
    spinner.join();
    Ok(())
}

/// Goroutines wait in selects, for good. Those called "stuck" wait for each other alone; those
/// called "may" have somebody, or something, that could still help.
pub fn stuck(_: &Args) -> Outcome {
    fn start(name: &'static str, work: impl FnOnce() + Send + 'static) {
        drop(Builder::new().name(name).spawn(work).expect("memory"));
    }
    let (to_a, a) = chan::<()>(0);
    let (to_b, b) = chan::<()>(0);
    let ((to_d, d), (to_e, e), (to_f, f)) = (chan::<()>(0), chan::<()>(0), chan::<()>(0));
    start("stuck a", move || {
        let (to_b, a) = (to_b.owned(), a.owned());
        let _others_wait_for_it = (to_d.owned(), to_e.owned());
        // An arm that is off ends no wait.
        select! {
            recv(a) -> _ => {}
            recv(None::<Receiver<()>>) -> _ => {}
        }
        drop(to_b);
    });
    start("stuck b", move || {
        let (to_a, b) = (to_a.owned(), b.owned());
        select! { recv(b) -> _ => {} }
        drop(to_a);
    });
    // This waits for no arm at all: nobody is known who keeps it.
    start("may c", || select! { recv(None::<Receiver<()>>) -> _ => {} });
    // A stranger's end: it is owned by nobody, and lives as long as the machine.
    let (stranger_s, from_stranger) = chan::<()>(0);
    core::mem::forget(stranger_s);
    start("may d", move || {
        let d = d.owned();
        select! {
            recv(d) -> _ => {}
            recv(from_stranger) -> _ => {}
        }
    });
    start("may e", move || {
        let (to_f, e) = (to_f.owned(), e.owned());
        select! {
            recv(e) -> _ => {}
            after(Duration::from_secs(3600)) => {}
        }
        drop(to_f);
    });
    start("may f", move || {
        let f = f.owned();
        select! { recv(f) -> _ => {} }
    });
    Ok(())
}

/// N goroutines count, each for itself, without ever calling anything. Only preemption lets the
/// others count too.
pub fn hogs(args: &Args) -> Outcome {
    let n = args.number(0, 1, 1..=1000)? as usize;
    let span = args.seconds(1, 1)?;
    let uneven = args.number(2, UNEVEN, 1..=1_000_000)?;
    /// A cache line each, so that they do not slow each other down.
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
        time::sleep(Duration::from_millis(1)); // yields would fill a trace
    }
    let begin = look();
    nap(span, args.stop);
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
    // With a CPU for each goroutine none has to share, and the emulator's threads are as fast as
    // the host lets them be.
    if n > cpu_reports().count() && worst > uneven {
        return Err(format!("uneven: one hog is {worst}% off a fair share"));
    }
    Ok(())
}

/// A goroutine is made ready on a CPU whose own goroutine stays there, pinned, while every other
/// CPU is halted. So it can run only if another CPU is woken. If that CPU's tick count did not
/// change, no timer has woken it.
///
/// Where the host keeps the woken CPU back, another may find the goroutine first, after an
/// interrupt of no consequence. Such a wake does not count, and at most every other one may be so.
pub fn ipi_wake(args: &Args) -> Outcome {
    let rounds = args.number(0, 100, 1..=1_000_000)?;
    if cpu_reports().count() < 2 {
        return Err("this needs 2 CPUs".into());
    }
    screen::settle(); // a tick for its drawer would end a halt
    let (mut ran_on, mut longest) = (alloc::vec![0; cpu_reports().count()], 0);
    let (mut round, mut late) = (0, 0);
    while round < rounds {
        match one_wake().map_err(|why| format!("round {}: {why}", round + 1))? {
            Wake::Woke(other, took) => {
                round += 1;
                ran_on[other] += 1;
                longest = longest.max(took);
            }
            Wake::Late(why) if late == rounds => return Err(why),
            Wake::Late(_) => late += 1,
        }
        if args.stopped() {
            return Err("stopped".into());
        }
    }
    println!(
        "{rounds} of {rounds} wakes ended a halt, none by a tick; the longest took {} us",
        longest / 1000
    );
    println!("woken on each CPU: {ran_on:?}");
    Ok(())
}

/// How long the CPUs may take to become idle, and a woken one to run the goroutine. The host may be
/// busy.
const PATIENCE: u64 = 5_000 * MS;
const NOBODY: usize = usize::MAX;

/// Where a goroutine ran, and that CPU's counts; the goroutine writes them first.
struct Ran {
    on: AtomicUsize,
    wakes_received: AtomicU64,
    ticks: AtomicU64,
}

/// What became of a wake.
enum Wake {
    /// It woke this CPU, which ran the goroutine so long after (ns).
    Woke(usize, u64),
    /// Another CPU ran the goroutine, or a tick came, before the woken one did.
    Late(String),
}

/// One wake, of one CPU.
fn one_wake() -> Result<Wake, String> {
    let (tx, rx) = chan::<()>(0);
    let ran = Arc::new(Ran {
        on: AtomicUsize::new(NOBODY),
        wakes_received: AtomicU64::new(0),
        ticks: AtomicU64::new(0),
    });
    let tell = ran.clone();
    let sleeper = go(move || {
        rx.recv();
        let _pin = Pin::new();
        let here = cpu_reports().nth(cpu()).expect("it runs us");
        tell.wakes_received.store(here.stats.wakes_received.get(), Ordering::Relaxed);
        tell.ticks.store(here.stats.ticks.get(), Ordering::Relaxed);
        tell.on.store(here.cpu, Ordering::Release); // partner: the Acquire below
    });
    executive::yield_now(); // runs it, unless a thief has taken it
    let result = {
        let _pin = Pin::new(); // from here on this CPU runs nothing else
        let me = cpu();
        others_halted(me).map(|()| {
            let before: Vec<_> = cpu_reports()
                .map(|c| (c.stats.wakes_received.get(), c.stats.ticks.get()))
                .collect();
            let sent_by_me = || cpu_reports().nth(me).map_or(0, |c| c.stats.wakes_sent.get());
            let sent = sent_by_me();
            let begin = now();
            tx.send(()).expect("it waits"); // and so this does not park
            let sent = sent_by_me() - sent; // who finds work wakes the next: not counted
            while ran.on.load(Ordering::Acquire) == NOBODY && now() - begin < PATIENCE {
                core::hint::spin_loop();
            }
            (ran.on.load(Ordering::Acquire), now() - begin, me, before, sent)
        })
    };
    let (other, took, me, before, sent) = result?;
    if sent != 1 {
        return Err(format!("{sent} CPUs were woken"));
    }
    if other == NOBODY {
        return Err("no CPU came".into());
    }
    sleeper.join();
    let (wakes_received, ticks) = before[other];
    match () {
        _ if other == me => Err("the goroutine ran on the CPU that was held".into()),
        _ if ran.wakes_received.load(Ordering::Relaxed) == wakes_received => {
            Ok(Wake::Late(format!("CPU {other} ran it, but was not woken")))
        }
        _ if ran.ticks.load(Ordering::Relaxed) != ticks => {
            Ok(Wake::Late(format!("CPU {other} had a tick")))
        }
        _ => Ok(Wake::Woke(other, took)),
    }
}

/// Spins until every CPU but `me` has been idle for a while, and nobody is on the way to work: no
/// CPU naps, and each wake that was sent has come. A busy host may keep a CPU from either for
/// longer than a while, and no other is woken meanwhile.
///
/// CPU 0 is not idle before it has started the others, so a CPU that is offline then will not come.
fn others_halted(me: usize) -> Result<(), String> {
    /// More than a CPU needs from its idle bit to `hlt`.
    const A_WHILE: u64 = 2 * MS;
    let begin = now();
    let halts = || cpu_reports().map(|c| c.stats.halts.get()).collect::<Vec<_>>();
    let (mut seen, mut since) = (halts(), begin);
    loop {
        let states: Vec<_> = cpu_reports().map(|c| c.state).collect();
        let look = halts();
        let at_rest = (0..look.len()).all(|cpu| {
            let state = states[cpu];
            cpu == me
                || state == CpuState::Offline
                || state == CpuState::Idle && look[cpu] == seen[cpu]
        });
        let sum = |count: fn(&CpuReport) -> u64| cpu_reports().map(|c| count(&c)).sum::<u64>();
        let received = sum(|c| c.stats.wakes_received.get());
        let all_came = received == sum(|c| c.stats.wakes_sent.get());
        // Look once more: the clock alone would not do, because our own CPU may have stood still
        // meanwhile.
        match (at_rest && all_came, now() - since >= A_WHILE) {
            (true, true) => return Ok(()),
            (true, false) => {}
            (false, _) => (seen, since) = (look, now()),
        }
        if now() - begin > PATIENCE {
            return Err("the other CPUs do not become idle".into());
        }
    }
}

/// While everyone is parked CPUs neither tick nor wake, except for one timer at the end. A
/// goroutine that a timer wakes, and that then runs alone, is not interrupted.
pub fn idle(args: &Args) -> Outcome {
    let span = args.seconds(0, 1)?;
    screen::settle();
    // Let CPUs become idle: they search for a moment before they sleep.
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
    println!(
        "in {} s on {} CPUs: {ticks} ticks, {halts} halts, {runs} runs of a goroutine",
        span.as_secs(),
        cpus
    );
    // Caused by this command: it sleeps (a halt), a timer wakes it (a tick; two if it rings early),
    // and it runs. A CPU that is woken to help may halt once more.
    if ticks > 2 || halts > 2 * cpus as u64 || runs > 2 {
        return Err("some CPU is busy".into());
    }
    const NAPS: u64 = 20;
    let ticks: u64 = (0..NAPS).map(|_| ticks_after_a_nap()).sum();
    println!("{NAPS} naps, and work for longer than a slice after each: {ticks} ticks meanwhile");
    // There is a tick only where the host held our CPU back until the nap was over: the one that
    // was asked for in case that we still ran.
    if ticks > NAPS / 2 {
        return Err("there were ticks that nobody waited for".into());
    }
    Ok(())
}

/// Sleeps, and then works for longer than a slice. Returns how many ticks its CPU has had
/// meanwhile.
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
