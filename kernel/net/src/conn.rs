//! A TCP connection: an endpoint, and where it is in its life.
//!
//! It is in the table from its first segment on, and until it has ended: then a small entry takes
//! its place, or nothing. Whoever holds a stream keeps the connection itself for as long as there
//! may be something to read.

use crate::endpoint::{Endpoint, Protocol, Why};
use crate::error::ErrorKind;
use crate::frame::{Flow, Numbers, Segment, is_after};
use crate::link::{Driven, Link};
use crate::memory::Buffers;
use crate::param::{ACCEPT, CONNECT, DELAYED_ACK, KEEP_ALIVES, ORPHAN, SEGMENT, SILENCE};
use crate::table::Table;
use alloc::sync::Arc;
use core::mem;
use executive::time::{Duration, Instant};
use executive::trace::message;
use smoltcp::socket::tcp::{RecvError, Socket, State};

/// TCP, as an endpoint's protocol.
pub(crate) struct Tcp;

/// The table of this stack's connections.
pub(crate) type Connections = Table<Connection, dyn Accepts>;

pub(crate) struct Connection {
    pub(crate) end: Endpoint<Tcp>,
    pub(crate) flow: Flow,
    table: Arc<Connections>,
}

/// A listener, as its connections see it.
pub(crate) trait Accepts: Send + Sync {
    /// A SYN has come: its socket, and the buffers of that. `None`: the backlog is full, or memory
    /// is, and the SYN is dropped without a word. The peer will repeat it.
    fn begin(&self, link: &Link) -> Option<(Socket<'static>, Buffers)>;
    /// How its connections ask whether their peers are there.
    fn keep_alive(&self) -> Option<Duration>;
    /// The connection is half open.
    fn begins(&self, connection: &Arc<Connection>);
    /// It can be accepted.
    fn established(&self, connection: Arc<Connection>);
    /// It will not be.
    fn failed(&self);
}

/// Where a connection is in its life.
pub(crate) struct Life {
    stage: Stage,
    /// Why it has ended, or will, unless both have closed it.
    pub(crate) cause: Option<ErrorKind>,
    /// Somebody has a stream.
    held: bool,
    pub(crate) closed: bool,
    read_shut: bool,
    /// Nothing more is written. The socket is to be closed when what was written has arrived.
    write_shut: bool,
    /// The peer's window is.
    window_shut: bool,
    keep_alive: Option<Duration>,
    /// Behind the peer's FIN.
    end: u32,
    /// Those of the socket, which is dropped first.
    buffers: Buffers,
    state: State,
    link: Arc<Link>,
}

enum Stage {
    Connecting,
    Accepting(Arc<dyn Accepts>),
    Open,
    Over,
}

pub(crate) enum After {
    Nothing,
    Established(Arc<dyn Accepts>),
    Failed(Option<Arc<dyn Accepts>>),
    TimeWait(Numbers),
}

impl Protocol for Tcp {
    type Socket = Socket<'static>;
    type Own = Life;
    type After = After;

    fn is_readable(socket: &Socket<'static>, life: &Life) -> bool {
        life.closed
            || match life.stage {
                Stage::Connecting | Stage::Accepting(_) => false,
                Stage::Open | Stage::Over => {
                    life.read_shut || socket.can_recv() || !socket.may_recv()
                }
            }
    }

    fn is_writable(socket: &Socket<'static>, life: &Life) -> bool {
        life.closed
            || match life.stage {
                Stage::Connecting | Stage::Accepting(_) => false,
                Stage::Open | Stage::Over => {
                    life.write_shut || socket.can_send() || !socket.may_send()
                }
            }
    }

