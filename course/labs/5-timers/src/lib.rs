//! Timers of one's own: a wheel, and a goroutine that serves it. What you write is in `wheel.rs`
//! and `alarms.rs`.
#![no_std]
#![forbid(unsafe_code)]

pub mod wheel;
pub mod alarms;
