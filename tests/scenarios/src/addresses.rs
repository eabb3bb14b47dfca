//! Where addresses come from, of our own interfaces and of others' names: what `net` promises, on
//! every machine. The servers are played here.

use crate::help::{MS, WaitReason, until, until_waits};
use crate::network::{Pair, SERVER, SERVER6, config, tell_address};
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use executive::cancel::Token;
use executive::chan::Receiver;
use executive::sync::Mutex;
use executive::time::Instant;
use executive::{JoinHandle, chan, go, select};
use net::wire::{Faults, Wire, WireEnd};
use net::{Change, Config, Device, ErrorKind, Interface, Stack};

const fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

/// Where a frame's parts begin.
const IP: usize = 14;
const UDP: usize = IP + 20;
const BOOTP: usize = UDP + 8;
const OPTIONS: usize = BOOTP + 240;

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;

/// What the DHCP server does.
#[derive(Clone, Copy)]
struct Rules {
    gives: Ipv4Addr,
    silent: bool,
    /// It hears only what is for everybody.
    deaf: bool,
    /// It refuses to renew a lease of any other address.
    strict: bool,
}

#[derive(Default)]
struct Heard {
    discovers: usize,
    renewals: usize,
    rebinds: usize,
}

/// A DHCP server at 10.0.0.9, whose leases last for four seconds; the client's clock goes 20 times
/// too fast.
struct Server {
    end: WireEnd,
    rules: Mutex<Rules>,
    heard: Mutex<Heard>,
}

impl Server {
    fn start(wire: &Wire) -> Arc<Self> {
        let rules = Rules { gives: ip(50), silent: false, deaf: false, strict: false };
        let server = Arc::new(Server {
            end: wire.plug(1).without_checksums(),
            rules: Mutex::new(rules),
            heard: Mutex::new(Heard::default()),
        });
        let serves = server.clone();
        go(move || {
            while let Some(frame) = serves.end.next_frame() {
                serves.hear(&frame);
            }
        });
        server
    }

    fn hear(&self, frame: &[u8]) {
        let rules = *self.rules.lock();
        if rules.silent {
            return;
        }
        if frame[12..14] == [8, 6] {
            if frame[38..42] == ip(9).octets() {
                self.end.inject(&tell_address(frame, &self.end));
            }
            return;
        }
        if frame[12..14] != [8, 0] || frame[IP + 9] != 17 || frame[UDP + 2..UDP + 4] != [0, 67] {
            return;
        }
        let has: [u8; 4] = frame[BOOTP + 12..BOOTP + 16].try_into().unwrap();
        let for_all = frame[IP + 16..IP + 20] == [255; 4];
        if rules.deaf && !for_all {
            return;
        }
        let mut heard = self.heard.lock();
        let renews = has != [0; 4];
        let kind = match option(frame, 53).unwrap()[0] {
            DISCOVER => {
                heard.discovers += 1;
                OFFER
            }
            REQUEST if renews && rules.strict && has != rules.gives.octets() => NAK,
            REQUEST => {
                heard.renewals += usize::from(renews && !for_all);
                heard.rebinds += usize::from(renews && for_all);
                ACK
            }
            _ => return,
        };
        drop(heard);
        self.end.inject(&self.answer(frame, kind, rules.gives));
    }

    fn address(&self) -> [u8; 6] {
        self.end.capabilities().address.unwrap()
    }

