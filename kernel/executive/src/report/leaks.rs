//! Goroutines that can never run again, while others do: a cycle of mutexes, and whoever waits for
//! a mutex that one of them has, or for one of them to end.
//!
//! There is no garbage collector that would tell what can still be reached. So it is told by who
//! owns the other end, where that is known: only the goroutine that has a mutex unlocks it (its
//! guard does not leave it), and a join ends with its goroutine. A goroutine that waits for one
//! that can never run again can never run again. Whoever waits for anything else may go on.
//!
//! What it cannot see: waits for channels, selects, condition variables, semaphores, wait groups,
//! barriers and `RwLock`s, whose other ends may be anybody's. So a goroutine that waits for a reply
//! that nobody will send is not found; `/debug/` shows for how long it has waited.
//!
//! **Rule:** nothing is told that might be wrong. Who has a mutex is noted a moment after it was
//! locked, and in between the note names the one who had it before. So one looks while all CPUs
//! stand still and *no* goroutine is running or runnable but the one that asks: who has not noted
//! itself is none that waits. That machine is asked for some thousandths of a second, a few times.
//! And then each goroutine that waits goes on to do so, so what it waits for exists.

use super::crash;
use super::still::stand_still_alone;
use alloc::vec::Vec;
use core::panic::Location;
use executive_core::g::{G, Status, WaitReason, getg};
use executive_core::kit::{SCHED, Seen};

/// A goroutine that can never run again.
#[derive(Clone, Copy, Debug)]
pub struct Leak {
    /// Its number and name.
    pub id: u64,
    /// The name it was started with.
    pub name: Option<&'static str>,
    /// The `go` that started it.
    pub started_at: &'static Location<'static>,
    /// What it waits for.
    pub reason: WaitReason,
    /// Since when (coarse time, ns).
    pub since: u64,
    /// The goroutine that has what it waits for, or whose end it waits for: another of these.
    pub waits_for: u64,
}

/// Why nothing can be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unknown {
    /// The machine cannot make CPUs stand still, or threads that are none may lock and unlock
    /// meanwhile.
    NotOffered,
    /// So many other goroutines were running or runnable when one looked. Ask again.
    Busy(usize),
}

/// A goroutine, as it stands.
struct Standing {
    seen: Seen,
    g: &'static G,
    reason: Option<WaitReason>,
    /// An address on the stack of whoever has the mutex for which it waits; 0: nobody has.
    owner: usize,
    /// The address of the g that waits for its end; or no address.
    joined_by: usize,
}

/// All goroutines that can never run again, as far as that is known; the oldest first. Looks once:
/// all other CPUs stand still meanwhile, for longer the more goroutines there are.
/// Go: the profile `goroutineleak`.
#[doc(alias = "goroutineleak")]
pub fn find() -> Result<Vec<Leak>, Unknown> {
    let me = getg();
    // While CPUs stand still nothing is allocated.
    let mut all: Vec<Standing> = Vec::with_capacity(SCHED.sizes().0 + 64);
    let mut busy = 0;
    let stood = stand_still_alone(&mut |still| {
        all.clear();
        let others = || SCHED.all().filter(|g| !core::ptr::eq(*g, me));
        busy =
            others().filter(|g| matches!(g.status(), Status::Running | Status::Runnable)).count();
        if busy != 0 {
            return;
        }
        for g in SCHED.all() {
            let Some(seen) = g.seen() else { continue };
            let reason = (g.status() == Status::Waiting).then(|| g.wait_reason());
            let owner = match reason {
                Some(WaitReason::MutexLock) => crash::owner(g, &still),
                _ => 0,
            };
            let joined_by = crash::joined_by(g);
            if all.len() == all.capacity() {
                busy = 1; // born since
                return;
            }
            all.push(Standing { seen, g, reason, owner, joined_by });
        }
    });
    match busy {
        _ if !stood => Err(Unknown::NotOffered),
        0 => Ok(stuck(all)),
        _ => Err(Unknown::Busy(busy)),
    }
}

fn stuck(mut all: Vec<Standing>) -> Vec<Leak> {
    all.sort_unstable_by_key(|one| one.seen.stack.lo);
    let by_stack = |address: usize| {
        let after = all.partition_point(|one| one.seen.stack.lo <= address);
        let at = after.checked_sub(1)?;
        all[at].seen.stack.contains(address).then_some(at)
    };
    let mut joins: Vec<(usize, usize)> =
        all.iter().enumerate().map(|(at, one)| (one.joined_by, at)).collect();
    joins.sort_unstable();
    let joined = |g: &G| {
        let address = core::ptr::from_ref(g).addr();
        joins.binary_search_by_key(&address, |join| join.0).ok().map(|n| joins[n].1)
    };
    // Each waits for one other, or for something unknown.
    let next: Vec<Option<usize>> = all
        .iter()
        .map(|one| match one.reason {
            Some(WaitReason::MutexLock) => by_stack(one.owner),
            Some(WaitReason::Join) => joined(one.g),
            _ => None,
        })
        .collect();
    let stuck = lead_into_cycles(&next);
    let mut leaks: Vec<_> = all
        .iter()
        .enumerate()
        .filter(|&(at, _)| stuck[at])
        .filter_map(|(at, one)| {
            Some(Leak {
                id: one.seen.id,
                name: one.seen.name,
                started_at: one.seen.started_at,
                reason: one.reason?,
                since: one.g.waiting_since(),
                waits_for: all[next[at]?].seen.id,
            })
        })
        .collect();
    leaks.sort_unstable_by_key(|leak| leak.id);
    leaks
}

/// Of nodes that each lead to one other or end: those from which one comes to no end.
fn lead_into_cycles(next: &[Option<usize>]) -> Vec<bool> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        OnThisWay,
        Ends,
        Cycles,
    }
    let mut seen = alloc::vec![Seen::No; next.len()];
    for start in 0..next.len() {
        let mut at = start;
        let found = loop {
            match seen[at] {
                Seen::No => seen[at] = Seen::OnThisWay,
                Seen::OnThisWay => break Seen::Cycles,
                known => break known,
            }
            match next[at] {
                Some(to) => at = to,
                None => break Seen::Ends,
            }
        };
        // The same way once more.
        let mut at = start;
        while seen[at] == Seen::OnThisWay {
            seen[at] = found;
            match next[at] {
                Some(to) => at = to,
                None => break,
            }
        }
    }
    seen.into_iter().map(|seen| seen == Seen::Cycles).collect()
}

#[cfg(test)]
mod tests {
    use super::lead_into_cycles;

    #[test]
    fn who_waits_for_a_cycle_is_in_no_better_place() {
        let next = [Some(1), Some(0), Some(1), Some(4), None, Some(5), Some(2), Some(3)];
        let stuck = [true, true, true, false, false, true, true, false];
        assert_eq!(lead_into_cycles(&next), stuck);
        assert_eq!(lead_into_cycles(&[]), []);
        // Against the definition: so many steps do not come to an end.
        let mut random = 7u32;
        for _ in 0..1000 {
            let next: alloc::vec::Vec<_> = (0..9)
                .map(|_| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    Some((random >> 16) as usize % 11).filter(|&to| to < 9)
                })
                .collect();
            let is_stuck = |start| (0..20).try_fold(start, |at: usize, _| next[at]).is_some();
            let by_definition: alloc::vec::Vec<_> = (0..9).map(is_stuck).collect();
            assert_eq!(lead_into_cycles(&next), by_definition, "{next:?}");
        }
    }
}
