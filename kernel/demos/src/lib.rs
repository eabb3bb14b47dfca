//! Small programs of goroutines, each in a file of its own, to read and to run: at the kernel's
//! console, as kernels of their own (kernel/examples) and as Linux processes
//! (kernel/hosted/examples).
//!
//! The one rule: they know [`executive`] alone, and no machine. Each returns its answer; who called
//! prints it.
#![no_std]
#![deny(unsafe_code)] // allowed in the file that says why at its top
extern crate alloc;

pub mod mandelbrot;
mod pingpong;
mod pipeline;
mod sieve;
mod skynet;
mod spawn;

pub use pingpong::pingpong;
pub use pipeline::pipeline;
pub use sieve::sieve;
pub use skynet::skynet;
pub use spawn::spawn;