    fn answer(&self, question: &[u8], kind: u8, gives: Ipv4Addr) -> Vec<u8> {
        let mut frame = vec![0; OPTIONS];
        frame[..6].copy_from_slice(&question[6..12]);
        frame[6..12].copy_from_slice(&self.address());
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[BOOTP..BOOTP + 4].copy_from_slice(&[2, 1, 6, 0]);
        frame[BOOTP + 4..BOOTP + 8].copy_from_slice(&question[BOOTP + 4..BOOTP + 8]);
        if kind != NAK {
            frame[BOOTP + 16..BOOTP + 20].copy_from_slice(&gives.octets());
        }
        let hardware = BOOTP + 28..BOOTP + 34;
        frame[hardware.clone()].copy_from_slice(&question[hardware]);
        frame[OPTIONS - 4..].copy_from_slice(&[99, 130, 83, 99]);
        frame.extend([53, 1, kind]);
        frame.extend([54, 4].into_iter().chain(ip(9).octets()));
        if kind != NAK {
            frame.extend([51, 4, 0, 0, 0, 4, 1, 4, 255, 255, 255, 0]);
            frame.extend([3, 4].into_iter().chain(ip(9).octets()));
            frame.extend([6, 8].into_iter().chain(ip(7).octets()).chain(ip(8).octets()));
        }
        frame.push(255);
        let length = |from: usize| ((frame.len() - from) as u16).to_be_bytes();
        let (whole, datagram) = (length(IP), length(UDP));
        frame[IP..IP + 4].copy_from_slice(&[0x45, 0, whole[0], whole[1]]);
        frame[IP + 8..IP + 10].copy_from_slice(&[64, 17]);
        frame[IP + 12..IP + 16].copy_from_slice(&ip(9).octets());
        frame[IP + 16..IP + 20].copy_from_slice(&[255; 4]);
        frame[UDP..UDP + 6].copy_from_slice(&[0, 67, 0, 68, datagram[0], datagram[1]]);
        frame
    }
}

/// An option of a DHCP message.
fn option(frame: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut at = OPTIONS;
    while frame[at] != 255 {
        let end = at + 2 + usize::from(frame[at + 1]);
        if frame[at] == wanted {
            return Some(&frame[at + 2..end]);
        }
        at = end;
    }
    None
}

/// A machine without addresses; what becomes of them is told.
struct Guest {
    stack: Stack,
    interface: Interface,
    changes: Receiver<Change>,
}

impl Guest {
    fn on(wire: &Wire, begin: fn(&Interface, executive::chan::Sender<Change>)) -> Self {
        let stack = Stack::new(config(1));
        let interface = stack.attach("eth0", Arc::new(wire.plug(1).without_checksums()));
        let (tell, changes) = chan(16);
        begin(&interface, tell);
        Guest { stack, interface, changes }
    }

    fn with_dhcp(wire: &Wire) -> Self {
        Self::on(wire, |interface, tell| interface.dhcp(move |change| _ = tell.send(change)))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.stack.shut_down();
    }
}

/// A guest that has its first address from a server.
fn leased() -> (Wire, Arc<Server>, Guest) {
    let wire = Wire::new(Faults::default());
    let server = Server::start(&wire);
    let guest = Guest::with_dhcp(&wire);
    has_only(&guest, ip(50));
    (wire, server, guest)
}

/// The guest is told that it has this address, and no other.
fn has_only(guest: &Guest, address: Ipv4Addr) {
    assert_eq!(guest.changes.recv(), Some(Change::Added(address.into(), 24)));
    assert_eq!(guest.interface.addresses(), [(IpAddr::V4(address), 24)]);
}

/// What a name server says to each name.
type Says = fn(&[u8]) -> Vec<Vec<u8>>;

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

/// A name server at this address of the pair's server: to a question it sends what `says` says.
fn name_server(pair: &Pair, at: IpAddr, says: Says) -> (JoinHandle<()>, net::UdpSocket) {
    let socket = pair.server.bind_udp((at, 53)).unwrap();
    let own = socket.clone();
    let served = go(move || {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = own.recv_from(&mut bytes) {
            for answer in says(&bytes[..length]) {
                own.send_to(&answer, from).unwrap();
            }
        }
    });
    (served, socket)
}

/// The name in a question, as packets have it.
fn name_of(question: &[u8]) -> &[u8] {
    &question[12..question.len() - 4]
}

fn kind_of(question: &[u8]) -> u16 {
    u16::from_be_bytes(*question[question.len() - 4..].first_chunk().unwrap())
}

/// An answer with these records: whose, of what kind, and what it says.
fn answer(question: &[u8], code: u8, records: &[(&[u8], u16, &[u8])]) -> Vec<u8> {
    let mut bytes = question.to_vec();
    bytes[2..4].copy_from_slice(&[0x81, 0x80 | code]);
    bytes[7] = records.len() as u8;
    for (owner, kind, data) in records {
        bytes.extend_from_slice(owner);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 60]);
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend_from_slice(data);
    }
    bytes
}

