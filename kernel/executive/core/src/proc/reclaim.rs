//! Memory is short: what goroutines keep and do not need, for the machine to take back.
//!
//! Free g's keep their stacks: [`give_back`] hands these to the machine, and the g's wait without
//! one. (Crate `executive` tells what a parked goroutine does not need: `reclaim::resting`.)
//!
//! **Rule (PINNED):** a P's own free list is touched by its owner, or by whoever has claimed its
//! idle CPU, which touches nothing of its P until it is woken (idle.rs). A busy P is asked, and
//! gives at its next slow round of `schedule`. Until a goroutine lets it come there, it keeps
//! [`GFREE_MAX`](crate::ground::param::GFREE_MAX) stacks at the most.

use super::birth::free_stack;
use super::wake::startm;
use crate::nouns::g::G;
use crate::nouns::m::{p, p_of};
use crate::nouns::runq::List;
use crate::nouns::sched::SCHED;
use crate::tools::percpu::{Pin, cpu};
use core::sync::atomic::Ordering::Relaxed;

/// Gives the stacks of about `most` free g's back to the machine by
/// [`free_stack`](crate::ground::machine::Machine::free_stack). Returns how many it gave; 0: no
/// free g that can be had keeps one.
///
/// Called by the machine, pinned or not, when it has no memory for something, before it says so.
/// The caller may hold locks up to [`Rank::Reclaim`](crate::tools::lock::Rank).
pub fn give_back(most: usize) -> usize {
    let _pin = Pin::new();
    if SCHED.allgs_len.load(Relaxed) == 0 {
        return 0; // no goroutine was made yet, and this CPU's P may not be there
    }
    let mut given = 0;
    while given < most && !SCHED.gfree.is_empty() {
        given += strip(SCHED.gfree.take(most));
    }
    if given < most {
        given += strip(p().gfree.take_all());
    }
    if given < most {
        for cpu in (0..SCHED.cpus()).filter(|&other| other != cpu()) {
            if SCHED.idle.wake_this(cpu) {
                given += strip(p_of(cpu).gfree.take_all());
                startm(cpu); // it finds nothing, and sleeps again
            } else {
                p_of(cpu).give_free.store(true, Relaxed);
            }
        }
    }
    given
}

/// Takes these free g's stacks; returns how many had one.
fn strip(mut free: List<G>) -> usize {
    let mut bare = List::new();
    let mut given = 0;
    while let Some(g) = free.pop_front() {
        given += free_stack(g) as usize;
        bare.push_back(g);
    }
    SCHED.gfree_bare.give(bare);
    given
}
