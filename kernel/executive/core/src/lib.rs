//! A goroutine executive: Go's scheduler of g's, m's and p's, `no_std`, on whatever machine you bind it to ([`mod@machine`]).
//!
//! A **g** is a stack and a saved stack pointer. An **m** is something that runs: a CPU, or a thread. A **p** is the right to run g's, and a queue of them.
//! `schedule` finds a g and `gogo`es to it; a g comes back by `mcall`. Everything else is *who may touch what, when*.
//!
//! The modules below stand in reading order, and each uses only what stands above it (a test holds that). Under `--cfg loom` the model checker gets what has
//! neither assembly nor statics, on locks of its own; `model/` is what unit tests and Miri get in place of GS.
#![cfg_attr(not(test), no_std)]
#![warn(missing_docs)]
#![deny(unsafe_code)] // allowed in the files that say why at their top
#![cfg_attr(loom, allow(dead_code))] // used by the modules that a model does without
extern crate alloc;

// 1
mod ground;
// 2
mod tools;
// 3
mod nouns;
// 4
#[cfg(not(loom))]
mod switch;
// 5
#[cfg(not(loom))]
mod proc;
// 6
#[cfg(not(loom))]
pub mod wait;
// 7
#[cfg(not(loom))]
#[path = "../../services/src/lib.rs"]
mod services;
// 8
#[cfg(not(loom))]
mod report;
#[cfg(not(loom))]
#[doc(hidden)]
#[path = "../../../contract/src/lib.rs"]
pub mod contract;

#[cfg(not(loom))]
pub use self::{
    contract::provoke,
    nouns::m::CpuState,
    proc::{
        birth::SpawnError,
        boot::start,
        foreign, join,
        join::{Builder, JoinHandle, current, go, goid},
        park::yield_now,
        preempt::{on_growth, on_low_memory, on_tick},
        reclaim,
    },
    report::{census, crash},
    services::{
        affinity,
        affinity::lock_to_cpu,
        cancel, chan,
        chan::chan,
        future,
        future::{block_on, go_future},
        irq,
        irq::on_irq,
        scope,
        scope::scope,
        select, sync, time,
    },
    tools::{percpu::percpu_block, trace},
};
#[doc(hidden)] // for `print!`
#[cfg(not(loom))]
pub use tools::print::print as __print;
pub use self::{
    ground::{atomic, machine, param},
    nouns::{g, idle, runq},
    tools::{fatal, lock, note, percpu},
};
#[doc(hidden)]
pub use ground::chaos;

#[cfg(all(test, not(loom)))]
#[path = "../tests/unit/mod.rs"]
mod unit;
#[cfg(all(test, loom))]
#[path = "../tests/loom/mod.rs"]
mod models;
