//! UDP for goroutines: [`UdpSocket`].

use crate::addr::ToAddr;
use crate::endpoint::{Context, Endpoint, Gate, Protocol, Why, Woken, buffer};
use crate::error::{Error, ErrorKind};
use crate::frame::Numbers;
use crate::link::{Driven, Link};
use crate::memory::Charge;
use crate::param::{DATAGRAMS, UDP_BUFFER};
use crate::stack::Stack;
use crate::state::{Hears, State};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use executive::cancel::Token;
use executive::chan::Receiver;
use executive::foreign::Outside;
use executive::time::{Duration, Instant};
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, RecvError, SendError, Socket};
use smoltcp::wire::IpListenEndpoint;

/// UDP, as an endpoint's protocol.
struct Udp;

impl Protocol for Udp {
    type Socket = Socket<'static>;
    type Own = Own;
    type After = ();

    fn is_readable(socket: &Socket<'static>, own: &Own) -> bool {
        own.closed || socket.can_recv()
    }

    fn is_writable(socket: &Socket<'static>, own: &Own) -> bool {
        own.closed || socket.can_send()
    }

    /// What cannot be sent, because its neighbour does not answer, is dropped after a while: or
    /// it would be in the way of all others for ever, and whoever can make us answer to an address
    /// that nobody has could stop us.
    fn settle(socket: &mut Socket<'static>, own: &mut Own, _: Option<Numbers>) {
        let sent = own.queued - socket.send_queue() as u64;
        let now = Instant::now();
        let is_idle = socket.send_queue() == 0 && socket.can_send();
        if is_idle || sent != own.sent {
            (own.sent, own.since) = (sent, now);
        } else if now >= own.since + PATIENCE {
            let at = socket.endpoint();
            socket.close();
            let _ = socket.bind(at); // it was bound so
            (own.queued, own.sent, own.since) = (0, 0, now);
        }
    }
}

/// What else is under the lock of a socket.
struct Own {
    closed: bool,
    /// Bytes that were put into smoltcp's queue, and those that have left it.
    queued: u64,
    sent: u64,
    /// When the last ones did.
    since: Instant,
}

impl Own {
    fn new() -> Self {
        Own { closed: false, queued: 0, sent: 0, since: Instant::now() }
    }
}

/// A datagram waits so long for its neighbour's hardware address. Linux: three seconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a socket has of one link: it sends, or it receives. So what is dropped of one is not
/// dropped of the other.
struct End(Endpoint<Udp>);

impl End {
    fn touch<R>(
        self: &Arc<Self>,
        why: Why<'_>,
        act: impl FnOnce(&mut Socket<'static>, &mut Own, &mut Context) -> R,
    ) -> R {
        self.0.touch(self, why, act).0
    }
}

impl Driven for End {
    fn drive(self: Arc<Self>) {
        self.touch(Why::Time, |_, _, _| ());
    }
}

/// Sends and receives datagrams. A clone is the same socket, which is closed when the last one is
/// dropped. It uses the interfaces that the stack had when it was bound. Go: `net.UDPConn`.
#[doc(alias = "net.UDPConn")]
#[derive(Clone)]
pub struct UdpSocket(Arc<Held>);

struct Held {
    state: Arc<State>,
    at: SocketAddr,
    ends: Arc<Ends>,
    senders: Vec<Arc<End>>,
    readable: Arc<Gate>,
    writable: Arc<Gate>,
    read_deadline: AtomicU64,
    token: Option<Token>,
    _charge: Charge,
    _outside: Option<Outside>,
}

/// What a socket can keep, in each direction and for each interface.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) datagrams: usize,
    pub(crate) bytes: usize,
}

struct Ends(Vec<Arc<End>>);

impl Hears for Ends {
    fn hear(self: Arc<Self>, link: &Arc<Link>, frame: &[u8]) -> bool {
        let end = self.0.iter().find(|end| Arc::ptr_eq(&end.0.link, link));
        end.inspect(|end| end.touch(Why::Frame(frame), |_, _, _| ())).is_some()
    }
}

impl Stack {
    /// A socket at this address: of an interface, or `0.0.0.0` or `[::]` for all. Port 0: any that
    /// is free. Go: `net.ListenUDP`.
    #[doc(alias = "net.ListenUDP")]
    pub fn bind_udp(&self, at: impl ToAddr) -> Result<UdpSocket, Error> {
        self.bind_udp_until(at, None)
    }

