//! Addresses that an interface is given: of IPv4 by a DHCP server, of IPv6 by routers (SLAAC).
//!
//! For each there is a goroutine of the system, with a smoltcp `Interface` of its own: its clock
//! goes right, where TCP's goes too fast, and it locks nothing while it waits. It is handed the
//! frames that it cares for (`Link::tell`), and what it learns it writes into the interfaces that
//! connections use.

use crate::endpoint::{Woken, receive};
use crate::link::{Care, Kept, now_for};
use crate::param::{KEPT_FRAMES, TCP_CLOCK};
use crate::stack::Interface;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;
use executive::chan::Receiver;
use executive::time::Instant;
use executive::{Builder, chan};
use smoltcp::iface::{self, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::dhcpv4;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};

/// What has become of an address that an interface was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// The interface has it, in a network of so many bits.
    Added(IpAddr, u8),
    /// It has it no more: the lease is over, or the server or the router has said so. Connections
    /// of this address end.
    Lost(IpAddr),
}

impl Interface {
    /// Gets an IPv4 address, a gateway and name servers from a DHCP server (RFC 2131) and keeps
    /// them, until [`fixed`](Self::fixed) is called. `tell` is called when an address comes or
    /// goes. Name servers are used if the stack's configuration names none. Does nothing on an
    /// interface without Ethernet, or if this is done already. Starts a goroutine, and so panics if
    /// there is no memory for one.
    ///
    /// The lease is renewed when half of it is over. If its server is silent any server may renew
    /// it, from seven eighths on; if none does it is lost, and they are asked for a new one.
    pub fn dhcp(&self, tell: impl FnMut(Change) + Send + 'static) {
        let own = self.clone();
        self.keep(Care::Lease, "dhcp", move |frames, address| {
            let mut client = Client::new(own, address, tell);
            client.serve(&frames);
        });
    }

    /// Makes an IPv6 address for each network that a router announces (RFC 4862), and uses that
    /// router, until [`fixed`](Self::fixed) is called. The interface also has an address that needs
    /// no router, in `fe80::/64`. The lower half of all of them is made of the Ethernet address.
    /// Nobody is asked whether another machine has the address already. Otherwise as
    /// [`dhcp`](Self::dhcp).
    pub fn slaac(&self, tell: impl FnMut(Change) + Send + 'static) {
        let own = self.clone();
        self.keep(Care::Routers, "slaac", move |frames, address| {
            let mut listener = Listener::new(own, address, tell);
            listener.serve(&frames);
        });
    }

    /// Ends [`dhcp`](Self::dhcp) and [`slaac`](Self::slaac), and takes away what they have given.
    pub fn fixed(&self) {
        for kept in self.link.release() {
            drop(kept.to);
            kept.done.join();
        }
    }

    fn keep(
        &self,
        care: Care,
        name: &'static str,
        serve: impl FnOnce(Receiver<Box<[u8]>>, [u8; 6]) + Send + 'static,
    ) {
        let Some(address) = self.hardware_address() else { return };
        if self.link.is_kept(care) {
            return;
        }
        let (to, frames) = chan(KEPT_FRAMES);
        // It begins when what comes for it finds it: a frame without bytes says so.
        let begin = to.clone();
        let keeper = move || {
            if frames.recv().is_some() {
                serve(frames, address);
            }
        };
        match Builder::new().system(name).spawn(keeper) {
            Ok(done) => {
                self.link.keep(Kept { care, to, done });
                let _ = begin.try_send(Box::new([])); // there is room
            }
            Err(why) => panic!("net: no goroutine for {name}: {why:?}"),
        }
    }
}

/// What both have: an `Interface` with a clock that goes right.
struct Keeper<F> {
    own: Interface,
    interface: iface::Interface,
    sockets: SocketSet<'static>,
    clock: u32,
    /// When it was looked after last.
    now: smoltcp::time::Instant,
    tell: F,
}

