//! What all CPUs and goroutines do: in a living system, and in one that has crashed (crash.rs).
//!
//! **Rule:** takes no lock unless it says so, and reads others' data while that changes: each line
//! is a snapshot. What is read is whole nevertheless (SEEN-WHOLE):
//!
//! - Of a g: its status, reason, time, what it waits for and behind whom, its joiner, and the links
//!   of the list of all g's are one atomic word each. Its number, name, place and stack are read
//!   together, under its number (g.rs, `seen`). The saved stack pointer is one word, too. Neither
//!   that nor what a g waits for is followed here: crash.rs does so, when no goroutine runs any
//!   more.
//! - Of an m its state, of a p its counters and its ring's length: one atomic word each. Timers are
//!   counted under their lock.
//! - Of a CPU's block `curg`: one aligned word, which one instruction writes and one reads
//!   (percpu.rs).
//! - Of the scheduler's lists their lengths: atomics. Of depth.rs' table a pointer and a number,
//!   each atomic.
//! - How much of a stack is committed: the machine tells, of any addresses that were a stack.
//!
//! Words of one line may be of different moments: the reason that is shown may be that of one wait,
//! and the time that of the next.

use core::fmt;
pub use executive_core::CpuState;
use executive_core::g::{G, Status, WaitReason};
use executive_core::kit::{SCHED, Seen, Stats, m_of, p_of};
use executive_core::machine;

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
            // It has ended, and its handle still exists.
            Status::Dead => g.has_ended(),
            _ => true,
        };
        is_goroutine.then_some((g, seen))
    })
}

/// Goroutines that are alike: they have the same name, were started in the same place, and do the
/// same. A crash report compares their stacks, too; stacks of a living system are not read.
#[derive(Clone, Copy)]
pub(crate) struct Group {
    key: u64,
    order: Order,
    /// The one that has waited longest.
    pub(crate) first: &'static G,
    count: usize,
    /// What the first waits for, and whether any other waits for something else.
    waits_for: usize,
    others_elsewhere: bool,
}

/// The order: main, then those that wait, the longest wait first, then those that run or could,
/// then those that have ended; among equals the older first. System goroutines come after all
/// others, in the same order. The last two numbers are the time
/// since when it waits, and its own number.
type Order = (u8, u64, u64);

/// How a goroutine is grouped, where it comes in a report, and what it waits for.
fn look(g: &'static G, seen: Seen, stack: &impl Fn(&G) -> u64) -> Group {
    let (status, id) = (g.status(), seen.id);
    let (mut reason, mut since, mut waits_for, mut apart) = (0, 0, 0, 0);
    match status {
        Status::Waiting => {
            reason = g.wait_reason() as u64;
            since = g.waiting_since();
            if is_for_one_thing(g.wait_reason()) {
                waits_for = g.waits_for();
            }
            // Those that wait for another goroutine stay in lines of their own.
            apart = if g.wait_reason().is_for_a_lock() { waits_for as u64 } else { 0 };
        }
        Status::Running => apart = id,
        _ => {}
    }
    let rank = match status {
        _ if id == MAIN => 0,
        Status::Waiting => 1,
        Status::Running | Status::Runnable => 2,
        _ => 3,
    } + if g.is_system() { SYSTEM } else { 0 };
    let name = seen.name.map_or((0, 0), |name| (name.as_ptr().addr(), name.len()));
    let alike = [
        status as u64,
        reason,
        apart,
        name.0 as u64,
        name.1 as u64,
        core::ptr::from_ref(seen.started_at).addr() as u64,
        stack(g),
    ];
    let key = alike.into_iter().fold(0, mix);
    Group { key, order: (rank, since, id), first: g, count: 0, waits_for, others_elsewhere: false }
}

/// The main goroutine's number.
const MAIN: u64 = 1;
/// Added to the ranks of system goroutines: they come last. (Go hides them.)
const SYSTEM: u8 = 4;

/// Adds a word to a hash (the multiplier of FxHash).
pub(crate) fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0xf135_7aea_2e62_a9c5)
}

/// Fills `groups` with those that come first, in their order. Returns how many goroutines are in
/// none of them.
///
/// Allocates nothing: goes through the list of all g's twice, and compares each with every group.
/// `stack` is a hash of a goroutine's stack.
pub(crate) fn group(groups: &mut [Option<Group>], stack: impl Fn(&G) -> u64) -> usize {
    for (g, seen) in all() {
        enter(groups, look(g, seen, &stack));
    }
    let mut left_out = 0;
    for (g, seen) in all() {
        let it = look(g, seen, &stack);
        match groups.iter_mut().flatten().find(|group| group.key == it.key) {
            Some(group) => {
                group.count += 1;
                group.others_elsewhere |= it.waits_for != group.waits_for;
            }
            None => left_out += 1,
        }
    }
    left_out
}