    /// When nothing but our FIN is missing, an acknowledgement that does not tell of it says
    /// nothing new. And smoltcp must not see three of them: it would take its timer away to send
    /// again at once, would find no data to send, and would never send the FIN again.
    ///
    /// Data needs memory; without that it is dropped, and the peer will repeat it. What has several
    /// segments in it, which were put together on the way, is answered at once: smoltcp lets the
    /// first frame wait, however long it is, and the peer may be allowed to send no other.
    fn heeds(
        socket: &mut Socket<'static>,
        life: &mut Life,
        numbers: Option<Numbers>,
        segment: &Segment,
        now: Instant,
    ) -> bool {
        let only_fin = matches!(socket.state(), State::FinWait1 | State::Closing | State::LastAck)
            && socket.send_queue() == 0;
        if only_fin
            && segment.is_acknowledgement()
            && numbers.is_some_and(|it| is_after(it.next, segment.acknowledges))
        {
            return false;
        }
        if segment.data() > 0 && socket.ack_delay().is_some() {
            let waits = if segment.data() > SEGMENT { Duration::ZERO } else { DELAYED_ACK };
            socket.set_ack_delay(Some(life.link.span(waits)));
        }
        segment.data() == 0 || life.buffers.will_receive(socket, segment, numbers, now)
    }

    /// A window opens that was shut while something was under way, which the peer may have dropped.
    /// smoltcp's timer to send that again went as the window was shut, and does not come back. The
    /// same acknowledgement three times more makes it send at once (RFC 5681, 3.2).
    fn repeats(life: &mut Life, numbers: Option<Numbers>, segment: &Segment) -> usize {
        let opens = mem::replace(&mut life.window_shut, segment.shuts) && !segment.shuts;
        let under_way = numbers.is_some_and(|it| is_after(it.next, segment.acknowledges));
        if opens && under_way && segment.is_acknowledgement() { 3 } else { 0 }
    }

    fn rest(socket: &Socket<'static>, life: &mut Life) -> Option<Instant> {
        life.buffers.rest(socket)
    }

    fn settle(socket: &mut Socket<'static>, life: &mut Life, numbers: Option<Numbers>) -> After {
        let state = socket.state();
        if matches!(state, State::FinWait1 | State::FinWait2) {
            socket.set_ack_delay(None); // the last answer must go out in the touch that ends it
        }
        let after = life.comes_to(state, numbers);
        // Of the stage that begins: a peer that has answered may be silent.
        socket.set_timeout(life.patience(socket).map(|d| life.link.span(d)));
        after
    }
}

impl Life {
    pub(crate) fn connecting(
        link: Arc<Link>,
        keep_alive: Option<Duration>,
        buffers: Buffers,
    ) -> Self {
        Self::begin(Stage::Connecting, true, link, keep_alive, buffers)
    }

    pub(crate) fn accepting(listener: Arc<dyn Accepts>, link: Arc<Link>, buffers: Buffers) -> Self {
        let keep_alive = listener.keep_alive();
        Self::begin(Stage::Accepting(listener), false, link, keep_alive, buffers)
    }

    fn begin(
        stage: Stage,
        held: bool,
        link: Arc<Link>,
        keep_alive: Option<Duration>,
        buffers: Buffers,
    ) -> Self {
        Life {
            stage,
            cause: None,
            held,
            closed: false,
            read_shut: false,
            write_shut: false,
            window_shut: false,
            keep_alive,
            end: 0,
            buffers,
            state: State::Closed,
            link,
        }
    }

    /// The socket is in this state now.
    fn comes_to(&mut self, state: State, numbers: Option<Numbers>) -> After {
        let was = mem::replace(&mut self.state, state);
        let after = match (&self.stage, state) {
            (Stage::Over, _) => return After::Nothing,
            (Stage::Connecting, State::SynSent | State::SynReceived) => return After::Nothing,
            (Stage::Accepting(_), State::SynReceived) => return After::Nothing,
            (Stage::Accepting(listener), State::Listen | State::Closed) => {
                After::Failed(Some(listener.clone()))
            }
            (_, State::Closed) => {
                // After the last answer there is nothing wrong with that.
                if was != State::LastAck {
                    self.cause.get_or_insert(ErrorKind::TimedOut);
                }
                After::Failed(None)
            }
            (_, State::TimeWait) => {
                let next = numbers.map_or(0, |it| it.next); // it has sent its FIN
                After::TimeWait(Numbers { next, expected: self.end })
            }
            (Stage::Accepting(listener), _) => {
                let listener = listener.clone();
                self.stage = Stage::Open;
                self.held = true;
                return After::Established(listener);
            }
            (Stage::Connecting, _) => {
                self.stage = Stage::Open;
                After::Nothing
            }
            (Stage::Open, _) => return After::Nothing,
        };
        if !matches!(after, After::Nothing) {
            self.stage = Stage::Over;
        }
        after
    }