impl<F: FnMut(Change)> Keeper<F> {
    fn new(own: Interface, address: [u8; 6], slaac: bool, tell: F) -> Self {
        // For tests, in which TCP's clock goes faster than usual, this one does.
        let clock = (own.state.config.clock / TCP_CLOCK).max(1);
        let hardware = HardwareAddress::Ethernet(EthernetAddress(address));
        let mut config = iface::Config::new(hardware);
        config.random_seed = own.state.random.next();
        config.slaac = slaac;
        let now = now_for(clock);
        let interface = iface::Interface::new(config, &mut own.link.port(None), now);
        Keeper { own, interface, sockets: SocketSet::new(vec![]), clock, now, tell }
    }

    /// Takes a frame in, if there is one, and sends what is to be sent: so many frames.
    fn poll(&mut self, frame: Option<&[u8]>) -> u32 {
        let link = &*self.own.link;
        let now = now_for(self.clock);
        self.now = now;
        let mut port = link.port(frame);
        if frame.is_some() {
            port.mute = true; // questions for neighbours are answered elsewhere
            self.interface.poll_ingress_single(now, &mut port, &mut self.sockets);
            port.mute = false;
        }
        self.interface.poll_maintenance(now);
        while self.interface.poll_egress(now, &mut port, &mut self.sockets) != PollResult::None {}
        link.here().counts.add(&port);
        port.sent
    }

    /// When a socket has something to do, if no frame comes. What could not be done now is tried
    /// again.
    fn due(&mut self) -> Option<Instant> {
        // By a later clock something might be over, and not be told of.
        let now = self.now;
        let at = self.interface.poll_at(now, &self.sockets)?;
        if at <= now {
            return Some(Instant::now() + SOON);
        }
        let micros = (at - now).total_micros() / u64::from(self.clock);
        Some(Instant::now() + Duration::from_micros(micros))
    }

    fn add(&mut self, address: IpAddr, bits: u8) {
        self.own.add_address(address, bits);
        (self.tell)(Change::Added(address, bits));
    }

    fn lose(&mut self, address: IpAddr) {
        self.own.remove_address(address);
        (self.tell)(Change::Lost(address));
    }
}

/// The next frame. `Err`: it is over. `Ok(None)`: it is time for something.
fn next(frames: &Receiver<Box<[u8]>>, due: Option<Instant>) -> Result<Option<Box<[u8]>>, ()> {
    match receive(frames, due, None) {
        Ok(Some(frame)) => Ok(Some(frame)),
        Err(Woken::Late) => Ok(None),
        Ok(None) | Err(_) => Err(()),
    }
}

/// What could not be sent for want of room is tried again after this time.
const SOON: Duration = Duration::from_millis(10);

/// A DHCP client.
struct Client<F> {
    keeper: Keeper<F>,
    socket: SocketHandle,
    /// The lease, and what came with it.
    has: Option<Lease>,
}

struct Lease {
    address: IpCidr,
    name_servers: Vec<IpAddr>,
}

impl<F: FnMut(Change)> Client<F> {
    fn new(own: Interface, address: [u8; 6], tell: F) -> Self {
        let mut keeper = Keeper::new(own, address, false, tell);
        let mut socket = dhcpv4::Socket::new();
        let mut retries = socket.get_retry_config();
        retries.discover_timeout = DISCOVER;
        retries.initial_request_timeout = REQUEST;
        socket.set_retry_config(retries);
        let socket = keeper.sockets.add(socket);
        Client { keeper, socket, has: None }
    }

    fn serve(&mut self, frames: &Receiver<Box<[u8]>>) {
        let mut frame = None;
        loop {
            self.keeper.poll(frame.as_deref());
            self.settle();
            match next(frames, self.keeper.due()) {
                Ok(came) => frame = came,
                Err(()) => return self.lose(),
            }
        }
    }

