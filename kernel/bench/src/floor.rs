//! What the CPU itself asks: an arithmetic loop, and the cheapest switch of stacks that there can
//! be.
#![allow(unsafe_code)] // a second stack, and the switch to it

use crate::{Host, REPEATS, ns_per, repeat};
use alloc::vec;
use core::arch::{asm, naked_asm};

/// Nanoseconds per step of a chain of multiplications: four cycles or so on anything recent.
pub fn calibration(host: &Host) {
    let steps = 2_000_000 / host.slowness;
    repeat(host, "calibration", "ns", 3, || {
        ns_per(steps, || {
            let mut x = 1u64;
            for _ in 0..steps {
                x = core::hint::black_box(x.wrapping_mul(6364136223846793005).wrapping_add(1));
            }
        })
    });
}

/// Six registers and a stack pointer saved and restored: nothing is decided, nothing is queued.
/// Every switch costs this much before the scheduler has done anything.
pub fn switch_floor(host: &Host) {
    let switches = 4_000_000 / host.slowness;
    let mut stack = vec![0usize; 2048];
    // The other side's first frame: six registers and `bounce` to return to; its two stack pointers
    // go in as rbx and rbp.
    let mut sps = [0usize; 2];
    let top = stack.len() & !1;
    let frame = &mut stack[top - 9..];
    frame[4] = &raw mut sps[1] as usize; // rbp: where the other side saves its own
    frame[5] = &raw mut sps[0] as usize; // rbx: where it finds ours
    frame[6] = bounce as *const () as usize;
    sps[1] = &raw mut frame[0] as usize;
    let sps = &raw mut sps;
    // On a stack that isn't a goroutine's there must be no preemption.
    let pin = executive::percpu::Pin::new();
    repeat(host, "switch_floor", "ns", REPEATS, || {
        ns_per(switches, || {
            for _ in 0..switches / 2 {
                // SAFETY: sps[1] holds the stack pointer that the other side left by `swap` (or the
                // frame made above); it comes back by `swap` at once.
                unsafe { swap(&raw mut (*sps)[0], &raw const (*sps)[1]) };
            }
        })
    });
    drop(pin);
}

/// The other side: switches back, forever.
///
/// Takes rbx: where our side's stack pointer is, rbp: where to save its own.
#[unsafe(naked)]
extern "C" fn bounce() -> ! {
    naked_asm!(
        "2:",
        "mov rdi, rbp",
        "mov rsi, rbx",
        "call {swap}",
        "jmp 2b",
        swap = sym swap,
    )
}

/// Saves this side's registers on its stack and its stack pointer in `*save`; goes on with the side
/// whose stack pointer is in `*load`.
#[unsafe(naked)]
unsafe extern "C" fn swap(save: *mut usize, load: *const usize) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rdi], rsp",
        "mov rsp, [rsi]",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "pop rcx", /* not `ret`: the CPU predicts those from its own stack of calls, which knows
                    * nothing of two stacks */
        "jmp rcx",
    )
}

/// Executes `2 * n` instructions, and a few more.
pub(crate) fn two_instructions(n: u64) {
    // SAFETY: a loop that counts down in a register.
    unsafe { asm!("2:", "dec {n}", "jnz 2b", n = inout(reg) n => _, options(nomem, nostack)) };
}

/// Executes `10 * n` instructions, and a few more.
pub(crate) fn ten_instructions(n: u64) {
    // SAFETY: as above.
    unsafe {
        asm!("2:", "nop", "nop", "nop", "nop", "nop", "nop", "nop", "nop", "dec {n}", "jnz 2b",
            n = inout(reg) n => _, options(nomem, nostack))
    };
}
