//! What is told of CPUs and goroutines: to the living, to a debugger, and at the end.
pub mod census;
pub mod trace;
mod debugger;
pub mod crash;
