//! Goroutines that can never run again, while others do: a cycle of mutexes, of channels whose ends
//! are owned, or of both, and whoever waits for one of these goroutines.
//!
//! There is no garbage collector that would tell what can still be reached. So it is told by who
//! owns the other end, where that is known: only the goroutine that has a mutex unlocks it (its
//! guard does not leave it), a join ends with its goroutine, and an end of a channel that is
//! `chan::Owned` stays where it is. Who receives is woken by those who have the senders; who sends,
//! by those who have the receivers, and (as the channel is closed) by those who have the senders.
//! In a select it is all of these, of all arms. If all these ends are owned, it is known who that
//! is. A goroutine that waits for such as can never run again can never run again. Whoever waits
//! for anything else may go on.
//!
//! What it cannot see: waits for channels that have another end which may be anybody's, selects
//! with an arm for one of those, for a time or an interrupt, or with no arm that is on, condition
//! variables, semaphores, wait groups, barriers and `RwLock`s. So a goroutine that waits for a
//! reply that nobody will send may not be found; `/debug/` shows for how long it has waited.
//!
//! **Rule:** nothing is told that might be wrong. Who has a mutex is noted a moment after it was
//! locked, and in between the note names the one who had it before. So one looks while all CPUs
//! stand still and *no* goroutine is running or runnable but the one that asks: who has not noted
//! itself is none that waits. That machine is asked for some thousandths of a second, a few times.
//! And then each goroutine that waits goes on to do so, so what it waits for exists. What a timer
//! or a handler has is no owned end: that cannot be given to them.

use super::crash;
use super::still::stand_still_alone;
use alloc::vec::Vec;
use core::ops::Range;
use core::panic::Location;
use executive_core::g::{G, Status, WaitReason, getg};
use executive_core::kit::{SCHED, Seen};
use executive_services::chan::{OwnedEnd, owned_ends};
use executive_services::select::macro_support::Arm;

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
    /// The goroutine that has what it waits for, or whose end it waits for: one of these.
    pub waits_for: u64,
    /// So many more have an end of the channel for which it waits. They are of these, too.
    pub and_more: usize,
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
    /// The arms of the select in which it waits, among all of them; none: not known.
    arms: Range<usize>,
}

/// The ends of a channel: which channel, and whether those that send.
type Ends = (usize, bool);

/// All goroutines that can never run again, as far as that is known; the oldest first. Looks once:
/// all other CPUs stand still meanwhile, for longer the more goroutines there are.
/// Go: the profile `goroutineleak`.
#[doc(alias = "goroutineleak")]
pub fn find() -> Result<Vec<Leak>, Unknown> {
    let me = getg();
    // While CPUs stand still nothing is allocated.
    let mut all: Vec<Standing> = Vec::with_capacity(SCHED.sizes().0 + 64);
    let mut owned = 0;
    owned_ends(|_| owned += 1);
    let mut ends: Vec<OwnedEnd> = Vec::with_capacity(owned + 64);
    let mut arms: Vec<Ends> = Vec::with_capacity(4 * all.capacity());
    let mut busy = 0;
    let stood = stand_still_alone(&mut |still| {
        all.clear();
        ends.clear();
        arms.clear();
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
            let before = arms.len();
            let mut known = reason == Some(WaitReason::Select);
            if known {
                crash::arms(&still, g, |arm| match arm {
                    Arm::Chan(channel, sends) if arms.len() < arms.capacity() => {
                        arms.push((channel, sends));
                    }
                    _ => known = false,
                });
            }
            let arms = if known { before..arms.len() } else { 0..0 };
            if all.len() == all.capacity() {
                busy = 1; // born since
                return;
            }
            all.push(Standing { seen, g, reason, owner, joined_by, arms });
        }
        crash::owned_ends(&still, |end| match ends.len() < ends.capacity() {
            true => ends.push(end),
            false => busy = 1, // owned since
        });
    });
    match busy {
        _ if !stood => Err(Unknown::NotOffered),
        0 => Ok(stuck(all, &ends, &arms)),
        _ => Err(Unknown::Busy(busy)),
    }
}

