//! What a goroutine has in its registers when it leaves its CPU, it has when it comes back.
#![allow(unsafe_code)] // The registers are filled and looked at by assembly.

use alloc::vec::Vec;
use core::arch::naked_asm;
use executive::{go, yield_now};

/// Fills the registers that a call keeps (System V ABI for x86-64, 3.2.1) with `value` + 1
/// and so on, calls `f`, and looks at them. 0: all were kept; else the first that was not, counted
/// from 1 in [`NAMES`].
#[unsafe(naked)]
extern "C" fn kept_over(f: extern "C" fn(), value: u64) -> usize {
    naked_asm!(
        "push rbp; push rbx; push r12; push r13; push r14; push r15",
        "push rsi", // and rsp is a multiple of 16, as a call wants it
        "lea rbx, [rsi + 1]; lea rbp, [rsi + 2]; lea r12, [rsi + 3]",
        "lea r13, [rsi + 4]; lea r14, [rsi + 5]; lea r15, [rsi + 6]",
        "call rdi",
        "pop rsi",
        "sub rbx, rsi; sub rbp, rsi; sub r12, rsi; sub r13, rsi; sub r14, rsi; sub r15, rsi",
        "mov eax, 1; cmp rbx, 1; jne 2f",
        "mov eax, 2; cmp rbp, 2; jne 2f",
        "mov eax, 3; cmp r12, 3; jne 2f",
        "mov eax, 4; cmp r13, 4; jne 2f",
        "mov eax, 5; cmp r14, 5; jne 2f",
        "mov eax, 6; cmp r15, 6; jne 2f",
        "xor eax, eax",
        "2:",
        "pop r15; pop r14; pop r13; pop r12; pop rbx; pop rbp",
        "ret",
    )
}

const NAMES: [&str; 6] = ["rbx", "rbp", "r12", "r13", "r14", "r15"];

extern "C" fn yields() {
    yield_now();
}

scenarios! { registers:

/// Each register that a function call keeps is kept over a switch, for each goroutine its own.
fn they_are_kept_over_a_switch() {
    let handles: Vec<_> = (1..=8).map(|n| go(move || for round in 0..50 {
        let lost = kept_over(yields, n << 32 | round << 8);
        assert!(lost == 0, "{} is not what it was before the switch", NAMES[lost - 1]);
    })).collect();
    handles.into_iter().for_each(|h| h.join());
}
}
