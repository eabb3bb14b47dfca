//! Ways to crash, to see the report. Each must end the run with status 2 and a report.
#![allow(unsafe_code)] // A wild read, a wild jump, and a gate that leads here.

use super::{Args, Outcome};
use alloc::boxed::Box;
use alloc::format;
use contract::provoke;
use core::hint::black_box;
use executive::{affinity, chan, recover};
use kernel::gdt::Ist;
use kernel::{apic, println};
use x86_64::VirtAddr;
use x86_64::instructions::interrupts::int3;
use x86_64::instructions::tables::sidt;
use x86_64::structures::idt::InterruptDescriptorTable;

pub const HELP: &str = "ends the run with a crash report: \
    panic handler fault jump nmi nm mf xm overflow deadlock throw-mcall throw-systemstack";

pub fn crash(args: &Args) -> Outcome {
    match args.words[0] {
        "panic" => panic!("as you wish"),
        "handler" => panic_in_a_handler(),
        "fault" => fault(),
        "jump" => jump(),
        "nmi" if affinity::num_cpus() > 1 => nmi(),
        "nm" => without_fpu(),
        "mf" => x87_divides_by_zero(),
        "xm" => sse_divides_by_zero(),
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

/// A handler panics that has interrupted a `recover`: the gate of breakpoints leads to it on this
/// CPU.
fn panic_in_a_handler() {
    extern "C" fn handler() -> ! {
        panic!("in a handler")
    }
    let _here = affinity::lock_to_this_cpu();
    // SAFETY: the kernel's own table, which stays.
    let kernel_s = unsafe { &*sidt().base.as_ptr::<InterruptDescriptorTable>() };
    let table = Box::leak(Box::new(kernel_s.clone()));
    // SAFETY: the CPU enters a handler as a call does, with an aligned stack and one word on it (of
    // five); and this one never returns.
    unsafe {
        let gate = table.breakpoint.set_handler_addr(VirtAddr::from_ptr(handler as *const ()));
        gate.set_stack_index(Ist::Fault as u16);
    }
    table.load();
    let _ = recover(int3);
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

/// Uses xmm3 when CR0.TS says that the registers are another task's.
fn without_fpu() {
    // SAFETY: none: the exception is the purpose.
    unsafe {
        core::arch::asm!(
            "movq xmm3, {pattern}",
            "mov {cr0}, cr0",
            "or {cr0}, 8",
            "mov cr0, {cr0}",
            "movaps xmm4, xmm3",
            pattern = in(reg) 0x0123_4567_89ab_cdef_u64,
            cr0 = out(reg) _,
            out("xmm3") _,
            out("xmm4") _,
        );
    }
}

/// With the exception unmasked; the next instruction of x87 raises it.
fn x87_divides_by_zero() {
    let control: u16 = 0x037f & !(1 << 2);
    // SAFETY: none: the exception is the purpose.
    unsafe {
        core::arch::asm!("fldcw [{}]", "fld1", "fldz", "fdivp", "fwait", in(reg) &raw const control)
    };
}

/// With the exception unmasked. QEMU's emulation does not raise it, so an instruction does.
fn sse_divides_by_zero() {
    let control: u32 = 0x1f80 & !(1 << 9);
    // SAFETY: none: the exception is the purpose.
    unsafe {
        core::arch::asm!(
            "ldmxcsr [{}]",
            "divsd {one}, {zero}",
            "int 19",
            in(reg) &raw const control,
            one = inout(xmm_reg) 1.0 => _,
            zero = in(xmm_reg) 0.0,
        );
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
