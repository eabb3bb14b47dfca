//! Every tunable number, with its reason.

use core::time::Duration;

/// TCP's seconds are so much shorter than the clock's. smoltcp waits at least a second before it
/// sends a lost segment again (RFC 6298), Linux 200 ms: so we count five of its seconds for one.
pub const TCP_CLOCK: u32 = 5;

/// Bytes that a connection can have received and nobody has read. So much can come in a round trip:
/// 5 Gbit/s at 100 us.
pub const RECEIVE_BUFFER: usize = 64 << 10;

/// Bytes that a connection can have been given and the peer has not acknowledged. As many as a card
/// cuts into segments at once.
pub const SEND_BUFFER: usize = 64 << 10;

/// No buffer is smaller: two segments, or every second one would wait for a delayed answer.
pub const LEAST_BUFFER: usize = 2 * 1460;

/// After this time without data the memory of a connection's empty buffers is given back. That
/// interrupts every CPU, so it is not done between the requests of a busy client.
pub const BUFFERS_IDLE: Duration = Duration::from_millis(500);

/// The same while more than half of [`ALL_BUFFERS`] is in use: a hundred thousand connections may
/// be opened one after the other, and each be idle from then on.
pub const CROWDED_BUFFERS_IDLE: Duration = Duration::from_millis(50);

/// Bytes of buffers of all sockets together.
pub const ALL_BUFFERS: usize = 256 << 20;

/// Connections of a listener that nobody has accepted yet, half open ones too. Linux: 4,096; but
/// ours have their buffers from the first.
pub const BACKLOG: usize = 128;

/// A half open connection has this long before a full backlog may drop it for a newer one: a round
/// trip around the earth, and more.
pub const HALF_OPEN: Duration = Duration::from_millis(500);

/// How long a peer may be silent while we wait for an answer: to a SYN (Linux: 127 s) ..
pub const CONNECT: Duration = Duration::from_secs(60);

/// .. to a SYN we have answered (Linux: 63 s) ..
pub const ACCEPT: Duration = Duration::from_secs(20);

/// .. to data (Linux: 15 minutes) ..
pub const SILENCE: Duration = Duration::from_secs(300);

/// .. and to data or our FIN, when nobody here has the connection any more (Linux:
/// `tcp_fin_timeout`).
pub const ORPHAN: Duration = Duration::from_secs(60);

/// After this time without a word, and again after this time without an answer, the peer is asked
/// whether it is there. Go: `KeepAliveConfig.Idle`, `Interval`.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A keep-alive that gets no answer is repeated so often. Go: `KeepAliveConfig.Count`.
pub const KEEP_ALIVES: u32 = 9;

/// What a closed connection's addresses are kept for. smoltcp: 10 s; Linux: 60 s.
pub const TIME_WAIT: Duration = Duration::from_secs(10);

/// Closed connections whose addresses are kept; beyond that the oldest are forgotten. Of 88 bytes.
pub const TIME_WAITS: usize = 16 << 10;

/// An answer to a segment waits this long for data to go with it. Linux: 40 ms.
pub const DELAYED_ACK: Duration = Duration::from_millis(10);

/// Bytes of a full segment, on Ethernet. What has more is answered at once.
pub const SEGMENT: u32 = 1460;

/// Shards of the table of connections, a lock each: so that two CPUs seldom meet at one.
pub const SHARDS: usize = 64;

/// Frames that an interface takes in before it lets other goroutines run.
pub const BURST: usize = 64;

/// Frames that were handed to a goroutine, and that it has not taken in. Linux has room for 1,000
/// (`netdev_max_backlog`) and drops others; here they stay with the device. A frame has up to 64
/// KiB where the card puts segments together, and the buffers are kept.
pub const LANE: usize = 32;

/// Ports for those who name none: as Linux.
pub const EPHEMERAL: core::ops::Range<u16> = 32_768..61_000;

/// Endpoints that wait until a neighbour's hardware address is known. Beyond that their own timers
/// must do.
pub const RESOLVING: usize = 1024;

/// How long a name server may take for an answer. As Go.
pub const LOOKUP: Duration = Duration::from_secs(5);

/// Each name server is asked so often. As Go.
pub const LOOKUP_ATTEMPTS: usize = 2;

/// Aliases of aliases that are followed. Go leaves that to the name server, which stops at as many.
pub const ALIASES: usize = 16;

/// Frames that wait for who looks after an interface's addresses.
pub const KEPT_FRAMES: usize = 16;

/// Datagrams that a UDP socket keeps until they are read.
pub const DATAGRAMS: usize = 64;

/// Bytes of them.
pub const UDP_BUFFER: usize = 64 << 10;
