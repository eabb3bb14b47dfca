//! What goes wrong in a network, in `std`'s kinds and Go's words.

use core::fmt;
use core::net::SocketAddr;

/// What went wrong. The names are those of `std::io::ErrorKind`, where it has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nobody listens there.
    ConnectionRefused,
    /// The peer has given the connection up.
    ConnectionReset,
    /// We have given it up, or shut this half down.
    BrokenPipe,
    /// The deadline has passed, or no answer came for a long time.
    TimedOut,
    /// A cancellation token ended it.
    Cancelled,
    /// It was closed here.
    Closed,
    /// Somebody listens there, or has the port.
    AddrInUse,
    /// The address is none of ours; or no port is left.
    AddrNotAvailable,
    /// No interface leads there.
    NetworkUnreachable,
    /// The stream ended before all was read.
    UnexpectedEof,
    /// The text is no address.
    InvalidInput,
    /// More than one datagram can be.
    MessageTooLong,
    /// Nobody is called so, or has such an address.
    NoSuchHost,
    /// A name server has failed, or has said nonsense.
    ServerMisbehaving,
    /// Nobody can be asked for names.
    NoNameServer,
    /// The memory for all sockets together is used up.
    OutOfMemory,
}

impl ErrorKind {
    fn words(self) -> &'static str {
        match self {
            ErrorKind::ConnectionRefused => "connection refused",
            ErrorKind::ConnectionReset => "connection reset by peer",
            ErrorKind::BrokenPipe => "broken pipe",
            ErrorKind::TimedOut => "i/o timeout",
            ErrorKind::Cancelled => "operation was canceled",
            ErrorKind::Closed => "use of closed network connection",
            ErrorKind::AddrInUse => "address already in use",
            ErrorKind::AddrNotAvailable => "cannot assign requested address",
            ErrorKind::NetworkUnreachable => "network is unreachable",
            ErrorKind::UnexpectedEof => "unexpected EOF",
            ErrorKind::InvalidInput => "not an address with a port",
            ErrorKind::MessageTooLong => "message too long",
            ErrorKind::NoSuchHost => "no such host",
            ErrorKind::ServerMisbehaving => "server misbehaving",
            ErrorKind::NoNameServer => "no name server is known",
            ErrorKind::OutOfMemory => "no buffer space available",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl core::error::Error for ErrorKind {}

/// What went wrong, at what, between which addresses. Go: `net.OpError`.
#[doc(alias = "OpError")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Error {
    /// What was done, in Go's words: `dial`, `listen`, `accept`, `read`, `write`, ..
    pub op: &'static str,
    /// `tcp`, `udp`, `ip`.
    pub net: &'static str,
    /// Our end, if there is one.
    pub local: Option<SocketAddr>,
    /// The other one.
    pub remote: Option<SocketAddr>,
    /// Why it could not be done.
    pub kind: ErrorKind,
}

impl fmt::Display for Error {
    /// `read tcp 10.0.0.1:40000->10.0.0.2:80: connection reset by peer`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.op, self.net)?;
        match (self.local, self.remote) {
            (Some(local), Some(remote)) => write!(f, " {local}->{remote}")?,
            // Without ports: a ping.
            (Some(one), None) | (None, Some(one)) if one.port() == 0 => write!(f, " {}", one.ip())?,
            (Some(one), None) | (None, Some(one)) => write!(f, " {one}")?,
            (None, None) => {}
        }
        write!(f, ": {}", self.kind)
    }
}

impl core::error::Error for Error {}

impl embedded_io::Error for Error {
    fn kind(&self) -> embedded_io::ErrorKind {
        use embedded_io::ErrorKind as Io;
        match self.kind {
            ErrorKind::ConnectionRefused => Io::ConnectionRefused,
            ErrorKind::ConnectionReset => Io::ConnectionReset,
            ErrorKind::BrokenPipe => Io::BrokenPipe,
            ErrorKind::TimedOut => Io::TimedOut,
            ErrorKind::Cancelled => Io::Interrupted,
            ErrorKind::Closed => Io::NotConnected,
            ErrorKind::AddrInUse => Io::AddrInUse,
            ErrorKind::AddrNotAvailable | ErrorKind::NetworkUnreachable => Io::AddrNotAvailable,
            ErrorKind::InvalidInput | ErrorKind::MessageTooLong => Io::InvalidInput,
            ErrorKind::OutOfMemory => Io::OutOfMemory,
            ErrorKind::NoSuchHost => Io::NotFound,
            ErrorKind::UnexpectedEof | ErrorKind::ServerMisbehaving | ErrorKind::NoNameServer => {
                Io::Other
            }
        }
    }
}
