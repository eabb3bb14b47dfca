//! How long goroutines are runnable before they run, and how long they wait for what: counted while
//! somebody watches. Counts only grow, and each is one atomic word.

use core::array;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};
use executive::g::WaitReason;
use executive::waits::Told;

/// Times from 2 to the power of n nanoseconds on are in the nth; the last has all that are longer.
pub(crate) const POWERS: usize = 36;
const REASONS: usize = WaitReason::COUNT;

static RAN: [AtomicU64; POWERS] = [const { AtomicU64::new(0) }; POWERS];
/// How many waits, and how long (ns).
static WAITED: [[AtomicU64; 2]; REASONS] = [const { [const { AtomicU64::new(0) }; 2] }; REASONS];
static WATCHERS: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn is_watched() -> bool {
    WATCHERS.load(Relaxed) != 0
}

/// One more watches, or one less.
pub(crate) fn watch(more: bool) {
    if more {
        WATCHERS.fetch_add(1, Relaxed)
    } else {
        WATCHERS.fetch_sub(1, Relaxed)
    };
}

pub(crate) fn told(told: &Told) {
    if !is_watched() {
        return;
    }
    match told {
        Told::Ran(ns) => _ = RAN[power(*ns)].fetch_add(1, Relaxed),
        Told::Ended(wait) => {
            let [count, ns] = &WAITED[wait.reason as usize];
            count.fetch_add(1, Relaxed);
            ns.fetch_add(wait.ns, Relaxed);
        }
    }
}

fn power(ns: u64) -> usize {
    (ns.max(1).ilog2() as usize).min(POWERS - 1)
}

pub(crate) struct Latencies {
    /// How often goroutines were runnable for so long before they ran.
    pub ran: [u64; POWERS],
    /// For each reason how many waits have ended, and how long they were (ns).
    pub waited: [[u64; 2]; REASONS],
}

impl Latencies {
    pub fn so_far() -> Self {
        Latencies {
            ran: RAN.each_ref().map(|count| count.load(Relaxed)),
            waited: WAITED.each_ref().map(|both| both.each_ref().map(|word| word.load(Relaxed))),
        }
    }

    pub fn since(&self, before: &Self) -> Self {
        Latencies {
            ran: array::from_fn(|n| self.ran[n] - before.ran[n]),
            waited: array::from_fn(|n| {
                array::from_fn(|word| self.waited[n][word] - before.waited[n][word])
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{POWERS, power};

    #[test]
    fn times_are_sorted_by_powers_of_two() {
        assert_eq!([0, 1, 2, 3, 4, 1023, 1024].map(power), [0, 0, 1, 1, 2, 9, 10]);
        assert_eq!(power(u64::MAX), POWERS - 1);
    }
}
