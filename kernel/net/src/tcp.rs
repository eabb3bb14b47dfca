//! TCP for goroutines: [`TcpListener`], [`TcpStream`].

use crate::addr::ToAddr;
use crate::conn::{Accepts, Connection, Life, Now};
use crate::endpoint::{Gate, Why, Woken, receive};
use crate::error::{Error, ErrorKind};
use crate::frame::Flow;
use crate::link::Link;
use crate::memory::Buffers;
use crate::param::{DELAYED_ACK, HALF_OPEN, LEAST_BUFFER};
use crate::stack::Stack;
use crate::state::State;
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use executive::affinity::cpus;
use executive::cancel::Token;
use executive::chan;
use executive::chan::{Receiver, Sender};
use executive::foreign::Outside;
use executive::lock::{Lock, Rank};
use executive::select::RecvFrom;
use executive::time::{Duration, Instant};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer};

/// How connections are made: sizes of buffers, the backlog, when to give up.
#[derive(Clone)]
#[must_use = "it does nothing by itself"]
pub struct TcpBuilder {
    state: Arc<State>,
    receive_buffer: usize,
    send_buffer: usize,
    backlog: usize,
    keep_alive: Option<Duration>,
    deadline: Option<Instant>,
    token: Option<Token>,
}

impl Stack {
    /// How connections are made, if not as usual.
    pub fn tcp(&self) -> TcpBuilder {
        let config = &self.0.config;
        TcpBuilder {
            state: self.0.clone(),
            receive_buffer: config.receive_buffer,
            send_buffer: config.send_buffer,
            backlog: config.backlog,
            keep_alive: config.keep_alive,
            deadline: None,
            token: None,
        }
    }

    /// Listens on this address: of an interface, or `0.0.0.0` or `[::]` for all. Port 0: any that
    /// is free. Go: `net.Listen`.
    #[doc(alias = "net.Listen")]
    pub fn listen(&self, at: impl ToAddr) -> Result<TcpListener, Error> {
        self.tcp().listen(at)
    }
}

