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
//! **Rule:** only whoever has claimed a goroutine writes to its waiter, and a goroutine that was
//! woken leaves only after it has held every lock once. So waiters, alarms and the list of locks,
//! which lie on its stack, outlive their use.
//!
//! The arms (arms.rs) know the types of the values; here a channel is its `State` (chan.rs) and a
//! function.
//!
//! Rejected: to take one lock at a time in the second look, too (two selects that could serve each
//! other would have to claim both at once); an object for each arm (a call for each lock, queueing
//! and removal).
#![allow(unsafe_code)] // Waiters and values on stacks, locks without guards.

mod arms;
mod builder;
mod macros;
mod timeout;
pub use arms::{RecvFrom, SendTo};
#[doc(hidden)]
pub use arms::{RecvSlot, SendSlot};
pub use builder::{Recv, Select, Send};

use crate::alarm::{Alarm, nanos};
use crate::chan::{Attempt, State};
use crate::irq::Irq;
use core::marker::PhantomData;
use core::pin::pin;
use executive_core::g::{G, WaitReason, getg};
use executive_core::lock::Lock;
use executive_core::machine;
use executive_core::wait::{Parked, WaitQ, Waiter, may_park, park, prepare, random, winner};

/// One arm, as the engine sees it.
#[doc(hidden)]
pub struct Case<'a> {
    what: What,
    _borrows: PhantomData<&'a ()>,
}

enum What {
    Chan(Op),
    /// After that many ns.
    After(u64),
    Irq(Irq),
    /// Never ready: Go's nil channel.
    Never,
}

/// A channel operation.
struct Op {
    state: *const Lock<State>,
    chan: *const (),
    dir: Dir,
    attempt: unsafe fn(*const (), &mut State, *mut ()) -> Attempt,
    waiter: Waiter,
}

#[derive(Clone, Copy)]
enum Dir {
    Send,
    Recv,
}

/// Which arm was taken; for a channel, whether a value was handed over or the channel is closed.
#[doc(hidden)]
pub struct Chosen {
    pub index: usize,
    pub success: bool,
}

impl<'a> Case<'a> {
    /// # Safety
    /// For `'a`: `chan` is alive and `state` is its state; `attempt` fits `chan`, with `slot`.
    unsafe fn chan(
        state: &'a Lock<State>,
        chan: *const (),
        dir: Dir,
        attempt: unsafe fn(*const (), &mut State, *mut ()) -> Attempt,
        slot: *mut (),
    ) -> Self {
        Self::new(What::Chan(Op {
            state,
            chan,
            dir,
            attempt,
            waiter: Waiter::of_select(getg(), slot),
        }))
    }
    pub fn never() -> Self {
        Self::new(What::Never)
    }
    pub fn after(d: core::time::Duration) -> Self {
        Self::new(What::After(nanos(d)))
    }
    pub fn irq(irq: &'a Irq) -> Self {
        Self::new(What::Irq(*irq))
    }
    fn new(what: What) -> Self {
        Case { what, _borrows: PhantomData }
    }
}

