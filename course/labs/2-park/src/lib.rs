//! Places where goroutines meet, made of `park` and `ready`. What you write is in `meet.rs`.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

use executive::g::WaitReason;

pub mod meet;

/// For what goroutines wait here.
pub const MEETING: WaitReason = WaitReason::Monitor;