impl TcpBuilder {
    /// Bytes that a connection can have received and nobody has read. At least two segments.
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = bytes;
        self
    }

    /// Bytes that can have been written and the peer has not acknowledged. At least two segments.
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = bytes;
        self
    }

    /// Connections of a listener that nobody has accepted yet, half open ones too. While there are
    /// as many, others are dropped without a word: their peers try again.
    pub fn backlog(mut self, connections: usize) -> Self {
        self.backlog = connections.max(1);
        self
    }

    /// After this time without a word the peer is asked whether it is there; after nine questions
    /// without an answer the connection is over. `None`: nobody is asked. Unless told otherwise: 15
    /// seconds, as in Go. Go: `Dialer.KeepAlive`, `ListenConfig.KeepAlive`.
    #[doc(alias("Dialer.KeepAlive", "ListenConfig.KeepAlive", "KeepAliveConfig"))]
    pub fn keep_alive(mut self, interval: Option<Duration>) -> Self {
        self.keep_alive = interval;
        self
    }

    /// Until when [`connect`](Self::connect) may wait. Go: `Dialer.Deadline`.
    #[doc(alias = "Dialer.Deadline")]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// As [`deadline`](Self::deadline), from now on. Go: `net.DialTimeout`.
    #[doc(alias("net.DialTimeout", "Dialer.Timeout"))]
    pub fn timeout(self, limit: Duration) -> Self {
        self.deadline(Instant::now() + limit)
    }

    /// The token ends [`connect`](Self::connect), and all that is done with the stream or the
    /// listener. Go: `DialContext`, for the whole life.
    #[doc(alias = "DialContext")]
    pub fn cancelled_by(mut self, token: &Token) -> Self {
        self.token = Some(token.clone());
        self
    }

    /// As [`Stack::listen`].
    pub fn listen(self, at: impl ToAddr) -> Result<TcpListener, Error> {
        let error = |local, kind| Error { op: "listen", net: "tcp", local, remote: None, kind };
        let at = at.to_addr().map_err(|kind| error(None, kind))?;
        let links = self.state.links.lock().clone();
        if !at.ip().is_unspecified() && !links.iter().any(|link| link.has(at.ip())) {
            return Err(error(Some(at), ErrorKind::AddrNotAvailable));
        }
        let (accepted, accept) = chan(self.backlog + cpus());
        let connections = self.state.connections.clone();
        let from_outside = links.iter().any(|link| link.capabilities.from_outside);
        let listen = |port| {
            let backlog = Arc::new(Backlog {
                how: TcpBuilder { deadline: None, ..self.clone() },
                local: SocketAddr::new(at.ip(), port),
                accepted: accepted.clone(),
                half_open: AtomicUsize::new(0),
                oldest: Lock::new(Rank::User, VecDeque::new()),
            });
            let listener: Arc<dyn Accepts> = backlog.clone();
            connections.listen(backlog.local, &listener).then_some((backlog, listener))
        };
        let found = match at.port() {
            0 => self.state.with_port(listen).ok_or(ErrorKind::AddrNotAvailable),
            port => listen(port).ok_or(ErrorKind::AddrInUse),
        };
        let (backlog, listener) = found.map_err(|kind| error(Some(at), kind))?;
        let _outside = from_outside.then(Outside::new);
        let open = Listening { backlog, listener, deadline: AtomicU64::new(NEVER), _outside };
        Ok(TcpListener { accept, open: Arc::new(open) })
    }

    /// The stack, and what may end a wait.
    pub(crate) fn limits(&self) -> (Stack, Option<Instant>, Option<&Token>) {
        (Stack(self.state.clone()), self.deadline, self.token.as_ref())
    }

    /// Connects to an address.
    pub(crate) fn connect_to(self, remote: SocketAddr) -> Result<TcpStream, Error> {
        let error = |local, remote, kind| Error { op: "dial", net: "tcp", local, remote, kind };
        let told = |kind| error(None, Some(remote), kind);
        if self.token.as_ref().is_some_and(Token::is_cancelled) {
            return Err(told(ErrorKind::Cancelled));
        }
        let (link, source) = self.state.route(remote.ip()).map_err(told)?;
        let connection = self.begin(&link, source, remote).map_err(told)?;
        let stream = TcpStream::new(connection, self.token);
        let connection = &stream.0.connection;
        loop {
            let state = connection.end.peek(|_, life| match (life.is_connecting(), life.cause) {
                (_, Some(cause)) => Some(Err(cause)),
                (true, None) => None,
                (false, None) => Some(Ok(())),
            });
            match state {
                Some(Ok(())) => {
                    let port = connection.flow.local.port();
                    executive::trace::message(&"tcp: connected, our port", port.into());
                    return Ok(stream);
                }
                Some(Err(kind)) => return Err(error(stream.0.local(), Some(remote), kind)),
                None => {}
            }
            let token = stream.0.token.as_ref();
            let kind = match connection.end.writable.wait(self.deadline, token) {
                Woken::Opened => continue,
                Woken::Late => ErrorKind::TimedOut,
                Woken::Cancelled => ErrorKind::Cancelled,
            };
            connection.abort(kind);
            return Err(told(kind));
        }
    }

    /// Sends the SYN, from a port that is free for this peer.
    fn begin(
        &self,
        link: &Arc<Link>,
        source: IpAddr,
        remote: SocketAddr,
    ) -> Result<Arc<Connection>, ErrorKind> {
        let table = &self.state.connections;
        let connection = loop {
            let mut tries = 0;
            let flow = self.state.with_port(|port| {
                tries += 1;
                let flow = Flow { local: SocketAddr::new(source, port), remote };
                // After a while also one whose connection has just ended.
                table.is_free(&flow, tries > TRIES).then_some(flow)
            });
            let flow = flow.ok_or(ErrorKind::AddrNotAvailable)?;
            let (socket, buffers) = self.socket(link).ok_or(ErrorKind::OutOfMemory)?;
            let life = Life::connecting(link.clone(), self.keep_alive, buffers);
            let connection = Connection::new(socket, flow, life, table.clone());
            if table.insert(flow, &connection, true) {
                break connection;
            }
        };
        let flow = connection.flow;
        let begun = connection.touch(Why::Call, |socket, _, context| {
            socket.connect(context, flow.remote, flow.local)
        });
        begun.map(|()| connection).map_err(|_| ErrorKind::AddrNotAvailable)
    }

    /// A socket as it is wanted, and its buffers.
    fn socket(&self, link: &Link) -> Option<(Socket<'static>, Buffers)> {
        let receive = self.receive_buffer.max(LEAST_BUFFER);
        let send = self.send_buffer.max(LEAST_BUFFER);
        let (buffers, receive, send) = Buffers::new(&self.state.memory, receive, send)?;
        let mut socket = Socket::new(SocketBuffer::new(receive), SocketBuffer::new(send));
        socket.set_congestion_control(CongestionControl::Reno);
        socket.set_nagle_enabled(false); // as Go
        socket.set_ack_delay(Some(link.span(DELAYED_ACK)));
        Some((socket, buffers))
    }
}

