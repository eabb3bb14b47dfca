#![no_std]
extern crate alloc;
pub mod param;
pub mod atomic;
pub mod machine;
