//! A look into the running system, as Go's tools show it (package `diagnostics`).

use super::suites::while_another;
use super::{Args, KEYS, LOOKS, Outcome, nap, words};
use alloc::format;
use alloc::string::String;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use core::time::Duration;
use diagnostics::cpu::Sampler;
use diagnostics::handler;
use diagnostics::heap::{MEM_PROFILE_RATE, set_mem_profile_rate};
use diagnostics::leaks::{self, Why};
use diagnostics::schedtrace::Line;
use diagnostics::top::{Sort, Top};
use executive::cancel::Token;
use executive::{affinity, go, select, time, yield_now};
use http::Server;
use kernel::{memory, print, println, trap};
use net::Stack;

/// Does the rest of the words as a command beside `other`; without a command until Ctrl-C.
fn beside(args: &Args, other: impl FnOnce(&AtomicBool) -> Outcome + Send + 'static) -> Outcome {
    if args.words.len() > 1 {
        let (outcome, other) = while_another(&Args { words: &args.words[1..], ..*args }, other);
        return outcome.and(other);
    }
    other(args.stop)
}

/// A line, or one after the other while a command runs.
pub fn schedtrace(args: &Args) -> Outcome {
    let every = Duration::from_millis(args.number(0, 1000, 1..=3_600_000)?);
    if args.words.len() == 1 {
        nap(every, args.stop);
        println!("{Line}");
        return Ok(());
    }
    beside(args, move |over| {
        while !over.load(Relaxed) {
            nap(every, over);
            println!("{Line}");
        }
        Ok(())
    })
}

/// Lines of a terminal, as far as one may count on it.
const LINES: usize = 24;

pub fn top(args: &Args) -> Outcome {
    let times = args.number(0, u64::MAX, 1..=1000)?;
    let every = args.seconds(1, 1)?;
    let mut top = Top::new().ok_or("somebody takes a CPU profile")?;
    // Of a given number of screens nobody needs to type an end.
    let keys = args.words.is_empty().then(|| KEYS.take());
    let mut drawn = 0;
    print!("\x1b[2J");
    'screens: while drawn < times && !args.stopped() {
        let begin = time::Instant::now();
        while let left = every.saturating_sub(begin.elapsed())
            && !left.is_zero()
            && !args.stopped()
        {
            select! {
                recv(keys.as_ref().map(|keys| &keys.0)) -> key => match key {
                    Some(b'q') | None => break 'screens,
                    Some(key) => top.sort = Sort::of_key(key).unwrap_or(top.sort),
                },
                after(left.min(LOOKS)) => {},
            }
        }
        let usage = memory::usage();
        let memory = format!("{} of {} MiB free", usage.free >> 20, usage.usable >> 20);
        let screen = top.screen(LINES - 1, &memory);
        // Home; each line to its end; what is below.
        print!("\x1b[H{}\x1b[J", screen.replace('\n', "\x1b[K\n"));
        drawn += 1;
    }
    Ok(())
}

/// Each CPU is asked by NMIs where it stands, as often as it answers, while a command runs: this
/// one's, too. Every millisecond the answer is a sample.
pub fn nmis(args: &Args) -> Outcome {
    const EVERY_NS: u64 = 1_000_000;
    let (outcome, asked) = while_another(args, |over| {
        let before = trap::answered();
        let mut sampler = Sampler::start_every(EVERY_NS).ok_or("somebody takes a CPU profile")?;
        let mut samples = 0;
        while !over.load(Relaxed) {
            (0..affinity::num_cpus()).for_each(trap::ask);
            sampler.drain(|_, _| samples += 1);
            yield_now();
        }
        Ok::<_, String>((trap::answered() - before, samples))
    });
    let (nmis, samples) = asked?;
    println!("{nmis} NMIs, {samples} samples");
    outcome
}

pub fn leaks(_: &Args) -> Outcome {
    let all = leaks::find().map_err(|why| format!("{}", Why(why)))?;
    println!("{} goroutines can never run again, as far as that is known", all.len());
    all.into_iter().for_each(|leak| println!("{}", leaks::Line(leak)));
    Ok(())
}

/// Off unless asked for, and where one says: it tells everything. Blocks of the heap are counted
/// meanwhile.
pub fn pprof(args: &Args) -> Outcome {
    let stack = Stack::get_default()
        .map_err(|_| String::from("there is no network card (./qemu-run.sh --net)"))?;
    let at: SocketAddr = args.words[0]
        .parse()
        .map_err(|_| format!("an IP:PORT is needed, not '{:.40}'", args.words[0]))?;
    let token = Token::new();
    let listener = stack.tcp().cancelled_by(&token).listen(at).map_err(words)?;
    set_mem_profile_rate(MEM_PROFILE_RATE);
    println!("http://{at}/debug/pprof/");
    let server = Server::new(handler::serve).cancelled_by(&token);
    let served = go(move || server.serve(listener));
    let outcome = beside(args, |over| {
        while !over.load(Relaxed) {
            time::sleep(LOOKS);
        }
        Ok(())
    });
    set_mem_profile_rate(0);
    token.cancel();
    served.join();
    outcome
}
