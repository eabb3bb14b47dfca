//! Who is there, and what everybody does: of a living system, and of one that has crashed (crash.rs).
//!
//! **Rule:** takes no lock unless it says so, and reads others' data while it changes: a line is a moment's truth. Whatever is read is whole
//! nevertheless (SEEN-WHOLE):
//!
//! - of a g its status, reason, time, joiner and the links of the list of all g's are one atomic word each; number, name, place and
//!   stack are read together under its number (g.rs, `seen`); the saved stack pointer is one word, and followed by crash.rs alone;
//! - of an m its state, of a p its counters and its ring's length: one atomic word each; timers are counted under their lock;
//! - of a CPU's block `curg`: one aligned word, written by one instruction and read by one (percpu.rs);
//! - of the scheduler's lists their lengths: atomics; of depth.rs' table a pointer and a number, each atomic;
//! - how much of a stack is committed is the machine's to say, of any addresses that were a stack.
//!
//! Words of one line may be of different moments: a goroutine's reason is that of this wait, and its time of the next one.

use crate::g::{G, Seen, Status};
pub use crate::m::CpuState;
use crate::m::m_of;
use crate::machine;
use crate::p::p_of;
use crate::percpu;
use crate::sched::SCHED;
use core::fmt;
use core::sync::atomic::Ordering;

/// `N` or `N (name)`.
pub(crate) struct Named(pub(crate) Seen);
impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.id)?;
        match self.0.name {
            Some(name) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
}

/// All goroutines, newest g first.
pub(crate) fn all() -> impl Iterator<Item = (&'static G, Seen)> {
    SCHED.all().filter_map(|g| {
        let seen = g.seen()?;
        let is_goroutine = match g.status() {
            Status::Idle => false,
            // Ended, and its handle is still there.
            Status::Dead => g.joiner.has_ended(),
            _ => true,
        };
        is_goroutine.then_some((g, seen))
    })
}

/// One goroutine's line: `7 (name) [chan receive, 12 ms] started at src/main.rs:10:5`.
pub(crate) struct Line {
    pub(crate) g: &'static G,
    pub(crate) seen: Seen,
    pub(crate) now: u64,
}
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let g = self.g;
        write!(f, "{} [", Named(self.seen))?;
        match g.status() {
            Status::Waiting => {
                let ms = self.now.saturating_sub(g.waiting_since.load(Ordering::Relaxed)) / 1_000_000;
                write!(f, "{}, {ms} ms", g.wait_reason().words())?;
            }
            Status::Running => {
                match (0..SCHED.slots()).find(|&cpu| core::ptr::eq(percpu::peek_curg(cpu), g.as_ptr().cast())) {
                    Some(cpu) => write!(f, "running on CPU {cpu}")?,
                    None => write!(f, "running")?,
                }
            }
            Status::Runnable => write!(f, "runnable")?,
            _ => write!(f, "ended, not joined")?,
        }
        write!(f, "] started at {}", self.seen.started_at)
    }
}

/// How much there is of everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Census {
    /// Goroutines that have not ended.
    pub goroutines: u64,
    /// Bytes reserved for stacks, in use and free.
    pub stack_bytes: usize,
    /// G's ever made; they are never freed.
    pub made: usize,
    /// G's on everyone's lists of free ones. (Each P has some more.)
    pub free: usize,
}

/// Counts. Takes no lock; a moment's truth.
pub fn take() -> Census {
    let mut c = Census::default();
    for cpu in 0..SCHED.slots() {
        let stats = &p_of(cpu).stats;
        c.goroutines = c.goroutines.wrapping_add(stats.born.get()).wrapping_sub(stats.died.get());
    }
    c.made = SCHED.allgs_len.load(Ordering::Relaxed);
    c.free = SCHED.gfree.len() + SCHED.gfree_bare.len();
    c.stack_bytes = SCHED.stack_bytes.load(Ordering::Relaxed);
    c
}