/// Keeps the groups in order, and those that come first. Its first goroutine stands for a group.
fn enter(groups: &mut [Option<Group>], new: Group) {
    let comes_before = |place: &Option<Group>| place.is_none_or(|group| new.order < group.order);
    let same = groups.iter().position(|place| place.is_some_and(|group| group.key == new.key));
    let Some(mut at) = same.or(groups.len().checked_sub(1)) else { return };
    if !comes_before(&groups[at]) {
        return;
    }
    groups[at] = Some(new);
    while at > 0 && comes_before(&groups[at - 1]) {
        groups.swap(at - 1, at);
        at -= 1;
    }
}

/// A group's line: `7 (name) [chan receive 0xffff8000000321c8, 12 ms] started at src/main.rs:10:5`.
/// With `300 @ ` before it, it tells of 300 goroutines, of which the one named has waited longest.
///
/// The address is that of the channel, or of what else the goroutine waits for. It is the same in
/// every report, and in a debugger. A channel pays nothing for it, as it would for a number.
pub(crate) struct Report<'a> {
    pub(crate) group: &'a Group,
    pub(crate) now: u64,
    /// An address on the stack of the goroutine that has the mutex for which this one waits (0:
    /// none has), and the time at which that was so.
    pub(crate) owner: fn(&G) -> (usize, &'static str),
}

/// The owner of a mutex, or the number of readers, as far as a living system tells: both may have
/// changed since.
fn owner_then(g: &G) -> (usize, &'static str) {
    (g.behind(), " when it queued")
}

fn write_owner(
    f: &mut fmt::Formatter<'_>,
    how: &str,
    (owner, when): (usize, &'static str),
) -> fmt::Result {
    match all().find(|(_, seen)| seen.stack.contains(owner)) {
        Some((_, seen)) => write!(f, ", {how} {}{when}", Named(seen)),
        None => write!(f, ", {how} no goroutine{when}"),
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let g = self.group.first;
        // In a living system it may have ended meanwhile.
        let Some(seen) = g.seen() else { return write!(f, "(ended)") };
        if self.group.count > 1 {
            write!(f, "{} @ ", self.group.count)?;
        }
        write!(f, "{} [", Named(seen))?;
        match g.status() {
            Status::Waiting => {
                let reason = g.wait_reason();
                write!(f, "{}", reason.words())?;
                if is_for_one_thing(reason) {
                    write!(f, " {:#x}", g.waits_for())?;
                }
                if self.group.others_elsewhere {
                    write!(f, " (not all)")?;
                }
                match reason {
                    WaitReason::MutexLock => write_owner(f, "held by", (self.owner)(g))?,
                    // The writer may still wait for readers itself.
                    WaitReason::RwLockRead => write_owner(f, "behind", owner_then(g))?,
                    WaitReason::RwLockWrite => {
                        let (readers, when) = owner_then(g);
                        let s = if readers == 1 { "" } else { "s" };
                        write!(f, ", held by {readers} reader{s}{when}")?
                    }
                    _ => {}
                }
                let ms = self.now.saturating_sub(g.waiting_since()) / 1_000_000;
                write!(f, ", {ms} ms")?;
            }
            Status::Running => {
                match (0..SCHED.cpus())
                    .find(|&cpu| m_of(cpu).curg().is_some_and(|curg| core::ptr::eq(curg, g)))
                {
                    Some(cpu) => write!(f, "running on CPU {cpu}")?,
                    None => write!(f, "running")?,
                }
            }
            Status::Runnable => write!(f, "runnable")?,
            _ => write!(f, "ended, not joined")?,
        }
        let system = if g.is_system() { ", system" } else { "" };
        write!(f, "{system}] started at {}", seen.started_at)
    }
}

/// How many goroutines, g's and bytes there are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Census {
    /// Goroutines that have not ended.
    pub goroutines: u64,
    /// Bytes reserved for stacks, in use and free.
    pub stack_bytes: usize,
    /// G's ever made; they are never freed.
    pub made: usize,
    /// G's on the shared lists of free ones. (Each P has some more.)
    pub free: usize,
}

/// Counts. Takes no lock; a snapshot.
pub fn take() -> Census {
    let (made, free, stack_bytes) = SCHED.sizes();
    Census { goroutines: SCHED.goroutines(), stack_bytes, made, free }
}

/// Bytes that P's have allocated for timers and keep: room for as many as each ever had at once.
/// Takes their locks.
pub fn timers_bytes() -> usize {
    (0..SCHED.cpus()).map(|cpu| p_of(cpu).timers_bytes()).sum()
}

