//! Equal shares, by virtual run time.

use crate::{Mark, Order, Task};
use core::sync::atomic::Ordering::Relaxed;
use executive_core::kit::List;
use executive_core::param::MAX_CPUS;

/// Virtual run times that differ by less are taken for equal: a tenth of a slice.
const QUANTUM_NS: u64 = 1_000_000;
const BUCKETS: u64 = 64;
/// How far whoever sleeps, or runs elsewhere, may fall behind the floor: more than a slice.
pub const CREDIT_NS: u64 = 16 * QUANTUM_NS;
/// How far whoever runs alone may come before the floor: some slices.
pub const DEBT_NS: u64 = (BUCKETS - 1) * QUANTUM_NS - CREDIT_NS;

/// Who has run least runs next. What a goroutine has run is its virtual run time. That of the last
/// one that had its turn is the floor, which only rises. Whoever is new begins there, and whoever
/// has slept goes on there, less a [credit](CREDIT_NS): so it goes before those that compute, and
/// saves no more up. Who ran for long while nobody else wanted to owes a [debt](DEBT_NS) at the
/// most. Linux had such a policy from 2007 to 2023 (CFS).
///
/// Those who wait stand in buckets, of a millisecond each, so that a turn costs the same beside
/// any number of them; a bucket is first come, first served.
pub struct Fair<T: Task> {
    /// A ring of them. Bucket n has those whose virtual run time begins with n quanta.
    buckets: [List<T>; BUCKETS as usize],
    /// The quanta of the first bucket that may have somebody; the ring has those that follow.
    first: u64,
    /// How many wait.
    waiting: usize,
    floor: u64,
    /// What each CPU runs, and from when on it has not been counted.
    running: [Option<(&'static T, u64)>; MAX_CPUS],
}

impl<T: Task> Fair<T> {
    /// Nobody waits.
    #[expect(clippy::new_without_default, reason = "as the others")]
    pub const fn new() -> Self {
        Fair {
            buckets: [const { List::new() }; BUCKETS as usize],
            first: 0,
            waiting: 0,
            floor: CREDIT_NS,
            running: [const { None }; MAX_CPUS],
        }
    }

    /// What it has run is counted.
    fn stops(&mut self, cpu: usize, now: u64) {
        if let Some((t, since)) = self.running[cpu].take() {
            Mark::runs_on(t, None);
            let ran = now.saturating_sub(since);
            t.time().store(t.time().load(Relaxed) + ran, Relaxed);
        }
    }

    fn bucket(&mut self, quanta: u64) -> &mut List<T> {
        &mut self.buckets[(quanta % BUCKETS) as usize]
    }
}

impl<T: Task> Order<T> for Fair<T> {
    fn put(&mut self, t: &'static T, new: bool, now: u64) {
        if let Some(cpu) = Mark::where_it_runs(t) {
            self.stops(cpu, now); // it has not come to take the next yet
        }
        if new {
            t.mark().store(0, Relaxed);
            t.time().store(self.floor, Relaxed);
        }
        // So all who wait are within BUCKETS: the floor rises only to the first of them.
        let (least, most) = (self.floor - CREDIT_NS, self.floor + DEBT_NS);
        let time = t.time().load(Relaxed).clamp(least, most);
        t.time().store(time, Relaxed);
        let quanta = time / QUANTUM_NS;
        self.first = if self.waiting == 0 { quanta } else { self.first.min(quanta) };
        self.bucket(quanta).push_back(t);
        self.waiting += 1;
    }

    fn take(&mut self, cpu: usize, now: u64) -> Option<&'static T> {
        self.stops(cpu, now);
        self.waiting = self.waiting.checked_sub(1)?;
        while self.bucket(self.first).is_empty() {
            self.first += 1;
        }
        let t = self.bucket(self.first).pop_front()?;
        self.floor = self.floor.max(t.time().load(Relaxed));
        self.running[cpu] = Some((t, now));
        Mark::runs_on(t, Some(cpu));
        Some(t)
    }
}
