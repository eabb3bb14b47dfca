//! The two ends of a channel: who may send, who may receive, and what dropping an end means.
//!
//! **Rule:** when the last sender is dropped the channel closes. When the last receiver is dropped
//! all senders are told, and what nobody will receive is dropped.

use super::{Chan, Life, SendError, TryRecvError, TrySendError};
use alloc::sync::Arc;
use core::fmt;
use core::sync::atomic::Ordering;

/// The end that sends. Clone it for more senders; when the last one is dropped the channel closes.
///
/// ```
/// # hosted::run(|| {
/// let (tx, rx) = executive::chan(2);
/// let second = tx.clone();
/// tx.send(1).unwrap();
/// second.send(2).unwrap();
/// drop((tx, second)); // closes
/// assert!(rx.iter().eq([1, 2]));
/// # });
/// ```
pub struct Sender<T> {
    pub(crate) chan: Arc<Chan<T>>,
}

/// The end that receives. Clone it for more receivers: each value goes to one of them. When the
/// last one is dropped, what is buffered is dropped too, and sends fail.
///
/// ```
/// # hosted::run(|| {
/// let (tx, rx) = executive::chan(2);
/// let second = rx.clone();
/// tx.send(1).unwrap();
/// tx.send(2).unwrap();
/// assert_eq!((rx.recv(), second.recv()), (Some(1), Some(2)));
/// # });
/// ```
pub struct Receiver<T> {
    pub(crate) chan: Arc<Chan<T>>,
}

impl<T: Send> Sender<T> {
    /// Sends; parks while there is neither room nor a receiver. Waiting senders are served first
    /// come, first served. `Err` gives the value back: the channel is closed, or no receiver is
    /// left. Go: `c <- v`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let (tx, rx) = executive::chan(1);
    /// tx.send("hello").unwrap();
    /// drop(rx);
    /// assert_eq!(tx.send("anyone?").unwrap_err().0, "anyone?");
    /// # });
    /// ```
    #[doc(alias = "chansend")]
    #[inline]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.chan.send(value)
    }

    /// Sends if that can be done at once; never parks. Go: a select with a `default`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::chan::TrySendError;
    /// let (tx, _rx) = executive::chan(0);
    /// assert_eq!(tx.try_send(1), Err(TrySendError::Full(1)));
    /// # });
    /// ```
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.chan.try_send(value)
    }

    /// Closes the channel although senders are left: receivers get what is buffered and then
    /// `None`; waiting senders get their value back. Never parks. Panics with `close of closed
    /// channel` if it was closed. Go: `close(c)`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let (tx, rx) = executive::chan::<u8>(0);
    /// tx.close();
    /// assert_eq!(rx.recv(), None);
    /// # });
    /// ```
    #[doc(alias = "closechan")]
    pub fn close(&self) {
        if !self.chan.close() {
            panic!("close of closed channel");
        }
    }

    /// Whether a send would fail now: the channel is closed, or has no receivers. A snapshot; it
    /// may turn true at any time, but never false again.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let (tx, rx) = executive::chan::<u8>(0);
    /// assert!(!tx.is_closed());
    /// drop(rx);
    /// assert!(tx.is_closed());
    /// # });
    /// ```
    pub fn is_closed(&self) -> bool {
        self.chan.state.lock().life != Life::Open
    }
}

impl<T: Send> Receiver<T> {
    /// Receives; parks while there is nothing. Waiting receivers are served first come, first
    /// served. `None`: closed and drained. Go: `v, ok := <-c`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let (tx, rx) = executive::chan(2);
    /// tx.send(1).unwrap();
    /// drop(tx);
    /// assert_eq!((rx.recv(), rx.recv()), (Some(1), None));
    /// # });
    /// ```
    #[doc(alias = "chanrecv")]
    #[inline]
    pub fn recv(&self) -> Option<T> {
        self.chan.recv()
    }