/// What a CPU does and has done, for `cpus` at the console.
pub struct CpuReport {
    /// Its number.
    pub cpu: usize,
    /// What it does now.
    pub state: CpuState,
    /// What it has done.
    pub stats: &'static Stats,
    /// Goroutines queued there.
    pub queued: usize,
    /// For how long it has slept so far (ns).
    pub idle_ns: u64,
}

/// One for each CPU. Takes no lock; a snapshot.
pub fn cpu_reports() -> impl Iterator<Item = CpuReport> {
    (0..SCHED.cpus()).map(|cpu| {
        let (state, stats) = (m_of(cpu).state(), &p_of(cpu).stats);
        let (queued, idle_ns) = (p_of(cpu).runq_len(), idle_ns(stats, machine::now()));
        CpuReport { cpu, state, stats, queued, idle_ns }
    })
}

/// While a CPU sleeps its counter lacks the time now: it is far below zero, for no CPU has slept
/// longer than there was time.
pub(super) fn idle_ns(stats: &Stats, now: u64) -> u64 {
    let ns = stats.idle_ns.get();
    if ns.cast_signed() < 0 { ns.wrapping_add(now) } else { ns }
}

/// How long a CPU has been busy (ns): all the time that it has not slept.
pub(super) fn busy_ns(cpu: usize, now: u64) -> u64 {
    now.wrapping_sub(idle_ns(&p_of(cpu).stats, now))
}

/// How many goroutines wait in the global queue. Takes no lock; a snapshot.
pub fn global_queue() -> usize {
    SCHED.global_len()
}

/// Calls `tell` with a line for each of the first `most` groups of goroutines that are alike, the
/// longest waiting first. A line is as in a crash report, and says what the stack of the group's
/// first goroutine takes. Returns how many goroutines are in none of these groups. Allocates. Stops
/// when `tell` returns `false`.
pub fn goroutines(most: usize, mut tell: impl FnMut(fmt::Arguments<'_>) -> bool) -> usize {
    let now = machine::now();
    let mut groups = alloc::vec![None; most.min(SCHED.sizes().0)];
    let left_out = group(&mut groups, |_| 0);
    for group in groups.iter().flatten() {
        let report = Report { group, now, owner: owner_then };
        let Some(seen) = group.first.seen() else { continue };
        let StackReport { reserved, committed, deepest, .. } = StackReport::of(group.first, seen);
        let (committed, reserved, deepest) = (committed / 1024, reserved / 1024, deepest / 1024);
        let go_on = if deepest > committed {
            tell(format_args!("{report}, stack {committed} of {reserved} KiB, deepest {deepest}"))
        } else {
            tell(format_args!("{report}, stack {committed} of {reserved} KiB"))
        };
        if !go_on {
            break;
        }
    }
    left_out
}

/// Acquisitions and contended acquisitions of the scheduler's locks, by name.
pub fn locks() -> impl Iterator<Item = (&'static str, (u64, u64))> {
    SCHED.locks().into_iter()
}

/// What a goroutine's stack takes, in bytes, for `stacks` at the console.
pub struct StackReport {
    /// Where it was started.
    pub started_at: &'static core::panic::Location<'static>,
    /// Bytes of addresses.
    pub reserved: usize,
    /// Bytes of memory now.
    pub committed: usize,
    /// The most bytes of memory that it had while it was this goroutine's.
    pub deepest: usize,
}

impl StackReport {
    fn of(g: &G, seen: Seen) -> Self {
        let committed = machine::stack_committed(seen.stack);
        let deepest = committed.max(super::depth::noted_depth(g));
        StackReport { started_at: seen.started_at, reserved: seen.stack.size(), committed, deepest }
    }
}

/// The stack of every goroutine. Takes no lock; what is told of a goroutine that ends meanwhile may
/// be wrong.
pub fn stacks() -> impl Iterator<Item = StackReport> {
    all().map(|(g, seen)| StackReport::of(g, seen))
}

/// Places at which goroutines were started that needed more than their first page, each with the
/// most bytes that any of them used, also of those that have ended: for machines that see stacks
/// grow. The same line of the source may come more than once.
pub fn depths() -> impl Iterator<Item = (&'static core::panic::Location<'static>, usize)> {
    super::depth::sites()
}

/// Whether it is a wait for one thing, which the g names ([`G::waits_for`]).
fn is_for_one_thing(reason: WaitReason) -> bool {
    use WaitReason::*;
    reason.is_for_a_lock()
        || matches!(reason, ChanReceive | ChanSend | Semacquire | WaitGroup | Barrier | Monitor)
}
