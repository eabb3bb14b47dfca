//! Channels: typed, of any capacity, for many senders and many receivers.
//!
//! **Rule:** everything is done under the channel's lock. If a receiver waits, the buffer is empty;
//! if a sender waits, it is full. A value goes straight from the sender to the place where the
//! receiver waits for it: one copy. Go: `chansend`, `chanrecv`, `closechan` (chan.go).
//!
//! `State` is the part that does not depend on the type of the values, so that a select can lock,
//! and queue at, channels of any types. One function attempts to send (`Chan::send_now`) and one to
//! receive (`Chan::recv_now`), for plain operations and for selects.
//!
//! Two things differ from Go (docs/glossary.md). A channel has two ends instead of one value: when
//! the last sender is dropped the channel closes, and when the last receiver is dropped senders are
//! told. And `send` on a closed channel gives the value back instead of panicking.
#![allow(unsafe_code)] // Values move through waiters' slots and a ring that the lock protects.

mod ends;
mod errors;
mod owned;
pub use ends::{IntoIter, Receiver, Sender};
pub use errors::{RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};
#[doc(hidden)]
pub use owned::owned_ends;
pub use owned::{Owned, OwnedEnd};

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::cell::{Cell, UnsafeCell};
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use executive_core::fatal::throw;
use executive_core::g::WaitReason;
use executive_core::lock::{Lock, Rank};
use executive_core::wait::{
    Parked, Parking, WaitQ, Waiter, cannot_park, may_park_holding, park_unlock, succeed,
    unlock_ready, woken,
};

/// Makes a channel of this capacity; with 0 sender and receiver meet. Allocates the buffer at once;
/// sending and receiving allocate nothing. Panics with `makechan: size out of range` if the buffer
/// is larger than memory, or the capacity larger than `isize::MAX`. Go: `make(chan T, capacity)`.
///
/// ```
/// # hosted::run(|| {
/// let (tx, rx) = executive::chan::<u64>(0);
/// executive::go(move || (1..=3).for_each(|n| tx.send(n).unwrap())); // drops tx: that closes
/// assert_eq!(rx.iter().sum::<u64>(), 6);
/// # });
/// ```
#[doc(alias = "make")]
pub fn chan<T: Send>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let chan = Arc::new(Chan::new(capacity, 1, None));
    (Sender { chan: chan.clone() }, Receiver { chan })
}

/// A channel without senders. `feeder` is given the channel, and returns an object that sends to it
/// and closes it. The object is dropped with the last receiver: so a timer or a token exists while
/// it can be observed.
//
// A feeder fires on any CPU, also while the last receiver is dropped. Three orders of steps matter:
// 1. It sends before `desert` has the channel's lock, or after: the value is dropped by `desert`,
//    or comes back. The lock decides that.
// 2. It has upgraded its `Weak` when the last receiver goes. It must not be left with the last
//    count, or the channel would be freed under the locks that it holds. That receiver keeps its
//    own count until `desert` returns, and `desert` drops the feeder, which waits: for the heap's
//    lock until the timer is in no heap (models `removed_means_over`, `a_timer_on_its_way_is_found`
//    and, for one that fires again, `a_stopped_ticker_stays_stopped`), or for the tree's lock, if
//    it is a token's.
// 3. Two receivers are dropped at once. One of them counts down to 0, as with `Arc`, and a count
//    of 0 stays: a clone is made of a receiver.
// Those models have all that is not a lock's, so this has none of its own.
pub(crate) fn fed<T: Send, F: Send + Sync + 'static>(
    capacity: usize,
    feeder: impl FnOnce(&Weak<Chan<T>>) -> F,
) -> Receiver<T> {
    let chan = Arc::new_cyclic(|chan| Chan::new(capacity, 0, Some(Box::new(feeder(chan)))));
    Receiver { chan }
}

impl<T> Chan<T> {
    fn new(capacity: usize, senders: usize, feeder: Option<Box<dyn Send + Sync>>) -> Self {
        Chan {
            state: Lock::new(
                Rank::Chan,
                State {
                    receivers: WaitQ::new(),
                    senders: WaitQ::new(),
                    head: 0,
                    len: 0,
                    life: Life::Open,
                },
            ),
            buffer: buffer(capacity),
            sender_count: AtomicUsize::new(senders),
            receiver_count: AtomicUsize::new(1),
            feeder: Cell::new(feeder),
        }
    }
}

/// Places for `capacity` values. The capacity is at most `isize::MAX`, so that the sum of an index
/// and a length fits a `usize` (`Chan::wrap`).
fn buffer<T>(capacity: usize) -> Box<[UnsafeCell<MaybeUninit<T>>]> {
    let mut places = Vec::new();
    if isize::try_from(capacity).is_err() || places.try_reserve_exact(capacity).is_err() {
        panic!("makechan: size out of range");
    }
    // SAFETY: reserved, and such a place may stay unwritten.
    unsafe { places.set_len(capacity) };
    places.into_boxed_slice()
}

