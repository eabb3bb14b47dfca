//! Why a channel operation did not do what was asked. An error gives back the value that was not
//! sent.

use core::fmt;

/// The channel is closed, or its last receiver was dropped. Holds the value that was not sent. In
/// Go the goroutine would panic with `send on closed channel`.
#[derive(PartialEq, Eq, Clone, Copy)]
pub struct SendError<T>(pub T);

/// Why [`Sender::try_send`](super::Sender::try_send) did not send.
#[derive(PartialEq, Eq, Clone, Copy)]
pub enum TrySendError<T> {
    /// No receiver waits and there is no room.
    Full(T),
    /// As [`SendError`].
    Closed(T),
}

/// Why [`Sender::send_timeout`](super::Sender::send_timeout) did not send.
#[derive(PartialEq, Eq, Clone, Copy)]
pub enum SendTimeoutError<T> {
    /// The time was over before a receiver came or there was room.
    Timeout(T),
    /// As [`SendError`].
    Closed(T),
}

/// Why [`Receiver::try_recv`](super::Receiver::try_recv) received nothing.
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub enum TryRecvError {
    /// Nothing is buffered and no sender waits.
    Empty,
    /// Closed and drained: nothing will ever come.
    Closed,
}

/// Why [`Receiver::recv_timeout`](super::Receiver::recv_timeout) received nothing.
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub enum RecvTimeoutError {
    /// The time was over before a value came.
    Timeout,
    /// Closed and drained: nothing will ever come.
    Closed,
}

impl<T> TrySendError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            TrySendError::Full(value) | TrySendError::Closed(value) => value,
        }
    }
}
impl<T> SendTimeoutError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            SendTimeoutError::Timeout(value) | SendTimeoutError::Closed(value) => value,
        }
    }
}

const CLOSED: &str = "send on closed channel";
const DRAINED: &str = "receive on closed channel";

macro_rules! words {
    ($name:ident $(<$t:ident>)? , $debug:literal, $self:ident => $words:expr) => {
        impl$(<$t>)? fmt::Display for $name$(<$t>)? {
            fn fmt(&$self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($words)
            }
        }
        impl$(<$t>)? core::error::Error for $name$(<$t>)? where Self: fmt::Debug {}
        $( // The value need not be Debug.
        impl<$t> fmt::Debug for $name<$t> {
            fn fmt(&$self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", $debug, $words)
            }
        }
        )?
    };
}
words!(SendError<T>, "SendError", self => CLOSED);
words!(TrySendError<T>, "TrySendError", self => match self {
    TrySendError::Full(_) => "send would block",
    TrySendError::Closed(_) => CLOSED,
});
words!(SendTimeoutError<T>, "SendTimeoutError", self => match self {
    SendTimeoutError::Timeout(_) => "send timed out",
    SendTimeoutError::Closed(_) => CLOSED,
});
words!(TryRecvError, "", self => match self {
    TryRecvError::Empty => "receive would block",
    TryRecvError::Closed => DRAINED,
});
words!(RecvTimeoutError, "", self => match self {
    RecvTimeoutError::Timeout => "receive timed out",
    RecvTimeoutError::Closed => DRAINED,
});