fn stuck(mut all: Vec<Standing>, ends: &[OwnedEnd], arms: &[Ends]) -> Vec<Leak> {
    all.sort_unstable_by_key(|one| one.seen.stack.lo);
    let by_stack = |address: usize| {
        let after = all.partition_point(|one| one.seen.stack.lo <= address);
        let at = after.checked_sub(1)?;
        all[at].seen.stack.contains(address).then_some(at)
    };
    let sorted = |word: fn(&Standing) -> u64| {
        let mut words: Vec<_> = all.iter().enumerate().map(|(at, one)| (word(one), at)).collect();
        words.sort_unstable();
        move |wanted: u64| {
            let found = words.binary_search_by_key(&wanted, |one| one.0);
            found.ok().map(|n| words[n].1)
        }
    };
    let by_id = sorted(|one| one.seen.id);
    let by_joiner = sorted(|one| one.joined_by as u64);
    // Those who have the ends of a kind, if all are owned. (They are sorted by channel and kind.)
    let have = |channel: usize, sends: bool| {
        let from = ends.partition_point(|end| (end.channel, end.sends) < (channel, sends));
        let those =
            ends[from..].iter().take_while(|end| (end.channel, end.sends) == (channel, sends));
        let all = those.clone().next()?.ends == those.clone().count();
        if all { those.map(|end| by_id(end.owner)).collect::<Option<Vec<usize>>>() } else { None }
    };
    // Who can end a wait at a channel. (To receive one waits for no receiver.)
    let wake = |(channel, sends): Ends| {
        let mut those = have(channel, true)?;
        if sends {
            those.extend(have(channel, false)?);
        }
        Some(those)
    };
    // Each waits for any of some others, or for something unknown.
    let waits: Vec<Option<Vec<usize>>> = all
        .iter()
        .map(|one| match one.reason? {
            WaitReason::MutexLock => Some([by_stack(one.owner)?].into()),
            WaitReason::Join => Some([by_joiner(core::ptr::from_ref(one.g).addr() as u64)?].into()),
            WaitReason::ChanReceive => wake((one.g.waits_for(), false)),
            WaitReason::ChanSend => wake((one.g.waits_for(), true)),
            WaitReason::Select if !one.arms.is_empty() => {
                let each = arms[one.arms.clone()].iter().map(|&ends| wake(ends));
                Some(each.collect::<Option<Vec<_>>>()?.concat())
            }
            _ => None,
        })
        .collect();
    let stuck = stuck_for_ever(&waits);
    let mut leaks: Vec<_> = all
        .iter()
        .enumerate()
        .filter(|&(at, _)| stuck[at])
        .filter_map(|(at, one)| {
            let mut others = waits[at].clone()?;
            others.sort_unstable();
            others.dedup();
            if others.len() > 1 {
                others.retain(|&other| other != at); // it has an end itself
            }
            Some(Leak {
                id: one.seen.id,
                name: one.seen.name,
                started_at: one.seen.started_at,
                reason: one.reason?,
                since: one.g.waiting_since(),
                waits_for: all[others[0]].seen.id,
                and_more: others.len() - 1,
            })
        })
        .collect();
    leaks.sort_unstable_by_key(|leak| leak.id);
    leaks
}

/// Of some that each wait for any of others, or for something unknown (`None`): those that wait in
/// vain, because all for whom they wait do so, too.
fn stuck_for_ever(waits: &[Option<Vec<usize>>]) -> Vec<bool> {
    let mut behind: Vec<(usize, usize)> = Vec::new();
    for (at, others) in waits.iter().enumerate() {
        behind.extend(others.iter().flatten().map(|&other| (other, at)));
    }
    behind.sort_unstable();
    let mut stuck: Vec<bool> = waits.iter().map(Option::is_some).collect();
    let mut go_on: Vec<usize> = (0..waits.len()).filter(|&at| !stuck[at]).collect();
    while let Some(at) = go_on.pop() {
        let from = behind.partition_point(|&(other, _)| other < at);
        for &(_, waits) in behind[from..].iter().take_while(|&&(other, _)| other == at) {
            if core::mem::replace(&mut stuck[waits], false) {
                go_on.push(waits);
            }
        }
    }
    stuck
}

#[cfg(test)]
mod tests {
    use super::stuck_for_ever;
    use alloc::vec::Vec;

    #[test]
    fn who_waits_for_a_cycle_is_in_no_better_place() {
        let one = |other: usize| Some(Vec::from([other]));
        let waits = [one(1), one(0), one(1), one(4), None, one(5), one(2), one(3)];
        let stuck = [true, true, true, false, false, true, true, false];
        assert_eq!(stuck_for_ever(&waits), stuck);
        // One of those for whom it waits is well.
        let waits = [Some([1, 2].into()), one(0), None, Some([0, 1].into())];
        assert_eq!(stuck_for_ever(&waits), [false; 4]);
        let waits = [Some([1, 2].into()), one(0), one(1), Some([0, 1].into())];
        assert_eq!(stuck_for_ever(&waits), [true; 4]);
        assert_eq!(stuck_for_ever(&[]), []);
        // Against the definition: whoever may go on does, until nobody can any more.
        let mut random = 7u32;
        let mut next = |most: usize| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) as usize % most
        };
        for _ in 0..1000 {
            let mut others = || (0..1 + next(3)).map(|_| next(9)).collect::<Vec<_>>();
            let waits: Vec<_> =
                (0..9).map(|_| Some(others()).filter(|others| others[0] != 0)).collect();
            let mut well = [false; 9];
            for _ in 0..9 {
                for at in 0..9 {
                    well[at] |=
                        waits[at].as_ref().is_none_or(|all| all.iter().any(|&one| well[one]));
                }
            }
            assert_eq!(stuck_for_ever(&waits), well.map(|well| !well), "{waits:?}");
        }
    }
}
