//! Two traits: what an arm may receive from, and what it may send to.

use crate::chan::{Receiver, Sender};
use alloc::sync::Arc;

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
