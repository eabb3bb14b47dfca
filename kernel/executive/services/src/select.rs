//! `select!`: wait for several operations, do the first that can be done. Go: `selectgo`
//! (select.go).
//!
//! A select looks three times:
//! 1. At each channel, in a random order, under that channel's lock alone. An operation that can be
//!    done is done, and mostly that is all.
//! 2. At all channels, with all locks held. They are taken in the order of their addresses, so that
//!    two selects cannot wait for each other's lock. If still nothing can be done, a waiter is
//!    queued at each channel, and the goroutine parks, which releases the locks. Whoever is first
//!    to take one of its waiters off *claims* the goroutine.
//! 3. At all channels again, with all locks held, to take the waiters off that lost.
//!
//! Timers and interrupts have no lock that could be held in this way. They are started before the
//! second look, and may claim the goroutine even before it has parked (`waitq::prepare`,
//! `waitq::open`). Before the select returns they are stopped, and no firing or handler is under
//! way.
//!
//! Here an arm is a `Case`, which knows its channel as a `State` (chan.rs) and a function that
//! attempts the operation. The types of the values, and all `unsafe` code, are in case.rs.
//!
//! Rejected: to take one lock at a time in the second look, too (two selects that could serve each
//! other would have to claim both at once); an object for each arm (a call for each lock, queueing
//! and removal).

mod arms;
mod builder;
mod case;
mod macros;
mod timeout;
pub use arms::{RecvFrom, SendTo};
pub use builder::{Recv, Select, Send};

use self::case::{Case, Locked, What};
use crate::alarm::Alarm;
use crate::chan::Attempt;
use crate::irq::Irq;
use core::pin::pin;
use executive_core::g::{G, WaitReason};
use executive_core::machine;
use executive_core::wait::{Parked, may_park, prepare, random, winner};

/// What the macro [`select!`](crate::select!) is made of, which runs in its users' crates; and what
/// reports ask.
#[doc(hidden)]
pub mod macro_support {
    pub use super::case::{Arm, Case, RecvSlot, SendSlot, arms_at_rest};
    pub use super::{choose, poll};
}

