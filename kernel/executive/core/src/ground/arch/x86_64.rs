//! x86-64: everything that knows the instruction set, but for the switch of stacks (switch.rs), the
//! only other assembly here. Each function is an instruction or two. An executive for another
//! instruction set needs this file, switch.rs and gdb.py again.
//!
//! **Rule (GS-CURRENT):** what a `gs_` function reads or writes is one aligned field of this CPU's
//! block (percpu.rs), in one instruction. None is `pure`, and none that orders anything is `nomem`.
#![allow(unsafe_code)] // Assembly.

use core::arch::asm;
use core::cmp;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering, compiler_fence};

// --- memory

/// A full fence: no access of this CPU after it is made before one that precedes it (store-load
/// included).
///
/// A locked no-op on the stack's top orders as `mfence` does for write-back memory and costs half
/// as much (Intel SDM vol. 3A, 10.2.2 "Memory ordering in P6 and more recent processor families").
#[inline(always)]
pub fn full_fence() {
    // SAFETY: writes back what it read, at rsp, which is always mapped and ours.
    unsafe { asm!("lock or dword ptr [rsp], 0") }
}

/// A [`full_fence`] that directly follows an exchange (a swap, a compare-and-swap that succeeded)
/// of the same thread.
///
/// The exchange was one already: "locked instructions have a total order", and neither loads nor
/// stores pass them (Intel SDM vol. 3A, 10.2.3.8 and 10.2.3.9). Only the compiler is left to stop.
#[inline(always)]
pub fn full_fence_after_exchange() {
    compiler_fence(Ordering::SeqCst);
}

/// Subtracts, with Release, and compares the result, as a signed number, with 0: that is what the
/// CPU's flags tell, and `lock sub` is 10 % faster than `fetch_sub`, which brings back the old one.
#[inline(always)]
pub fn sub_release<const N: u32>(word: &AtomicU32) -> cmp::Ordering {
    // SAFETY: as `fetch_sub` accesses an atomic. Not `nomem`: what precedes stays before it.
    unsafe {
        asm!(
            "lock sub dword ptr [{word}], {n}",
            "jz 2f", // nothing is left nearly always
            "js {negative}",
            "jmp {positive}",
            "2:",
            word = in(reg) word.as_ptr(),
            n = const N as i32,
            negative = label { return cmp::Ordering::Less },
            positive = label { return cmp::Ordering::Greater },
            options(nostack),
        );
    }
    cmp::Ordering::Equal
}

/// Asks for the cache line at `address`, to write it soon. A hint: any address will do.
#[inline(always)]
pub fn prefetch_for_write(address: usize) {
    // SAFETY: never faults (Intel SDM vol. 2, PREFETCHW).
    unsafe {
        asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
}

/// Spins politely: tells the CPU that this loop waits for another.
#[inline(always)]
pub fn relax() {
    core::hint::spin_loop();
}

/// This CPU's cycle counter, read after the loads that precede it.
#[inline(always)]
pub fn cycles() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: reads a counter, in halves.
    unsafe {
        asm!("lfence", "rdtsc", out("rax") low, out("rdx") high, options(nostack, preserves_flags))
    };
    high << 32 | low
}

// --- the stack

/// Stores the stack pointer: one instruction, where a load of it and a store are two.
#[inline(always)]
pub fn store_sp(to: &AtomicUsize) {
    // SAFETY: a relaxed store to an atomic.
    unsafe { asm!("mov [{to}], rsp", to = in(reg) to, options(nostack, preserves_flags)) }
}

/// The frame pointer (rbp).
#[inline(always)]
pub fn frame_pointer() -> usize {
    let fp: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) fp, options(nomem, nostack, preserves_flags)) };
    fp
}