/// What both ends share. Go: `hchan`.
#[doc(alias = "hchan")]
pub(crate) struct Chan<T> {
    pub(crate) state: Lock<State>,
    /// A ring: `len` values from `head` on. Guarded by the state's lock.
    buffer: Box<[UnsafeCell<MaybeUninit<T>>]>,
    sender_count: AtomicUsize,
    receiver_count: AtomicUsize,
    /// See [`fed`]. Taken by the last receiver when it is dropped.
    feeder: Cell<Option<Box<dyn Send + Sync>>>,
}
// SAFETY: the state's lock guards the buffer; values only move, so they need only be Send. Only the
// last receiver touches the feeder, once.
unsafe impl<T: Send> Sync for Chan<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Chan<T> {}

/// The part of a channel that does not depend on the type of its values.
pub(crate) struct State {
    pub(crate) receivers: WaitQ,
    pub(crate) senders: WaitQ,
    head: usize,
    len: usize,
    life: Life,
}

/// Whether values still come and go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Open,
    /// The last receiver was dropped.
    Deserted,
    /// By `close`, or because the last sender was dropped.
    Closed,
}

/// A channel's count of its senders or receivers, while an end of that kind is noted (owned.rs).
struct Count(NonNull<AtomicUsize>);
// SAFETY: it is an atomic.
unsafe impl Send for Count {}

impl Count {
    fn of(count: &AtomicUsize) -> Self {
        Count(NonNull::from(count))
    }
    /// For owned.rs: while its notes stay as they are.
    fn get(&self) -> usize {
        // SAFETY: a note goes before its end, which keeps the channel.
        unsafe { self.0.as_ref() }.load(Relaxed)
    }
}

/// As [`owned_ends`], without the lock.
///
/// # Safety
/// All CPUs stand still, and no goroutine but the caller runs: nobody has the lock.
#[doc(hidden)]
pub unsafe fn owned_ends_at_rest(tell: impl FnMut(OwnedEnd)) {
    // SAFETY: the caller's promise.
    owned::tell_all(unsafe { &*owned::NOTES.held() }, tell);
}

/// The outcome of an attempt under the lock.
pub(crate) enum Attempt {
    /// A value has moved. The goroutine, if any, is to be readied when the lock is released.
    Done(Option<Parked>),
    /// Nothing was done: the operation would park.
    Blocks,
    /// Nothing was done, nor ever will be: the channel is closed (for a receive: and drained).
    Closed,
}
use Attempt::{Blocks, Closed, Done};

impl<T> Chan<T> {
    fn capacity(&self) -> usize {
        self.buffer.len()
    }
    /// Of the lock: what a goroutine is said to wait for.
    fn address(&self) -> usize {
        core::ptr::from_ref(&self.state).addr()
    }

    /// Attempts to send what lies at `from`: to a waiting receiver, or into the buffer.
    ///
    /// # Safety
    /// `state` belongs to this channel; `from` is a valid T, which is moved out if the answer is
    /// `Done`.
    #[inline]
    pub(crate) unsafe fn send_now(&self, state: &mut State, from: *const T) -> Attempt {
        if state.life != Life::Open {
            return Closed;
        }
        if let Some(w) = state.receivers.dequeue() {
            // SAFETY: a receiver's slot is an empty place for a T on its stack (waitq's rule).
            unsafe { w.slot.get().cast::<T>().copy_from_nonoverlapping(from, 1) };
            return Done(Some(succeed(w)));
        }
        if state.len == self.capacity() {
            return Blocks;
        }
        let at = self.wrap(state.head + state.len);
        // SAFETY: under the lock; a place outside of the `len` in use.
        unsafe { self.place(at).copy_from_nonoverlapping(from, 1) };
        state.len += 1;
        Done(None)
    }

    /// Attempts to receive to `to`. If a sender waits behind a full buffer, its value moves into
    /// the place that becomes free.
    ///
    /// # Safety
    /// `state` belongs to this channel; `to` is an empty place, which holds a T if the answer is
    /// `Done`.
    #[inline]
    pub(crate) unsafe fn recv_now(&self, state: &mut State, to: *mut T) -> Attempt {
        if state.len > 0 {
            let place = self.place(state.head);
            // SAFETY: under the lock; one of the `len` in use.
            unsafe { to.copy_from_nonoverlapping(place, 1) };
            state.head = self.wrap(state.head + 1);
            let Some(w) = state.senders.dequeue() else {
                state.len -= 1;
                return Done(None);
            };
            // The buffer was full, so the place that became free is behind all others. SAFETY: a
            // sender's slot is a T, which it forgets when woken with success (waitq's rule).
            unsafe { place.copy_from_nonoverlapping(w.slot.get().cast::<T>(), 1) };
            return Done(Some(succeed(w)));
        }
        if let Some(w) = state.senders.dequeue() {
            // SAFETY: as above.
            unsafe { to.copy_from_nonoverlapping(w.slot.get().cast::<T>(), 1) };
            return Done(Some(succeed(w)));
        }
        if state.life == Life::Closed { Closed } else { Blocks }
    }

