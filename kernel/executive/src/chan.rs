//! Channels: typed, of any capacity, for many senders and many receivers.
//!
//! **Rule:** everything is under the channel's lock. If a receiver waits the buffer is empty, and if a sender waits it is full. A value goes
//! straight from the sender's hand to the place where the receiver waits for it: one copy. Go: `chansend`, `chanrecv`, `closechan` (chan.go).
//!
//! Different from Go, and why (docs/glossary.md): two ends instead of one value, so that the last sender's going closes the channel and the last receiver's going is
//! told to senders; `send` on a closed channel gives the value back instead of panicking.
#![allow(unsafe_code)] // Values are moved through waiters' slots.

use crate::g::{WaitReason, getg};
use crate::lock::{Lock, LockGuard, Rank};
use crate::proc::{park::park_unlock, wake::ready};
use crate::waitq::{WaitQ, Waiter};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::fmt;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::sync::atomic::{AtomicUsize, Ordering};

/// The channel is closed, or its last receiver is gone: here is the value back.
#[derive(PartialEq, Eq, Clone, Copy)]
pub struct SendError<T>(pub T);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}
impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("send on closed channel")
    }
}
impl<T> core::error::Error for SendError<T> {}

pub(crate) struct State<T> {
    pub(crate) buffer: VecDeque<T>,
    pub(crate) receivers: WaitQ,
    pub(crate) senders: WaitQ,
    pub(crate) closed: bool,
}

/// What both ends share. Go: `hchan`.
pub(crate) struct Chan<T> {
    pub(crate) state: Lock<State<T>>,
    capacity: usize,
    sender_count: AtomicUsize,
    receiver_count: AtomicUsize,
}

/// A channel of this capacity; 0 makes sender and receiver meet. Go: `make(chan T, capacity)`.
pub fn chan<T: Send>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let chan = Arc::new(Chan {
        state: Lock::new(
            Rank::Chan,
            State {
                buffer: VecDeque::with_capacity(capacity),
                receivers: WaitQ::new(),
                senders: WaitQ::new(),
                closed: false,
            },
        ),
        capacity,
        sender_count: AtomicUsize::new(1),
        receiver_count: AtomicUsize::new(1),
    });
    (Sender { chan: chan.clone() }, Receiver { chan })
}

pub struct Sender<T> {
    pub(crate) chan: Arc<Chan<T>>,
}
pub struct Receiver<T> {
    pub(crate) chan: Arc<Chan<T>>,
}

