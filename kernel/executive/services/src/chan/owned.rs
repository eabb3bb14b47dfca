//! Ends that stay with one goroutine. So it is known who can still wake those who wait at the
//! channel, and `executive::leaks` finds those whom nobody can.
//!
//! **Rule:** an [`Owned`] end does not leave its goroutine: it is neither `Send` nor `Sync`, and
//! lends nobody what is in it (a reference to an end may be sent). It is noted while it is there,
//! and counted by its channel as any end. So if as many are noted as are counted, nobody else has
//! one; who clones an end makes one that is not noted.

use super::{Count, Receiver, SendError, Sender, TryRecvError, TrySendError};
use alloc::collections::BTreeMap;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use executive_core::g::getg;
use executive_core::lock::{Lock, Rank};

/// An end of a channel that only the goroutine which called `owned` can use, in a select too. It
/// cannot be cloned: [`into_inner`](Self::into_inner) gives the end back.
///
/// ```
/// # hosted::run(|| {
/// use executive::{chan, select};
/// let (tx, rx) = chan(1);
/// let (tx, rx) = (tx.owned(), rx.owned());
/// assert!(select! { send(tx, 7) -> sent => sent.is_ok(), default => false });
/// assert_eq!(select! { recv(rx) -> came => came }, Some(7));
/// # });
/// ```
/// ```compile_fail,E0277
/// # hosted::run(|| {
/// let (tx, rx) = executive::chan::<u64>(0);
/// let rx = rx.owned();
/// executive::go(move || rx.recv()); // it cannot be sent
/// # });
/// ```
/// ```compile_fail,E0277
/// # hosted::run(|| {
/// let (tx, rx) = executive::chan::<u64>(0);
/// let rx = rx.owned();
/// executive::scope(|s| drop(s.go(|| rx.recv()))); // nor lent
/// # });
/// ```
pub struct Owned<E> {
    note: Note, // dropped first: a note is there while its end is
    end: E,
}

/// The channel (the address of its lock), whether the end sends, and a number.
type Key = (usize, bool, u64);

pub(super) type Notes = BTreeMap<Key, (Count, u64)>;
pub(super) static NOTES: Lock<Notes> = Lock::new(Rank::Chan, Notes::new());
static NUMBER: AtomicU64 = AtomicU64::new(0);

struct Note {
    key: Key,
    stays: PhantomData<*mut ()>,
}

impl Note {
    /// `count` is that of the ends of this kind. The caller has one.
    fn new(channel: usize, sends: bool, count: Count) -> Self {
        let key = (channel, sends, NUMBER.fetch_add(1, Relaxed));
        NOTES.lock().insert(key, (count, getg().id()));
        Note { key, stays: PhantomData }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        NOTES.lock().remove(&self.key);
    }
}

/// An end that is owned, for `executive::leaks`.
#[derive(Clone, Copy)]
pub struct OwnedEnd {
    /// The address of the channel's lock, as `G::waits_for` tells it.
    pub channel: usize,
    /// Whether it sends. (Else it receives.)
    pub sends: bool,
    /// How many ends of this kind the channel has.
    pub ends: usize,
    /// The goroutine that has it.
    pub owner: u64,
}

/// Tells all, those of a channel and a kind one after the other. Under a spin lock.
#[doc(hidden)]
pub fn owned_ends(tell: impl FnMut(OwnedEnd)) {
    tell_all(&NOTES.lock(), tell);
}

pub(super) fn tell_all(notes: &Notes, mut tell: impl FnMut(OwnedEnd)) {
    for (&(channel, sends, _), (count, owner)) in notes {
        tell(OwnedEnd { channel, sends, ends: count.get(), owner: *owner });
    }
}

impl<E> Owned<E> {
    /// A select returns before its goroutine can give the end away.
    pub(crate) fn lent_to_a_select(&self) -> &E {
        &self.end
    }

    /// The end, for anybody again.
    pub fn into_inner(self) -> E {
        let Owned { note, end } = self;
        drop(note);
        end
    }
}

impl<T> Sender<T> {
    /// From here on only the calling goroutine can use this end, and `executive::leaks` knows.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let (tx, rx) = executive::chan(1);
    /// let tx = tx.owned();
    /// tx.send(7).unwrap();
    /// drop(tx); // closes
    /// assert!(rx.iter().eq([7]));
    /// # });
    /// ```
    pub fn owned(self) -> Owned<Self> {
        let (channel, count) = (self.chan.address(), Count::of(&self.chan.sender_count));
        Owned { note: Note::new(channel, true, count), end: self }
    }
}

impl<T> Receiver<T> {
    /// From here on only the calling goroutine can use this end, and `executive::leaks` knows.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let (tx, rx) = executive::chan(1);
    /// let rx = rx.owned();
    /// tx.send(7).unwrap();
    /// assert_eq!(rx.recv(), Some(7));
    /// let rx = rx.into_inner();
    /// assert_eq!(executive::go(move || rx.len()).join(), 0);
    /// # });
    /// ```
    pub fn owned(self) -> Owned<Self> {
        let (channel, count) = (self.chan.address(), Count::of(&self.chan.receiver_count));
        Owned { note: Note::new(channel, false, count), end: self }
    }
}

impl<T: Send> Owned<Sender<T>> {
    /// As [`Sender::send`].
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.end.send(value)
    }
    /// As [`Sender::try_send`].
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.end.try_send(value)
    }
    /// As [`Sender::close`].
    pub fn close(&self) {
        self.end.close();
    }
}

impl<T: Send> Owned<Receiver<T>> {
    /// As [`Receiver::recv`].
    pub fn recv(&self) -> Option<T> {
        self.end.recv()
    }
    /// As [`Receiver::try_recv`].
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.end.try_recv()
    }
    /// As [`Receiver::iter`].
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        core::iter::from_fn(|| self.recv())
    }
}
