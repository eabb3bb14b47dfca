//! Other packages' collections, run in the kernel.

use super::{Args, Outcome, run_command, stress};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use core::time::Duration;
use executive::census::cpu_reports;
use executive::percpu::{Pin, cpu};
use executive::{go, time};
use kernel::{device, frames, print, println, screen};
use scenarios::{DEATHS, SCENARIOS, SLEEPERS};

/// Runs benchmarks (package `bench`).
pub fn bench(args: &Args) -> Outcome {
    screen::settle(); // and so is the first
    let host = bench::Host {
        emit: |row| {
            println!("{row}");
            screen::settle(); // the next row is measured alone
        },
        memory: || frames::counts().1 as u64 * frames::FRAME,
        preemption_point: || {}, // every instruction is one
        interrupt: || {
            let interrupt = Arc::new(device::Irq::soft().ok()?);
            let device = interrupt.clone();
            Some(bench::Interrupt {
                send: Box::new(move || device.send()),
                wait: Box::new(move || interrupt.wait()),
            })
        },
        slowness: 10, // an emulator's
    };
    if bench::run(args.words, &host) { Ok(()) } else { Err("no such row".into()) }
}

/// Runs scenarios (package `scenarios`): those whose names contain one of the words, or all. A
/// wrong claim panics, and so ends the run. A death runs only when its whole name is given, and
/// must end the run. So does a sleeper, `sleepers::NAME`, which must never return: the keyboard is
/// hung up, so that it could be taken for a deadlock.
pub fn scenario(args: &Args) -> Outcome {
    let mut ran = 0;
    for word in args.words {
        let before = ran;
        for (name, run) in SCENARIOS {
            if (*word == "all" || name.contains(word)) && !args.stopped() {
                println!("{name}");
                run();
                ran += 1;
            }
        }
        if let Some((_, die, _)) = DEATHS.iter().find(|(name, ..)| name == word) {
            crate::keyboard::hang_up(); // it may be a deadlock
            die();
            return Err(format!("{word}: the run goes on"));
        }
        let sleeper = word.strip_prefix("sleepers::");
        if let Some((_, sleep)) = SLEEPERS.iter().find(|(name, _)| Some(*name) == sleeper) {
            crate::keyboard::hang_up();
            println!("{word}");
            sleep();
            return Err(format!("{word} is over"));
        }
        if ran == before {
            return Err(format!("no scenario has '{word}' in its name"));
        }
    }
    println!("{ran} scenarios: all claims hold");
    Ok(())
}

/// Records what every CPU does while a command runs, and prints it for chrome://tracing or
/// Perfetto.
pub fn trace(args: &Args) -> Outcome {
    struct Out;
    impl core::fmt::Write for Out {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            print!("{text}");
            Ok(())
        }
    }
    screen::settle();
    start_tracing();
    let outcome = run_command(args.words[0], &args.rest());
    executive::trace::stop();
    executive::trace::dump(&mut Out).map_err(|_| "cannot print it")?;
    outcome
}

/// Begins to record, and spins until every CPU has heard of it: the interrupts by which the others
/// do would else be seen in the trace, and by the command, which may count them. (Yields would fill
/// the ring, on a host that lets one of the CPUs wait for a millisecond.)
fn start_tracing() {
    let ticks = || cpu_reports().map(|c| c.stats.ticks.get());
    let (me, before) = {
        let _pin = Pin::new();
        let before: Vec<u64> = ticks().collect();
        executive::trace::start();
        (cpu(), before)
    };
    while ticks().zip(&before).enumerate().any(|(cpu, (now, &was))| cpu != me && now == was) {
        core::hint::spin_loop();
    }
}

/// Does a command while another goroutine prints, every 20 ms a fiftieth of the lines.
pub fn beside(args: &Args) -> Outcome {
    let lines = args.number(0, 0, 50..=100_000)?;
    let mut number = 0;
    let (outcome, ()) = while_another(&Args { words: &args.words[1..], ..*args }, move |over| {
        while !over.load(Relaxed) {
            for _ in 0..lines / 50 {
                number += 1;
                super::playing::line(number);
            }
            time::sleep(Duration::from_millis(20));
        }
    });
    outcome
}

/// Does a command while another goroutine does one round of `stress` after the other, at least one.
pub fn beside_stress(args: &Args) -> Outcome {
    let (outcome, stress) = while_another(args, |over| {
        let mut rounds = 0;
        loop {
            stress::round(rounds).map_err(|what| format!("round {rounds}: {what}"))?;
            rounds += 1;
            if over.load(Relaxed) {
                return Ok::<u64, String>(rounds);
            }
        }
    });
    println!("{} rounds of stress beside it", stress?);
    outcome
}

/// Does a command while another goroutine does `other`, which is to end when it is told that the
/// command is over. Returns what has become of both.
pub fn while_another<T: Send + 'static>(
    command: &Args,
    other: impl FnOnce(&AtomicBool) -> T + Send + 'static,
) -> (Outcome, T) {
    let over = Arc::new(AtomicBool::new(false));
    let told = over.clone();
    let other = go(move || other(&told));
    let outcome = run_command(command.words[0], &command.rest());
    over.store(true, Relaxed);
    (outcome, other.join())
}
