//! A work-stealing deque. What you write is in `stealing.rs`.
#![no_std]
#![forbid(unsafe_code)]

/// The atomics of `core`, or the model checker's.
pub mod atomic {
    #[cfg(not(loom))]
    pub use core::sync::atomic::{AtomicU32, Ordering, fence};
    #[cfg(loom)]
    pub use loom::sync::atomic::{AtomicU32, Ordering, fence};
}

/// How many items fit. A model's ring is small, so that it is full, and wraps, within a few steps.
pub const SIZE: u32 = if cfg!(loom) { 2 } else { 256 };

pub mod stealing;
