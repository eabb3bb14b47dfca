//! `arch` for the model checker and for Miri, which know no assembly: the same orderings by atomics
//! that they understand.

#[cfg(not(loom))]
use core::sync::atomic::{AtomicU32, Ordering, fence};
#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, Ordering, fence};

/// A full fence.
pub fn full_fence() {
    fence(Ordering::SeqCst);
}

/// A full fence.
pub fn full_fence_after_exchange() {
    full_fence();
}

/// Subtracts.
pub fn sub_release<const N: u32>(word: &AtomicU32) -> core::cmp::Ordering {
    (word.fetch_sub(N, Ordering::Release).wrapping_sub(N) as i32).cmp(&0)
}

/// Nothing.
pub fn prefetch_for_write(_: usize) {}

/// Lets another thread run.
pub fn relax() {
    #[cfg(not(loom))]
    core::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}

/// Nothing. (Services and the face are built for Miri, beside the tests that it runs.)
pub fn store_sp(_: &core::sync::atomic::AtomicUsize) {}

/// There is none.
pub fn frame_pointer() -> usize {
    0
}

/// No.
pub fn keeps_frame_pointers() -> bool {
    false
}

/// There is no counter.
pub fn cycles() -> u64 {
    0
}
