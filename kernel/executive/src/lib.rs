//! A goroutine executive: Go's scheduler of g's, m's and p's, `no_std`, on whatever machine you bind it to ([`machine`]).
//!
//! A **g** is a stack and a saved stack pointer. An **m** is something that runs: a CPU, or a thread. A **p** is the right to run g's, and a queue of them.
//! `schedule` finds a g and `gogo`es to it; a g comes back by `mcall`. Everything else is *who may touch what, when*.
//!
//! The modules below stand in reading order, and each uses only what stands above it (a test holds that).
#![no_std]
#![warn(missing_docs)]
#![deny(unsafe_code)] // allowed in the files that say why at their top
extern crate alloc;

// 1 ground
pub mod atomic;
pub mod machine;
pub mod param;
// 2 tools
pub mod fatal;
pub mod percpu;
pub mod lock;
pub mod note;
pub mod trace;
// 3 nouns
pub mod runq;
pub mod freelist;
pub mod inject;
pub mod joiner;
pub mod line;
pub mod g;
pub mod waitq;
pub mod timers;
pub mod idle;
mod p;
mod m;
mod sched;
// 4 switch
mod switch;
// 5 verbs
mod proc;
// 6 services
pub mod chan;
pub mod irq;
pub mod join;
pub mod time;
// 7 last words
pub mod contract;
pub mod crash;

pub use chan::chan;
pub use irq::on_irq;
pub use join::{Builder, JoinHandle, go, goid};
pub use percpu::percpu_block;
pub use proc::birth::SpawnError;
pub use proc::boot::start;
pub use proc::park::yield_now;
pub use proc::preempt::on_tick;
