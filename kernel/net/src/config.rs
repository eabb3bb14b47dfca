//! What a stack is made with.

use crate::memory::Pages;
use crate::param;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

/// What a [`Stack`](crate::Stack) is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Random bits that nobody outside can know: sequence numbers and ports are made of them. Never
    /// a constant in earnest.
    pub seed: [u64; 4],
    /// Bytes that a connection can have received and nobody has read.
    pub receive_buffer: usize,
    /// Bytes that a connection can have been given and the peer has not acknowledged.
    pub send_buffer: usize,
    /// Bytes of the buffers of all sockets together, while they have memory.
    pub all_buffers: usize,
    /// Who takes the memory of an idle connection's buffers. `None`: they keep it.
    pub pages: Option<&'static dyn Pages>,
    /// Connections of a listener that nobody has accepted yet.
    pub backlog: usize,
    /// After this time without a word the peer of a connection is asked whether it is there; after
    /// nine questions without an answer the connection is over. `None`: nobody is asked.
    pub keep_alive: Option<Duration>,
    /// For how long a closed connection's addresses are kept.
    pub time_wait: Duration,
    /// Who is asked for names. Empty: those that DHCP tells of.
    pub name_servers: Vec<IpAddr>,
    /// How long a name server may take for an answer.
    pub lookup_timeout: Duration,
    /// TCP's clock goes so many times too fast. More than the usual makes it unfriendly to others:
    /// it is for tests, in which a lost segment shall not cost a second.
    pub clock: u32,
    /// There is an interface `lo`, with 127.0.0.1 and ::1.
    pub loopback: bool,
}

impl Config {
    /// The usual.
    pub fn new(seed: [u64; 4]) -> Self {
        Config {
            seed,
            receive_buffer: param::RECEIVE_BUFFER,
            send_buffer: param::SEND_BUFFER,
            all_buffers: param::ALL_BUFFERS,
            pages: None,
            backlog: param::BACKLOG,
            keep_alive: Some(param::KEEP_ALIVE),
            time_wait: param::TIME_WAIT,
            name_servers: Vec::new(),
            lookup_timeout: param::LOOKUP,
            clock: param::TCP_CLOCK,
            loopback: true,
        }
    }
}
