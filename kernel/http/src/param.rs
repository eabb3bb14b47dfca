//! Every tunable number, with its reason.

use core::time::Duration;

/// Bytes of a request's or an answer's head. Go: 1 MiB; nginx and Apache: 8 KiB.
pub const HEAD: usize = 8 << 10;

/// Header fields of a message. A browser sends 15 to 30.
pub const FIELDS: usize = 64;

/// How long a client may take to send a head, from its first byte on; and a new one to begin.
pub const READ_HEAD: Duration = Duration::from_secs(10);

/// How long a connection is kept when there is nothing to do. nginx: 75 s.
pub const IDLE: Duration = Duration::from_secs(75);

/// After this time without a word from its client a connection goes over to a goroutine that has
/// used little of its stack.
pub const DOZE: Duration = Duration::from_millis(500);

/// Bytes of that goroutine's stack. They are not the usual number: a free goroutine keeps a stack
/// of that, and what it has used of it.
pub const DOZE_STACK: usize = 32 << 10;

/// How long one read of a body may wait.
pub const READ: Duration = Duration::from_secs(30);

/// How long a client may take to take [`BUFFER`] bytes, or what the handler writes at once.
pub const WRITE: Duration = Duration::from_secs(30);

/// Connections of a server at a time; others wait in the listener's backlog.
pub const CONNECTIONS: usize = 16 << 10;

/// What a handler has left of a request's body is read up to so many bytes, so that the connection
/// can be kept. Go: `maxPostHandlerReadBytes`.
#[doc(alias = "maxPostHandlerReadBytes")]
pub const LEFT_OVER: usize = 256 << 10;

/// After a refusal so many bytes are still read, for so long: or the client would be told by a
/// reset, which can overtake the words. Go: `rstAvoidanceDelay`, 500 ms.
#[doc(alias = "rstAvoidanceDelay")]
pub const LINGER: (usize, Duration) = (256 << 10, Duration::from_millis(500));

/// Bytes that a response keeps until it is sent. If it is over by then its length is told, as Go
/// does up to 2 KiB; otherwise it goes out in chunks.
pub const BUFFER: usize = 4 << 10;

/// A reader's buffer at first: most heads fit.
pub const READER: usize = 1 << 10;

/// A chunk's first line, with extensions.
pub const CHUNK_LINE: usize = 256;

/// Bytes of chunks' extensions in a body, and of what stands behind its last chunk: nobody reads
/// them. Go: 16 KiB more than data.
pub const EXTENSIONS: usize = 16 << 10;