    #[inline]
    fn wrap(&self, at: usize) -> usize {
        if at >= self.capacity() { at - self.capacity() } else { at }
    }
    #[inline]
    fn place(&self, at: usize) -> *mut T {
        let Some(place) = self.buffer.get(at) else { throw("chan: no such place") };
        place.get().cast()
    }

    #[inline]
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        let mut value = ManuallyDrop::new(value);
        let mut state = self.state.lock();
        // SAFETY: `value` is forgotten if it was moved.
        let success = match unsafe { self.send_now(&mut state, &raw const *value) } {
            Done(woken) => {
                unlock_ready(state, woken);
                true
            }
            Closed => false,
            Blocks => {
                let Some(parking) = Parking::here() else {
                    state.release_rarely();
                    drop(ManuallyDrop::into_inner(value));
                    cannot_park()
                };
                let w = Waiter::new(parking.g(), (&raw mut value).cast());
                // SAFETY: `w` stays here while we are parked, and whoever readies us has taken it
                // off.
                unsafe { state.senders.enqueue(&w) };
                park_unlock(parking, WaitReason::ChanSend, state);
                w.success() // the receiver has moved it out
            }
        };
        if success { Ok(()) } else { Err(SendError(ManuallyDrop::into_inner(value))) }
    }

    #[inline]
    fn recv(&self) -> Option<T> {
        let mut value = MaybeUninit::<T>::uninit();
        let mut state = self.state.lock();
        // SAFETY: `value` is empty.
        let success = match unsafe { self.recv_now(&mut state, value.as_mut_ptr()) } {
            Done(woken) => {
                unlock_ready(state, woken);
                true
            }
            Closed => false,
            Blocks => {
                let (parking, state) = may_park_holding(state);
                let w = Waiter::new(parking.g(), value.as_mut_ptr().cast());
                // SAFETY: as in `send`.
                unsafe { state.receivers.enqueue(&w) };
                park_unlock(parking, WaitReason::ChanReceive, state);
                w.success()
            }
        };
        // SAFETY: success says that it was written.
        success.then(|| unsafe { value.assume_init() })
    }

    fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut value = MaybeUninit::<T>::uninit();
        let mut state = self.state.lock();
        // SAFETY: `value` is empty.
        match unsafe { self.recv_now(&mut state, value.as_mut_ptr()) } {
            Done(woken) => {
                unlock_ready(state, woken);
                // SAFETY: `Done` says that it was written.
                Ok(unsafe { value.assume_init() })
            }
            Blocks => Err(TryRecvError::Empty),
            Closed => Err(TryRecvError::Closed),
        }
    }

    pub(crate) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let value = ManuallyDrop::new(value);
        let mut state = self.state.lock();
        // SAFETY: `value` is forgotten if it was moved.
        match unsafe { self.send_now(&mut state, &raw const *value) } {
            Done(woken) => {
                unlock_ready(state, woken);
                Ok(())
            }
            Blocks => Err(TrySendError::Full(ManuallyDrop::into_inner(value))),
            Closed => Err(TrySendError::Closed(ManuallyDrop::into_inner(value))),
        }
    }

    /// No more values come: all waiting goroutines are woken without success. `false`: it was
    /// closed already. Go: `closechan`.
    #[doc(alias = "closechan")]
    pub(crate) fn close(&self) -> bool {
        self.end(Life::Closed)
    }

    /// The last receiver was dropped. What is buffered is dropped here, without the lock, because
    /// dropping a value may run any code. The feeder is dropped afterwards, while the channel still
    /// exists: a firing may be using it.
    fn desert(&self) {
        self.end(Life::Deserted);
        while self.try_recv().is_ok() {}
        drop(self.feeder.take());
    }

    /// From here on nobody can wait at the channel: wakes all that do. `false`: it was closed
    /// before.
    fn end(&self, how: Life) -> bool {
        let mut state = self.state.lock();
        let was = state.life;
        if was != Life::Closed {
            state.life = how;
        }
        // One at a time, so that no list of goroutines is needed: nobody can queue any more.
        while let Some(w) = state.receivers.dequeue().or_else(|| state.senders.dequeue()) {
            let parked = woken(w);
            drop(state);
            parked.ready();
            state = self.state.lock();
        }
        was != Life::Closed
    }
}

impl<T> Drop for Chan<T> {
    /// Both ends are gone: nobody waits, and the last receiver has dropped what was buffered.
    fn drop(&mut self) {
        debug_assert!(self.state.lock().len == 0);
    }
}
