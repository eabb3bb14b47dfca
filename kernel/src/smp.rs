//! Starting the other CPUs, one at a time.
//!
//! INIT (apic.rs has sent it to all of them), 10 ms, a start-up IPI; a second one only if the first
//! was lost (Intel SDM vol. 3A, 10.4.4.1). From there on nothing is guessed by delays: the CPU says
//! that it has come.
//!
//! They are called in the firmware's order until one does not come within `CPU_FIRST_PATIENCE_NS`.
//! Those that are left are then called all together, again and again: the first to come gets the
//! next number, and the others, which find the letter taken, halt until they are called again. When
//! none has come for `CPU_PATIENCE_NS` the rest is reported and left out. On a loaded host a
//! virtual CPU may not run at all for a second. So patience is long, but CPUs that are missing, or
//! that a damaged table has invented, share it.
//!
//! A CPU that is left out is sent back to INIT and its letter is withdrawn, so that it cannot come
//! late and be taken for another CPU (trampoline.rs). A CPU that came and then hangs has begun to
//! use its number's stacks and tables, which no other CPU can have then: no more CPUs are started.
//!
//! Rejected: broadcasting the start, which wakes CPUs that the firmware disabled.
#![allow(unsafe_code)] // CR3.

use crate::apic;
use crate::clock::{self, busy_wait_ns, now_ns};
use crate::cpu;
use crate::gdt;
use crate::hold;
use crate::idt;
use crate::mtrr;
use crate::param::{CPU_FIRST_PATIENCE_NS, CPU_PATIENCE_NS};
use crate::trampoline::{Addressee, Letter, Trampoline};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicI64, Ordering};
use executive::param::MAX_CPUS;
use executive::{machine, println};
use spin::Mutex;
use x86_64::PhysAddr;
use x86_64::instructions::interrupts;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::PhysFrame;

const MS: u64 = 1_000_000;
const AFTER_INIT_NS: u64 = 10 * MS;
const BEFORE_SECOND_STARTUP_NS: u64 = MS;

