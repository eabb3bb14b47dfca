//! Primitives of one's own, made of [`executive::wait::Monitor`]: no `unsafe`, a file each.
#![no_std]
#![forbid(unsafe_code)]

pub mod fair;
pub mod latch;
