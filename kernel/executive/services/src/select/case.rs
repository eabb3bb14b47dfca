//! An arm of a select at its channel: the places where values lie while a select waits, and what is
//! done there under the channels' locks.
//!
//! **Rule:** only whoever has claimed a goroutine writes to its waiter, and a goroutine that was
//! woken leaves only after it has held every lock once. So waiters, places and the list of locks,
//! which lie on its stack, outlive their use.
//!
//! **Rule:** each place has a flag, which says whether its value has moved. Only this file sets it:
//! when an attempt under the channel's lock was done, or a waiter was woken with success.
#![allow(unsafe_code)] // Waiters and values on stacks, locks without guards.

use super::arms::{ForSelect, RecvFrom, SendTo};
use crate::alarm::nanos;
use crate::chan::{Attempt, Chan, Receiver, SendError, Sender, State};
use crate::irq::Irq;
use core::cell::{Cell, UnsafeCell};
use core::marker::Send as Send_;
use core::mem::{MaybeUninit, forget};
use executive_core::g::{WaitReason, getg};
use executive_core::lock::Lock;
use executive_core::wait::{Parking, WaitQ, Waiter, park};

/// One arm, as the engine sees it.
pub struct Case<'a> {
    pub(super) what: What<'a>,
}

pub(super) enum What<'a> {
    Chan(Op<'a>),
    /// Ready this many ns after the select has begun.
    After(u64),
    Irq(Irq),
    /// Never ready: Go's nil channel.
    Never,
}

/// A channel operation.
pub(super) struct Op<'a> {
    state: &'a Lock<State>,
    chan: *const (),
    dir: Dir,
    attempt: unsafe fn(*const (), &mut State, *mut ()) -> Attempt,
    /// Set when the value has moved.
    moved: &'a Cell<bool>,
    waiter: Waiter,
}

#[derive(Clone, Copy)]
enum Dir {
    Send,
    Recv,
}

impl<'a> Case<'a> {
    /// Never ready.
    pub fn never() -> Self {
        Case { what: What::Never }
    }
    /// Ready `d` after the select has begun.
    pub fn after(d: core::time::Duration) -> Self {
        Case { what: What::After(nanos(d)) }
    }
    /// Ready when an interrupt came on the line.
    pub fn irq(irq: &'a Irq) -> Self {
        Case { what: What::Irq(*irq) }
    }
    /// # Safety
    /// Until the select has returned, `place` is empty and nobody else uses it. It holds a value
    /// when `moved` was set.
    unsafe fn recv<T>(from: &'a Receiver<T>, place: *mut T, moved: &'a Cell<bool>) -> Self {
        unsafe fn now<T>(chan: *const (), state: &mut State, to: *mut ()) -> Attempt {
            // SAFETY: the promise of `recv`, which made the case.
            unsafe { (*chan.cast::<Chan<T>>()).recv_now(state, to.cast()) }
        }
        Self::chan(&from.chan, Dir::Recv, now::<T>, place.cast(), moved)
    }
    /// # Safety
    /// Until the select has returned, `place` holds a value and nobody else uses it. The value is
    /// gone when `moved` was set.
    unsafe fn send<T>(to: &'a Sender<T>, place: *const T, moved: &'a Cell<bool>) -> Self {
        unsafe fn now<T>(chan: *const (), state: &mut State, from: *mut ()) -> Attempt {
            // SAFETY: the promise of `send`, which made the case.
            unsafe { (*chan.cast::<Chan<T>>()).send_now(state, from.cast()) }
        }
        Self::chan(&to.chan, Dir::Send, now::<T>, place.cast_mut().cast(), moved)
    }
    #[inline]
    fn chan<T>(
        chan: &'a Chan<T>,
        dir: Dir,
        attempt: unsafe fn(*const (), &mut State, *mut ()) -> Attempt,
        place: *mut (),
        moved: &'a Cell<bool>,
    ) -> Self {
        let waiter = Waiter::of_select(getg(), place);
        let (state, chan) = (&chan.state, core::ptr::from_ref(chan).cast());
        Case { what: What::Chan(Op { state, chan, dir, attempt, moved, waiter }) }
    }

    pub(super) fn op(&self) -> Option<&Op<'a>> {
        match &self.what {
            What::Chan(op) => Some(op),
            _ => None,
        }
    }
}