/// Why no CPU came up. Except after the first, no more are started.
enum Failure {
    /// None has touched anything that belongs to the number.
    NeverAnswered,
    /// The CPU with this APIC id, while it set itself up.
    Hangs(u32),
    NoMemory(&'static str),
}

/// How far start-up has come.
struct Progress {
    /// The APIC ids of the CPUs that did not come yet, in the firmware's order. `None`: none was
    /// called yet.
    left: Option<Vec<u32>>,
    /// One of them did not come when it was called alone.
    together: bool,
    /// A CPU was called and did not come. It may come yet, and must find code in the trampoline.
    missing: bool,
    /// The g0 stack of the next number, if it was made for a CPU that did not come.
    stack: Option<usize>,
    /// Made at the first start, freed after the last if no CPU is missing.
    trampoline: Option<Trampoline>,
}

static PROGRESS: Mutex<Progress> = Mutex::new(Progress {
    left: None,
    together: false,
    missing: false,
    stack: None,
    trampoline: None,
});

/// By how much each CPU's TSC was ahead of CPU 0's when it came, and how inexact that is, in
/// nanoseconds. 0 in the second: it did not come. Written by CPU 0.
static TSCS: [(AtomicI64, AtomicI64); MAX_CPUS] =
    [const { (AtomicI64::new(0), AtomicI64::new(0)) }; MAX_CPUS];

/// By how many nanoseconds the CPU's TSC was ahead of CPU 0's when it came, and give or take how
/// many. `None`: it is CPU 0, or did not come.
pub fn tsc_of(cpu: usize) -> Option<(i64, i64)> {
    let (ahead, way) = TSCS.get(cpu)?;
    let way = way.load(Ordering::Relaxed);
    (way != 0).then(|| (ahead.load(Ordering::Relaxed), way))
}

/// How many CPUs there may be, the boot CPU included.
pub fn cpus() -> usize {
    1 + apic::others().count()
}

/// [`executive::machine::Machine::start_cpu`], for the others.
///
/// # Safety
/// As there.
pub unsafe fn start_cpu(cpu: usize, block: *const (), entry: extern "C" fn() -> !) -> bool {
    let mut progress = PROGRESS.lock();
    let mut left = progress.left.take().unwrap_or_else(|| apic::others().collect());
    let mut result = Err(Failure::NeverAnswered);
    if !progress.together && !left.is_empty() {
        result = progress.start(cpu, &left[..1], left.len() == 1, block, entry);
        progress.together = matches!(result, Err(Failure::NeverAnswered));
    }
    if progress.together && !left.is_empty() {
        result = progress.start(cpu, &left, left.len() == 1, block, entry);
    }
    match &result {
        Ok(came) => left.retain(|id| id != came),
        Err(why) => {
            tell(cpu, why, &mut left);
            left.clear();
        }
    }
    progress.left = Some(left);
    result.is_ok()
}

/// Why no CPU became CPU `cpu`, of those that are left.
fn tell(cpu: usize, why: &Failure, left: &mut [u32]) {
    match why {
        Failure::NeverAnswered if left.is_empty() => return,
        Failure::NeverAnswered => {
            left.sort_unstable();
            let ids = ranges(left);
            return println!("CPUs that never answered and are not used: APIC ids {ids}");
        }
        Failure::Hangs(id) => {
            println!("cpu {cpu} (apic id {id}) did not come up: it hangs while setting itself up");
        }
        Failure::NoMemory(what) => println!("cpu {cpu} did not come up: {what}"),
    }
    if left.len() > 1 {
        println!("no more CPUs are started");
    }
}

/// `0-3 5`.
pub fn ranges(sorted: &[u32]) -> String {
    let mut out = String::new();
    for run in sorted.chunk_by(|a, b| a + 1 == *b) {
        let space = if out.is_empty() { "" } else { " " };
        out += &match run {
            [one] => format!("{space}{one}"),
            [first, .., last] => format!("{space}{first}-{last}"),
            [] => String::new(),
        };
    }
    out
}

impl Progress {
    /// Makes the first of these CPUs to come CPU `cpu`; returns its APIC id. `last`: there is no
    /// other left.
    fn start(
        &mut self,
        cpu: usize,
        apic_ids: &[u32],
        last: bool,
        block: *const (),
        entry: extern "C" fn() -> !,
    ) -> Result<u32, Failure> {
        let stack = self.stack.take().or_else(|| gdt::boot_stack_for(cpu));
        let stack = stack.ok_or(Failure::NoMemory("no memory for its stack"))?;
        let made = self.trampoline.take().or_else(Trampoline::new);
        let mut trampoline = made.ok_or(Failure::NoMemory("no free page below 1 MiB"))?;
        let mut patience = CPU_FIRST_PATIENCE_NS;
        if self.together {
            // Before the letter is written: one that came late for the last letter must not claim
            // this one and then be sent back.
            apic_ids.iter().for_each(|&id| apic::send_init(id));
            busy_wait_ns(AFTER_INIT_NS);
            patience = CPU_PATIENCE_NS;
        } else {
            // Time began after the INITs.
            busy_wait_ns(AFTER_INIT_NS.saturating_sub(now_ns()));
        }
        let apic_id = if let [one] = apic_ids { Some(*one) } else { None };
        let letter =
            trampoline.invite(Addressee { apic_id, cpu, block, stack, main: started, entry });
        let result = call(apic_ids, patience, trampoline.page, letter);
        if let Err(why) = &result {
            apic_ids.iter().for_each(|&id| apic::send_init(id));
            self.missing = true;
            self.stack = matches!(why, Failure::NeverAnswered).then_some(stack);
        }
        if last && !self.missing {
            trampoline.retire();
        } else {
            self.trampoline = Some(trampoline);
        }
        result
    }
}

/// Calls these CPUs until one has come, and compares clocks with it; returns its APIC id. Meanwhile
/// this CPU halts, because a host with fewer cores than the machine has CPUs needs one for the new
/// CPU.
fn call(
    apic_ids: &[u32],
    patience: u64,
    page: u64,
    letter: &'static Letter,
) -> Result<u32, Failure> {
    let arrived = |patience: u64| {
        let deadline = now_ns() + patience;
        // Acquire: partner of the Release in `started`.
        while letter.arrived.load(Ordering::Acquire) == 0 {
            if now_ns() >= deadline {
                return false;
            }
            machine::wait(&letter.arrived, 0, deadline);
        }
        true
    };
    let startup = || apic_ids.iter().for_each(|&id| apic::send_startup(id, page));
    startup();
    if !arrived(BEFORE_SECOND_STARTUP_NS) {
        if letter.claimed_by().is_none() {
            startup();
        }
        if !arrived(patience) && (letter.withdraw() || !arrived(CPU_PATIENCE_NS)) {
            return Err(letter.claimed_by().map_or(Failure::NeverAnswered, Failure::Hangs));
        }
    }
    let apic_id = apic::id_of(letter.cpu);
    let begin = now_ns();
    let compared = letter.rally.answer(|| now_ns() - begin > CPU_PATIENCE_NS);
    let compared = compared.ok_or(Failure::Hangs(apic_id))?;
    let ns = |ticks: u64| i64::try_from(clock::ns_of_ticks(ticks)).unwrap_or(i64::MAX);
    let ahead = ns(compared.ahead.unsigned_abs()) * compared.ahead.signum();
    TSCS[letter.cpu].0.store(ahead, Ordering::Relaxed);
    TSCS[letter.cpu].1.store(ns(compared.way).max(1), Ordering::Relaxed);
    let backwards = compared.backwards;
    clock::arm_timer(0); // our waits have used it; the executive asks for its ticks itself
    if backwards > 0 {
        clock::distrust_tsc(); // that CPU has done so too, before its last stroke
        let ns = clock::ns_of_ticks(backwards);
        println!(
            "cpu {}: its TSC differs from cpu 0's by at least {ns} ns; keeping time the slow way",
            letter.cpu
        );
    }
    Ok(apic_id)
}

/// The trampoline jumps here: on the new CPU, on its g0's stack, in the low tables, interrupts off.
extern "C" fn started(letter: &'static Letter) -> ! {
    // SAFETY: the kernel's own tables, which map this code and this stack at the same addresses.
    unsafe {
        Cr3::write(PhysFrame::containing_address(PhysAddr::new(letter.tables)), Cr3Flags::empty())
    };
    // SAFETY: the executive gave this block for this CPU.
    unsafe { cpu::set_gs(letter.block) };
    cpu::init();
    mtrr::join();
    gdt::load(letter.cpu);
    idt::load();
    apic::init_this_cpu();
    let entry = letter.entry;
    // Release: partner of the Acquire in `call`.
    letter.arrived.store(1, Ordering::Release);
    machine::wake(0, &letter.arrived);
    letter.rally.serve(clock::distrust_tsc); // after it the letter belongs to the next CPU
    // Not before: others wait for CPUs that have joined, and this one could have been given up.
    hold::join();
    interrupts::enable();
    entry()
}