/// Whether this crate was compiled with frame pointers: rbp points below the return address.
pub fn keeps_frame_pointers() -> bool {
    extern "C" fn keeps_one(below_return: usize) -> bool {
        frame_pointer() == below_return
    }
    let kept: u8;
    // SAFETY: calls a function, with the stack aligned as it was, and puts rbp back.
    unsafe {
        asm!(
            "push rbp",
            "push rbp",
            "xor ebp, ebp",
            "lea rdi, [rsp - 16]", // the call pushes one word, and a prologue rbp
            "call {keeps_one}",
            "pop rbp",
            "pop rbp",
            keeps_one = sym keeps_one,
            out("al") kept,
            clobber_abi("C"),
        );
    }
    kept != 0
}

// --- this CPU's block

/// A function of one GS-relative instruction. All of them have the same promise to keep.
macro_rules! gs {
    ($(#[$doc:meta])* $name:ident<$(const $c:ident: $t:ty),*>($($arg:ident: $arg_ty:ty)?)
        $(-> $ret:ident: $ret_ty:ty)?, $($asm:tt)*) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// `O` is the offset of such a field in this CPU's block, to which GS points, and the value
        /// is one that it may have.
        #[inline(always)]
        pub unsafe fn $name<$(const $c: $t),*>($($arg: $arg_ty)?) $(-> $ret_ty)? {
            $(let $ret: $ret_ty;)?
            // SAFETY: the caller's promise.
            unsafe { asm!($($asm)*) };
            $($ret)?
        }
    };
}
gs! {
    /// Reads a word.
    gs_load<const O: usize>() -> value: u64,
    "mov {}, gs:[{}]", out(reg) value, const O, options(nostack, preserves_flags, readonly)
}
gs! {
    /// Writes a word.
    gs_store<const O: usize>(value: u64),
    "mov gs:[{}], {}", const O, in(reg) value, options(nostack, preserves_flags)
}
gs! {
    /// Writes a constant.
    gs_set<const O: usize, const V: i32>(),
    "mov qword ptr gs:[{}], {}", const O, const V, options(nostack, preserves_flags)
}
gs! {
    /// Keeps only the bits of a constant (sign-extended).
    gs_and<const O: usize, const V: i32>(),
    "and qword ptr gs:[{}], {}", const O, const V, options(nostack)
}
gs! {
    /// Adds a constant.
    gs_add<const O: usize, const N: i32>(),
    "add qword ptr gs:[{}], {}", const O, const N, options(nostack)
}

/// Functions that jump on the flags of one GS-relative instruction: `seldom` is the answer of the
/// jump that is not expected to be taken.
macro_rules! gs_test {
    ($(#[$doc:meta])* $name:ident<const $n:ident>, $op:literal, $jump:literal,
        seldom $seldom:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// As for [`gs_load`] and [`gs_add`].
        #[inline(always)]
        pub unsafe fn $name<const O: usize, const $n: i32>() -> bool {
            // SAFETY: the caller's promise.
            unsafe {
                asm!(
                    concat!($op, " qword ptr gs:[{o}], {n}"),
                    concat!($jump, " {seldom}"),
                    o = const O,
                    n = const $n,
                    seldom = label { return $seldom },
                    options(nostack),
                )
            }
            !$seldom
        }
    };
}
gs_test! {
    /// Subtracts a constant; whether 0 is left, which is seldom.
    gs_sub_to_zero<const N>, "sub", "jz", seldom true
}
gs_test! {
    /// Whether a word is this constant, as it is nearly always.
    gs_is<const V>, "cmp", "jne", seldom false
}
gs_test! {
    /// Whether a word is this constant, as it seldom is.
    gs_is_seldom<const V>, "cmp", "je", seldom true
}

/// Whether a word is this one.
///
/// # Safety
/// As for [`gs_load`].
#[inline(always)]
pub unsafe fn gs_equals<const O: usize>(word: u64) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "cmp {}, gs:[{}]",
            "je {}",
            in(reg) word,
            const O,
            label { return true },
            options(nostack, readonly),
        )
    }
    false
}