/// So many ports are tried before those are taken whose connection has just ended.
const TRIES: usize = 64;

/// No deadline.
const NEVER: u64 = u64::MAX;

fn deadline_of(word: &AtomicU64) -> Option<Instant> {
    Some(word.load(Relaxed)).filter(|ns| *ns != NEVER).map(Instant::from_nanos)
}

fn set_deadline(word: &AtomicU64, deadline: Option<Instant>) {
    // Relaxed: the gate, which is opened afterwards, tells.
    word.store(deadline.map_or(NEVER, Instant::as_nanos), Relaxed);
}

/// Waits for connections: `accept` gives them one by one. In a select: `recv(listener)`. A clone is
/// the same listener, which is closed when the last clone is dropped. Go: `net.TCPListener`.
///
/// ```
/// # hosted::run(|| {
/// # use net::{Config, Stack};
/// # let stack = Stack::new(Config::new([1, 2, 3, 4]));
/// use executive::{cancel::Token, select};
/// let (listener, token) = (stack.listen("127.0.0.1:80").unwrap(), Token::new());
/// # token.cancel();
/// loop {
///     select! {
///         recv(listener) -> stream => drop(executive::go(move || /* serve it */ drop(stream))),
///         recv(token) -> _ => break,
///     }
/// }
/// # stack.shut_down();
/// # });
/// ```
#[doc(alias = "net.TCPListener")]
#[derive(Clone)]
pub struct TcpListener {
    accept: Receiver<TcpStream>,
    open: Arc<Listening>,
}

/// What is taken down with the last clone.
struct Listening {
    backlog: Arc<Backlog>,
    listener: Arc<dyn Accepts>,
    deadline: AtomicU64,
    _outside: Option<Outside>,
}

/// A listener, as its connections see it.
struct Backlog {
    how: TcpBuilder,
    local: SocketAddr,
    accepted: Sender<TcpStream>,
    /// Connections that are neither established nor over.
    half_open: AtomicUsize,
    /// Those, and some that are so no more; and when they began.
    oldest: Lock<VecDeque<(Instant, Weak<Connection>)>>,
}

impl Accepts for Backlog {
    fn begin(&self, link: &Link) -> Option<(Socket<'static>, Buffers)> {
        let most = self.how.backlog;
        let mut tried = false;
        loop {
            let enough = |now: usize| (now + self.accepted.len() < most).then_some(now + 1);
            // Relaxed: a count, which guards nothing else.
            if self.half_open.try_update(Relaxed, Relaxed, enough).is_ok() {
                break;
            }
            if core::mem::replace(&mut tried, true) || !self.drop_oldest() {
                return None;
            }
        }
        let made = self.how.socket(link);
        if made.is_none() {
            self.failed();
        }
        made
    }

    fn keep_alive(&self) -> Option<Duration> {
        self.how.keep_alive
    }

    fn begins(&self, connection: &Arc<Connection>) {
        let mut oldest = self.oldest.lock();
        if oldest.len() >= 2 * self.how.backlog {
            oldest.retain(|(_, connection)| is_half_open(connection).is_some());
        }
        oldest.push_back((Instant::now(), Arc::downgrade(connection)));
    }

