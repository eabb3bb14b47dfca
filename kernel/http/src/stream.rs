//! What a conversation is held over: a TCP connection, or bytes in a test's memory.

use core::net::SocketAddr;
use executive::cancel::Token;
use executive::select;
use executive::time::Instant;
use net::{Error, Shutdown, TcpStream};

/// Bytes both ways. Calls park until something can be done, or the deadline has passed.
pub trait Stream: Send + Sync {
    /// As [`TcpStream::read`]: at least a byte, or 0 at the end.
    fn read(&self, into: &mut [u8]) -> Result<usize, Error>;
    /// As [`TcpStream::write_all`].
    fn write_all(&self, bytes: &[u8]) -> Result<(), Error>;
    /// Until when reads may wait.
    fn set_read_deadline(&self, deadline: Instant);
    /// Until when writes may wait.
    fn set_write_deadline(&self, deadline: Instant);
    /// Parks until a read would not. `false`: the time or the token came first.
    fn wait(&self, until: Instant, token: Option<&Token>) -> bool;
    /// Nothing more will be written, and the peer is told.
    fn finish(&self);
    /// The other end.
    fn peer(&self) -> Option<SocketAddr>;
}

impl Stream for TcpStream {
    fn read(&self, into: &mut [u8]) -> Result<usize, Error> {
        TcpStream::read(self, into)
    }
    fn write_all(&self, bytes: &[u8]) -> Result<(), Error> {
        TcpStream::write_all(self, bytes)
    }
    fn set_read_deadline(&self, deadline: Instant) {
        TcpStream::set_read_deadline(self, Some(deadline));
    }
    fn set_write_deadline(&self, deadline: Instant) {
        TcpStream::set_write_deadline(self, Some(deadline));
    }
    fn wait(&self, until: Instant, token: Option<&Token>) -> bool {
        select! {
            recv(self.readable()) -> _ => true,
            recv(token) -> _ => false,
            after(until.remaining()) => false,
        }
    }
    fn finish(&self) {
        self.shutdown(Shutdown::Write);
    }
    fn peer(&self) -> Option<SocketAddr> {
        Some(self.peer_addr())
    }
}
