//! What operations cost in instructions, on a machine whose clock counts them (`./qemu-run.sh
//! --icount`).

use super::{Args, Outcome};
use bench::count::{GROWING, Meter, OPERATIONS, OthersHeld, PERIODS};
use bench::network::{PACKETS, TIMES};
use executive::affinity::cpus;
use kernel::{frames, println, screen, tsc};
use x86_64::instructions::hlt;

const METER: Meter = Meter { read: tsc::read, times: PERIODS, repeats: 5, halt: hlt };

fn check() -> Outcome {
    if METER.counts_instructions() {
        Ok(())
    } else {
        Err("the clock does not count instructions: boot with --icount".into())
    }
}

/// Each operation on one CPU while all others are held; then a wake while all others are idle.
pub fn count(_: &Args) -> Outcome {
    check()?;
    let row = |name, cost| println!("{name:<20} {cost:>9.1} instructions");
    {
        let _held = OthersHeld::new(hlt);
        for o in &OPERATIONS {
            screen::settle(); // the row before is still being drawn
            row(o.name, METER.cost_of(o));
        }
        let packets = Meter { times: TIMES, ..METER };
        for o in &PACKETS {
            screen::settle();
            row(o.name, packets.cost_of(o));
        }
        screen::settle();
        row("wakep_nobody_idle", METER.ready(READIES, false).here);
    }
    if cpus() > 1 {
        screen::settle();
        let wake = METER.ready(READIES, true);
        row("wakep", wake.here);
        println!(
            "and on the other {} CPUs, until they are idle again: {:.0}",
            cpus() - 1,
            wake.elsewhere
        );
    }
    Ok(())
}

/// How often `ready` is counted. Each time counts alone, so this need only even out where ticks
/// fall.
const READIES: usize = 1000;

/// What an operation costs beside 10, 100, .. MOST parked goroutines, and among as many that take
/// part.
pub fn growth(args: &Args) -> Outcome {
    // A little more than a parked goroutine takes (docs/performance.md).
    const BYTES: usize = 5000;
    let most = (frames::total_bytes() / BYTES).min(1_000_000) as u64;
    let most = args.number(0, most, 10..=most)? as usize;
    check()?;
    println!("{:>10} {:^44} {:^44}", "", "beside as many parked ones", "among as many");
    let names = || GROWING.iter().for_each(|o| kernel::print!(" {:>15}", o.name));
    kernel::print!("{:>10}", "goroutines");
    names();
    names();
    println!();
    let mut goroutines = 10;
    while goroutines <= most && !args.stopped() {
        screen::settle();
        let growth = METER.growth(goroutines);
        kernel::print!("{goroutines:>10}");
        growth.beside.iter().chain(&growth.among).for_each(|cost| kernel::print!(" {cost:>15.1}"));
        println!();
        goroutines *= 10;
    }
    Ok(())
}
