//! The typed sides of the arms: where a received value arrives, and where a value to be sent lies.
#![allow(unsafe_code)] // Empty places that a sender fills, and values that a receiver takes.

use super::{Case, Dir};
use crate::chan::{Attempt, Chan, Receiver, SendError, Sender, State};
use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::mem::{ManuallyDrop, MaybeUninit};

/// Something to receive from in a select: a [`Receiver`], what holds one (a timer, a ticker, a
/// token), or an `Option` of one. `None` is never ready: that switches an arm off, as a nil channel
/// does in Go.
///
/// ```
/// # hosted::run(|| {
/// use executive::{chan, select, time::Timer};
/// let (tx, rx) = chan::<u8>(1);
/// let (timer, mut maybe) = (Timer::new(core::time::Duration::from_secs(60)), Some(rx));
/// drop(tx);
/// select! {
///     recv(maybe) -> v => if v.is_none() { maybe = None }, // closed: never again
///     recv(timer) -> _ => {}
/// }
/// assert!(maybe.is_none());
/// # });
/// ```
pub trait RecvFrom {
    /// The type of the values.
    type Item: core::marker::Send;
    /// The channel to receive from; `None`: never ready.
    fn receiver(&self) -> Option<&Receiver<Self::Item>>;
}
/// Something to send to in a select: a [`Sender`], or an `Option` of one. `None` is never ready.
///
/// ```
/// # hosted::run(|| {
/// use executive::{chan, select};
/// let (tx, rx) = chan(1);
/// let mut maybe = Some(tx);
/// while let Some(n) = select! {
///     send(maybe, 7) -> _ => { maybe = None; Some(0) } // once
///     recv(rx) -> v => v,
/// } {
///     assert!(n == 0 || n == 7);
/// }
/// # });
/// ```
pub trait SendTo {
    /// The type of the values.
    type Item: core::marker::Send;
    /// The channel to send to; `None`: never ready.
    fn sender(&self) -> Option<&Sender<Self::Item>>;
}

/// For an end of a channel, an `Option` of one, and a pointer to one.
macro_rules! ends {
    ($end:ident, $what:path, $get:ident) => {
        impl<T: core::marker::Send> $what for $end<T> {
            type Item = T;
            fn $get(&self) -> Option<&$end<T>> {
                Some(self)
            }
        }
        impl<E: $what> $what for Option<E> {
            type Item = E::Item;
            fn $get(&self) -> Option<&$end<E::Item>> {
                self.as_ref()?.$get()
            }
        }
        ends!(@points $end, $what, $get: &E, &mut E, alloc::boxed::Box<E>, Arc<E>);
    };
    (@points $end:ident, $what:path, $get:ident: $($pointer:ty),*) => { $(
        impl<E: $what + ?Sized> $what for $pointer {
            type Item = E::Item;
            fn $get(&self) -> Option<&$end<E::Item>> {
                (**self).$get()
            }
        }
    )* };
}
ends!(Receiver, RecvFrom, receiver);
ends!(Sender, SendTo, sender);

/// A receive in `select!`: the place where the value arrives.
#[doc(hidden)]
pub struct RecvSlot<'a, T> {
    from: Option<&'a Receiver<T>>,
    /// While a select waits it owns this place, and writes here through the case.
    place: UnsafeCell<MaybeUninit<T>>,
}

impl<'a, T: core::marker::Send> RecvSlot<'a, T> {
    #[inline]
    pub fn new<R: RecvFrom<Item = T> + ?Sized>(from: &'a R) -> Self {
        RecvSlot { from: from.receiver(), place: UnsafeCell::new(MaybeUninit::uninit()) }
    }
    #[inline]
    pub fn case(&self) -> Case<'_> {
        let Some(from) = self.from else { return Case::never() };
        let chan: &Chan<T> = &from.chan;
        // SAFETY: the borrow of `self` keeps channel and place; `recv_now` fits.
        unsafe {
            let at = core::ptr::from_ref(chan).cast();
            Case::chan(&chan.state, at, Dir::Recv, recv_now::<T>, self.place.get().cast())
        }
    }
    /// # Safety
    /// The case was chosen, with this `success`, and nobody has taken the value.
    #[inline]
    pub unsafe fn finish(&self, success: bool) -> Option<T> {
        // SAFETY: success says that it was written.
        success.then(|| unsafe { (*self.place.get()).assume_init_read() })
    }
}

unsafe fn recv_now<T>(chan: *const (), state: &mut State, to: *mut ()) -> Attempt {
    // SAFETY: `Case::chan`'s promise.
    unsafe { (*chan.cast::<Chan<T>>()).recv_now(state, to.cast()) }
}

/// A send in `select!`. The value lies in a variable of the caller's, which the macro forgets if
/// the arm is taken.
#[doc(hidden)]
pub struct SendSlot<'a, T> {
    to: Option<&'a Sender<T>>,
    value: *const T,
}

impl<'a, T: core::marker::Send> SendSlot<'a, T> {
    #[inline]
    pub fn new<S: SendTo<Item = T> + ?Sized>(to: &'a S, value: &T) -> Self {
        SendSlot { to: to.sender(), value }
    }
    /// # Safety
    /// The value stays where it is, and is not used, until the select has returned. It is forgotten
    /// if the arm was chosen with success.
    #[inline]
    pub unsafe fn into_case(self) -> Case<'a> {
        let Some(to) = self.to else { return Case::never() };
        let chan: &Chan<T> = &to.chan;
        // SAFETY: the borrow keeps the channel alive, the caller's promise the value; `send_now`
        // fits.
        unsafe {
            let at = core::ptr::from_ref(chan).cast();
            Case::chan(&chan.state, at, Dir::Send, send_now::<T>, self.value.cast_mut().cast())
        }
    }
    /// The result of a send.
    ///
    /// # Safety
    /// Its case was chosen, with this `success`, and this is the value.
    #[inline]
    pub unsafe fn finish(success: bool, value: ManuallyDrop<T>) -> Result<(), SendError<T>> {
        if success { Ok(()) } else { Err(SendError(ManuallyDrop::into_inner(value))) }
    }
}

unsafe fn send_now<T>(chan: *const (), state: &mut State, from: *mut ()) -> Attempt {
    // SAFETY: `Case::chan`'s promise.
    unsafe { (*chan.cast::<Chan<T>>()).send_now(state, from.cast()) }
}