impl Op<'_> {
    /// Attempts the operation.
    pub(super) fn look(&self) -> Attempt {
        // SAFETY: the guard has this channel's state.
        unsafe { self.attempt(&mut self.state.lock()) }
    }
    /// # Safety
    /// `state` is this channel's.
    unsafe fn attempt(&self, state: &mut State) -> Attempt {
        // SAFETY: the promise of `Case::recv` or `Case::send`.
        let attempt = unsafe { (self.attempt)(self.chan, state, self.waiter.slot.get()) };
        if let Attempt::Done(_) = attempt {
            self.moved.set(true);
        }
        attempt
    }
    /// The address of the lock: locks are taken in this order.
    pub(super) fn address(&self) -> usize {
        core::ptr::from_ref(self.state).addr()
    }
    /// What `g.param` is when this arm won.
    pub(super) fn mark(&self) -> *mut () {
        core::ptr::from_ref(&self.waiter).cast_mut().cast()
    }
    /// Where the waiter queues.
    ///
    /// # Safety
    /// The channel's lock is held.
    unsafe fn queue(&self) -> &WaitQ {
        // SAFETY: held.
        let state = unsafe { &*self.state.held() };
        match self.dir {
            Dir::Send => &state.senders,
            Dir::Recv => &state.receivers,
        }
    }
}

/// An arm of a select that waits, for `executive::leaks`.
#[derive(Clone, Copy)]
pub enum Arm {
    /// Of a channel, which is known by the address of its lock; whether it sends.
    Chan(usize, bool),
    /// A time limit or an interrupt; or somebody else parks for the reason of a select.
    Other,
}

/// In `G::behind`: the rest is where the goroutine's arms are told, while it is in a select. A
/// stack pointer, which waits for locks leave there, is even.
const ARMS: usize = 1;

/// Tells the arms of a select that waits, all but those that are switched off.
///
/// # Safety
/// `behind` is that of a goroutine that waits for the reason of a select, and goes on to.
#[doc(hidden)]
pub unsafe fn arms_at_rest(behind: usize, mut tell: impl FnMut(Arm)) {
    if behind & ARMS == 0 {
        return tell(Arm::Other);
    }
    // SAFETY: `Locked::park` has noted it, and takes it back before its frame is gone.
    let cases: &[Case<'_>] = unsafe { *((behind & !ARMS) as *const &[Case<'_>]) };
    let arm = |case: &Case<'_>| match &case.what {
        What::Chan(op) => Some(Arm::Chan(op.address(), matches!(op.dir, Dir::Send))),
        What::Never => None,
        What::After(_) | What::Irq(_) => Some(Arm::Other),
    };
    cases.iter().filter_map(arm).for_each(tell);
}

/// All locks of these cases are held while this lives. `locks` has one case for each, in the order
/// in which they are taken.
pub(super) struct Locked<'a> {
    cases: &'a [Case<'a>],
    locks: &'a [u16],
}

impl<'a> Locked<'a> {
    pub(super) fn new(cases: &'a [Case<'a>], locks: &'a [u16]) -> Self {
        let locked = Locked { cases, locks };
        locked.ops(locks).for_each(|op| op.state.hold());
        locked
    }

    fn ops<'o>(&self, order: &'o [u16]) -> impl Iterator<Item = &'a Op<'a>> + use<'a, 'o> {
        let cases = self.cases;
        order.iter().filter_map(move |&i| cases[i as usize].op())
    }

    /// Attempts the operation of arm `i`, if that has one.
    pub(super) fn look(&self, i: u16) -> Attempt {
        match self.cases[i as usize].op() {
            // SAFETY: held, so this is the only reference.
            Some(op) => unsafe { op.attempt(&mut *op.state.held()) },
            None => Attempt::Blocks,
        }
    }

    /// Queues a waiter at each channel, parks, and then takes the waiters off that lost. They are
    /// queued in this random `order`, because several arms may be for one channel.
    pub(super) fn park(self, parking: Parking, reason: WaitReason, order: &[u16]) {
        let (cases, locks) = (self.cases, self.locks);
        let me = parking.g();
        me.set_behind(&raw const cases as usize | ARMS);
        for op in self.ops(order) {
            // SAFETY: the lock is held; the waiter stays here until it is taken off, below.
            unsafe { op.queue().enqueue(&op.waiter) };
        }
        // `move`: from `open` on an alarm may let the goroutine go on. If it has no lock to wait
        // for, nothing on its stack may be touched then.
        park(parking, reason, move |me| {
            let back = me.open();
            self.release(true); // a goroutine that is woken meanwhile waits for the last of them
            back
        });
        me.set_behind(0);
        let again = Locked::new(cases, locks);
        for op in again.ops(order) {
            // SAFETY: held. A waiter that is not queued any more has won, or was passed over.
            unsafe { op.queue().remove(&op.waiter) };
            if op.waiter.success() {
                op.moved.set(true);
            }
        }
    }

    /// Releases the locks. After the last one nothing of the cases is touched, for their goroutine
    /// may have gone on.
    fn release(self, on_g0: bool) {
        for op in self.ops(self.locks) {
            // SAFETY: held; the channel outlives the select.
            unsafe { op.state.release_held(on_g0) };
        }
        forget(self);
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        Locked { cases: self.cases, locks: self.locks }.release(false);
    }
}

