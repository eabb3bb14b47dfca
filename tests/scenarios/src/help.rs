//! Waiting for events, and values that count their drops.

use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
pub use executive::g::WaitReason;
use executive::{JoinHandle, yield_now};

/// Lets the others run until `event` has happened.
pub fn until(mut event: impl FnMut() -> bool) {
    while !event() {
        yield_now();
    }
}

/// Computes until `event` has happened, and gives its CPU to nobody. (A Linux process can't take it
/// away: there each round is a point of preemption.)
pub fn hog_until(mut event: impl FnMut() -> bool) {
    while !event() {
        #[cfg(unix)]
        drop(executive::percpu::Pin::new());
        (0..20).for_each(|_| core::hint::spin_loop()); // so that a tick seldom finds it pinned
    }
}

/// Lets the others run until the goroutine waits for this.
pub fn until_waits<T>(h: &JoinHandle<T>, reason: WaitReason) {
    until(|| h.waiting() == Some(reason));
}

/// xorshift64: the same every run, for the same seed.
pub struct Random(pub u64);
impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Counts its drops.
pub struct Counted(pub &'static AtomicUsize);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A `static` counter, at 0.
#[macro_export]
macro_rules! counter {
    ($name:ident) => {
        static $name: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(0);
        $name.store(0, core::sync::atomic::Ordering::SeqCst);
    };
}

pub const MS: core::time::Duration = core::time::Duration::from_millis(1);