    /// How long the peer may be silent, in this state.
    fn patience(&self, socket: &Socket<'static>) -> Option<Duration> {
        match (&self.stage, socket.state()) {
            (Stage::Connecting, _) => Some(CONNECT),
            (Stage::Accepting(_), _) => Some(ACCEPT),
            _ if !self.held => Some(ORPHAN),
            (_, State::FinWait1 | State::Closing | State::LastAck) => Some(SILENCE),
            _ if socket.send_queue() > 0 => Some(SILENCE),
            _ => self.keep_alive.map(|interval| interval * (KEEP_ALIVES + 1)),
        }
    }

    /// Nothing more is written: our FIN goes out behind what was.
    ///
    /// If the peer's FIN has come smoltcp, once it is closed (LAST-ACK), looks at no segment that
    /// acknowledges nothing new, not even at one that opens the window. So it is not closed before
    /// all that was written has arrived.
    fn finish(&mut self, socket: &mut Socket<'static>) {
        self.write_shut = socket.state() == State::CloseWait && socket.send_queue() > 0;
        if !self.write_shut {
            socket.close();
        }
    }

    pub(crate) fn is_half_open(&self) -> bool {
        matches!(self.stage, Stage::Accepting(_))
    }

    pub(crate) fn is_connecting(&self) -> bool {
        matches!(self.stage, Stage::Connecting)
    }
}

/// What [`Connection::try_read`] and its like have come to. `None`: nothing yet.
pub(crate) type Now<T> = Option<Result<T, ErrorKind>>;

impl Connection {
    pub(crate) fn new(
        mut socket: Socket<'static>,
        flow: Flow,
        life: Life,
        table: Arc<Connections>,
    ) -> Arc<Self> {
        // It counts from the SYN on.
        socket.set_keep_alive(life.keep_alive.map(|d| life.link.span(d)));
        let end = Endpoint::new(life.link.clone(), socket, life);
        Arc::new(Connection { end, flow, table })
    }