/// A receive: the place where the value arrives.
pub struct RecvSlot<'a, T> {
    from: Option<&'a Receiver<T>>,
    /// While a select waits it owns this place, and writes here through the case.
    place: UnsafeCell<MaybeUninit<T>>,
    /// A value is there.
    full: Cell<bool>,
}

impl<'a, T: Send_> RecvSlot<'a, T> {
    /// A receive from `from`.
    #[inline]
    pub fn new<R: RecvFrom<Item = T> + ?Sized>(from: &'a R) -> Self {
        let place = UnsafeCell::new(MaybeUninit::uninit());
        RecvSlot { from: from.arm(ForSelect(())), place, full: Cell::new(false) }
    }
    /// The arm, for one select. A value that was not taken is forgotten, not dropped.
    #[inline]
    pub fn case(&self) -> Case<'_> {
        self.full.set(false);
        match self.from {
            // SAFETY: the borrow keeps channel and place; only `take` uses the place, once `full`.
            Some(from) => unsafe { Case::recv(from, self.place.get().cast(), &self.full) },
            None => Case::never(),
        }
    }
    /// The value that has arrived; gives it once.
    #[inline]
    pub fn take(&self) -> Option<T> {
        // SAFETY: `full` says that a value is there, and says it once.
        self.full.take().then(|| unsafe { (*self.place.get()).assume_init_read() })
    }
}

/// A send of a value that lies in a variable of the caller's.
pub struct SendSlot<'a, T> {
    to: Option<&'a Sender<T>>,
    value: *const T,
    sent: Cell<bool>,
}

impl<'a, T: Send_> SendSlot<'a, T> {
    /// A send of `value` to `to`.
    #[inline]
    pub fn new<S: SendTo<Item = T> + ?Sized>(to: &'a S, value: &T) -> Self {
        SendSlot { to: to.arm(ForSelect(())), value, sent: Cell::new(false) }
    }
    /// # Safety
    /// The value stays where it is, and is not used, until the select has returned. If this arm was
    /// chosen, the value is passed to [`finish`](Self::finish), and not used otherwise.
    #[inline]
    pub unsafe fn case(&self) -> Case<'_> {
        match self.to {
            // SAFETY: the borrow keeps the channel, and the caller the value.
            Some(to) => unsafe { Case::send(to, self.value, &self.sent) },
            None => Case::never(),
        }
    }
    /// The result of a send that was chosen.
    #[inline]
    pub fn finish(&self, value: T) -> Result<(), SendError<T>> {
        if !self.sent.get() {
            return Err(SendError(value));
        }
        forget(value); // it was moved out
        Ok(())
    }
}

/// The `unsafe` of `select!`: a macro's `send` is a [`SendSlot`]. The variable stays where it is
/// while `choose` or `poll` runs, and `finish` takes it in the branch that is chosen.
#[doc(hidden)]
#[macro_export]
macro_rules! __select_send {
    ($arm:ident) => {
        #[allow(unsafe_code)]
        unsafe {
            $arm.case()
        }
    };
}

/// A send of a value that lies here, for a select that waits again and again.
pub(super) struct SendPlace<'a, T> {
    to: Option<&'a Sender<T>>,
    place: Place<T>,
}

/// (Apart from the sender, so that dropping a place needs no more than dropping a `T`.)
struct Place<T> {
    /// While a select waits it owns this place, as it does a receive's.
    value: UnsafeCell<Option<T>>,
    /// The value was moved out: the place counts as empty.
    sent: Cell<bool>,
}

impl<'a, T: Send_> SendPlace<'a, T> {
    pub(super) fn new<S: SendTo<Item = T> + ?Sized>(to: &'a S, value: T) -> Self {
        let place = Place { value: UnsafeCell::new(Some(value)), sent: Cell::new(false) };
        SendPlace { to: to.arm(ForSelect(())), place }
    }
    /// The arm, for a select that begins at once: nobody takes the value before. It is never ready
    /// if there is no value.
    pub(super) fn case(&self) -> Case<'_> {
        // SAFETY: no select has begun, and no other code runs meanwhile.
        match (self.to, unsafe { &*self.place.settled() }) {
            // SAFETY: the borrow keeps the channel and the value; `sent` says when it is gone.
            (Some(to), Some(value)) => unsafe { Case::send(to, value, &self.place.sent) },
            _ => Case::never(),
        }
    }
    pub(super) fn replace(&self, value: Option<T>) -> Option<T> {
        // SAFETY: as above.
        core::mem::replace(unsafe { &mut *self.place.settled() }, value)
    }
}

impl<T> Place<T> {
    /// Where the value lies, or `None` if it was moved out.
    fn settled(&self) -> *mut Option<T> {
        let place = self.value.get();
        if self.sent.take() {
            // SAFETY: the value was moved out: `None` is written over it without a drop.
            unsafe { place.write(None) };
        }
        place
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        self.settled();
    }
}
