//! Scheduling policies beside Go's: which of the goroutines that wait for a CPU runs next.
//!
//! Go's own policy is the scheduler without this crate: each CPU has a ring and a `runnext`, and
//! whoever runs dry steals. Another is [`set`] by its name, once, at any time; best first of all:
//!
//! ```
//! # hosted::run(|| {
//! policies::set("fair").unwrap();
//! executive::go(|| policies::set_priority(2)).join();
//! # });
//! ```
//!
//! From then on all runnable goroutines wait in one queue for all CPUs, under one lock, and the
//! policy says whose turn it is: when a goroutine parks, yields or ends, or its slice does. What
//! stays as it is:
//! - A goroutine runs until it parks or yields, or for a slice while others wait. That a more
//!   urgent one was made runnable does not end its slice; a timer that is due does.
//! - A goroutine that an interrupt has woken runs next on its CPU, and one that is locked to a CPU
//!   takes turns there with the others. The policy does not see these turns.
//!
//! A policy is an [`Order`] of [`Task`]s, which knows neither goroutines nor a clock: so the tests
//! run it by a simulated one.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

mod fair;
mod fifo;
mod priorities;

pub use fair::{CREDIT_NS, DEBT_NS, Fair};
pub use fifo::Fifo;
pub use priorities::{AGE_NS, LEVELS, NORMAL, Priorities};

use alloc::boxed::Box;
use core::fmt;
use core::sync::atomic::Ordering::Relaxed;
use executive_core::atomic::{AtomicU32, AtomicU64};
use executive_core::g::{G, getg};
use executive_core::kit::{Linked, Policy, SCHED};
use spin::Once;

/// What a policy sees of a goroutine: a link for the queue that has it, and two words that nobody
/// else writes. Both are 0 at first.
pub trait Task: Linked {
    /// For fair shares its virtual run time, for priorities since when it has waited (ns).
    fn time(&self) -> &AtomicU64;
    /// Its priority, and where it runs: see [`Mark`].
    fn mark(&self) -> &AtomicU32;
}

impl Task for G {
    fn time(&self) -> &AtomicU64 {
        &self.policy_time
    }
    fn mark(&self) -> &AtomicU32 {
        &self.policy_mark
    }
}

/// An order of tasks. One call at a time; none allocates, or takes longer the more tasks there are.
pub trait Order<T: Task> {
    /// `t`, which may be new, waits for its turn from `now` (ns) on.
    fn put(&mut self, t: &'static T, new: bool, now: u64);
    /// What `cpu` took last it runs no more; it may have been put since. Who is next there?
    fn take(&mut self, cpu: usize, now: u64) -> Option<&'static T>;
}

/// An order of goroutines, as the executive wants it.
struct Goroutines<O>(O);

impl<O: Order<G> + Send> Policy for Goroutines<O> {
    fn put(&mut self, g: &'static G, new: bool, now: u64) {
        self.0.put(g, new, now);
    }
    fn take(&mut self, cpu: usize, now: u64) -> Option<&'static G> {
        self.0.take(cpu, now)
    }
}

/// The policies' names. The first is Go's.
pub const NAMES: [&str; 4] = ["go", "fifo", "priorities", "fair"];

/// Why a policy could not be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetError {
    /// None has this name.
    Unknown,
    /// One was set before, and stays.
    Another,
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Unknown => write!(f, "the policies are {}", NAMES.join(" ")),
            SetError::Another => f.write_str("another policy was set before, and stays"),
        }
    }
}
impl core::error::Error for SetError {}

/// The one that was set.
static SET: Once<&str> = Once::new();

/// The policy of this name decides from here on, for the rest of the run. By a goroutine.
///
/// # Errors
/// There is none of this name, or another was set already.
pub fn set(name: &str) -> Result<(), SetError> {
    let name = *NAMES.iter().find(|known| **known == name).ok_or(SetError::Unknown)?;
    let mut now = false;
    let set = *SET.call_once(|| {
        now = true;
        name
    });
    if set != name {
        return Err(SetError::Another);
    }
    if now && let Some(policy) = made(name) {
        assert!(SCHED.set_policy(policy), "a policy was set that is none of these");
    }
    Ok(())
}

fn made(name: &str) -> Option<&'static mut dyn Policy> {
    Some(match name {
        "fifo" => Box::leak(Box::new(Goroutines(Fifo::new()))),
        "priorities" => Box::leak(Box::new(Goroutines(Priorities::new(AGE_NS)))),
        "fair" => Box::leak(Box::new(Goroutines(Fair::new()))),
        _ => return None,
    })
}

/// The name of the policy that decides.
pub fn name() -> &'static str {
    SET.get().copied().unwrap_or(NAMES[0])
}

/// The calling goroutine has this priority from its next turn on: 0 is the most urgent, and
/// [`LEVELS`] - 1 the least. A new goroutine has [`NORMAL`]. Only the policy `priorities` asks.
///
/// Panics if `level` is not less than [`LEVELS`], or not on a goroutine.
pub fn set_priority(level: usize) {
    assert!(!executive_core::g::on_g0(), "set_priority: not on a goroutine");
    Mark::set_priority(getg(), level);
}

/// How [`Task::mark`] is used.
pub struct Mark;

impl Mark {
    /// The low half: the number of the CPU that took it last, plus 1; or 0.
    const CPU: u32 = 0xffff;
    /// The high half is the priority plus 1; 0: [`NORMAL`].
    const PRIORITY: u32 = 16;

    /// Its priority is `level`, which is less than [`LEVELS`].
    pub fn set_priority(t: &impl Task, level: usize) {
        assert!(level < LEVELS, "priorities are 0 to {}, not {level}", LEVELS - 1);
        // Its own CPU's policy may write the other half meanwhile.
        let with = |mark| mark & Self::CPU | (level as u32 + 1) << Self::PRIORITY;
        t.mark().update(Relaxed, Relaxed, with);
    }
    /// Its priority.
    pub fn priority(t: &impl Task) -> usize {
        (t.mark().load(Relaxed) >> Self::PRIORITY).checked_sub(1).map_or(NORMAL, |n| n as usize)
    }
    fn runs_on(t: &impl Task, cpu: Option<usize>) {
        let with = |mark| mark & !Self::CPU | cpu.map_or(0, |cpu| cpu as u32 + 1);
        t.mark().update(Relaxed, Relaxed, with);
    }
    fn where_it_runs(t: &impl Task) -> Option<usize> {
        ((t.mark().load(Relaxed) & Self::CPU) as usize).checked_sub(1)
    }
}