    /// Something happens; what that leads to elsewhere is done.
    pub(crate) fn touch<R>(
        self: &Arc<Self>,
        why: Why<'_>,
        act: impl FnOnce(&mut Socket<'static>, &mut Life, &mut crate::endpoint::Context) -> R,
    ) -> R {
        let (result, after) = self.end.touch(self, why, act);
        let port = self.flow.local.port().into();
        match after {
            After::Nothing => {}
            After::Established(listener) => {
                message(&"tcp: accepted, our port", port);
                listener.established(self.clone());
            }
            After::Failed(listener) => {
                message(&"tcp: over, our port", port);
                self.table.remove(&self.flow, self);
                listener.inspect(|listener| listener.failed());
            }
            After::TimeWait(numbers) => {
                message(&"tcp: closed, our port", port);
                self.table.ends(&self.flow, self, numbers);
            }
        }
        result
    }

    /// What a SYN is answered by (RFC 9293, 3.10.7.4): `None` if this is not so far that its peer
    /// knows it. smoltcp would not answer, and a peer that has forgotten the connection and calls
    /// again would never learn why nobody answers.
    pub(crate) fn challenge(&self) -> Option<Numbers> {
        let known = |state| {
            use State::{Closed, Listen, SynReceived, SynSent, TimeWait};
            !matches!(state, Closed | Listen | SynReceived | SynSent | TimeWait)
        };
        let known = self.end.peek(|socket, _| known(socket.state()));
        known.then(|| self.end.numbers()).flatten()
    }

    /// A segment has come for it.
    pub(crate) fn input(self: &Arc<Self>, frame: &[u8], segment: &Segment) {
        self.touch(Why::Segment(frame, segment), |socket, life, _| {
            if segment.fin {
                life.end = segment.end;
            }
            // The SYN that the socket has taken.
            if segment.syn
                && !matches!(socket.state(), State::Closed | State::Listen | State::SynSent)
            {
                life.buffers.begin(segment.sequence.wrapping_add(1));
            }
            if socket.state() == State::Closed && segment.rst {
                let refused = matches!(life.stage, Stage::Connecting);
                life.cause.get_or_insert(match refused {
                    true => ErrorKind::ConnectionRefused,
                    false => ErrorKind::ConnectionReset,
                });
            }
            if life.write_shut {
                life.finish(socket);
            }
            // Nobody will read that: the peer is told (RFC 1122, 4.2.2.13).
            if !life.held && life.closed && socket.can_recv() {
                socket.abort();
            }
        });
    }

    pub(crate) fn try_read(self: &Arc<Self>, into: &mut [u8]) -> Now<usize> {
        // The peer is told of room that comes of it if that doubles what it knows of. So nothing is
        // to be sent while it knows of half the buffer; and a read sets no timer.
        let quick = self.end.peek(|socket, life| {
            let quick = 2 * socket.recv_queue() < socket.recv_capacity();
            let now = quick.then(|| self.read(socket, life, into))?;
            if Tcp::is_readable(socket, life) {
                self.end.readable.open();
            }
            Some(now)
        });
        quick.unwrap_or_else(|| {
            self.touch(Why::Call, |socket, life, _| self.read(socket, life, into))
        })
    }

    fn read(&self, socket: &mut Socket<'static>, life: &mut Life, into: &mut [u8]) -> Now<usize> {
        if life.closed {
            return Some(Err(ErrorKind::Closed));
        }
        if life.read_shut {
            return Some(Ok(0));
        }
        match socket.recv_slice(into) {
            Ok(0) if !into.is_empty() => {
                self.end.readable.shut();
                None
            }
            Ok(read) => {
                life.buffers.was_read(read);
                Some(Ok(read))
            }
            Err(RecvError::Finished) => Some(Ok(0)),
            Err(RecvError::InvalidState) => Some(life.cause.map_or(Ok(0), Err)),
        }
    }

    pub(crate) fn try_write(self: &Arc<Self>, bytes: &[u8]) -> Now<usize> {
        self.touch(Why::Call, |socket, life, _| {
            if life.closed {
                return Some(Err(ErrorKind::Closed));
            }
            if life.write_shut {
                return Some(Err(ErrorKind::BrokenPipe));
            }
            if socket.can_send() && !life.buffers.will_send() {
                return Some(Err(ErrorKind::OutOfMemory));
            }
            match socket.send_slice(bytes) {
                Ok(0) if !bytes.is_empty() => {
                    self.end.writable.shut();
                    None
                }
                Ok(sent) => Some(Ok(sent)),
                Err(_) => Some(Err(life.cause.unwrap_or(ErrorKind::BrokenPipe))),
            }
        })
    }

    /// Opens and shuts the gates as they should be now.
    pub(crate) fn refresh(&self) {
        self.end.refresh();
    }

    /// Nothing more is read, or written, or both.
    pub(crate) fn shut(self: &Arc<Self>, reads: bool, writes: bool) {
        self.touch(Why::Call, |socket, life, _| {
            life.read_shut |= reads;
            if writes {
                life.finish(socket);
            }
        });
    }

    /// Nobody uses it any more. What was written still goes out; if something was not read the peer
    /// is told that it is lost.
    pub(crate) fn close(self: &Arc<Self>) {
        self.touch(Why::Call, |socket, life, _| {
            life.closed = true;
            life.held = false;
            // Whether the peer is there is of no use, and its answers would keep it for ever.
            socket.set_keep_alive(None);
            if socket.can_recv() || life.is_connecting() {
                life.cause.get_or_insert(ErrorKind::Closed);
                socket.abort();
            } else {
                life.finish(socket);
            }
        });
    }

    /// It ends at once, and the peer is told.
    pub(crate) fn abort(self: &Arc<Self>, cause: ErrorKind) {
        self.touch(Why::Call, |socket, life, _| {
            life.cause.get_or_insert(cause);
            socket.abort();
        });
    }

    /// Asks the peer after this time without a word whether it is there.
    pub(crate) fn set_keep_alive(self: &Arc<Self>, interval: Option<Duration>) {
        self.touch(Why::Call, |socket, life, _| {
            life.keep_alive = interval;
            socket.set_keep_alive(interval.map(|d| life.link.span(d)));
        });
    }
}

impl Driven for Connection {
    fn drive(self: Arc<Self>) {
        self.touch(Why::Time, |_, _, _| ());
    }
}