    fn established(&self, connection: Arc<Connection>) {
        self.half_open.fetch_sub(1, Relaxed);
        let stream = TcpStream::new(connection, self.how.token.clone());
        let _ = self.accepted.try_send(stream); // if nobody listens any more it is dropped
    }

    fn failed(&self) {
        self.half_open.fetch_sub(1, Relaxed);
    }
}

/// The connection, if it is half open.
fn is_half_open(connection: &Weak<Connection>) -> Option<Arc<Connection>> {
    connection.upgrade().filter(|it| it.end.peek(|_, life| life.is_half_open()))
}

impl Backlog {
    /// Ends the connection that has been half open for longest, if that is long. `false`: none has.
    fn drop_oldest(&self) -> bool {
        loop {
            let first = {
                let mut oldest = self.oldest.lock();
                let late = |(since, _): &(Instant, _)| since.elapsed() >= HALF_OPEN;
                match oldest.front().is_some_and(late) {
                    true => oldest.pop_front(),
                    false => return false,
                }
            };
            if let Some(connection) = first.and_then(|(_, it)| is_half_open(&it)) {
                connection.abort(ErrorKind::TimedOut);
                return true;
            }
        }
    }
}

impl TcpListener {
    /// The next connection, and who has made it; parks until there is one. Go: `Accept`.
    #[doc(alias = "Accept")]
    pub fn accept(&self) -> Result<(TcpStream, SocketAddr), Error> {
        let token = self.open.backlog.how.token.as_ref();
        let kind = match receive(&self.accept, deadline_of(&self.open.deadline), token) {
            Ok(Some(stream)) => {
                let peer = stream.peer_addr();
                return Ok((stream, peer));
            }
            Ok(None) => ErrorKind::Closed,
            Err(Woken::Cancelled) => ErrorKind::Cancelled,
            Err(_) => ErrorKind::TimedOut,
        };
        let local = Some(self.local_addr());
        Err(Error { op: "accept", net: "tcp", local, remote: None, kind })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.open.backlog.local
    }

    /// Until when [`accept`](Self::accept) waits, if it is called from here on. Go: `SetDeadline`,
    /// which also ends a call that waits already.
    #[doc(alias = "SetDeadline")]
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        set_deadline(&self.open.deadline, deadline);
    }

    /// Listens no more: calls that wait fail, and what nobody has accepted is reset. Go: `Close`.
    #[doc(alias = "Close")]
    pub fn close(&self) {
        self.open.close();
        while self.accept.try_recv().is_ok() {}
    }

    /// All connections, until the listener is closed or its token cancelled.
    pub fn incoming(&self) -> impl Iterator<Item = TcpStream> + '_ {
        core::iter::from_fn(|| self.accept().ok().map(|(stream, _)| stream))
    }
}

impl Listening {
    fn close(&self) {
        self.backlog.how.state.connections.unlisten(&self.listener);
        if !self.backlog.accepted.is_closed() {
            self.backlog.accepted.close();
        }
        let half_open = core::mem::take(&mut *self.backlog.oldest.lock());
        for connection in half_open.iter().filter_map(|(_, it)| is_half_open(it)) {
            connection.abort(ErrorKind::Closed);
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.close();
    }
}

impl RecvFrom for TcpListener {
    type Item = TcpStream;
    fn receiver(&self) -> Option<&Receiver<TcpStream>> {
        Some(&self.accept)
    }
}

/// A connection. A clone is the same one, which is closed when the last clone is dropped; any
/// number of goroutines may read and write. Go: `net.TCPConn`.
#[doc(alias = "net.TCPConn")]
#[derive(Clone)]
pub struct TcpStream(Arc<Held>);

/// What is given up with the last clone.
struct Held {
    connection: Arc<Connection>,
    read_deadline: AtomicU64,
    write_deadline: AtomicU64,
    token: Option<Token>,
    _outside: Option<Outside>,
}

/// Which half to shut down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shutdown {
    /// Reads give nothing more.
    Read,
    /// The peer is told that nothing more comes: it reads to the end. Go: `CloseWrite`.
    Write,
    /// Both.
    Both,
}