/// Bytes that P's have allocated for timers and keep: room for as many as each ever had at once. Takes their locks.
pub fn timers_bytes() -> usize {
    (0..SCHED.slots()).map(|cpu| p_of(cpu).timers.bytes()).sum()
}

/// What a CPU does and has done, for `cpus` at the console.
pub struct CpuReport {
    /// Its number.
    pub cpu: usize,
    /// What it does.
    pub state: CpuState,
    /// Times that it ran a goroutine.
    pub runs: u64,
    /// Times that it stole some.
    pub steals: u64,
    /// Idle CPUs that it woke.
    pub wakes_sent: u64,
    /// Times that it was claimed and woken.
    pub wakes_received: u64,
    /// Times that it went to sleep.
    pub halts: u64,
    /// Timer interrupts and kicks.
    pub ticks: u64,
    /// Goroutines that it took the CPU from.
    pub preemptions: u64,
    /// Goroutines queued there.
    pub queued: usize,
}

/// One for each CPU there is. Takes no lock; a moment's truth.
pub fn cpu_reports() -> impl Iterator<Item = CpuReport> {
    (0..SCHED.slots()).map(|cpu| {
        let (p, m) = (p_of(cpu), m_of(cpu));
        CpuReport {
            cpu,
            state: m.state(),
            runs: p.stats.runs.get(),
            steals: p.stats.steals.get(),
            wakes_sent: p.stats.wakes_sent.get(),
            wakes_received: p.stats.wakes_received.get(),
            halts: p.stats.halts.get(),
            ticks: p.stats.ticks.get(),
            preemptions: p.stats.preemptions.get(),
            queued: p.runq_len(),
        }
    })
}

/// Every goroutine, newest g first, as a line each to display: as in a crash report, and what its stack takes.
pub fn goroutines() -> impl Iterator<Item = impl fmt::Display> {
    struct WithStack(Line);
    impl fmt::Display for WithStack {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let StackReport { reserved, committed, deepest, .. } = StackReport::of(self.0.g, self.0.seen);
            let kib = |bytes: usize| bytes / 1024;
            write!(f, "{}, stack {} of {} KiB", self.0, kib(committed), kib(reserved))?;
            if deepest > committed { write!(f, ", deepest {}", kib(deepest)) } else { Ok(()) }
        }
    }
    let now = machine::now();
    all().map(move |(g, seen)| WithStack(Line { g, seen, now }))
}

/// Acquisitions and contended acquisitions of the scheduler's locks, by name.
pub fn locks() -> impl Iterator<Item = (&'static str, (u64, u64))> {
    let timers = (0..SCHED.slots()).fold((0, 0), |(a, c), cpu| {
        let (a1, c1) = p_of(cpu).timers.stats();
        (a + a1, c + c1)
    });
    SCHED.lock_stats().into_iter().chain([("p.timers", timers)])
}

/// What a goroutine's stack takes, for `stacks` at the console. In bytes.
pub struct StackReport {
    /// Where it was started.
    pub started_at: &'static core::panic::Location<'static>,
    /// Addresses.
    pub reserved: usize,
    /// Memory, now.
    pub committed: usize,
    /// The most memory that it had as this goroutine's.
    pub deepest: usize,
}

impl StackReport {
    fn of(g: &G, seen: Seen) -> Self {
        let committed = machine::stack_committed(seen.stack);
        let deepest = committed.max(g.noted_depth());
        StackReport { started_at: seen.started_at, reserved: seen.stack.size(), committed, deepest }
    }
}

/// Every goroutine's stack. Takes no lock; one that ends meanwhile may be told wrongly.
pub fn stacks() -> impl Iterator<Item = StackReport> {
    all().map(|(g, seen)| StackReport::of(g, seen))
}

/// Where goroutines were started that needed more than their first page, with the most bytes that any of them used, those that have ended too: for machines that see
/// stacks grow. The same line of the source may come more than once.
pub fn depths() -> impl Iterator<Item = (&'static core::panic::Location<'static>, usize)> {
    crate::depth::sites()
}
