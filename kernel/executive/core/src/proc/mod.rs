//! The verbs: what is done with g's, m's and p's. A function with a Go name does what Go's does;
//! where ours is called otherwise, `#[doc(alias)]` has Go's.
//!
//! The protocol (see idle.rs for why it holds):
//! - [`wake`]: a g that became runnable goes to this P's runnext; a full fence; one idle CPU is
//!   woken unless one searches already.
//! - [`schedule`]: take from: due timers and interrupts, the global queue every 61st time,
//!   goroutines that are locked to this CPU and were readied, runnext, the line (the ring, and
//!   goroutines that are locked to this CPU and have had a slice), the global queue, other rings.
//!   When a slice has ended the line comes first.
//! - A CPU that searched and found something wakes the next searcher before it runs what it found.
//! - A CPU that found nothing says so, fences, rechecks everything, and sleeps on its note.
//! - [`park`]: a g leaves its CPU by `mcall`; only then, on g0, is it given to its waker.
//! - [`birth`]: a new g is readied like any other; one that ends leaves its stack to the next; or
//!   to the machine, when memory is short ([`reclaim`]).
//! - [`procs`]: a CPU that is switched off hands over what it has, and sleeps.
//! - [`foreign`]: a thread that is no CPU hands what it readied to the global queue.
//!
//! Why many functions come in two: a send, a receive, a park or a wake must ask for much that is
//! hardly ever so. `x` is what everybody calls; it is inlined, and asks. `x_slow` is what then
//! remains, out of line, so that the common case saves no registers for it (Go's `runqputslow`).
//! `schedule_inline` is `schedule`, once more where a goroutine parks or yields.
//!
//! Rejected, with Go: one central queue (a lock for all), handing a P over at each ready (a wake
//! per message), and waking all idle CPUs (they'd fight for one g).
pub(crate) mod wake;
pub(crate) mod schedule;
pub(crate) mod park;
pub(crate) mod birth;
pub mod join;
pub mod foreign;
pub(crate) mod preempt;
pub mod procs;
pub mod reclaim;
pub(crate) mod boot;

pub mod percpu {
    //! Which CPU this is, and staying on it.
    pub use crate::nouns::m::percpu_block;
    pub use crate::tools::percpu::{Pin, cpu, point};
}
