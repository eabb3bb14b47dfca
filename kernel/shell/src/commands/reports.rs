//! What is going on: tables of what the executive and the machine count. Nothing is stopped for
//! them, so a line is a snapshot, and lines need not agree with each other.

use super::{Args, Outcome};
use alloc::collections::BTreeMap;
use alloc::format;
use executive::{census, trace};
use kernel::{apic, device, frames, memory, println, reclaim, serial, stacks as machine_stacks};

pub fn cpus(_: &Args) -> Outcome {
    println!(
        "{:>3} {:>4} {:<9} {:>6} {:>9} {:>7} {:>10} {:>10} {:>7} {:>6} {:>9} {:>8} {:>8} {:>8}",
        "cpu",
        "apic",
        "state",
        "queued",
        "run",
        "steals",
        "wakes-sent",
        "wakes-rcvd",
        "halts",
        "ticks",
        "preempted",
        "p50-us",
        "p99-us",
        "max-us"
    );
    let us = |ns: u64| format!("{}.{}", ns / 1000, ns / 100 % 10);
    for c in census::cpu_reports() {
        let latencies = trace::latencies(c.cpu);
        println!(
            "{:>3} {:>4} {:<9} {:>6} {:>9} {:>7} {:>10} {:>10} {:>7} {:>6} {:>9} {:>8} {:>8} {:>8}",
            c.cpu,
            apic::id_of(c.cpu),
            format!("{:?}", c.state).to_lowercase(),
            c.queued,
            c.stats.runs.get(),
            c.stats.steals.get(),
            c.stats.wakes_sent.get(),
            c.stats.wakes_received.get(),
            c.stats.halts.get(),
            c.stats.ticks.get(),
            c.stats.preemptions.get(),
            us(latencies.within(500)),
            us(latencies.within(990)),
            us(latencies.longest())
        );
    }
    Ok(())
}

pub fn report(_: &Args) -> Outcome {
    kernel::report::whole();
    Ok(())
}

pub fn gs(args: &Args) -> Outcome {
    let most = args.number(0, 50, 1..=u64::MAX)?;
    let left_out = census::goroutines(usize::try_from(most).unwrap_or(usize::MAX), |line| {
        println!("{line}");
        !args.stopped()
    });
    if left_out > 0 {
        println!("... and {left_out} more (`gs MOST` shows MOST lines)");
    }
    Ok(())
}

pub fn lspci(_: &Args) -> Outcome {
    device::functions().iter().for_each(|function| println!("{function}"));
    Ok(())
}

pub fn locks(args: &Args) -> Outcome {
    let most = args.number(0, u64::MAX, 1..=u64::MAX)?;
    println!("{:<12} {:>12} {:>10}", "lock", "taken", "spun for");
    for (name, (taken, contended)) in census::locks().chain(memory::locks()) {
        println!("{name:<12} {taken:>12} {contended:>10}");
        if name == "sched.runq" && taken > most {
            return Err(format!("the scheduler's lock was taken {taken} times, more than {most}"));
        }
    }
    let (fed, polled) = serial::output_stats();
    println!("serial port: its interrupt fed it {fed} times; {polled} looks at it were in vain");
    Ok(())
}

pub fn mem(_: &Args) -> Outcome {
    let m = memory::usage();
    let census = census::take();
    let line = |bytes: u64, what: &str| println!("{:>12} {what}", bytes / 1024);
    line(m.usable, "KiB of RAM are ours. Of these");
    line(m.free, "free");
    line(m.stacks, &format!("goroutines' stacks: {} goroutines", census.goroutines));
    line(m.stack_tables, "page tables of these stacks");
    line(
        m.heap,
        &format!(
            "heap, {} of it cut into blocks, {} in use",
            m.heap_given / 1024,
            m.heap_in_use / 1024
        ),
    );
    line(m.cpu_stacks, "CPUs' own stacks");
    line(m.reserves, "CPUs' reserves for page faults");
    line(m.tables, "other page tables");
    line(m.low, "below 1 MiB, to start CPUs");
    let [stripped, freed, trimmed] = reclaim::counts();
    line(stripped * frames::FRAME, "KiB were taken from free stacks so far, when memory was short");
    line(freed * frames::FRAME, "KiB from what was free of the heap");
    line(trimmed * frames::FRAME, "KiB from below parked goroutines");
    line(m.kernel, "KiB hold the kernel and what the bootloader left");
    line(m.firmware, "KiB of addresses, not all of them RAM, are the firmware's");
    Ok(())
}

/// Stacks by the place where goroutines were started: a leak, or a stack that is too small, shows
/// in a line. "Deepest" counts every goroutine that was ever started there. A place whose
/// goroutines have all ended is left out if none outgrew its first page.
pub fn stacks(args: &Args) -> Outcome {
    #[derive(Default)]
    struct Site {
        goroutines: u64,
        reserved: usize,
        committed: usize,
        deepest: usize,
    }
    let mut sites: BTreeMap<(&str, u32), Site> = BTreeMap::new();
    for stack in census::stacks() {
        let site = sites.entry((stack.started_at.file(), stack.started_at.line())).or_default();
        site.goroutines += 1;
        site.reserved += stack.reserved;
        site.committed += stack.committed;
        site.deepest = site.deepest.max(stack.deepest);
        if args.stopped() {
            break;
        }
    }
    for (at, bytes) in census::depths() {
        let site = sites.entry((at.file(), at.line())).or_default();
        site.deepest = site.deepest.max(bytes);
    }
    println!(
        "{:>10} {:>13} {:>14} {:>12}  started at",
        "goroutines", "KiB reserved", "KiB committed", "KiB deepest"
    );
    for ((file, line), site) in sites {
        println!(
            "{:>10} {:>13} {:>14} {:>12}  {file}:{line}",
            site.goroutines,
            site.reserved / 1024,
            site.committed / 1024,
            site.deepest / 1024
        );
    }
    let all = machine_stacks::usage();
    println!(
        "{} stacks were made, {} are free, {} of these without memory",
        all.made, all.free, all.bare
    );
    Ok(())
}
