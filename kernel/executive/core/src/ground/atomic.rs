//! Atomics: `core`'s, or `loom`'s when a model checker runs us (`--cfg loom`).
//!
//! Nothing else in the executive names either.

#[cfg(not(loom))]
pub use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
#[cfg(loom)]
pub use loom::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

/// A `const fn`; for the model checker, whose atomics cannot be made at compile time, a `fn`.
#[doc(hidden)]
#[macro_export]
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis fn $name:ident() -> $ret:ty $body:block) => {
        #[cfg(not(loom))]
        $(#[$meta])*
        $vis const fn $name() -> $ret $body
        #[cfg(loom)]
        $(#[$meta])*
        $vis fn $name() -> $ret $body
    };
}
#[doc(hidden)]
pub use const_fn;

/// An array of atomics, for use in a [`const_fn`].
macro_rules! atomics {
    ($each:expr; $n:expr) => {{
        #[cfg(not(loom))]
        let array = [const { $each }; $n];
        #[cfg(loom)]
        let array: [_; $n] = core::array::from_fn(|_| $each);
        array
    }};
}
pub(crate) use atomics;

/// A full fence: no access of this CPU after it is made before one that precedes it (store-load
/// included).
///
/// On x86 a locked no-op on the stack's top orders as `mfence` does for write-back memory and costs
/// half as much (Intel SDM vol. 3A, 10.2.2 "Memory ordering in P6 and more recent processor
/// families").
#[inline(always)]
pub fn full_fence() {
    #[cfg(all(not(loom), not(miri)))]
    #[allow(unsafe_code)]
    // SAFETY: writes back what it read, at rsp, which is always mapped and ours.
    unsafe {
        core::arch::asm!("lock or dword ptr [rsp], 0");
    }
    #[cfg(any(loom, miri))]
    fence(Ordering::SeqCst);
}

/// A [`full_fence`] that directly follows an exchange (a swap, a compare-and-swap that succeeded)
/// of the same thread.
///
/// On x86 the exchange was one already: "locked instructions have a total order", and neither loads
/// nor stores pass them (Intel SDM vol. 3A, 10.2.3.8 and 10.2.3.9). So nothing is left but to stop
/// the compiler.
#[inline(always)]
pub fn full_fence_after_exchange() {
    #[cfg(not(any(loom, miri)))]
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(any(loom, miri))]
    fence(Ordering::SeqCst);
}

/// What a subtraction left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    /// 0.
    Nothing,
    /// The highest bit is clear.
    Positive,
    /// The highest bit is set.
    Negative,
}

/// Subtracts, and tells of the result what the CPU's flags tell: `lock sub` is 10 % faster with a
/// `lock cmpxchg` than the `lock xadd` of `fetch_sub`, which brings back the old value. Release.
#[inline(always)]
pub fn sub_release<const N: u32>(word: &AtomicU32) -> Left {
    #[cfg(all(not(loom), not(miri)))]
    #[allow(unsafe_code)]
    // SAFETY: the same access to an atomic as `fetch_sub` makes. Not `nomem`: what precedes stays
    // before it.
    unsafe {
        core::arch::asm!(
            "lock sub dword ptr [{word}], {n}",
            "jz 2f", // nothing is left nearly always
            "js {negative}",
            "jmp {positive}",
            "2:",
            word = in(reg) word.as_ptr(),
            n = const N as i32,
            negative = label { return Left::Negative },
            positive = label { return Left::Positive },
            options(nostack),
        );
    }
    #[cfg(any(loom, miri))]
    match word.fetch_sub(N, Ordering::Release).wrapping_sub(N) as i32 {
        0 => {}
        ..0 => return Left::Negative,
        1.. => return Left::Positive,
    }
    Left::Nothing
}

/// Asks for the cache line at `address`, to write it soon. A hint: any address will do.
#[inline(always)]
#[allow(unsafe_code)]
pub fn prefetch_for_write(address: usize) {
    #[cfg(not(any(loom, miri)))]
    // SAFETY: never faults (Intel SDM vol. 2, PREFETCHW).
    unsafe {
        core::arch::asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(any(loom, miri))]
    let _ = address;
}

/// Spins politely: tells the CPU (or the model checker) that this loop waits for another.
#[inline(always)]
pub fn relax() {
    #[cfg(not(loom))]
    core::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}
