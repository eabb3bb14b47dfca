//! Where goroutines wait for each other, and who lets them wait: Go's profiles `block` and `mutex`.
//!
//! *Block*: each wait for a channel, a lock, a join or the like, by the stack of the goroutine that
//! waited, with the time until it was made runnable. A sleep, and a wait for a device, is none.
//! *Mutex*: each wait for a `Mutex` or an `RwLock` by the stack of the goroutine that unlocked it,
//! which is the one to look at. Both are off until somebody asks: [`set_block_profile_rate`],
//! [`set_mutex_profile_fraction`], or a profile of some seconds ([`profile_for`]).
//!
//! A wait is counted when it ends, if it began while that profile was on. One stands on
//! [`executive::waits`], which says whose waits it misses. While a page watches, waits are counted
//! by what they were for, too.

use crate::pprof::{Frame, Profile};
use crate::stacks::{Counts, Stacks, Walk, places, random};
use alloc::string::String;
use alloc::vec::Vec;
use core::array;
use core::fmt::Write;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};
use core::time::Duration;
use executive::cancel::Token;
use executive::g::WaitReason;
use executive::sync::Mutex;
use executive::trace::{self, Latencies};
use executive::waits::{self, Wait};
use executive::{affinity, machine, select, time};

/// Which profile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Who waited. Go: the profile `block`.
    Block,
    /// Who let others wait for a lock. Go: the profile `mutex`.
    Mutex,
}

struct Table {
    /// See the two `set_` functions.
    rate: AtomicU64,
    /// Profiles of some seconds that are under way.
    asked: AtomicU64,
    /// Of each how many waits, and how long (ns).
    stacks: Stacks<2>,
}

static TABLES: [Table; 2] =
    [const { Table { rate: AtomicU64::new(0), asked: AtomicU64::new(0), stacks: Stacks::new() } };
        2];

/// For each [`WaitReason`] how many waits have ended, and how long they were (ns).
type Waited = [[u64; 2]; WaitReason::COUNT];
static WAITED: [[AtomicU64; 2]; WaitReason::COUNT] =
    [const { [const { AtomicU64::new(0) }; 2] }; WaitReason::COUNT];
/// Who waits for what is counted there while somebody watches.
static WATCHERS: AtomicUsize = AtomicUsize::new(0);

/// Changes are made one at a time.
static CHANGES: Mutex<()> = Mutex::new(());

/// Counts waits from here on: 1: each; 0: none; else each of at least `ns`, and of shorter ones so
/// many that the sum is right on average. What was counted stays. Parks. Go: `SetBlockProfileRate`.
#[doc(alias = "SetBlockProfileRate")]
pub fn set_block_profile_rate(ns: u64) {
    change(Kind::Block, |table| table.rate.store(ns, Relaxed));
}

/// Counts one of `n` waits for locks from here on, as `n`; 0: none. What was counted stays. Returns
/// what it was before. Parks. Go: `SetMutexProfileFraction`.
#[doc(alias = "SetMutexProfileFraction")]
pub fn set_mutex_profile_fraction(n: u64) -> u64 {
    let mut was = 0;
    change(Kind::Mutex, |table| was = table.rate.swap(n, Relaxed));
    was
}

fn change(kind: Kind, change: impl FnOnce(&Table)) {
    let table = &TABLES[kind as usize];
    table.stacks.make();
    switch(|| change(table));
}

/// Changes who wants to be told of waits. They are told while anybody wants them.
fn switch(change: impl FnOnce()) {
    let _alone = CHANGES.lock();
    let is_watched = || WATCHERS.load(Relaxed) != 0;
    let is_on = || is_watched() || TABLES.iter().any(|table| table.rate() != 0);
    let was_on = is_on();
    change();
    match (was_on, is_on()) {
        (false, true) => waits::start(told),
        (true, false) => waits::stop(),
        _ => {}
    }
}

/// Pinned or on g0.
fn told(wait: &Wait) {
    if WATCHERS.load(Relaxed) != 0 {
        let [count, ns] = &WAITED[wait.reason as usize];
        count.fetch_add(1, Relaxed);
        ns.fetch_add(wait.ns, Relaxed);
    }
    let [block, mutex] = &TABLES;
    if let rate @ 1.. = block.rate()
        && !matches!(wait.reason, WaitReason::None | WaitReason::Sleep | WaitReason::Irq)
        && let Some(weight) = block_weight(wait.ns.max(1), rate, random())
    {
        block.enter(|tell| wait.waiter(tell), weight);
    }
    if let n @ 1.. = mutex.rate()
        && wait.reason.is_for_a_lock()
        && random().is_multiple_of(n)
    {
        mutex.enter(|tell| wait.waker(tell), (n, wait.ns.saturating_mul(n)));
    }
}

