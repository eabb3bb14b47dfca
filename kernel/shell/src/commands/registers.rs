//! Does a preempted goroutine get back every register and flag that it had?
//!
//! On each CPU a goroutine runs a loop of assembly that keeps a known value in every general
//! register and in every flag that a program may set, and checks them all in each round. Goroutines
//! that sleep on the same CPUs have it interrupted at any instruction. The stack pointer is checked
//! too: the address of the word that ends the loop lies on top of the stack.
#![allow(unsafe_code)] // The loop.

use super::{Args, Outcome};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::arch::naked_asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use executive::census::cpu_reports;
use executive::{go, time};
use kernel::println;

/// CF PF AF ZF SF DF OF and IF set, and the bit that is always set (Intel SDM vol. 1, 3.4.3).
const FLAGS: u64 = 0xed7;

/// Runs until `*stop` is not 0. Returns 0, or the number of the first register that had changed
/// (16: the flags).
#[unsafe(naked)]
extern "C" fn hold(stop: *const AtomicU64) -> u64 {
    naked_asm!(
        "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
        "push rdi",                        // [rsp] = stop
        "mov rax, 0x10101010", "mov rcx, 0x11111111", "mov rdx, 0x12121212", "mov rbx, 0x13131313",
        "mov rbp, 0x15151515", "mov rsi, 0x16161616", "mov rdi, 0x17171717",
        "mov r8,  0x18181818", "mov r9,  0x19191919", "mov r10, 0x1a1a1a1a", "mov r11, 0x1b1b1b1b",
        "mov r12, 0x1c1c1c1c", "mov r13, 0x1d1d1d1d", "mov r14, 0x1e1e1e1e", "mov r15, 0x1f1f1f1f",
        "2:",
        "push {flags}", "popfq",
        // A while in which neither registers nor flags change.
        ".rept 200", "nop", "lea rax, [rax + 0]", "mov r8, r8", ".endr",
        "pushfq",
        "cld",
        "cmp qword ptr [rsp], {flags}", "lea rsp, [rsp + 8]", "jne 36f",
        "cmp rax, 0x10101010", "jne 20f",
        "cmp rcx, 0x11111111", "jne 21f",
        "cmp rdx, 0x12121212", "jne 22f",
        "cmp rbx, 0x13131313", "jne 23f",
        "cmp rbp, 0x15151515", "jne 25f",
        "cmp rsi, 0x16161616", "jne 26f",
        "cmp rdi, 0x17171717", "jne 27f",
        "cmp r8,  0x18181818", "jne 28f",
        "cmp r9,  0x19191919", "jne 29f",
        "cmp r10, 0x1a1a1a1a", "jne 30f",
        "cmp r11, 0x1b1b1b1b", "jne 31f",
        "cmp r12, 0x1c1c1c1c", "jne 32f",
        "cmp r13, 0x1d1d1d1d", "jne 33f",
        "cmp r14, 0x1e1e1e1e", "jne 34f",
        "cmp r15, 0x1f1f1f1f", "jne 35f",
        "push rax",
        "mov rax, [rsp + 8]",
        "cmp qword ptr [rax], 0",
        "pop rax",
        "je 2b",
        "xor eax, eax", "jmp 3f",
        "20: mov eax, 100", "jmp 3f", // 0 is success
        "21: mov eax, 1", "jmp 3f", "22: mov eax, 2", "jmp 3f", "23: mov eax, 3", "jmp 3f",
        "25: mov eax, 5", "jmp 3f", "26: mov eax, 6", "jmp 3f", "27: mov eax, 7", "jmp 3f",
        "28: mov eax, 8", "jmp 3f", "29: mov eax, 9", "jmp 3f", "30: mov eax, 10", "jmp 3f",
        "31: mov eax, 11", "jmp 3f", "32: mov eax, 12", "jmp 3f", "33: mov eax, 13", "jmp 3f",
        "34: mov eax, 14", "jmp 3f", "35: mov eax, 15", "jmp 3f", "36: mov eax, 16",
        "3:",
        "pop rdi",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
        "ret",
        flags = const FLAGS,
    )
}

/// `registers [PREEMPTIONS]`.
pub fn registers(args: &Args) -> Outcome {
    let wanted = args.number(0, 1000, 1..=1_000_000)?;
    let preemptions = || cpu_reports().map(|cpu| cpu.stats.preemptions.get()).sum::<u64>();
    let (stop, before) = (Arc::new(AtomicU64::new(0)), preemptions());
    let cpus = cpu_reports().count();
    let holders: Vec<_> = (0..cpus)
        .map(|_| {
            let stop = stop.clone();
            go(move || hold(Arc::as_ptr(&stop)))
        })
        .collect();
    let pests: Vec<_> = (0..2 * cpus)
        .map(|_| {
            let stop = stop.clone();
            go(move || {
                while stop.load(Relaxed) == 0 {
                    time::sleep(Duration::from_micros(10));
                }
            })
        })
        .collect();
    // The holders may end early, when a register has changed; then there is no further preemption.
    while preemptions() - before < wanted
        && !args.stopped()
        && !holders.iter().any(|h| h.is_finished())
    {
        time::sleep(Duration::from_millis(10));
    }
    let seen = preemptions() - before;
    stop.store(1, Relaxed);
    pests.into_iter().for_each(|pest| pest.join());
    for holder in holders {
        match holder.join() {
            0 => {}
            16 => return Err("the flags had changed".into()),
            n => return Err(format!("register {} had changed", n % 100)),
        }
    }
    println!("{seen} preemptions, and every register and flag was kept");
    Ok(())
}
