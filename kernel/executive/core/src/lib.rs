//! The core of a goroutine executive: Go's scheduler of g's, m's and p's, on whatever machine you
//! bind it to ([`mod@machine`]). Programs use it through the crate `executive`.
//!
//! A **g** is a stack and a saved stack pointer. An **m** is something that runs: a CPU, or a
//! thread. A **p** is the right to run g's, and a queue of them. `schedule` finds a g and `gogo`es
//! to it; a g comes back by `mcall`. Everything else is *who may touch what, when*.
//!
//! The folders below are the layers, in reading order, and each file uses only what stands above it
//! (a test holds that). The model checker, loom, gets the first three, on locks of its
//! own; `model/` is what unit tests and Miri get in place of GS.
//!
//! What is promised to stay is [`wait`], of which services are made, what the crate `executive`
//! shows, and [`machine::Machine`]. [`kit`] may change.
#![cfg_attr(not(test), no_std)]
#![warn(missing_docs)]
#![deny(unsafe_code)] // allowed in the files that say why at their top
#![cfg_attr(loom, allow(dead_code))] // used by the layers that a model does without
extern crate alloc;
extern crate self as executive_core; // what services' small types call it, which are tested here

// 1
mod ground;
// 2
mod tools;
// 3
mod nouns;
// 4 to 7
#[cfg(not(loom))]
mod switch;
#[cfg(not(loom))]
mod proc;
#[cfg(not(loom))]
pub mod wait;
#[cfg(not(loom))]
pub mod kit;

pub use ground::{arch, atomic, machine, param};
pub use nouns::arrivals::Expected;
pub use tools::{fatal, lock, trace};
#[cfg(not(loom))]
pub use {
    nouns::{g, m::CpuState},
    proc::{
        birth::{SpawnError, unwound},
        boot::start,
        foreign, join,
        park::yield_now,
        percpu,
        preempt::{on_low_memory, on_tick, preempt_yield},
        procs, reclaim,
    },
    switch::preempt_by,
};

#[cfg(all(test, not(loom)))]
#[path = "../tests/unit/mod.rs"]
mod unit;
#[cfg(all(test, loom))]
#[path = "../tests/loom/mod.rs"]
mod models;