/// Takes one arm; parks until one is ready.
#[doc(hidden)]
#[inline]
pub fn choose<const N: usize>(mut cases: [Case<'_>; N]) -> Chosen {
    choose_of(&mut cases, &mut [0; N], &mut [0; N])
}

/// Takes one arm if one is ready; never parks.
#[doc(hidden)]
#[inline]
pub fn poll<const N: usize>(cases: [Case<'_>; N]) -> Option<Chosen> {
    poll_of(&cases, &mut [0; N], &mut [0; N])
}

/// As [`choose`]; `order` and `locks` are scratch, and as long as `cases`.
fn choose_of(cases: &mut [Case<'_>], order: &mut [u16], locks: &mut [u16]) -> Chosen {
    if let Some(chosen) = look_at_each(cases, order) {
        return chosen;
    }
    merge_lines(cases, order);
    let cases = &*cases; // pinned from here on, by the borrow
    wait(cases, order, lock_order(cases, locks))
}

/// As [`poll`]; `order` and `locks` are scratch, and as long as `cases`.
fn poll_of(cases: &[Case<'_>], order: &mut [u16], locks: &mut [u16]) -> Option<Chosen> {
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
fn look_at_each(cases: &[Case<'_>], order: &mut [u16]) -> Option<Chosen> {
    shuffle(order);
    for &i in &*order {
        if let Some((chosen, woken)) = taken(i, cases[i as usize].what.look()) {
            woken.into_iter().for_each(Parked::ready);
            return Some(chosen);
        }
    }
    None
}

/// The arm `i`, if the attempt has taken it, and the goroutine that is to be readied for it.
#[inline]
fn taken(i: u16, attempt: Attempt) -> Option<(Chosen, Option<Parked>)> {
    let index = i as usize;
    match attempt {
        Attempt::Done(woken) => Some((Chosen { index, success: true }, woken)),
        Attempt::Closed => Some((Chosen { index, success: false }, None)),
        Attempt::Blocks => None,
    }
}

impl What {
    /// The first look at this arm: takes it if it is ready.
    fn look(&self) -> Attempt {
        let ready = match self {
            What::Chan(op) => {
                // SAFETY: `Case::chan`'s promise.
                let mut state = unsafe { &*op.state }.lock();
                // SAFETY: as above; `state` is this channel's.
                return unsafe { (op.attempt)(op.chan, &mut state, op.waiter.slot.get()) };
            }
            What::After(ns) => *ns == 0,
            What::Irq(line) => line.take(),
            What::Never => false,
        };
        if ready { Attempt::Done(None) } else { Attempt::Blocks }
    }
}

impl Op {
    /// The second look at this arm.
    ///
    /// # Safety
    /// The channel's lock is held by the caller.
    unsafe fn look_locked(&self) -> Attempt {
        // SAFETY: held, so this is the only reference; the rest is `Case::chan`'s promise.
        unsafe { (self.attempt)(self.chan, &mut *(*self.state).held(), self.waiter.slot.get()) }
    }
    /// Where the waiter queues. # Safety: as above.
    unsafe fn queue(&self) -> &WaitQ {
        // SAFETY: held.
        let state = unsafe { &*(*self.state).held() };
        match self.dir {
            Dir::Send => &state.senders,
            Dir::Recv => &state.receivers,
        }
    }
}

/// A goroutine can wait on an interrupt line only once. If several arms name one line, the first in
/// the random order stands for all.
fn merge_lines(cases: &mut [Case<'_>], order: &[u16]) {
    let mut lines = 0;
    for &i in order {
        if let What::Irq(line) = &cases[i as usize].what {
            if lines & line.bit() != 0 {
                cases[i as usize].what = What::Never;
            } else {
                lines |= line.bit();
            }
        }
    }
}

fn op<'a>(cases: &'a [Case<'_>], i: u16) -> Option<&'a Op> {
    match &cases[i as usize].what {
        What::Chan(op) => Some(op),
        _ => None,
    }
}

/// Each lock of the cases once, by address: writes to `locks` one case for each.
fn lock_order<'a>(cases: &[Case<'_>], locks: &'a mut [u16]) -> &'a [u16] {
    let address = |&i: &u16| op(cases, i).map_or(0, |op| op.state as usize);
    let mut n = 0;
    for i in 0..cases.len() as u16 {
        if op(cases, i).is_some() {
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

fn lock_all(cases: &[Case<'_>], locks: &[u16]) {
    for op in locks.iter().filter_map(|&i| op(cases, i)) {
        // SAFETY: `Case::chan`'s promise.
        unsafe { &*op.state }.hold();
    }
}

/// # Safety
/// `lock_all` took them. After the last one is released nothing of the cases is touched: their
/// goroutine may have gone on.
unsafe fn unlock_all(cases: &[Case<'_>], locks: &[u16], on_g0: bool) {
    for op in locks.iter().filter_map(|&i| op(cases, i)) {
        // SAFETY: held; the channel outlives the select.
        unsafe { (*op.state).release_held(on_g0) };
    }
}

/// The second look, of a select that does not wait.
fn look_at_all(cases: &[Case<'_>], order: &[u16], locks: &[u16]) -> Option<Chosen> {
    lock_all(cases, locks);
    let found = look_locked(cases, order);
    // SAFETY: just locked.
    unsafe { unlock_all(cases, locks, false) };
    let (chosen, woken) = found?;
    woken.into_iter().for_each(Parked::ready);
    Some(chosen)
}

/// All locks are held.
fn look_locked(cases: &[Case<'_>], order: &[u16]) -> Option<(Chosen, Option<Parked>)> {
    // SAFETY: held.
    order.iter().find_map(|&i| taken(i, unsafe { op(cases, i)?.look_locked() }))
}

/// The second look and the third.
#[cold]
fn wait(cases: &[Case<'_>], order: &[u16], locks: &[u16]) -> Chosen {
    let parking = may_park();
    let me = parking.g();
    prepare(me);
    let alarm = pin!(Alarm::new());
    if let Some((ns, _)) = earliest(cases, order) {
        alarm.as_ref().set(machine::now().saturating_add(ns));
    }
    if let Some(index) = enlist(cases, me) {
        leave(cases, me, &alarm, Some(index));
        return Chosen { index, success: true };
    }

    lock_all(cases, locks);
    if let Some((chosen, woken)) = look_locked(cases, order) {
        // SAFETY: just locked.
        unsafe { unlock_all(cases, locks, false) };
        woken.into_iter().for_each(Parked::ready);
        leave(cases, me, &alarm, Some(chosen.index));
        return chosen;
    }
    for op in order.iter().filter_map(|&i| op(cases, i)) {
        // SAFETY: the lock is held; the waiter stays here until the third look.
        unsafe { op.queue().enqueue(&op.waiter) };
    }
    let reason = if cases.is_empty() { WaitReason::SelectNoCases } else { WaitReason::Select };
    // `move`: from `open` on an alarm may let the goroutine go on. If it has no lock to wait for,
    // nothing on its stack may be touched then.
    park(parking, reason, move |me| {
        let back = me.open();
        // SAFETY: just locked. A goroutine that is woken meanwhile waits for the last of the locks.
        unsafe { unlock_all(cases, locks, true) };
        back
    });

    leave(cases, me, &alarm, None);
    lock_all(cases, locks);
    for op in order.iter().filter_map(|&i| op(cases, i)) {
        // SAFETY: held. A waiter that is not queued any more has won, or was passed over.
        unsafe { op.queue().remove(&op.waiter) };
    }
    // SAFETY: just locked.
    unsafe { unlock_all(cases, locks, false) };
    if alarm.has_won()
        && let Some((_, index)) = earliest(cases, order)
    {
        return Chosen { index, success: true };
    }
    chosen(cases)
}

/// The time limit that passes first (ns), and its arm. One alarm is enough for all of them.
fn earliest(cases: &[Case<'_>], order: &[u16]) -> Option<(u64, usize)> {
    let limit = |&i: &u16| match cases[i as usize].what {
        What::After(ns) => Some((ns, i as usize)),
        _ => None,
    };
    order.iter().filter_map(limit).min_by_key(|&(ns, _)| ns)
}

/// Waits on interrupt lines from here on, which need no lock. Gives the index of an arm whose
/// interrupt has come already.
fn enlist(cases: &[Case<'_>], me: &'static G) -> Option<usize> {
    cases.iter().position(|case| matches!(&case.what, What::Irq(line) if !line.enlist(me)))
}

/// Stops the alarm, leaves the interrupt lines, and waits until no firing and no handler is under
/// way. If an interrupt claimed us but another arm is `taken`, that interrupt is made pending again.
fn leave(cases: &[Case<'_>], me: &'static G, alarm: &Alarm, taken: Option<usize>) {
    alarm.stop();
    let lines = || {
        cases.iter().enumerate().filter_map(|(i, case)| match &case.what {
            What::Irq(line) => Some((i, line)),
            _ => None,
        })
    };
    lines().for_each(|(_, line)| line.leave(me));
    for (i, line) in lines() {
        if winner() == line.mark() && taken.is_some_and(|taken| taken != i) {
            line.put_back();
        }
    }
}

/// The arm that won: whoever claimed us has left its mark.
fn chosen(cases: &[Case<'_>]) -> Chosen {
    let mark = winner();
    for (index, case) in cases.iter().enumerate() {
        let (mine, success) = match &case.what {
            What::Chan(op) => {
                (core::ptr::from_ref(&op.waiter).cast_mut().cast(), op.waiter.success())
            }
            What::Irq(line) => (line.mark(), true),
            What::After(_) | What::Never => continue,
        };
        if mark == mine {
            return Chosen { index, success };
        }
    }
    executive_core::fatal::throw("select: woken by nobody")
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
    unreachable!("nobody can wake it")
}