/// As how many waits of how much time one counts. It is counted if it is at least as long as the
/// rate; else with the chance of `ns` in `rate`, and then stands for `rate / ns` of its kind.
fn block_weight(ns: u64, rate: u64, random: u64) -> Option<(u64, u64)> {
    if ns >= rate {
        return Some((1, ns));
    }
    // What the division leaves over is one more, as often as it should be.
    (random % rate <= ns).then(|| ((rate + random % ns) / ns, rate))
}

impl Table {
    fn rate(&self) -> u64 {
        match (self.rate.load(Relaxed), self.asked.load(Relaxed)) {
            (0, 1..) => 1,
            (rate, _) => rate,
        }
    }

    fn enter(&self, walk: impl FnOnce(&mut Walk<'_>), (count, ns): (u64, u64)) {
        self.stacks.add(walk, [count, ns]);
    }
}

/// All that was counted so far, for `go tool pprof`. A snapshot.
pub fn profile(kind: Kind) -> Vec<u8> {
    encode(TABLES[kind as usize].stacks.so_far(), 0)
}

/// What is counted within that time, or until the token is cancelled, for `go tool pprof`: if the
/// profile is off, each wait. Parks.
pub fn profile_for(kind: Kind, time: Duration, until: &Token) -> Vec<u8> {
    let table = &TABLES[kind as usize];
    change(kind, |table| _ = table.asked.fetch_add(1, Relaxed));
    let (begun, before) = (machine::now(), table.stacks.so_far());
    select! {
        recv(until) -> _ => {},
        after(time) => {},
    }
    let (took, mut counts) = (machine::now() - begun, table.stacks.so_far());
    change(kind, |table| _ = table.asked.fetch_sub(1, Relaxed));
    for (stack, [count, ns]) in before {
        if let Some(now) = counts.get_mut(&stack) {
            *now = [now[0] - count, now[1] - ns];
        }
    }
    counts.retain(|_, &mut [count, _]| count != 0);
    encode(counts, took)
}

/// How long goroutines are runnable before they run within that time, and wait for what. Parks.
pub(crate) fn watch(time: Duration) -> (Latencies, Waited) {
    let so_far = || {
        let mut ran = Latencies::new();
        (0..affinity::num_cpus()).for_each(|cpu| ran.add(&trace::latencies(cpu)));
        (ran, WAITED.each_ref().map(|both| both.each_ref().map(|word| word.load(Relaxed))))
    };
    switch(|| _ = WATCHERS.fetch_add(1, Relaxed));
    let (ran_before, before) = so_far();
    time::sleep(time);
    let (ran, waited) = so_far();
    switch(|| _ = WATCHERS.fetch_sub(1, Relaxed));
    let less = |n: usize| array::from_fn(|word| waited[n][word] - before[n][word]);
    (ran.since(&ran_before), array::from_fn(less))
}

/// Waits for whose stack there was no room.
pub fn lost(kind: Kind) -> u64 {
    TABLES[kind as usize].stacks.lost()
}

fn encode(counts: Counts<2>, took: u64) -> Vec<u8> {
    let mut profile = Profile::new();
    for (stack, counts) in counts {
        profile.sample(places(&stack), &counts, &[]);
    }
    let contentions = ("contentions", "count");
    profile.finish(&[contentions, ("delay", "nanoseconds")], (contentions, 1), took)
}

/// The same as text, the longest first, in the form of Go's `?debug=1`.
pub fn text(kind: Kind) -> String {
    let mut out = String::new();
    let table = &TABLES[kind as usize];
    // Writing to a string does not fail.
    let _ = match kind {
        Kind::Block => writeln!(out, "--- contention:\ncycles/second=1000000000"),
        Kind::Mutex => {
            let n = table.rate();
            writeln!(out, "--- mutex:\ncycles/second=1000000000\nsampling period={n}")
        }
    };
    let mut all: Vec<_> = table.stacks.so_far().into_iter().collect();
    all.sort_by_key(|&(_, [_, ns])| core::cmp::Reverse(ns));
    for (stack, [count, ns]) in all {
        let _ = write!(out, "{ns} {count} @");
        let frames = places(&stack);
        frames.iter().for_each(|frame| _ = write!(out, " {:#x}", frame.pc));
        out.push('\n');
        for Frame { pc, place } in frames {
            let _ = writeln!(out, "#\t{pc:#x}\t{}\t{}:{}", place.function, place.file, place.line);
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::block_weight;

    #[test]
    fn sampled_waits_sum_up_to_what_there_was() {
        assert_eq!(block_weight(100, 100, 7), Some((1, 100)));
        assert_eq!(block_weight(101, 1, 7), Some((1, 101)));
        // Every residue once: the chance of each random number is the same.
        let (ns, rate) = (300, 1000);
        let weights = (0..3000).filter_map(|random| block_weight(ns, rate, random));
        let (count, sum) = weights.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
        assert!((2990..=3020).contains(&count), "{count} waits of 3000");
        assert!((299 * 3000..302 * 3000).contains(&sum), "{sum} ns");
    }
}
