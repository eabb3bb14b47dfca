//! Starting the other CPUs, one at a time.
//!
//! INIT (apic.rs has sent it to all of them), 10 ms, a start-up IPI; a second one only if the first
//! was lost (Intel SDM vol. 3A, 10.4.4.1). From there on nothing is guessed by delays: the CPU says
//! that it has come.
//!
//! A CPU that does not come within `CPU_PATIENCE_NS` is reported and left out, and its number goes
//! to the next. It is sent back to INIT and its letter is withdrawn, so that it cannot come late
//! and be taken for another CPU (trampoline.rs). A CPU that came and then hangs has begun to use
//! its number's stacks and tables, which no other CPU can have then: no more CPUs are started. On a
//! loaded host a virtual CPU may not run at all for a second. So patience is long, but only missing
//! CPUs cost it.
//!
//! Rejected: broadcasting the start, which wakes CPUs that the firmware disabled; and starting all
//! at once, which needs several letters, and does not tell which CPU hangs.
#![allow(unsafe_code)] // CR3.

use crate::apic;
use crate::clock::{self, busy_wait_ns, now_ns};
use crate::cpu;
use crate::gdt;
use crate::hold;
use crate::idt;
use crate::mtrr;
use crate::param::CPU_PATIENCE_NS;
use crate::trampoline::{Addressee, Letter, Trampoline};
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

/// Why a CPU did not come up. Except after the first, no more are started.
enum Failure {
    /// It has touched nothing that belongs to its number.
    NeverAnswered,
    Hangs,
    NoMemory(&'static str),
}

impl Failure {
    fn words(&self) -> &'static str {
        match self {
            Failure::NeverAnswered => "it never answered",
            Failure::Hangs => "it hangs while setting itself up",
            Failure::NoMemory(what) => what,
        }
    }
}

/// How far start-up has come.
struct Progress {
    /// How many of [`apic::others`] were tried: all, if no more are to be started.
    tried: usize,
    /// A CPU was called and did not come. It may come yet, and must find code in the trampoline.
    missing: bool,
    /// The g0 stack of the next number, if it was made for a CPU that did not come.
    stack: Option<usize>,
    /// Made at the first start, freed after the last if no CPU is missing.
    trampoline: Option<Trampoline>,
}

static PROGRESS: Mutex<Progress> =
    Mutex::new(Progress { tried: 0, missing: false, stack: None, trampoline: None });

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
    let Some(apic_id) = apic::others().nth(progress.tried) else {
        return false;
    };
    progress.tried += 1;
    apic::number(cpu, apic_id);
    let result = progress.start(cpu, apic_id, block, entry);
    if let Err(why) = &result {
        println!("cpu {cpu} (apic id {apic_id}) did not come up: {}", why.words());
        if !matches!(why, Failure::NeverAnswered) && progress.tried + 1 < cpus() {
            println!("no more CPUs are started");
            progress.tried = cpus();
        }
    }
    result.is_ok()
}

impl Progress {
    fn start(
        &mut self,
        cpu: usize,
        apic_id: u32,
        block: *const (),
        entry: extern "C" fn() -> !,
    ) -> Result<(), Failure> {
        let stack = self.stack.take().or_else(|| gdt::boot_stack_for(cpu));
        let stack = stack.ok_or(Failure::NoMemory("no memory for its stack"))?;
        let made = self.trampoline.take().or_else(Trampoline::new);
        let mut trampoline = made.ok_or(Failure::NoMemory("no free page below 1 MiB"))?;
        let letter =
            trampoline.invite(Addressee { apic_id, cpu, block, stack, main: started, entry });
        let result = call(apic_id, trampoline.page, letter);
        if let Err(why) = &result {
            apic::send_init(apic_id);
            self.missing = true;
            self.stack = matches!(why, Failure::NeverAnswered).then_some(stack);
        }
        if self.tried + 1 == cpus() && !self.missing {
            trampoline.retire();
        } else {
            self.trampoline = Some(trampoline);
        }
        result
    }
}

/// Calls the CPU until it has come, and compares clocks with it. Meanwhile this CPU halts, because
/// a host with fewer cores than the machine has CPUs needs one for the new CPU.
fn call(apic_id: u32, page: u64, letter: &'static Letter) -> Result<(), Failure> {
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
    // Time began after the INITs.
    busy_wait_ns(AFTER_INIT_NS.saturating_sub(now_ns()));
    apic::send_startup(apic_id, page);
    if !arrived(BEFORE_SECOND_STARTUP_NS) {
        if letter.awaits(apic_id) {
            apic::send_startup(apic_id, page);
        }
        if !arrived(CPU_PATIENCE_NS) {
            return Err(if letter.withdraw(apic_id) {
                Failure::NeverAnswered
            } else {
                Failure::Hangs
            });
        }
    }
    let begin = now_ns();
    let compared =
        letter.rally.answer(|| now_ns() - begin > CPU_PATIENCE_NS).ok_or(Failure::Hangs)?;
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
    Ok(())
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
