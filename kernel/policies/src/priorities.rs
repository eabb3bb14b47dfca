//! Priorities, which age.

use crate::{Mark, Order, Task};
use core::cmp::Reverse;
use core::sync::atomic::Ordering::Relaxed;
use executive_core::kit::List;

/// How many priorities there are; 0 is the most urgent.
pub const LEVELS: usize = 8;
/// Whoever says nothing has this one.
pub const NORMAL: usize = 4;
/// For so long a goroutine waits before it counts as one level more urgent: ten slices.
pub const AGE_NS: u64 = 100_000_000;

/// The most urgent runs first, and of those the one that has waited longest. Who waits ages, and
/// counts as one level more urgent each [`AGE_NS`], beyond level 0 too; after its turn a goroutine
/// has its own level again. So nobody starves: beside any number of goroutines of level 0 that
/// came later, one of the last level runs before those that come `LEVELS * AGE_NS` after it.
pub struct Priorities<T: Task> {
    /// A queue for each level. In each, the first has waited longest.
    levels: [List<T>; LEVELS],
    age_ns: u64,
}

impl<T: Task> Priorities<T> {
    /// Nobody waits. Who does counts as one level more urgent after each `age_ns`.
    pub const fn new(age_ns: u64) -> Self {
        Priorities { levels: [const { List::new() }; LEVELS], age_ns }
    }
}

impl<T: Task> Order<T> for Priorities<T> {
    fn put(&mut self, t: &'static T, new: bool, now: u64) {
        if new {
            t.mark().store(0, Relaxed);
        }
        t.time().store(now, Relaxed);
        self.levels[Mark::priority(t)].push_back(t);
    }

    fn take(&mut self, _: usize, now: u64) -> Option<&'static T> {
        let urgency = |(level, queue): (usize, &List<T>)| {
            let waited = now.saturating_sub(queue.first()?.time().load(Relaxed));
            Some((level as i64 - (waited / self.age_ns) as i64, Reverse(waited), level))
        };
        let (_, _, level) = self.levels.iter().enumerate().filter_map(urgency).min()?;
        self.levels[level].pop_front()
    }
}
