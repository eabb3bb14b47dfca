//! A goroutine executive: Go's scheduler of g's, m's and p's, `no_std`, on whatever machine you bind it to ([`mod@machine`]).
//!
//! A **g** is a stack and a saved stack pointer. An **m** is something that runs: a CPU, or a thread. A **p** is the right to run g's, and a queue of them.
//! `schedule` finds a g and `gogo`es to it; a g comes back by `mcall`. Everything else is *who may touch what, when*.
//!
//! The modules below stand in reading order, and each uses only what stands above it (a test holds that). Under `--cfg loom` the model checker gets what has
//! neither assembly nor statics, on locks of its own; `model/` is what unit tests and Miri get in place of GS.
#![no_std]
#![warn(missing_docs)]
#![deny(unsafe_code)] // allowed in the files that say why at their top
#![cfg_attr(loom, allow(dead_code))] // used by the modules that a model does without
extern crate alloc;

// 1 ground
pub mod atomic;
pub mod machine;
pub mod param;
#[doc(hidden)]
pub mod chaos;
// 2 tools
#[cfg_attr(any(loom, miri, test), path = "model/fatal.rs")]
pub mod fatal;
#[cfg_attr(any(loom, miri, test), path = "model/percpu.rs")]
pub mod percpu;
#[cfg_attr(loom, path = "model/lock.rs")]
pub mod lock;
pub mod note;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod print;
#[cfg(not(loom))]
pub mod trace;
#[cfg(not(loom))]
mod depth;
// 3 nouns
pub mod runq;
#[doc(hidden)]
pub mod freelist;
#[doc(hidden)]
pub mod inject;
#[doc(hidden)]
pub mod joiner;
#[doc(hidden)]
pub mod line;
#[doc(hidden)]
pub mod lockword;
#[doc(hidden)]
pub mod readers;
#[doc(hidden)]
pub mod meeting;
pub mod g;
#[doc(hidden)]
pub mod waitq;
#[doc(hidden)]
pub mod timers;
pub mod idle;
#[cfg(not(loom))]
mod p;
#[cfg(not(loom))]
mod m;
#[cfg(not(loom))]
mod sched;
// 4 switch
#[cfg(not(loom))]
mod switch;
// 5 verbs
#[cfg(not(loom))]
mod proc;
// 6 services
#[cfg(not(loom))]
mod alarm;
#[cfg(not(loom))]
pub mod irq;
#[cfg(not(loom))]
pub mod chan;
#[cfg(not(loom))]
pub mod select;
#[cfg(not(loom))]
pub mod time;
#[cfg(not(loom))]
pub mod join;
#[cfg(not(loom))]
pub mod sync;
#[cfg(not(loom))]
pub mod scope;
#[cfg(not(loom))]
pub mod cancel;
#[cfg(not(loom))]
pub mod future;
#[cfg(not(loom))]
pub mod affinity;
// 7 last words
#[cfg(not(loom))]
pub mod census;
#[cfg(not(loom))]
mod debugger;
#[cfg(not(loom))]
pub mod contract;
#[cfg(not(loom))]
pub mod crash;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod provoke;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod bare;

#[cfg(not(loom))]
pub use self::{
    affinity::lock_to_cpu,
    chan::chan,
    future::{block_on, go_future},
    irq::on_irq,
    join::{Builder, JoinHandle, current, go, goid},
    percpu::percpu_block,
    proc::birth::SpawnError,
    proc::boot::start,
    proc::foreign,
    proc::park::yield_now,
    proc::preempt::{on_growth, on_low_memory, on_tick},
    proc::reclaim,
    scope::scope,
};

#[cfg(all(test, not(loom)))]
#[path = "../tests/unit/mod.rs"]
mod unit;