/// The question's own name, by a pointer.
const SAME: &[u8] = &[0xc0, 12];

const HOST: &[u8] = b"\x04host\x07example\0";
const ALIAS: &[u8] = b"\x05alias\x07example\0";
const OTHER: &[u8] = b"\x05other\x07example\0";

/// `host.example` is the server, `alias.example` another name for it, and no other has addresses.
fn says_all(question: &[u8]) -> Vec<Vec<u8>> {
    let data: &[u8] = match kind_of(question) {
        A => &[10, 0, 0, 2],
        AAAA => &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
        other => unreachable!("{other} is asked for"),
    };
    let found = (HOST, kind_of(question), data);
    vec![match name_of(question) {
        HOST => answer(question, 0, &[(SAME, kind_of(question), data)]),
        // The last comes first.
        ALIAS => answer(question, 0, &[found, (OTHER, CNAME, HOST), (SAME, CNAME, OTHER)]),
        b"\x05empty\x07example\0" => answer(question, 0, &[]),
        b"\x04loop\x07example\0" => answer(question, 0, &[(SAME, CNAME, SAME), found]),
        b"\x06broken\x07example\0" => answer(question, 2, &[]),
        _ => answer(question, 3, &[]),
    }]
}

/// Two machines; the first asks these name servers.
fn asks(servers: &[IpAddr]) -> Pair {
    let pair =
        Pair::with(Faults::default(), 1, |config| Config { lookup_timeout: 100 * MS, ..config });
    pair.server.interfaces()[0].add_address(ip(3).into(), 24);
    pair.client.set_name_servers(servers.to_vec());
    pair
}

fn failure(pair: &Pair, name: &str) -> alloc::string::String {
    pair.client.lookup_host(name).unwrap_err().to_string()
}

/// A router's announcement: for so many seconds the network 2001:db8::/64 is here, and it leads
/// to others.
fn announcement(network: u32, router: u16) -> Vec<u8> {
    let from = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let to = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let mut icmp = vec![134, 0, 0, 0, 64, 0];
    icmp.extend(router.to_be_bytes());
    icmp.extend([0; 8]);
    icmp.extend([3, 4, 64, 0xc0]);
    icmp.extend(network.to_be_bytes());
    icmp.extend(network.to_be_bytes());
    icmp.extend([0; 4]);
    icmp.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let length = icmp.len() as u8;
    let pairs = |bytes: &[u8]| -> u32 {
        bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum()
    };
    let mut sum = pairs(&from) + pairs(&to) + u32::from(length) + 58 + pairs(&icmp);
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    icmp[2..4].copy_from_slice(&(!sum as u16).to_be_bytes());
    let mut frame = vec![0x33, 0x33, 0, 0, 0, 1, 2, 9, 9, 9, 9, 9, 0x86, 0xdd];
    frame.extend([0x60, 0, 0, 0, 0, length, 58, 255]);
    frame.extend(from.into_iter().chain(to).chain(icmp));
    frame
}

