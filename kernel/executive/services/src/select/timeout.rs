//! Sending and receiving with a time limit: a select of two arms.
//!
//! **Rule:** what is ready comes before the limit. A select takes any arm that is ready; so when it
//! has taken the limit's arm, the channel is looked at once more.

use crate::chan::{
    Receiver, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError, TrySendError,
};
use core::time::Duration;

impl<T: Send> Receiver<T> {
    /// Receives; parks for at most `d` (a little more, never less). A value that is there comes
    /// before `Closed`, and both come before `Timeout`, also with a limit of zero. Go: a select
    /// with `time.After`, which chooses at random between what is ready and a limit that has
    /// passed.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::chan::RecvTimeoutError;
    /// let (_tx, rx) = executive::chan::<u8>(0);
    /// let r = rx.recv_timeout(core::time::Duration::from_millis(1));
    /// assert_eq!(r, Err(RecvTimeoutError::Timeout));
    /// # });
    /// ```
    pub fn recv_timeout(&self, d: Duration) -> Result<T, RecvTimeoutError> {
        crate::select! {
            recv(self) -> v => v.ok_or(RecvTimeoutError::Closed),
            after(d) => self.try_recv().map_err(|e| match e {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Closed => RecvTimeoutError::Closed,
            }),
        }
    }
}

impl<T: Send> Sender<T> {
    /// Sends; parks for at most `d` (a little more, never less). Room, a waiting receiver and
    /// `Closed` come before `Timeout`, also with a limit of zero. `Err` gives the value back.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::chan::SendTimeoutError;
    /// let (tx, _rx) = executive::chan(0);
    /// let r = tx.send_timeout(7, core::time::Duration::from_millis(1));
    /// assert_eq!(r, Err(SendTimeoutError::Timeout(7)));
    /// # });
    /// ```
    pub fn send_timeout(&self, value: T, d: Duration) -> Result<(), SendTimeoutError<T>> {
        crate::select! {
            send(self, value) -> r => r.map_err(|e| SendTimeoutError::Closed(e.0)),
            after(d) => self.try_send(value).map_err(|e| match e {
                TrySendError::Full(value) => SendTimeoutError::Timeout(value),
                TrySendError::Closed(value) => SendTimeoutError::Closed(value),
            }),
        }
    }
}
