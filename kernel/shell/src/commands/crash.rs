//! Ways to crash, to see the report. Each must end the run with status 2 and a report.
#![allow(unsafe_code)] // A wild read, and a wild jump.

use super::{Args, Outcome};
use alloc::format;
use contract::provoke;
use core::hint::black_box;
use executive::{affinity, chan};
use kernel::{apic, println};

pub const HELP: &str = "ends the run with a crash report: \
    panic fault jump nmi overflow deadlock throw-mcall throw-systemstack";

pub fn crash(args: &Args) -> Outcome {
    match args.words[0] {
        "panic" => panic!("as you wish"),
        "fault" => fault(),
        "jump" => jump(),
        "nmi" if affinity::num_cpus() > 1 => nmi(),
        "overflow" => println!("{}", overflow(0)),
        "deadlock" => deadlock(),
        "go" => drop(executive::go(|| ())),
        "throw-mcall" => provoke::mcall_on_g0(),
        "throw-mcall-returns" => provoke::mcall_returns(),
        "throw-systemstack" => provoke::systemstack_wrong_g(),
        "throw-schedule" => provoke::schedule_holding_locks(1),
        "throw-ready" => provoke::ready_not_waiting(),
        kind => {
            return Err(format!(
                "'{kind}' is not a KIND; the command {HELP} \
                 throw-mcall-returns throw-schedule throw-ready go"
            ));
        }
    }
    Err("the run goes on".into())
}

/// Reads where nothing is mapped.
fn fault() {
    const NOWHERE: usize = 0x6666_6666_6000;
    // SAFETY: none: the page fault is the purpose. Nothing is ever mapped in that part of the lower
    // half.
    black_box(unsafe { (NOWHERE as *const u64).read_volatile() });
}

/// Calls a function at 0.
#[inline(never)]
fn jump() {
    // SAFETY: none: the page fault is the purpose.
    unsafe { core::arch::asm!("call {}", in(reg) 0usize, clobber_abi("C")) };
}

/// Sends all other CPUs an NMI, as a button would. One of them reports where every CPU stands, this
/// one included.
#[inline(never)]
fn nmi() {
    apic::send_nmi_others();
    loop {
        core::hint::spin_loop();
    }
}

/// Calls itself until the stack is used up.
#[expect(unconditional_recursion)]
fn overflow(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    overflow(depth + 1) + frame[depth as usize % 16]
}

/// Waits for what nobody sends.
fn deadlock() {
    crate::keyboard::hang_up(); // while somebody may type, it is no deadlock
    let (_tx, rx) = chan::<()>(0);
    rx.recv();
}
