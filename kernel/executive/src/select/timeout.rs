//! Sending and receiving with a time limit: a select of two arms.

use crate::chan::{Receiver, RecvTimeoutError, SendTimeoutError, Sender};
use core::time::Duration;

impl<T: Send> Receiver<T> {
    /// Receives; parks for at most `d` (a little more, never less). Go: a select with `time.After`.
    ///
    /// ```no_run
    /// use executive::chan::RecvTimeoutError;
    /// let (_tx, rx) = executive::chan::<u8>(0);
    /// let r = rx.recv_timeout(core::time::Duration::from_millis(1));
    /// assert_eq!(r, Err(RecvTimeoutError::Timeout));
    /// ```
    pub fn recv_timeout(&self, d: Duration) -> Result<T, RecvTimeoutError> {
        crate::select! {
            recv(self) -> v => v.ok_or(RecvTimeoutError::Closed),
            after(d) => Err(RecvTimeoutError::Timeout),
        }
    }
}

impl<T: Send> Sender<T> {
    /// Sends; parks for at most `d` (a little more, never less). `Err` gives the value back.
    ///
    /// ```no_run
    /// use executive::chan::SendTimeoutError;
    /// let (tx, _rx) = executive::chan(0);
    /// let r = tx.send_timeout(7, core::time::Duration::from_millis(1));
    /// assert_eq!(r, Err(SendTimeoutError::Timeout(7)));
    /// ```
    pub fn send_timeout(&self, value: T, d: Duration) -> Result<(), SendTimeoutError<T>> {
        crate::select! {
            send(self, value) -> r => r.map_err(|e| SendTimeoutError::Closed(e.0)),
            after(d) => Err(SendTimeoutError::Timeout(value)),
        }
    }
}
