//! Starting the other CPUs, one at a time.
//!
//! INIT (apic.rs has sent it to all of them), 10 ms, start-up IPI; a second one only if the first was lost (Intel SDM
//! vol. 3A, 10.4.4.1). Then there is no guessing by delays: the CPU says that it is there, and one that does not within
//! [`PATIENCE_NS`] is reported and left out. It is sent back to INIT, and a letter has one addressee, so it cannot come late and be taken for another.
//! On a loaded host a virtual CPU may not run at all for a second; so patience is long, and only for
//! CPUs that are missing.
//!
//! Rejected: broadcasting the start (it wakes CPUs that firmware disabled), and starting all at once (one
//! letter would not do, and a hang would have no name).
#![allow(unsafe_code)] // CR3.

use crate::apic;
use crate::clock::{self, busy_wait_ns, now_ns};
use crate::cpu;
use crate::flush;
use crate::gdt;
use crate::idt;
use crate::println;
use crate::trampoline::{ARRIVED, Addressee, INVITED, Letter, Trampoline, WITHDRAWN};
use core::sync::atomic::Ordering;
use executive::machine;
use spin::Mutex;
use x86_64::PhysAddr;
use x86_64::instructions::interrupts;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::PhysFrame;

const MS: u64 = 1_000_000;
const AFTER_INIT_NS: u64 = 10 * MS;
const BEFORE_SECOND_STARTUP_NS: u64 = MS;
/// How long a CPU may take to come, and again to set itself up.
const PATIENCE_NS: u64 = 5_000 * MS;

const SLOW: &str = "it hangs while setting itself up";

/// Made at the first start, gone after the last.
static TRAMPOLINE: Mutex<Option<Trampoline>> = Mutex::new(None);

/// How many CPUs there are to start, the boot CPU included.
pub fn cpus() -> usize {
    apic::cpus()
}

/// [`executive::machine::Machine::start_cpu`].
///
/// # Safety
/// As there.
pub unsafe fn start_cpu(cpu: usize, block: *const (), entry: extern "C" fn() -> !) -> bool {
    if cpu == 0 {
        entry();
    }
    match start(cpu, block, entry) {
        Ok(()) => true,
        Err(why) => {
            println!("cpu {cpu} (apic id {}) did not come up: {why}", apic::id_of(cpu));
            false
        }
    }
}

fn start(cpu: usize, block: *const (), entry: extern "C" fn() -> !) -> Result<(), &'static str> {
    let stack = gdt::boot_stack_for(cpu).ok_or("no memory for its stack")?;
    let mut slot = TRAMPOLINE.lock();
    let mut trampoline = match slot.take() {
        Some(trampoline) => trampoline,
        None => Trampoline::new().ok_or("no free page below 1 MiB")?,
    };
    let letter = trampoline.invite(Addressee { cpu, block, stack, main: started, entry });
    let result = call(cpu, trampoline.page, letter);
    if result.is_err() {
        apic::send_init(cpu);
    }
    trampoline.missing |= result.is_err();
    if cpu + 1 == cpus() && !trampoline.missing {
        trampoline.retire();
    } else {
        // Kept for good if a CPU is missing: whatever it still does, it must find code here.
        *slot = Some(trampoline);
    }
    result
}

/// Calls the CPU until it is there, and compares clocks with it. Meanwhile this CPU halts: a host with fewer cores than we
/// have CPUs needs them for the new one.
fn call(cpu: usize, page: u64, letter: &'static Letter) -> Result<(), &'static str> {
    let arrived = |patience: u64| {
        let deadline = now_ns() + patience;
        loop {
            // Acquire: partner of the Release in `started`.
            match letter.state.load(Ordering::Acquire) {
                ARRIVED => return true,
                _ if now_ns() >= deadline => return false,
                state => machine::wait(&letter.state, state, deadline),
            }
        }
    };
    // Time began after the INITs.
    busy_wait_ns(AFTER_INIT_NS.saturating_sub(now_ns()));
    apic::send_startup(cpu, page);
    if !arrived(BEFORE_SECOND_STARTUP_NS) {
        if letter.state.load(Ordering::Relaxed) == INVITED {
            apic::send_startup(cpu, page);
        }
        if !arrived(PATIENCE_NS) {
            let withdrawn = letter.state.compare_exchange(INVITED, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire);
            return Err(if withdrawn.is_ok() { "it never answered" } else { SLOW });
        }
    }
    let begin = now_ns();
    let backwards = letter.rally.answer(|| now_ns() - begin > PATIENCE_NS).ok_or(SLOW)?;
    clock::arm_timer(0); // our waits used it up: the executive's tick asks for what it needs
    if backwards > 0 {
        clock::distrust_tsc(); // that CPU has done so too, before its last stroke
        let ns = clock::ns_of_ticks(backwards);
        println!("cpu {cpu}: its TSC differs from cpu 0's by at least {ns} ns; keeping time the slow way");
    }
    Ok(())
}

/// Where the trampoline leads: on the new CPU, on its g0's stack, in the low tables, interrupts off.
extern "C" fn started(letter: &'static Letter) -> ! {
    // SAFETY: the kernel's own tables, in which this code and this stack are where they are now.
    unsafe { Cr3::write(PhysFrame::containing_address(PhysAddr::new(letter.tables)), Cr3Flags::empty()) };
    // SAFETY: the executive gave this block for this CPU.
    unsafe { cpu::set_gs(letter.block) };
    cpu::init();
    gdt::load(letter.cpu);
    idt::load();
    apic::init_this_cpu();
    let entry = letter.entry;
    // Release: partner of the Acquire in `call`.
    letter.state.store(ARRIVED, Ordering::Release);
    machine::wake(0, &letter.state);
    letter.rally.serve(clock::distrust_tsc); // after it the letter is the next CPU's
    flush::join(); // not before: others wait for who has joined, and this CPU could have been given up
    interrupts::enable();
    entry()
}
