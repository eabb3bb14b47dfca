//! A goroutine executive: Go's scheduler of g's, m's and p's, `no_std`, on whatever machine you
//! bind it to ([`mod@machine`]).
//!
//! ```
//! # hosted::run(|| {
//! use executive::{chan, go};
//!
//! let (tx, rx) = chan(0);
//! go(move || (1..=3).for_each(|n| tx.send(n).unwrap()));
//! assert_eq!(rx.iter().sum::<u32>(), 6);
//! # });
//! ```
//!
//! This crate is a face: the scheduler is `executive-core`, what goroutines use is
//! `executive-services`. The reports and last words (`report`), which lean on both, are here.
#![no_std]
#![warn(missing_docs)]
#![deny(unsafe_code)] // allowed in the files that say why at their top
#![debugger_visualizer(gdb_script_file = "../gdb.py")] // programs bring it along
extern crate alloc;

pub mod param;
mod report;
pub mod machine;

pub use executive_core::{
    CpuState, SpawnError, atomic, fatal, g,
    join::{Builder, JoinHandle, go},
    kit, on_low_memory, on_tick, percpu,
    percpu::percpu_block,
    preempt_by, preempt_yield, unwound, yield_now,
};
pub use executive_services::{
    affinity,
    affinity::lock_to_cpu,
    cancel, chan,
    chan::chan,
    current::{current, goid},
    future,
    future::{block_on, go_future},
    irq,
    irq::on_irq,
    print, println, recover,
    recover::{goexit, recover},
    scope,
    scope::scope,
    select, sync, time,
};
pub use report::{census, crash, depth::on_growth, leaks, sampling, stacks, trace, waits};

pub use executive_core::bind_machine as machine;

/// Runs `main` as goroutine 1, on CPU 0, which is the caller, and starts the other CPUs. When
/// `main` returns the run is over, with status 0, whatever the other goroutines do (as in Go).
///
/// Called by the machine, once.
pub fn start(main: fn()) -> ! {
    report::trace::set_up();
    executive_core::start(main)
}

/// `go`, and waiting for what it started.
pub mod join {
    pub use executive_core::join::*;
    pub use executive_services::current::*;
}

/// Threads that are no CPU, and other ways in which goroutines are woken from outside.
pub mod foreign {
    pub use executive_core::foreign::*;
    pub use executive_services::outside::Outside;
}

/// When memory is short: what goroutines keep and do not need, for the machine to take back.
pub mod reclaim {
    pub use crate::report::resting::{Resting, resting};
    pub use executive_core::reclaim::*;
}

/// A spin lock that pins, an allocator whose holder is pinned, and one that tells of its blocks.
pub mod lock {
    pub use executive_core::lock::*;
    pub use executive_services::pinned::{Heard, HearsOfBlocks, Pinned, hear_of_blocks};
}

/// The waist: how a goroutine waits, and how it is woken. For primitives of your own.
pub mod wait {
    pub use executive_core::wait::*;
    pub use executive_services::monitor::{Monitor, MonitorGuard, Taken};
}
