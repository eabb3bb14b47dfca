//! Two traits: what an arm may receive from, and what it may send to.

use crate::chan::{Owned, Receiver, Sender};
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
    /// The channel to receive from; `None`: never ready, or lent to a select alone ([`Owned`]).
    fn receiver(&self) -> Option<&Receiver<Self::Item>>;
    #[doc(hidden)]
    fn arm(&self, _: ForSelect) -> Option<&Receiver<Self::Item>> {
        self.receiver()
    }
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
    /// The channel to send to; `None`: never ready, or lent to a select alone ([`Owned`]).
    fn sender(&self) -> Option<&Sender<Self::Item>>;
    #[doc(hidden)]
    fn arm(&self, _: ForSelect) -> Option<&Sender<Self::Item>> {
        self.sender()
    }
}

/// Nobody else can make one: so an end that is owned does not leave its goroutine.
#[doc(hidden)]
pub struct ForSelect(pub(super) ());

/// For an end of a channel, one that is owned, an `Option` of one, and a pointer to one.
macro_rules! ends {
    ($end:ident, $what:path, $get:ident) => {
        impl<T: core::marker::Send> $what for Owned<$end<T>> {
            type Item = T;
            fn $get(&self) -> Option<&$end<T>> {
                None
            }
            fn arm(&self, _: ForSelect) -> Option<&$end<T>> {
                Some(self.lent_to_a_select())
            }
        }
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
            fn arm(&self, select: ForSelect) -> Option<&$end<E::Item>> {
                self.as_ref()?.arm(select)
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
            fn arm(&self, select: ForSelect) -> Option<&$end<E::Item>> {
                (**self).arm(select)
            }
        }
    )* };
}
ends!(Receiver, RecvFrom, receiver);
ends!(Sender, SendTo, sender);
