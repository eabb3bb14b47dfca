//! Is it there? ICMP echo.

use crate::endpoint::{Endpoint, Protocol, Why, Woken, buffer};
use crate::error::{Error, ErrorKind};
use crate::frame::Numbers;
use crate::link::{Driven, Link};
use crate::stack::Stack;
use crate::state::{Hears, State};
use alloc::sync::Arc;
use alloc::vec;
use core::net::{IpAddr, SocketAddr};
use executive::foreign::Outside;
use executive::time::{Duration, Instant};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::icmp::{Endpoint as Ident, PacketBuffer, PacketMetadata, Socket};
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr};

/// ICMP, as an endpoint's protocol.
struct Icmp;

impl Protocol for Icmp {
    type Socket = Socket<'static>;
    type Own = ();
    type After = ();

    fn is_readable(socket: &Socket<'static>, _: &()) -> bool {
        socket.can_recv()
    }

    fn is_writable(socket: &Socket<'static>, _: &()) -> bool {
        socket.can_send()
    }

    fn settle(_: &mut Socket<'static>, _: &mut (), _: Option<Numbers>) {}
}

struct Ping(Endpoint<Icmp>);

impl Driven for Ping {
    fn drive(self: Arc<Self>) {
        self.0.touch(&self, Why::Time, |_, _, _| ());
    }
}

impl Hears for Ping {
    fn hear(self: Arc<Self>, link: &Arc<Link>, frame: &[u8]) -> bool {
        // All pings of this link hear it: smoltcp keeps what has this one's number.
        let ours = Arc::ptr_eq(link, &self.0.link);
        if ours {
            self.0.touch(&self, Why::Frame(frame), |_, _, _| ());
        }
        ours
    }
}

/// While it lives, answers come to this ping.
struct Waiting<'a> {
    state: &'a State,
    ping: Arc<dyn Hears>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.state.pings.lock().retain(|it| !Arc::ptr_eq(it, &self.ping));
    }
}

impl Stack {
    /// Asks whether somebody has this address, and tells how long the answer took; parks until it
    /// comes, or for so long.
    pub fn ping(&self, to: IpAddr, patience: Duration) -> Result<Duration, Error> {
        let state = &*self.0;
        let remote = Some(SocketAddr::new(to, 0));
        let told = |kind| Error { op: "ping", net: "ip", local: None, remote, kind };
        let (link, source) = state.route(to).map_err(told)?;
        let ident = state.random.next() as u16;
        let packets =
            || PacketBuffer::new(vec![PacketMetadata::EMPTY; PACKETS], buffer(PACKETS * BYTES));
        let mut socket = Socket::new(packets(), packets());
        let _ = socket.bind(Ident::Ident(ident)); // it is new
        let _outside = link.capabilities.from_outside.then(Outside::new);
        let ping = Arc::new(Ping(Endpoint::new(link, socket, ())));
        let waiting = Waiting { state, ping: ping.clone() };
        state.pings.lock().push(waiting.ping.clone());

        let begun = Instant::now();
        let deadline = begun + patience;
        ping.0.touch(&ping, Why::Call, |socket, (), _| ask(socket, source, to, ident));
        while !ping.0.peek(|socket, ()| socket.recv().is_ok_and(|(_, from)| from == to.into())) {
            if ping.0.readable.wait(Some(deadline), None) != Woken::Opened {
                return Err(told(ErrorKind::TimedOut));
            }
        }
        Ok(begun.elapsed())
    }
}

/// Packets that a ping keeps ..
const PACKETS: usize = 4;

/// .. and bytes of each.
const BYTES: usize = 64;

/// What is asked, and comes back.
const DATA: &[u8] = &[0x55; 32];

fn ask(socket: &mut Socket<'static>, from: IpAddr, to: IpAddr, ident: u16) {
    let checksums = ChecksumCapabilities::default();
    let length = 8 + DATA.len();
    let Ok(bytes) = socket.send(length, to.into()) else { return };
    match (from, to) {
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let request = Icmpv6Repr::EchoRequest { ident, seq_no: 0, data: DATA };
            request.emit(&from, &to, &mut Icmpv6Packet::new_unchecked(bytes), &checksums);
        }
        _ => {
            let request = Icmpv4Repr::EchoRequest { ident, seq_no: 0, data: DATA };
            request.emit(&mut Icmpv4Packet::new_unchecked(bytes), &checksums);
        }
    }
}