impl Held {
    fn local(&self) -> Option<SocketAddr> {
        Some(self.connection.flow.local)
    }

    fn error(&self, op: &'static str, kind: ErrorKind) -> Error {
        let flow = &self.connection.flow;
        Error { op, net: "tcp", local: Some(flow.local), remote: Some(flow.remote), kind }
    }

    /// Tries until it is done, and waits at the gate meanwhile.
    fn until<T>(
        &self,
        op: &'static str,
        gate: &Gate,
        deadline: &AtomicU64,
        mut attempt: impl FnMut() -> Now<T>,
    ) -> Result<T, Error> {
        let mut woken = Woken::Opened;
        loop {
            let until = deadline_of(deadline);
            let ended = match woken {
                Woken::Cancelled => Some(ErrorKind::Cancelled),
                _ if until.is_some_and(|at| at <= Instant::now()) => Some(ErrorKind::TimedOut),
                _ if self.token.as_ref().is_some_and(Token::is_cancelled) => {
                    Some(ErrorKind::Cancelled)
                }
                _ => None,
            };
            if let Some(kind) = ended {
                gate.open(); // for others who wait, if the gate was opened for all
                return Err(self.error(op, kind));
            }
            match attempt() {
                Some(Ok(done)) => return Ok(done),
                Some(Err(kind)) => return Err(self.error(op, kind)),
                None => woken = gate.wait(until, self.token.as_ref()),
            }
        }
    }

    fn read(&self, into: &mut [u8]) -> Result<usize, Error> {
        let gate = &self.connection.end.readable;
        self.until("read", gate, &self.read_deadline, || self.connection.try_read(into))
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Error> {
        let gate = &self.connection.end.writable;
        self.until("write", gate, &self.write_deadline, || self.connection.try_write(bytes))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.connection.close();
    }
}

impl TcpStream {
    fn new(connection: Arc<Connection>, token: Option<Token>) -> Self {
        let from_outside = connection.end.link.capabilities.from_outside;
        TcpStream(Arc::new(Held {
            connection,
            read_deadline: AtomicU64::new(NEVER),
            write_deadline: AtomicU64::new(NEVER),
            token,
            _outside: from_outside.then(Outside::new),
        }))
    }

    /// Reads what is there, at least a byte; parks until there is something. 0: the peer has shut
    /// its half down, and all was read. Go: `Read`, which then says `io.EOF`.
    pub fn read(&self, into: &mut [u8]) -> Result<usize, Error> {
        self.0.read(into)
    }

    /// Fills `into`. Go: `io.ReadFull`.
    #[doc(alias = "io.ReadFull")]
    pub fn read_exact(&self, mut into: &mut [u8]) -> Result<(), Error> {
        while !into.is_empty() {
            match self.read(into)? {
                0 => return Err(self.0.error("read", ErrorKind::UnexpectedEof)),
                n => into = &mut into[n..],
            }
        }
        Ok(())
    }

    /// Writes as much as there is room for, at least a byte; parks until there is some.
    pub fn write(&self, bytes: &[u8]) -> Result<usize, Error> {
        self.0.write(bytes)
    }

    /// Writes all of it. Go: `Write`.
    pub fn write_all(&self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            bytes = &bytes[self.write(bytes)?..];
        }
        Ok(())
    }

    /// Ready when a read would not park (or would fail, or end). In a select:
    /// `recv(stream.readable())`, called anew each time.
    pub fn readable(&self) -> &Receiver<()> {
        let connection = &self.0.connection;
        connection.refresh();
        connection.end.readable.opened()
    }

    /// Ready when a write would not park (or would fail).
    pub fn writable(&self) -> &Receiver<()> {
        let connection = &self.0.connection;
        connection.refresh();
        connection.end.writable.opened()
    }

    /// Shuts a half down, or both. Go: `CloseRead`, `CloseWrite`.
    #[doc(alias("CloseRead", "CloseWrite"))]
    pub fn shutdown(&self, how: Shutdown) {
        let (reads, writes) = (how != Shutdown::Write, how != Shutdown::Read);
        self.0.connection.shut(reads, writes);
    }

