//! What a goroutine has in its registers when it leaves its CPU, it has when it comes back.
#![allow(unsafe_code)] // The registers are filled and looked at by assembly.

use alloc::vec::Vec;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::arch::{asm, naked_asm};
use executive::{go, yield_now};
use sha2::{Digest, Sha256, Sha512};

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

cpufeatures::new!(aes, "aes");
cpufeatures::new!(sse4_2, "sse4.2");
cpufeatures::new!(avx2, "avx2");

/// What the system saves of the vector registers (XCR0); 0 where code may not ask.
fn saved() -> u32 {
    const OSXSAVE: u32 = 1 << 27;
    if __cpuid(1).ecx & OSXSAVE == 0 {
        return 0;
    }
    let low: u32;
    // SAFETY: OSXSAVE says that there is XCR0, and that it may be read.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") _, options(nomem)) };
    low
}

scenarios! { registers:

/// A crate finds what the CPU has (Intel SDM vol. 2, CPUID), and no register that is not saved.
fn a_crate_finds_what_the_cpu_has() {
    const SSE_AVX: u32 = 0b110;
    let bit = |register: u32, n: u32| register & 1 << n != 0;
    let one = __cpuid(1);
    let seven = if __cpuid(0).eax < 7 { 0 } else { __cpuid_count(7, 0).ebx };
    assert_eq!(aes::get(), bit(one.ecx, 25));
    assert_eq!(sse4_2::get(), bit(one.ecx, 20));
    let avx = bit(one.ecx, 28) && saved() & SSE_AVX == SSE_AVX;
    assert_eq!(avx2::get(), avx && bit(seven, 5));
}

/// And by what it has chosen there, it computes the right digests (FIPS 180-4, of "abc").
fn a_crate_computes_with_what_the_cpu_has() {
    let digest = Sha256::digest(b"abc");
    assert!(digest.starts_with(&[0xba, 0x78, 0x16, 0xbf]) && digest.ends_with(&[0x15, 0xad]));
    let digest = Sha512::digest(b"abc");
    assert!(digest.starts_with(&[0xdd, 0xaf, 0x35, 0xa1]) && digest.ends_with(&[0xa4, 0x9f]));
}

/// Each register that a function call keeps is kept over a switch, for each goroutine its own.
fn they_are_kept_over_a_switch() {
    let handles: Vec<_> = (1..=8).map(|n| go(move || for round in 0..50 {
        let lost = kept_over(yields, n << 32 | round << 8);
        assert!(lost == 0, "{} is not what it was before the switch", NAMES[lost - 1]);
    })).collect();
    handles.into_iter().for_each(|h| h.join());
}
}
