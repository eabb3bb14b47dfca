//! A channel whose every receiver gets every message. What you write is in `every.rs`.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod every;