/// Takes one arm, and gives its index; parks until one is ready.
#[inline]
pub fn choose<const N: usize>(cases: [Case<'_>; N]) -> usize {
    choose_of(&cases, &mut [0; N], &mut [0; N])
}

/// Takes one arm if one is ready; never parks.
#[inline]
pub fn poll<const N: usize>(cases: [Case<'_>; N]) -> Option<usize> {
    poll_of(&cases, &mut [0; N], &mut [0; N])
}

/// As [`choose`]; `order` and `locks` are scratch, and as long as `cases`.
fn choose_of(cases: &[Case<'_>], order: &mut [u16], locks: &mut [u16]) -> usize {
    look_at_each(cases, order).unwrap_or_else(|| wait(cases, order, lock_order(cases, locks)))
}

/// As [`poll`]; `order` and `locks` are scratch, and as long as `cases`.
fn poll_of(cases: &[Case<'_>], order: &mut [u16], locks: &mut [u16]) -> Option<usize> {
    look_at_each(cases, order).or_else(|| {
        let locks = lock_order(cases, locks);
        // Looks under one lock at a time are no snapshot of all channels; of one channel they are.
        if locks.len() < 2 { None } else { look_at_all(cases, order, locks) }
    })
}

/// Fills `order` with a random permutation of its indices (Fisher and Yates).
#[doc(alias = "pollorder")]
#[inline]
fn shuffle(order: &mut [u16]) {
    for i in 0..order.len() {
        let j = if i == 0 { 0 } else { (u64::from(random()) * (i as u64 + 1)) >> 32 };
        order[i] = order[j as usize];
        order[j as usize] = i as u16;
    }
}

/// The first look. Leaves a random order in `order`.
#[inline]
fn look_at_each(cases: &[Case<'_>], order: &mut [u16]) -> Option<usize> {
    shuffle(order);
    for &i in &*order {
        if let Some((i, woken)) = taken(i, cases[i as usize].what.look()) {
            woken.into_iter().for_each(Parked::ready);
            return Some(i);
        }
    }
    None
}

/// The arm `i`, if the attempt has taken it, and the goroutine that is to be readied for it.
#[inline]
fn taken(i: u16, attempt: Attempt) -> Option<(usize, Option<Parked>)> {
    match attempt {
        Attempt::Done(woken) => Some((i as usize, woken)),
        Attempt::Closed => Some((i as usize, None)),
        Attempt::Blocks => None,
    }
}

impl What<'_> {
    /// The first look at this arm: takes it if it is ready.
    fn look(&self) -> Attempt {
        let ready = match self {
            What::Chan(op) => return op.look(),
            What::After(ns) => *ns == 0,
            What::Irq(line) => line.take(),
            What::Never => false,
        };
        if ready { Attempt::Done(None) } else { Attempt::Blocks }
    }
}

/// Writes to `locks` one case for each lock, in the order of the locks' addresses.
fn lock_order<'a>(cases: &[Case<'_>], locks: &'a mut [u16]) -> &'a [u16] {
    let address = |&i: &u16| cases[i as usize].op().map_or(0, |op| op.address());
    let mut n = 0;
    for i in 0..cases.len() as u16 {
        if cases[i as usize].op().is_some() {
            locks[n] = i;
            n += 1;
        }
    }
    locks[..n].sort_unstable_by_key(address);
    let mut kept = 0;
    for at in 0..n {
        if at == 0 || address(&locks[at]) != address(&locks[kept - 1]) {
            locks[kept] = locks[at];
            kept += 1;
        }
    }
    &locks[..kept]
}

/// The second look, of a select that does not wait.
fn look_at_all(cases: &[Case<'_>], order: &[u16], locks: &[u16]) -> Option<usize> {
    let locked = Locked::new(cases, locks);
    let found = look_locked(&locked, order);
    drop(locked);
    let (chosen, woken) = found?;
    woken.into_iter().for_each(Parked::ready);
    Some(chosen)
}

fn look_locked(locked: &Locked<'_>, order: &[u16]) -> Option<(usize, Option<Parked>)> {
    order.iter().find_map(|&i| taken(i, locked.look(i)))
}

/// The second look and the third.
#[cold]
fn wait(cases: &[Case<'_>], order: &[u16], locks: &[u16]) -> usize {
    let parking = may_park();
    let me = parking.g();
    prepare(me);
    let alarm = pin!(Alarm::new());
    if let Some((ns, _)) = earliest(cases, order) {
        alarm.as_ref().set(machine::now().saturating_add(ns));
    }
    if let Some(index) = enlist(cases, order, me) {
        leave(cases, order, me, &alarm, Some(index));
        return index;
    }

    let locked = Locked::new(cases, locks);
    if let Some((chosen, woken)) = look_locked(&locked, order) {
        drop(locked);
        woken.into_iter().for_each(Parked::ready);
        leave(cases, order, me, &alarm, Some(chosen));
        return chosen;
    }
    let reason = if cases.is_empty() { WaitReason::SelectNoCases } else { WaitReason::Select };
    locked.park(parking, reason, order);
    leave(cases, order, me, &alarm, None);
    chosen(cases, order, earliest(cases, order).filter(|_| alarm.has_won()))
}

/// The time limit that passes first (ns), and its arm. One alarm is enough for all of them.
fn earliest(cases: &[Case<'_>], order: &[u16]) -> Option<(u64, usize)> {
    let limit = |&i: &u16| match cases[i as usize].what {
        What::After(ns) => Some((ns, i as usize)),
        _ => None,
    };
    order.iter().filter_map(limit).min_by_key(|&(ns, _)| ns)
}

/// The arms that wait for interrupts, and their lines, in the random order.
fn lines<'a>(cases: &'a [Case<'_>], order: &'a [u16]) -> impl Iterator<Item = (usize, &'a Irq)> {
    order.iter().filter_map(|&i| match &cases[i as usize].what {
        What::Irq(line) => Some((i as usize, line)),
        _ => None,
    })
}

/// From here on `me` waits on the interrupt lines, which need no lock. If several arms name one
/// line, the first in the random order stands for all, here and in [`chosen`]. Returns the index of
/// an arm whose interrupt has come already.
fn enlist(cases: &[Case<'_>], order: &[u16], me: &'static G) -> Option<usize> {
    lines(cases, order).find(|(_, line)| !line.enlist(me)).map(|(i, _)| i)
}

/// Stops the alarm, leaves the interrupt lines, and waits until no firing and no handler is under
/// way. An interrupt that claimed us is made pending again if an arm for something else is `taken`.
fn leave(cases: &[Case<'_>], order: &[u16], me: &'static G, alarm: &Alarm, taken: Option<usize>) {
    alarm.stop();
    lines(cases, order).for_each(|(_, line)| line.leave(me));
    if let Some(taken) = taken
        && let Some((_, came)) = lines(cases, order).find(|(_, line)| winner() == line.mark())
        && !matches!(&cases[taken].what, What::Irq(line) if line.is(came))
    {
        came.put_back();
    }
}

/// The arm that won: whoever claimed us has left its mark. `late`: the alarm won, for this arm.
fn chosen(cases: &[Case<'_>], order: &[u16], late: Option<(u64, usize)>) -> usize {
    let won = |i: &usize| match &cases[*i].what {
        What::Chan(op) => winner() == op.mark(),
        What::Irq(line) => winner() == line.mark(),
        What::After(_) | What::Never => false,
    };
    late.map(|(_, i)| i)
        .or_else(|| order.iter().map(|&i| i as usize).find(won))
        .unwrap_or_else(|| executive_core::fatal::throw("select: woken by nobody"))
}

/// Parks for good. Go: `select {}`.
///
/// ```
/// # hosted::run(|| {
/// executive::go(|| executive::select::forever());
/// # });
/// ```
pub fn forever() -> ! {
    choose([]);
    unreachable!("nobody can wake this goroutine")
}
