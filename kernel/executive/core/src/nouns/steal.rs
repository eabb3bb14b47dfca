//! The stealing policy: what a CPU that ran dry takes from the others, and in which order.
//!
//! [`Thieving`] is all that it sees of the others: models run this very code (tests/loom/idle.rs).

use crate::ground::param::STEAL_ROUNDS;
use crate::nouns::runq::{Linked, Owner, Thief};

/// What a thief can see and do. The scheduler's is in proc/schedule.rs; a model brings its own.
pub trait Thieving<T: Linked> {
    /// The thief's own CPU.
    fn cpu(&self) -> usize;
    /// Its own queue, which is empty.
    fn mine(&self) -> Owner<'_, T>;
    /// The CPUs that are not asleep, once each, from a random one on.
    fn busy(&self) -> impl Iterator<Item = usize>;
    /// That CPU's queue.
    fn queue(&self, victim: usize) -> Thief<'_, T>;
    /// Readies here what is due there: timers, arrivals that it does not see to. Whether any was.
    fn ready_due(&self, victim: usize) -> bool;
    /// Whether that CPU is likely to run its runnext in the next instant. May pause to find out.
    fn talks(&self, victim: usize) -> bool;
}

/// What a search came to.
#[must_use = "what was found is in no queue"]
pub enum Found<T: 'static> {
    /// This one was taken; the thief runs it.
    Stolen(&'static T),
    /// Nothing but runnexts, each left to a P that is about to run it: the thief may nap.
    HandOvers,
    /// Nothing.
    Nothing,
}

/// Tries every other P that is not idle, [`STEAL_ROUNDS`] times, each round from a random one on.
/// Timers, arrivals and runnexts are looked at in the last round only. Go: `stealWork`; its
/// `randomOrder` matters where idle P's are passed over one by one.
#[doc(alias = "stealWork")]
pub fn steal_work<T: Linked>(thief: &impl Thieving<T>) -> Found<T> {
    let mut found = Found::Nothing;
    for round in 1..=STEAL_ROUNDS {
        for victim in thief.busy().filter(|&cpu| cpu != thief.cpu()) {
            if let Some(t) = thief.mine().steal_from(thief.queue(victim)) {
                return Found::Stolen(t);
            }
            if round < STEAL_ROUNDS {
                continue;
            }
            if thief.ready_due(victim)
                && let Some(t) = thief.mine().get()
            {
                return Found::Stolen(t);
            }
            // Moving a goroutine that talks to its neighbour costs both.
            if let Some(t) = thief.queue(victim).runnext() {
                if !thief.talks(victim) && thief.queue(victim).take_runnext(t) {
                    return Found::Stolen(t);
                }
                found = Found::HandOvers;
            }
        }
    }
    found
}
