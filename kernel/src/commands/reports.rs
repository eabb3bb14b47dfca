//! What is going on: tables of what the executive and the machine count anyway. Nothing here stops anybody, so a line is a
//! moment's truth, and lines need not agree to the last unit.

use super::{Args, Outcome};
use alloc::format;
use executive::crash;
use kernel::{apic, frames, heap, println, stacks as machine_stacks};

pub fn cpus(_: &Args) -> Outcome {
    println!(
        "{:>3} {:>4} {:<9} {:>6} {:>9} {:>7} {:>10} {:>10} {:>7} {:>6} {:>9}",
        "cpu", "apic", "state", "queued", "run", "steals", "wakes-sent", "wakes-rcvd", "halts", "ticks", "preempted"
    );
    for c in crash::cpu_reports() {
        println!(
            "{:>3} {:>4} {:<9} {:>6} {:>9} {:>7} {:>10} {:>10} {:>7} {:>6} {:>9}",
            c.cpu,
            apic::id_of(c.cpu),
            format!("{:?}", c.state).to_lowercase(),
            c.queued,
            c.runs,
            c.steals,
            c.wakes_sent,
            c.wakes_received,
            c.halts,
            c.ticks,
            c.preemptions
        );
    }
    Ok(())
}

pub fn gs(args: &Args) -> Outcome {
    let most = args.number(0, 1, 50)?;
    let mut more = 0;
    for (n, g) in (0u64..).zip(crash::goroutines()) {
        if n < most && !args.stopped() {
            println!("{g}");
        } else {
            more += 1;
        }
    }
    if more > 0 {
        println!("... and {more} more (`gs MOST` shows so many)");
    }
    Ok(())
}

pub fn locks(_: &Args) -> Outcome {
    println!("{:<12} {:>12} {:>10}", "lock", "taken", "spun for");
    for (name, (taken, contended)) in crash::locks() {
        println!("{name:<12} {taken:>12} {contended:>10}");
    }
    Ok(())
}

pub fn mem(_: &Args) -> Outcome {
    let kib = |bytes: usize| bytes / 1024;
    let (total, used) = frames::counts();
    let (total, used) = (total * frames::FRAME as usize, used * frames::FRAME as usize);
    let (heap, given) = heap::usage();
    let stacks = machine_stacks::usage();
    let rest = used.saturating_sub(heap + stacks.committed + stacks.tables);
    println!("{:>10} KiB of RAM are ours", kib(total));
    println!("{:>10} free", kib(total - used));
    println!("{:>10} stacks: {} made, {} of them free", kib(stacks.committed), stacks.made, stacks.free);
    println!("{:>10} page tables of the stacks", kib(stacks.tables));
    println!("{:>10} heap, of which {} KiB are given out", kib(heap), kib(given));
    println!("{:>10} the rest: other page tables, CPUs' stacks and reserves", kib(rest));
    Ok(())
}

pub fn stacks(_: &Args) -> Outcome {
    let kib = |bytes: usize| bytes / 1024;
    let usage = machine_stacks::usage();
    let census = crash::census();
    println!("{:>10} goroutines", census.goroutines);
    println!("{:>10} stacks made, {} of them free", usage.made, usage.free);
    println!("{:>10} KiB of addresses reserved", kib(census.stack_bytes));
    println!("{:>10} KiB of memory committed", kib(usage.committed));
    println!("{:>10} KiB of page tables", kib(usage.tables));
    Ok(())
}