    /// Receives if a value is there; never parks. Go: a select with a `default`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::chan::TryRecvError;
    /// let (tx, rx) = executive::chan::<u8>(1);
    /// assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    /// drop(tx);
    /// assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
    /// # });
    /// ```
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.chan.try_recv()
    }

    /// All values until the channel is closed and drained; `next` parks. Go: `for v := range c`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let (tx, rx) = executive::chan(3);
    /// (1..=3).for_each(|n| tx.send(n).unwrap());
    /// tx.close();
    /// assert!(rx.iter().eq(1..=3));
    /// # });
    /// ```
    #[doc(alias = "range")]
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        core::iter::from_fn(|| self.recv())
    }

    /// The values that are there now; never parks.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let (tx, rx) = executive::chan(3);
    /// tx.send(1).unwrap();
    /// assert!(rx.try_iter().eq([1]));
    /// # });
    /// ```
    pub fn try_iter(&self) -> impl Iterator<Item = T> + '_ {
        core::iter::from_fn(|| self.try_recv().ok())
    }
}

macro_rules! both_ends {
    ($end:ident, $count:ident) => {
        impl<T> $end<T> {
            /// How many values are buffered: a snapshot. Go: `len(c)`.
            ///
            /// ```
            /// # hosted::run(|| {
            /// let (tx, rx) = executive::chan(3);
            /// tx.send(1).unwrap();
            /// assert_eq!((tx.len(), rx.len()), (1, 1));
            /// # });
            /// ```
            pub fn len(&self) -> usize {
                self.chan.state.lock().len
            }
            /// Whether no value is buffered: a snapshot.
            ///
            /// ```
            /// # hosted::run(|| {
            /// assert!(executive::chan::<u8>(3).0.is_empty());
            /// # });
            /// ```
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }
            /// How many values can be buffered. Go: `cap(c)`.
            ///
            /// ```
            /// # hosted::run(|| {
            /// assert_eq!(executive::chan::<u8>(3).0.capacity(), 3);
            /// # });
            /// ```
            #[doc(alias = "cap")]
            pub fn capacity(&self) -> usize {
                self.chan.capacity()
            }
            /// Whether both are ends of the same channel. Go: `==`.
            ///
            /// ```
            /// # hosted::run(|| {
            /// let (tx, _rx) = executive::chan::<u8>(0);
            /// assert!(tx.same_channel(&tx.clone()));
            /// # });
            /// ```
            pub fn same_channel(&self, other: &Self) -> bool {
                Arc::ptr_eq(&self.chan, &other.chan)
            }
        }
        impl<T> Clone for $end<T> {
            fn clone(&self) -> Self {
                // Relaxed, as `Arc`'s: the end that is cloned keeps the count above 0.
                self.chan.$count.fetch_add(1, Ordering::Relaxed);
                $end { chan: self.chan.clone() }
            }
        }
        impl<T> fmt::Debug for $end<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($end), "({} of {})"), self.len(), self.capacity())
            }
        }
    };
}
both_ends!(Sender, sender_count);
both_ends!(Receiver, receiver_count);

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // AcqRel: partner of the other senders' drops: the last one closes after all have sent.
        if self.chan.sender_count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.chan.close();
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // AcqRel: partner of the other receivers' drops: the last one comes after all receives.
        if self.chan.receiver_count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.chan.desert();
        }
    }
}

/// See [`Receiver::iter`].
///
/// ```
/// # hosted::run(|| {
/// let (tx, rx) = executive::chan(1);
/// executive::go(move || (0..3).for_each(|n| tx.send(n).unwrap()));
/// for n in rx {
///     assert!(n < 3);
/// }
/// # });
/// ```
pub struct IntoIter<T>(Receiver<T>);

impl<T: Send> Iterator for IntoIter<T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.0.recv()
    }
}
impl<T: Send> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;
    /// All values until the channel is closed and drained.
    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}