    /// As [`bind_udp`](Self::bind_udp); the token ends all that waits.
    pub fn bind_udp_until(
        &self,
        at: impl ToAddr,
        token: Option<&Token>,
    ) -> Result<UdpSocket, Error> {
        let room = Room { datagrams: DATAGRAMS, bytes: UDP_BUFFER };
        self.bind_udp_with(at, token, room)
    }

    /// As [`bind_udp_until`](Self::bind_udp_until), with buffers of this size.
    pub(crate) fn bind_udp_with(
        &self,
        at: impl ToAddr,
        token: Option<&Token>,
        room: Room,
    ) -> Result<UdpSocket, Error> {
        let error = |local, kind| Error { op: "listen", net: "udp", local, remote: None, kind };
        let at = at.to_addr().map_err(|kind| error(None, kind))?;
        let told = |kind| error(Some(at), kind);
        let state = &self.0;
        let links: Vec<_> = state.links.lock().clone();
        let links = links.into_iter().filter(|link| at.ip().is_unspecified() || link.has(at.ip()));
        let links: Vec<_> = links.collect();
        if links.is_empty() {
            return Err(told(ErrorKind::AddrNotAvailable));
        }
        let charge = state.memory.charge(2 * room.bytes * links.len());
        let charge = charge.ok_or(told(ErrorKind::OutOfMemory))?;
        let from_outside = links.iter().any(|link| link.capabilities.from_outside);
        let (readable, writable) = (Gate::new(), Gate::new());
        let end = |link: &Arc<Link>, at: SocketAddr, receives: bool| {
            let packets = |is_used: bool| {
                let many = if is_used { room.datagrams } else { 0 };
                let bytes = if is_used { room.bytes } else { 0 };
                PacketBuffer::new(vec![PacketMetadata::EMPTY; many], buffer(bytes))
            };
            let mut socket = Socket::new(packets(receives), packets(!receives));
            let addr = Some(at.ip()).filter(|ip| !ip.is_unspecified()).map(Into::into);
            let _ = socket.bind(IpListenEndpoint { addr, port: at.port() }); // it is new
            let (readable, writable) = (readable.clone(), writable.clone());
            let own = Own::new();
            Arc::new(End(Endpoint::with_gates(link.clone(), socket, own, readable, writable)))
        };
        let bind = |port| {
            let at = SocketAddr::new(at.ip(), port);
            let ends = Arc::new(Ends(links.iter().map(|link| end(link, at, true)).collect()));
            state.ports.bind(at, ends.clone()).then_some((at, ends))
        };
        let bound = match at.port() {
            0 => state.with_port(bind).ok_or(ErrorKind::AddrNotAvailable),
            port => bind(port).ok_or(ErrorKind::AddrInUse),
        };
        let (at, ends) = bound.map_err(told)?;
        let senders = links.iter().map(|link| end(link, at, false)).collect();
        Ok(UdpSocket(Arc::new(Held {
            state: state.clone(),
            at,
            ends,
            senders,
            readable,
            writable,
            read_deadline: AtomicU64::new(u64::MAX),
            token: token.cloned(),
            _charge: charge,
            _outside: from_outside.then(Outside::new),
        })))
    }
}

impl UdpSocket {
    /// As [`Stack::bind_udp`], on the [default](Stack::make_default) stack.
    pub fn bind(at: impl ToAddr) -> Result<UdpSocket, Error> {
        let (op, net) = ("listen", "udp");
        let none = |kind| Error { op, net, local: None, remote: None, kind };
        Stack::get_default().map_err(none)?.bind_udp(at)
    }

    fn error(&self, op: &'static str, remote: Option<SocketAddr>, kind: ErrorKind) -> Error {
        Error { op, net: "udp", local: Some(self.0.at), remote, kind }
    }