scenarios! { addresses:

/// A DHCP server gives an address, a gateway and name servers, and renews the lease again and
/// again.
fn a_lease_is_given_and_renewed() {
    let (_wire, server, guest) = leased();
    until(|| guest.stack.name_servers() == [IpAddr::V4(ip(7)), IpAddr::V4(ip(8))]);
    // By the gateway: it answers nothing there, but the way is known.
    let beyond = guest.stack.tcp().timeout(MS).connect("192.168.7.7:7").unwrap_err();
    assert_eq!(beyond.kind, ErrorKind::TimedOut);
    until(|| server.heard.lock().renewals >= 3);
    select! {
        recv(guest.changes) -> change => unreachable!("{change:?}"),
        default => {}
    }
    assert_eq!(guest.interface.addresses(), [(IpAddr::V4(ip(50)), 24)]);
    assert_eq!(server.heard.lock().discovers, 1);
    // And nothing of it is left when the address is to be another.
    guest.interface.fixed();
    assert_eq!(guest.changes.recv(), Some(Change::Lost(ip(50).into())));
    assert_eq!(guest.changes.recv(), None, "it is told no more");
    assert!(guest.interface.addresses().is_empty());
    assert!(guest.stack.name_servers().is_empty());
    server.end.close();
}

/// A server that does not answer any more: all are asked, and another one may renew the lease.
fn any_server_may_renew_a_lease() {
    let (_wire, server, guest) = leased();
    server.rules.lock().deaf = true;
    until(|| server.heard.lock().rebinds >= 2);
    assert_eq!(guest.interface.addresses(), [(IpAddr::V4(ip(50)), 24)]);
    assert_eq!(server.heard.lock().discovers, 1);
    server.end.close();
}

/// When nobody renews it the lease is lost, and the address taken away. A server that comes later
/// gives another.
fn a_lease_is_lost_without_a_server() {
    let (_wire, server, guest) = leased();
    server.rules.lock().silent = true;
    assert_eq!(guest.changes.recv(), Some(Change::Lost(ip(50).into())));
    assert!(guest.interface.addresses().is_empty());
    assert!(guest.stack.name_servers().is_empty());
    let e = guest.stack.connect("10.0.0.9:7").unwrap_err();
    assert_eq!(e.kind, ErrorKind::NetworkUnreachable);
    *server.rules.lock() = Rules { gives: ip(51), silent: false, deaf: false, strict: false };
    has_only(&guest, ip(51));
    server.end.close();
}

/// A server that refuses a lease ends it at once; the next one is another's.
fn a_server_takes_a_lease_back() {
    let (_wire, server, guest) = leased();
    *server.rules.lock() = Rules { gives: ip(51), silent: false, deaf: false, strict: true };
    assert_eq!(guest.changes.recv(), Some(Change::Lost(ip(50).into())));
    has_only(&guest, ip(51));
    server.end.close();
}

/// A router announces a network, and that it leads to others; both end when it says so, or when it
/// is silent for too long.
fn a_router_announces_a_network() {
    let wire = Wire::new(Faults::default());
    let router = wire.plug(1);
    let guest = Guest::on(&wire, |interface, tell| {
        interface.slaac(move |change| _ = tell.send(change));
    });
    let [a, b, c, d, e, f] = guest.interface.hardware_address().unwrap().map(u16::from);
    let lower = [(a ^ 2) << 8 | b, c << 8 | 0xff, 0xfe00 | d, e << 8 | f];
    let own = |upper: [u16; 4]| -> IpAddr {
        let all = [upper, lower].concat();
        Ipv6Addr::from(<[u16; 8]>::try_from(all).unwrap()).into()
    };
    let local = own([0xfe80, 0, 0, 0]);
    let global = own([0x2001, 0xdb8, 0, 0]);
    assert_eq!(guest.changes.recv(), Some(Change::Added(local, 64)));
    // It asks for routers.
    while router.next_frame().unwrap()[14 + 40] != 133 {}
    let beyond = || guest.stack.tcp().timeout(MS).connect("[2001:db9::1]:7").unwrap_err().kind;
    assert_eq!(beyond(), ErrorKind::NetworkUnreachable);
    router.inject(&announcement(3600, 1800));
    assert_eq!(guest.changes.recv(), Some(Change::Added(global, 64)));
    until(|| beyond() == ErrorKind::TimedOut);
    router.inject(&announcement(0, 0));
    assert_eq!(guest.changes.recv(), Some(Change::Lost(global)));
    until(|| beyond() == ErrorKind::NetworkUnreachable);
    router.inject(&announcement(4, 4));
    assert_eq!(guest.changes.recv(), Some(Change::Added(global, 64)));
    assert_eq!(guest.changes.recv(), Some(Change::Lost(global)), "after four of its seconds");
    assert_eq!(guest.interface.addresses(), [(local, 64)]);
    router.close();
}

/// A name has addresses of both kinds, in whatever case it is written; and one can be called by it.
fn a_name_has_addresses() {
    let pair = asks(&[SERVER]);
    let (served, names) = name_server(&pair, SERVER, says_all);
    for name in ["host.example", "Host.EXAMPLE."] {
        assert_eq!(pair.client.lookup_host(name), Ok(vec![SERVER, SERVER6]));
    }
    let listener = pair.server.listen("0.0.0.0:7").unwrap();
    let stream = pair.client.connect("host.example:7").unwrap();
    assert_eq!(stream.peer_addr(), SocketAddr::new(SERVER, 7));
    // Nobody listens at the first address: the next one is tried.
    drop(listener);
    let _six = pair.server.listen((SERVER6, 7)).unwrap();
    let stream = pair.client.connect("host.example:7").unwrap();
    assert_eq!(stream.peer_addr(), SocketAddr::new(SERVER6, 7));
    names.close();
    served.join();
}

/// An address and `localhost` need no server.
fn some_names_need_no_server() {
    let pair = asks(&[]);
    assert_eq!(pair.client.lookup_host("10.0.0.77"), Ok(vec![ip(77).into()]));
    assert_eq!(pair.client.lookup_host("fd00::2"), Ok(vec![SERVER6]));
    let here: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    assert_eq!(pair.client.lookup_host("localhost"), Ok(here.clone()));
    assert_eq!(pair.client.lookup_host("LocalHost."), Ok(here));
    assert_eq!(failure(&pair, "host.example"), "lookup host.example: no name server is known");
}

/// An alias is followed, in whatever order the records come, and a circle of them ends.
fn an_alias_is_followed() {
    let pair = asks(&[SERVER]);
    let (served, names) = name_server(&pair, SERVER, says_all);
    assert_eq!(pair.client.lookup_host("alias.example"), Ok(vec![SERVER, SERVER6]));
    let e = failure(&pair, "loop.example");
    assert_eq!(e, "lookup loop.example on 10.0.0.2:53: no such host");
    names.close();
    served.join();
}

/// A name that nobody has, in Go's words; and one that nobody can have, for which nobody is asked.
fn a_name_that_nobody_has() {
    let pair = asks(&[SERVER]);
    let (served, names) = name_server(&pair, SERVER, says_all);
    for name in ["nowhere.example", "empty.example"] {
        let words = alloc::format!("lookup {name} on 10.0.0.2:53: no such host");
        assert_eq!(failure(&pair, name), words);
    }
    let e = pair.client.connect("nowhere.example:80").unwrap_err();
    assert_eq!(e.to_string(), "dial tcp: no such host");
    let long = "a".repeat(64);
    let all = "abc.".repeat(70);
    for name in ["", ".", "a..b", "a b", "-a", "1.2.3", "10.0.0.256", long.as_str(), all.as_str()] {
        assert_eq!(failure(&pair, name), alloc::format!("lookup {name}: no such host"));
    }
    names.close();
    served.join();
}

/// What does not answer the question is ignored: another number, another name, another kind, no
/// answer at all, or somebody else's.
fn what_answers_another_question_is_ignored() {
    let pair = asks(&[SERVER]);
    let (served, names) = name_server(&pair, SERVER, |question| {
        let wrong = |change: fn(&mut Vec<u8>)| {
            let mut bytes = answer(question, 0, &[(SAME, A, &[10, 9, 9, 9])]);
            change(&mut bytes);
            bytes
        };
        let mut all = vec![
            wrong(|bytes| bytes[1] ^= 1),
            wrong(|bytes| bytes[13] ^= 1),
            wrong(|bytes| bytes[5] = 2),
            wrong(|bytes| bytes[2] = 1),
            wrong(|bytes| bytes.truncate(11)),
            wrong(|bytes| bytes.clear()),
            wrong(|bytes| bytes[12 + HOST.len() + 1] = 2),
            wrong(|bytes| {
                bytes[1] ^= 1;
                bytes[3] = 0x83;
            }),
        ];
        all.extend(says_all(question));
        all
    });
    assert_eq!(pair.client.lookup_host("host.example"), Ok(vec![SERVER, SERVER6]));
    names.close();
    served.join();
    // From another port, or another address.
    let strangers = [(SERVER, 54), (ip(3).into(), 53)];
    let strangers = strangers.map(|at| pair.server.bind_udp(at).unwrap());
    let names = pair.server.bind_udp((SERVER, 53)).unwrap();
    let own = names.clone();
    let served = go(move || {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = own.recv_from(&mut bytes) {
            for stranger in &strangers {
                let lie = answer(&bytes[..length], 0, &[(SAME, A, &[10, 9, 9, 9])]);
                stranger.send_to(&lie, from).unwrap();
            }
            own.send_to(&says_all(&bytes[..length])[0], from).unwrap();
        }
    });
    assert_eq!(pair.client.lookup_host("host.example"), Ok(vec![SERVER, SERVER6]));
    names.close();
    served.join();
}

/// A server that is silent, or does not know what to do, leaves the question to the next one.
fn the_next_server_is_asked() {
    let pair = asks(&[SERVER, ip(3).into()]);
    // Whoever is bound there takes the question, and says nothing.
    let silent = pair.server.bind_udp((SERVER, 53)).unwrap();
    let (served, names) = name_server(&pair, ip(3).into(), says_all);
    assert_eq!(pair.client.lookup_host("host.example"), Ok(vec![SERVER, SERVER6]));
    let e = failure(&pair, "broken.example");
    assert_eq!(e, "lookup broken.example on 10.0.0.3:53: server misbehaving");
    drop(silent);
    let (broken, first) = name_server(&pair, SERVER, |question| vec![answer(question, 2, &[])]);
    assert_eq!(pair.client.lookup_host("host.example"), Ok(vec![SERVER, SERVER6]));
    first.close();
    broken.join();
    names.close();
    served.join();
    // Now nobody answers.
    let _silent = [SERVER, ip(3).into()].map(|at| pair.server.bind_udp((at, 53)).unwrap());
    let e = failure(&pair, "host.example");
    assert_eq!(e, "lookup host.example on 10.0.0.3:53: i/o timeout");
}

/// An answer that is too long for a datagram comes by a connection.
fn a_long_answer_comes_by_a_connection() {
    let pair = asks(&[SERVER]);
    let (served, names) = name_server(&pair, SERVER, |question| {
        let mut bytes = answer(question, 0, &[]);
        bytes[2] |= 2; // truncated
        vec![bytes]
    });
    let listener = pair.server.listen((SERVER, 53)).unwrap();
    let accepts = listener.clone();
    let talks = go(move || {
        for stream in accepts.incoming() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut question).unwrap();
            let kind = kind_of(&question);
            let hosts: Vec<[u8; 4]> = (0..100).map(|nth| [10, 1, 1, nth]).collect();
            let records: Vec<_> = match kind {
                A => hosts.iter().map(|host| (SAME, A, &host[..])).collect(),
                _ => vec![],
            };
            let said = answer(&question, 0, &records);
            stream.write_all(&(said.len() as u16).to_be_bytes()).unwrap();
            stream.write_all(&said).unwrap();
        }
    });
    let addresses = pair.client.lookup_host("host.example").unwrap();
    assert_eq!((addresses.len(), addresses[99]), (100, Ipv4Addr::new(10, 1, 1, 99).into()));
    listener.close();
    talks.join();
    names.close();
    served.join();
}

/// A deadline and a token end a question.
fn a_question_is_ended() {
    let pair = asks(&[SERVER]);
    let _silent = pair.server.bind_udp((SERVER, 53)).unwrap();
    let deadline = Some(Instant::now() + MS);
    let e = pair.client.lookup_host_until("host.example", deadline, None).unwrap_err();
    assert_eq!(e.kind, ErrorKind::TimedOut);
    let e = pair.client.tcp().timeout(MS).connect("host.example:80").unwrap_err();
    assert_eq!(e.to_string(), "dial tcp: i/o timeout");
    let token = Token::new();
    let patient = Stack::new(Config { lookup_timeout: Duration::from_secs(3600), ..config(3) });
    let end = pair.wire.plug(1);
    patient.attach("eth0", Arc::new(end)).add_address(ip(4).into(), 24);
    patient.set_name_servers(vec![SERVER]);
    let h = go({
        let (stack, token) = (patient.clone(), token.clone());
        move || stack.lookup_host_until("host.example", None, Some(&token)).unwrap_err()
    });
    until_waits(&h, WaitReason::Select);
    token.cancel();
    assert_eq!(h.join().kind, ErrorKind::Cancelled);
    patient.shut_down();
}

}