    /// Closes it, whoever else has it: their calls fail. What was written still goes out. Go:
    /// `Close`.
    #[doc(alias = "Close")]
    pub fn close(&self) {
        self.0.connection.close();
    }

    /// Until when reads and writes may wait, those that wait now too. `None`: for ever. Go:
    /// `SetDeadline`.
    #[doc(alias = "SetDeadline")]
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        self.set_read_deadline(deadline);
        self.set_write_deadline(deadline);
    }

    /// Until when reads may wait. Go: `SetReadDeadline`.
    #[doc(alias = "SetReadDeadline")]
    pub fn set_read_deadline(&self, deadline: Option<Instant>) {
        set_deadline(&self.0.read_deadline, deadline);
        self.0.connection.end.readable.open();
    }

    /// Until when writes may wait. Go: `SetWriteDeadline`.
    #[doc(alias = "SetWriteDeadline")]
    pub fn set_write_deadline(&self, deadline: Option<Instant>) {
        set_deadline(&self.0.write_deadline, deadline);
        self.0.connection.end.writable.open();
    }

    /// Whether small writes go out at once (which they do unless told otherwise, as in Go), or wait
    /// while an answer is missing. Go: `SetNoDelay`.
    #[doc(alias = "SetNoDelay")]
    pub fn set_nodelay(&self, at_once: bool) {
        self.0.connection.end.peek(|socket, _| socket.set_nagle_enabled(!at_once));
    }

    /// As [`TcpBuilder::keep_alive`], from here on. Reads and writes fail as at a deadline, if the
    /// peer does not answer; if it knows nothing of the connection, they are reset. Go:
    /// `SetKeepAliveConfig`.
    #[doc(alias = "SetKeepAliveConfig")]
    pub fn set_keepalive(&self, interval: Option<Duration>) {
        self.0.connection.set_keep_alive(interval);
    }

    /// Our end.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.connection.flow.local
    }

    /// The other end.
    pub fn peer_addr(&self) -> SocketAddr {
        self.0.connection.flow.remote
    }

    /// Two halves, for two goroutines. When a half is dropped it is shut down.
    pub fn split(self) -> (ReadHalf, WriteHalf) {
        (ReadHalf(self.clone()), WriteHalf(self))
    }
}

/// The half of a [`TcpStream`] that reads.
pub struct ReadHalf(TcpStream);

/// The half of a [`TcpStream`] that writes. When it is dropped the peer reads to the end.
pub struct WriteHalf(TcpStream);

impl core::ops::Deref for ReadHalf {
    type Target = TcpStream;
    fn deref(&self) -> &TcpStream {
        &self.0
    }
}

impl core::ops::Deref for WriteHalf {
    type Target = TcpStream;
    fn deref(&self) -> &TcpStream {
        &self.0
    }
}

impl Drop for ReadHalf {
    fn drop(&mut self) {
        self.0.shutdown(Shutdown::Read);
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        self.0.shutdown(Shutdown::Write);
    }
}

macro_rules! embedded_io {
    ($($who:ty: $($what:ident)*;)*) => { $(
        impl embedded_io::ErrorType for $who {
            type Error = Error;
        }
        $(embedded_io!(@$what $who);)*
    )* };
    (@Read $who:ty) => {
        impl embedded_io::Read for $who {
            fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
                if into.is_empty() { Ok(0) } else { TcpStream::read(self, into) }
            }
        }
    };
    (@Write $who:ty) => {
        impl embedded_io::Write for $who {
            fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
                TcpStream::write(self, bytes)
            }
            fn flush(&mut self) -> Result<(), Error> {
                Ok(()) // nothing is kept back
            }
        }
    };
}
embedded_io! {
    TcpStream: Read Write;
    &TcpStream: Read Write;
    ReadHalf: Read;
    WriteHalf: Write;
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpStream({}->{})", self.local_addr(), self.peer_addr())
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpListener({})", self.local_addr())
    }
}