    /// What the server has said is written where it is used.
    fn settle(&mut self) {
        let event = self.keeper.sockets.get_mut::<dhcpv4::Socket<'_>>(self.socket).poll();
        let config = match event {
            None => return,
            Some(dhcpv4::Event::Deconfigured) => return self.lose(),
            Some(dhcpv4::Event::Configured(config)) => config,
        };
        let address = IpCidr::Ipv4(config.address);
        let router = config.router;
        let name_servers: Vec<_> = config.dns_servers.iter().map(|&server| server.into()).collect();
        let is_new = self.has.as_ref().is_none_or(|had| had.address != address);
        if is_new {
            self.lose();
            self.keeper.interface.update_ip_addrs(|all| _ = all.push(address));
        }
        let own = &self.keeper.own;
        let routes = self.keeper.interface.routes_mut();
        match router {
            Some(router) => {
                let _ = routes.add_default_ipv4_route(router); // there is room for one
                own.set_gateway(router.into());
            }
            None => {
                routes.remove_default_ipv4_route();
                own.remove_gateway(true);
            }
        }
        let old = self.has.take().map_or(Vec::new(), |had| had.name_servers);
        own.state.learn_name_servers(&old, &name_servers);
        self.has = Some(Lease { address, name_servers });
        if is_new {
            self.keeper.add(address.address().into(), address.prefix_len());
        }
    }

    fn lose(&mut self) {
        let Some(had) = self.has.take() else { return };
        self.keeper.interface.update_ip_addrs(|all| all.clear());
        self.keeper.interface.routes_mut().remove_default_ipv4_route();
        self.keeper.own.remove_gateway(true);
        self.keeper.own.state.learn_name_servers(&had.name_servers, &[]);
        self.keeper.lose(had.address.address().into());
    }
}

/// From a question for servers to the next one ..
const DISCOVER: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(4);

/// .. and from a request for a lease to the second one. Both: RFC 2131, 4.1.
const REQUEST: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(4);

/// Who listens to routers.
struct Listener<F> {
    keeper: Keeper<F>,
    has: Vec<IpCidr>,
    /// The one that is used.
    router: Option<IpAddr>,
    /// Routers were asked so often.
    asked: u32,
}

impl<F: FnMut(Change)> Listener<F> {
    fn new(own: Interface, address: [u8; 6], tell: F) -> Self {
        let mut keeper = Keeper::new(own, address, true, tell);
        let local = IpCidr::new(IpAddress::Ipv6(link_local(address)), 64);
        keeper.interface.update_ip_addrs(|all| _ = all.push(local));
        Listener { keeper, has: vec![], router: None, asked: 0 }
    }

    fn serve(&mut self, frames: &Receiver<Box<[u8]>>) {
        let mut frame = None;
        loop {
            self.asked += self.keeper.poll(frame.as_deref());
            self.settle();
            // (The first address needs no router.)
            let waits = self.asked < SOLICITATIONS || self.has.len() > 1 || self.router.is_some();
            let due = waits.then(|| Instant::now() + LOOKS / self.keeper.clock);
            match next(frames, due) {
                Ok(came) => frame = came,
                Err(()) => return self.lose_all(),
            }
        }
    }

    fn settle(&mut self) {
        let now: Vec<IpCidr> = self.keeper.interface.ip_addrs().to_vec();
        for gone in self.has.clone().into_iter().filter(|had| !now.contains(had)) {
            self.keeper.lose(gone.address().into());
        }
        for new in now.iter().filter(|new| !self.has.contains(new)) {
            self.keeper.add(new.address().into(), new.prefix_len());
        }
        self.has = now;
        let route = self.keeper.interface.routes().get_default_ipv6_route();
        let router = route.map(|route| IpAddr::from(route.via_router));
        if router != core::mem::replace(&mut self.router, router) {
            match router {
                Some(router) => self.keeper.own.set_gateway(router),
                None => self.keeper.own.remove_gateway(false),
            }
        }
    }

    fn lose_all(&mut self) {
        for had in core::mem::take(&mut self.has) {
            self.keeper.lose(had.address().into());
        }
        self.keeper.own.remove_gateway(false);
    }
}

/// How often it is looked whether routers are to be asked again, or what they have said is over.
/// smoltcp 0.14 does not tell when: its `poll_at` takes the lesser of two options, and `None`,
/// which is what no socket says, is less than any time.
const LOOKS: Duration = Duration::from_secs(1);

/// smoltcp asks routers so often (RFC 4861: `MAX_RTR_SOLICITATIONS`).
const SOLICITATIONS: u32 = 3;

/// The address that needs no router: its lower half is the Ethernet address, widened (EUI-64).
fn link_local([a, b, c, d, e, f]: [u8; 6]) -> Ipv6Addr {
    let pair = |high, low| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(0xfe80, 0, 0, 0, pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, f))
}
