//! What is told of CPUs and goroutines: to the machine, to a living system's user, to a debugger,
//! and at the end.
pub mod depth;
pub mod resting;
pub mod census;
mod latency;
pub mod trace;
mod debugger;
pub mod crash;
pub mod still;
pub mod stacks;
pub mod leaks;
pub mod waits;
pub mod sampling;
