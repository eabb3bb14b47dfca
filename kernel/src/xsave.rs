//! Vector registers and x87: switched on, and saved for a goroutine that is preempted.
//!
//! A switch saves none of them: a call keeps none (VECTOR-CLEAN). So their contents live in two
//! places only. A preempted goroutine has them in a frame on its own stack, made here, from where
//! any CPU takes them. Handlers are compiled with SSE2: the common stub of the gates (idt.rs) gives
//! back xmm0 to xmm15, and nothing that a handler calls uses wider ones.
//!
//! On `x86_64-unknown-none` code uses no such register. SSE stays off there, and a stray
//! instruction is an invalid opcode.
#![allow(unsafe_code)] // Naked functions and control registers.

use crate::given_up::yield_or_stay;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::arch::{asm, naked_asm};
use core::sync::atomic::{AtomicUsize, Ordering};

/// Whether the kernel's code uses vector registers: it was built for `x86_64-goroutine.json`.
pub const USED: bool = cfg!(target_feature = "sse2");

/// What CR4 needs before the first instruction that uses xmm: OSFXSR and OSXMMEXCPT.
pub const CR4: u64 = if USED { 1 << 9 | 1 << 10 } else { 0 };
const CR4_OSXSAVE: u64 = 1 << 18;

/// What XCR0 may have (Intel SDM vol. 1, 13.3): x87, SSE, AVX, and AVX-512's three. Not AMX, whose
/// 8 KiB would be on every preempted goroutine's stack.
const X87_SSE: u64 = 0b11;
const AVX: u64 = 1 << 2;
const AVX_512: u64 = 0b111 << 5;

/// Bytes of XSAVE's area where there is no AVX.
const X87_SSE_AREA: usize = 576;

/// All exceptions masked, round to nearest: as Rust wants it.
static MXCSR: u32 = 0x1f80;

/// Bytes that the save instruction writes, up to the next multiple of 64. The same on all CPUs.
static AREA: AtomicUsize = AtomicUsize::new(0);

/// Bytes of a preempted goroutine's vector registers on its stack; 0: it has none.
pub fn area() -> usize {
    AREA.load(Ordering::Relaxed)
}

/// What is on in XCR0; x87 and SSE where there is no XCR0; 0: code uses no vector register.
pub fn components() -> u64 {
    if !USED {
        0
    } else if cr4() & CR4_OSXSAVE == 0 {
        X87_SSE
    } else {
        let (low, high): (u32, u32);
        // SAFETY: CR4.OSXSAVE is set.
        unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem)) };
        u64::from(high) << 32 | u64::from(low)
    }
}

/// What saves them.
pub fn instruction() -> &'static str {
    match (USED, cr4() & CR4_OSXSAVE != 0) {
        (false, _) => "nothing",
        (true, false) => "FXSAVE",
        (true, true) => "XSAVE",
    }
}

/// The bits of XCR0 for a CPU that offers these: AVX-512 whole or not at all.
fn wanted(offered: u64) -> u64 {
    let mut xcr0 = X87_SSE;
    if offered & AVX != 0 {
        xcr0 |= AVX;
        if offered & AVX_512 == AVX_512 {
            xcr0 |= AVX_512;
        }
    }
    xcr0
}

/// What CR4 shall have on the calling CPU, beyond what it had at its first instruction.
///
/// XSAVE alone, of the first CPUs that had it, is left out, and AVX with it: where QEMU has none of
/// XSAVEOPT, XSAVEC and XGETBV(1), it never gets past the instruction that switches XSAVE on
/// (docs/machines.md).
pub fn cr4() -> u64 {
    let xsave = USED && __cpuid(1).ecx & 1 << 26 != 0 && __cpuid_count(0xd, 1).eax != 0;
    CR4 | if xsave { CR4_OSXSAVE } else { 0 }
}

/// Brings the calling CPU's vector registers and x87 into our state. After CR4 has [`cr4`].
pub fn init() {
    if !USED {
        return;
    }
    let has_xsave = cr4() & CR4_OSXSAVE != 0;
    let mut area = 512; // FXSAVE's
    let mut keep: unsafe extern "C" fn() = keep_by_fxsave;
    if has_xsave {
        let offered = __cpuid_count(0xd, 0);
        let xcr0 = wanted(u64::from(offered.edx) << 32 | u64::from(offered.eax));
        // SAFETY: these are offered, and depend on no other.
        unsafe { asm!("xsetbv", in("ecx") 0, in("eax") xcr0 as u32, in("edx") 0) };
        // What is on now needs so much.
        area = (__cpuid_count(0xd, 0).ebx as usize).next_multiple_of(64);
        keep = keep_by_xsave;
    }
    // SAFETY: CR4 and CR0 allow it.
    unsafe { asm!("fninit", "ldmxcsr [{}]", in(reg) &MXCSR, options(nostack)) };
    AREA.store(area, Ordering::Relaxed);
    // SAFETY: each calls it once, and gives back every register.
    unsafe { executive::preempt_by(keep) };
}

/// FXSAVE knows x87 and SSE, and takes no mask.
#[unsafe(naked)]
unsafe extern "C" fn keep_by_fxsave() {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "and rsp, -64",
        "sub rsp, 512",
        "fxsave64 [rsp]",
        "fninit", // as a function expects it
        "ldmxcsr [rip + {mxcsr}]",
        "call {yield_or_stay}",
        "fxrstor64 [rsp]",
        "mov rsp, rbp",
        "pop rbp",
        "ret",
        mxcsr = sym MXCSR,
        yield_or_stay = sym yield_or_stay,
    )
}

/// Saves all that XCR0 has on, calls `yield_or_stay`, and restores it: on whatever CPU, all of
/// which have the same XCR0. XRSTOR wants zeros in what XSAVE leaves of its header.
///
/// Rejected: XSAVEOPT, which leaves out what has not changed since XRSTOR read it from the same
/// address; other frames have overwritten that since. And XSAVEC: in Bochs 2.7 XRSTOR refuses the
/// header that it makes.
#[unsafe(naked)]
unsafe extern "C" fn keep_by_xsave() {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "and rsp, -64",
        "sub rsp, [rip + {area}]",
        "xor eax, eax",
        "mov [rsp + 512], rax",
        "mov [rsp + 520], rax",
        "mov [rsp + 528], rax",
        "mov [rsp + 536], rax",
        "mov [rsp + 544], rax",
        "mov [rsp + 552], rax",
        "mov [rsp + 560], rax",
        "mov [rsp + 568], rax",
        "mov eax, -1", // all that is on
        "mov edx, -1",
        "xsave64 [rsp]",
        "fninit", // as a function expects it: empty, with our control words
        "ldmxcsr [rip + {mxcsr}]",
        "cmp qword ptr [rip + {area}], {x87_sse}",
        "jbe 2f",
        "vzeroupper", // upper halves that are not 0 make SSE's instructions slow
        "2:",
        "call {yield_or_stay}",
        "mov eax, -1",
        "mov edx, -1",
        "xrstor64 [rsp]",
        "mov rsp, rbp",
        "pop rbp",
        "ret",
        area = sym AREA,
        x87_sse = const X87_SSE_AREA,
        mxcsr = sym MXCSR,
        yield_or_stay = sym yield_or_stay,
    )
}