impl<T> Chan<T> {
    /// One attempt to send under the lock: to a waiting receiver, or into the buffer. `Err` gives lock and value back: it would block.
    pub(crate) fn send_now<'a>(
        &self,
        mut state: LockGuard<'a, State<T>>,
        value: T,
    ) -> Result<Result<(), SendError<T>>, (LockGuard<'a, State<T>>, T)> {
        if state.closed {
            return Ok(Err(SendError(value)));
        }
        if let Some(w) = state.receivers.dequeue() {
            // SAFETY: a receiver's slot is an empty place for a T on its stack (see waitq's rule).
            unsafe { w.slot.get().cast::<T>().write(value) };
            w.success.set(true);
            let g = w.g;
            g.param.set(core::ptr::from_ref(w).cast_mut().cast());
            drop(state);
            ready(g);
            return Ok(Ok(()));
        }
        if state.buffer.len() < self.capacity {
            state.buffer.push_back(value);
            return Ok(Ok(()));
        }
        Err((state, value))
    }

    /// One attempt to receive under the lock. `Err` gives the lock back: it would block.
    pub(crate) fn recv_now<'a>(
        &self,
        mut state: LockGuard<'a, State<T>>,
    ) -> Result<Option<T>, LockGuard<'a, State<T>>> {
        let front = state.buffer.pop_front();
        let Some(w) = state.senders.dequeue() else {
            return match front {
                Some(value) => Ok(Some(value)),
                None if state.closed => Ok(None),
                None => Err(state),
            };
        };
        // SAFETY: a sender's slot holds a T on its stack, which it forgets when woken with success (see waitq's rule).
        let sent = unsafe { w.slot.get().cast::<T>().read() };
        w.success.set(true);
        let g = w.g;
        g.param.set(core::ptr::from_ref(w).cast_mut().cast());
        let value = match front {
            Some(front) => {
                state.buffer.push_back(sent); // the buffer was full: the sender's is the newest
                front
            }
            None => sent,
        };
        drop(state);
        ready(g);
        Ok(Some(value))
    }

    fn send(&self, value: T) -> Result<(), SendError<T>> {
        let (state, value) = match self.send_now(self.state.lock(), value) {
            Ok(done) => return done,
            Err(blocks) => blocks,
        };
        let mut value = ManuallyDrop::new(value);
        let w = Waiter::new(getg(), (&raw mut value).cast());
        // SAFETY: `w` stays here while we are parked, and who readies us has taken it off.
        unsafe { state.senders.enqueue(&w) };
        park_unlock(WaitReason::ChanSend, state);
        if w.success.get() {
            return Ok(()); // the receiver has moved it out
        }
        Err(SendError(ManuallyDrop::into_inner(value)))
    }

    fn recv(&self) -> Option<T> {
        let state = match self.recv_now(self.state.lock()) {
            Ok(done) => return done,
            Err(blocks) => blocks,
        };
        let mut value = MaybeUninit::<T>::uninit();
        let w = Waiter::new(getg(), (&raw mut value).cast());
        // SAFETY: as in `send`.
        unsafe { state.receivers.enqueue(&w) };
        park_unlock(WaitReason::ChanReceive, state);
        // SAFETY: success says that a sender has written it.
        w.success.get().then(|| unsafe { value.assume_init() })
    }

    /// Closes: everyone who waits is woken without success. `false`: it was closed. Go: `closechan`.
    fn close(&self) -> bool {
        let mut state = self.state.lock();
        if core::mem::replace(&mut state.closed, true) {
            return false;
        }
        // One at a time, so that no list of goroutines has to be kept: nobody can queue any more.
        loop {
            let Some(w) = state.receivers.dequeue().or_else(|| state.senders.dequeue()) else {
                return true;
            };
            let g = w.g;
            g.param.set(core::ptr::from_ref(w).cast_mut().cast());
            drop(state);
            ready(g);
            state = self.state.lock();
        }
    }
}

impl<T: Send> Sender<T> {
    /// Sends; parks while there is neither room nor a receiver. `Err`: closed, or no receiver is left. Go: `c <- v`.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.chan.send(value)
    }
    /// Closes the channel: receivers get what is buffered and then `None`. Panics if it is closed. Go: `close(c)`.
    pub fn close(&self) {
        if !self.chan.close() {
            panic!("close of closed channel");
        }
    }
}

impl<T: Send> Receiver<T> {
    /// Receives; parks while there is nothing. `None`: closed and drained. Go: `v, ok := <-c`.
    pub fn recv(&self) -> Option<T> {
        self.chan.recv()
    }
    /// What comes, until the channel is closed and drained. Go: `for v := range c`.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        core::iter::from_fn(|| self.recv())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.chan.sender_count.fetch_add(1, Ordering::Relaxed); // as Arc does: from an existing one
        Sender { chan: self.chan.clone() }
    }
}
impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.chan.receiver_count.fetch_add(1, Ordering::Relaxed);
        Receiver { chan: self.chan.clone() }
    }
}
impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // AcqRel: partner of the other senders' going: the last one closes after all have sent.
        if self.chan.sender_count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.chan.close();
        }
    }
}
impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if self.chan.receiver_count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.chan.close();
            // Nobody can take what is buffered: drop it now, outside of the lock.
            let rest = core::mem::take(&mut self.chan.state.lock().buffer);
            drop(rest);
        }
    }
}