    /// Receives a datagram: its length, and who has sent it; parks until there is one. What does
    /// not fit into `into` is lost. Go: `ReadFrom`.
    #[doc(alias = "ReadFrom")]
    pub fn recv_from(&self, into: &mut [u8]) -> Result<(usize, SocketAddr), Error> {
        let held = &*self.0;
        loop {
            let deadline = Some(held.read_deadline.load(Relaxed)).filter(|ns| *ns != u64::MAX);
            let deadline = deadline.map(Instant::from_nanos);
            if deadline.is_some_and(|at| at <= Instant::now()) {
                held.readable.open();
                return Err(self.error("read", None, ErrorKind::TimedOut));
            }
            held.readable.shut();
            for end in &held.ends.0 {
                let received = end.touch(Why::Call, |socket, own, _| {
                    if own.closed {
                        return Some(Err(ErrorKind::Closed));
                    }
                    match socket.recv_slice(into) {
                        Ok((length, from)) => Some(Ok((length, from.endpoint))),
                        Err(RecvError::Exhausted) => None,
                        Err(RecvError::Truncated) => Some(Err(ErrorKind::MessageTooLong)),
                    }
                });
                match received {
                    None => {}
                    Some(Ok((length, from))) => return Ok((length, SocketAddr::from(from))),
                    Some(Err(kind)) => return Err(self.error("read", None, kind)),
                }
            }
            match held.readable.wait(deadline, held.token.as_ref()) {
                Woken::Cancelled => return Err(self.error("read", None, ErrorKind::Cancelled)),
                Woken::Opened | Woken::Late => {}
            }
        }
    }

    /// Sends a datagram; parks while there is no room. Go: `WriteTo`.
    #[doc(alias = "WriteTo")]
    pub fn send_to(&self, bytes: &[u8], to: impl ToAddr) -> Result<usize, Error> {
        let to = to.to_addr().map_err(|kind| self.error("write", None, kind))?;
        let told = |kind| self.error("write", Some(to), kind);
        let held = &*self.0;
        if held.at.is_ipv4() != to.is_ipv4() {
            return Err(told(ErrorKind::NetworkUnreachable)); // from there
        }
        let (link, source) = held.state.route(to.ip()).map_err(told)?;
        let end = held.senders.iter().find(|end| Arc::ptr_eq(&end.0.link, &link));
        let end = end.ok_or(told(ErrorKind::NetworkUnreachable))?;
        if bytes.len() > UDP_BUFFER || bytes.len() + HEADERS > link.capabilities.mtu {
            return Err(told(ErrorKind::MessageTooLong)); // packets are not cut
        }
        loop {
            held.writable.shut();
            let sent = end.touch(Why::Call, |socket, own, _| {
                if own.closed {
                    return Some(Err(ErrorKind::Closed));
                }
                let mut meta = smoltcp::socket::udp::UdpMetadata::from(to);
                if held.at.ip().is_unspecified() {
                    meta.local_address = Some(source.into());
                }
                match socket.send_slice(bytes, meta) {
                    Ok(()) => {
                        own.queued += bytes.len() as u64;
                        Some(Ok(bytes.len()))
                    }
                    Err(SendError::BufferFull) => None,
                    Err(SendError::Unaddressable) => Some(Err(ErrorKind::AddrNotAvailable)),
                }
            });
            match sent {
                Some(sent) => return sent.map_err(told),
                None => match held.writable.wait(None, held.token.as_ref()) {
                    Woken::Cancelled => return Err(told(ErrorKind::Cancelled)),
                    Woken::Opened | Woken::Late => {}
                },
            }
        }
    }

    /// Ready when [`recv_from`](Self::recv_from) would not park. In a select:
    /// `recv(socket.readable())`, called anew each time.
    pub fn readable(&self) -> &Receiver<()> {
        let held = &*self.0;
        held.readable.shut();
        for end in &held.ends.0 {
            end.touch(Why::Call, |_, _, _| ());
        }
        held.readable.opened()
    }

    /// Until when [`recv_from`](Self::recv_from) may wait, one that waits now too. Go:
    /// `SetReadDeadline`.
    #[doc(alias = "SetReadDeadline")]
    pub fn set_read_deadline(&self, deadline: Option<Instant>) {
        // Relaxed: the gate, which is opened afterwards, tells.
        self.0.read_deadline.store(deadline.map_or(u64::MAX, Instant::as_nanos), Relaxed);
        self.0.readable.open();
    }

    /// Closes it, whoever else has it: their calls fail. Go: `Close`.
    #[doc(alias = "Close")]
    pub fn close(&self) {
        self.0.close();
    }

    /// Where it is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.at
    }
}

impl Held {
    fn close(&self) {
        self.state.ports.unbind(self.at, &(self.ends.clone() as Arc<dyn Hears>));
        for end in self.ends.0.iter().chain(&self.senders) {
            end.touch(Why::Call, |_, own, _| own.closed = true);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.close();
    }
}

/// Bytes of IPv6's and UDP's headers.
const HEADERS: usize = 40 + 8;

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UdpSocket({})", self.local_addr())
    }
}
