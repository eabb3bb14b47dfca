//! The verbs: what is done with g's, m's and p's.
//!
//! The protocol in eight lines (see idle.rs for why it holds):
//! - [`wake`]: a g that became runnable goes to this P's runnext; a full fence; one idle CPU is woken unless someone searches already.
//! - [`schedule`]: take from: due timers and interrupts, the global queue every 61st time, those who are
//!   locked to this CPU and were readied, runnext, the line (the ring, and those who are locked to this
//!   CPU and have had a slice), the global queue, other rings. When a slice has ended the line comes first.
//! - A CPU that searched and found something wakes the next searcher before it runs what it found.
//! - A CPU that found nothing says so, fences, rechecks everything, and sleeps on its note.
//! - [`park`]: a g leaves its CPU by `mcall`; only then, on g0, is it given to whoever will ready it.
//! - [`birth`]: a new g is readied like any other; one that ends leaves its stack to the next.
//! - [`reclaim`]: or to the machine, when memory is short.
//! - [`procs`]: a CPU that is switched off hands over what it has, and sleeps.
//! - [`foreign`]: a thread that is no CPU hands what it readied to the global queue.
//!
//! Why many functions come in two: on the way of each send, receive, park and wake nearly nothing is
//! ever true of all that may be. `x` is what everybody calls: it tests for the common case, and is
//! inlined. `x_slow` is the rest, out of line (Go's `runqputslow`), so that the common case saves no
//! registers for it. `schedule_inline` is `schedule` once more, where a goroutine parks or yields.
//!
//! Rejected, with Go: one central queue (a lock for all), handing a P over at each ready (a wake per message), and waking all idle CPUs (they'd fight for one g).
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
