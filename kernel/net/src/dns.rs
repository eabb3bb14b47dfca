//! Names of hosts: what addresses has `example.org`?
//!
//! A question goes to one name server after the other, by a datagram each, from a port and with a
//! number that nobody can guess. What does not answer it is ignored, as if it had not come.

use crate::error::ErrorKind;
use crate::param::{ALIASES, LOOKUP_ATTEMPTS};
use crate::stack::Stack;
use crate::tcp::TcpStream;
use crate::udp::Room;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use executive::cancel::Token;
use executive::go;
use executive::time::Instant;
use smoltcp::wire::{
    DnsFlags, DnsOpcode, DnsPacket, DnsQueryType, DnsQuestion, DnsRcode, DnsRecord, DnsRecordData,
    DnsRepr,
};

/// Why a name has no address here. Go: `net.DNSError`.
#[doc(alias = "DNSError")]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LookupError {
    /// The name.
    pub name: String,
    /// Who was asked last, if anybody was.
    pub server: Option<SocketAddr>,
    /// `NoSuchHost`, `TimedOut`, `ServerMisbehaving`, ..
    pub kind: ErrorKind,
}

impl fmt::Display for LookupError {
    /// `lookup nowhere.example on 10.0.2.3:53: no such host`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lookup {}", self.name)?;
        if let Some(server) = self.server {
            write!(f, " on {server}")?;
        }
        write!(f, ": {}", self.kind)
    }
}

impl core::error::Error for LookupError {}

/// What ends a question before it is answered.
#[derive(Clone, Default)]
pub(crate) struct Limits {
    pub(crate) deadline: Option<Instant>,
    pub(crate) token: Option<Token>,
}

impl Stack {
    /// The addresses of a host, those first to which an interface leads; parks until they are
    /// known. An address is its own, and `localhost` is this machine; for these nobody is asked.
    /// Otherwise each [name server](Self::name_servers) is asked twice, and has
    /// [`Config::lookup_timeout`](crate::Config) each time. Starts a goroutine, and so panics if
    /// there is no memory for one. Go: `net.LookupIP`.
    #[doc(alias("net.LookupIP", "net.LookupHost"))]
    pub fn lookup_host(&self, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        self.lookup_host_until(name, None, None)
    }

    /// As [`lookup_host`](Self::lookup_host), until a deadline at most; the token ends it, too.
    pub fn lookup_host_until(
        &self,
        name: &str,
        deadline: Option<Instant>,
        token: Option<&Token>,
    ) -> Result<Vec<IpAddr>, LookupError> {
        let told = |server, kind| LookupError { name: name.to_string(), server, kind };
        if let Ok(address) = name.parse() {
            return Ok(vec![address]);
        }
        let raw = wire_name(name).ok_or(told(None, ErrorKind::NoSuchHost))?;
        if raw == b"\x09localhost\0" {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let limits = Limits { deadline, token: token.cloned() };
        let other = {
            let (stack, raw, limits) = (self.clone(), raw.clone(), limits.clone());
            go(move || stack.ask_all(&raw, DnsQueryType::Aaaa, &limits))
        };
        let four = self.ask_all(&raw, DnsQueryType::A, &limits);
        let (mut addresses, mut failed) = (Vec::new(), None);
        for answer in [four, other.join()] {
            match answer {
                Ok(some) => addresses.extend(some),
                Err((server, kind)) => _ = failed.get_or_insert(told(server, kind)),
            }
        }
        if addresses.is_empty() {
            return Err(failed.unwrap_or(told(None, ErrorKind::NoSuchHost)));
        }
        addresses.sort_by_key(|address| self.0.route(*address).is_err());
        Ok(addresses)
    }

    /// Who is asked for names, in this order.
    pub fn name_servers(&self) -> Vec<IpAddr> {
        self.0.name_servers.lock().clone()
    }

    /// Asks these for names from here on.
    pub fn set_name_servers(&self, servers: Vec<IpAddr>) {
        let was = core::mem::replace(&mut *self.0.name_servers.lock(), servers);
        drop(was);
    }

    /// Asks one server after the other, and all of them again. What the last one has said, if none
    /// has answered: but if no server knows it nobody else does.
    fn ask_all(&self, name: &[u8], kind: DnsQueryType, limits: &Limits) -> Answer {
        let mut failed = (None, ErrorKind::NoNameServer);
        let servers = self.name_servers();
        for server in servers.iter().cycle().take(LOOKUP_ATTEMPTS * servers.len()) {
            let server = SocketAddr::new(*server, PORT);
            match self.ask(server, name, kind, limits) {
                Ok(addresses) => return Ok(addresses),
                Err(kind) => failed = (Some(server), kind),
            }
            let late = limits.deadline.is_some_and(|at| at <= Instant::now());
            if late || matches!(failed.1, ErrorKind::NoSuchHost | ErrorKind::Cancelled) {
                break;
            }
        }
        Err(failed)
    }

    /// Asks one server once.
    fn ask(
        &self,
        server: SocketAddr,
        name: &[u8],
        kind: DnsQueryType,
        limits: &Limits,
    ) -> Result<Vec<IpAddr>, ErrorKind> {
        let any: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let room = Room { datagrams: ANSWERS, bytes: ANSWERS * MOST };
        let socket = self.bind_udp_with((any, 0), limits.token.as_ref(), room);
        let socket = socket.map_err(|error| error.kind)?;
        let question = Question { number: self.0.random.next() as u16, name, kind };
        let patience = Instant::now() + self.0.config.lookup_timeout;
        let until = limits.deadline.map_or(patience, |deadline| deadline.min(patience));
        socket.set_read_deadline(Some(until));
        let asked = question.written();
        socket.send_to(&asked, server).map_err(|error| error.kind)?;
        let mut bytes = [0; MOST];
        loop {
            let (length, from) = match socket.recv_from(&mut bytes) {
                Ok(received) => received,
                Err(error) if error.kind == ErrorKind::MessageTooLong => continue,
                Err(error) => return Err(error.kind),
            };
            if from != server {
                continue;
            }
            match question.answer(&bytes[..length]) {
                None => {}
                Some(Said::Addresses(addresses)) => return Ok(addresses),
                Some(Said::No(kind)) => return Err(kind),
                Some(Said::TooMuch) => return self.ask_by_tcp(server, &question, until, limits),
            }
        }
    }

    /// An answer that does not fit into a datagram comes by a connection (RFC 7766).
    fn ask_by_tcp(
        &self,
        server: SocketAddr,
        question: &Question<'_>,
        until: Instant,
        limits: &Limits,
    ) -> Result<Vec<IpAddr>, ErrorKind> {
        let mut how = self.tcp().deadline(until);
        if let Some(token) = &limits.token {
            how = how.cancelled_by(token);
        }
        let said = how.connect_to(server).and_then(|stream: TcpStream| {
            stream.set_deadline(Some(until));
            let asked = question.written();
            stream.write_all(&(asked.len() as u16).to_be_bytes())?;
            stream.write_all(&asked)?;
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut bytes)?;
            Ok(question.answer(&bytes))
        });
        match said.map_err(|error| error.kind)? {
            Some(Said::Addresses(addresses)) => Ok(addresses),
            Some(Said::No(kind)) => Err(kind),
            Some(Said::TooMuch) | None => Err(ErrorKind::ServerMisbehaving),
        }
    }
}

/// Addresses; or who was asked last, and why there are none.
type Answer = Result<Vec<IpAddr>, (Option<SocketAddr>, ErrorKind)>;

/// Where name servers listen.
const PORT: u16 = 53;

/// How many datagrams wait to be read: whoever guesses may send some before the server does.
const ANSWERS: usize = 16;

/// Bytes of an answer in a datagram (RFC 1035, 4.2.1).
const MOST: usize = 512;

/// A name as packets have it, each label behind its length, in lower case. `None`: no host can be
/// called so. Go: `isDomainName`.
#[doc(alias = "isDomainName")]
fn wire_name(name: &str) -> Option<Vec<u8>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut raw = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let fits = (1..=63).contains(&label.len()) && label.as_bytes().iter().all(allowed);
        if !fits || label.starts_with('-') || label.ends_with('-') {
            return None;
        }
        raw.push(label.len() as u8);
        raw.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
    }
    raw.push(0);
    // Nothing but numbers was meant as an address.
    let numbers = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (raw.len() <= 255 && !numbers).then_some(raw)
}

struct Question<'a> {
    number: u16,
    name: &'a [u8],
    kind: DnsQueryType,
}

/// What a server says to a question.
enum Said {
    Addresses(Vec<IpAddr>),
    No(ErrorKind),
    /// More than fits into the datagram.
    TooMuch,
}

impl Question<'_> {
    fn written(&self) -> Vec<u8> {
        let repr = DnsRepr {
            transaction_id: self.number,
            opcode: DnsOpcode::Query,
            flags: DnsFlags::RECURSION_DESIRED,
            question: DnsQuestion { name: self.name, type_: self.kind },
        };
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut DnsPacket::new_unchecked(&mut bytes[..]));
        bytes
    }

    /// What a packet says to this question. `None`: nothing, it answers another one.
    fn answer(&self, bytes: &[u8]) -> Option<Said> {
        let packet = DnsPacket::new_checked(bytes).ok()?;
        if packet.transaction_id() != self.number
            || !packet.flags().contains(DnsFlags::RESPONSE)
            || packet.opcode() != DnsOpcode::Query
            || packet.question_count() != 1
        {
            return None;
        }
        let (records, question) = DnsQuestion::parse(packet.payload()).ok()?;
        if question.type_ != self.kind || name_in(&packet, question.name)? != self.name {
            return None;
        }
        Some(match packet.rcode() {
            DnsRcode::NXDomain => Said::No(ErrorKind::NoSuchHost),
            _ if packet.flags().contains(DnsFlags::TRUNCATED) => Said::TooMuch,
            DnsRcode::NoError => match self.addresses(&packet, records) {
                None => Said::No(ErrorKind::ServerMisbehaving),
                Some(none) if none.is_empty() => Said::No(ErrorKind::NoSuchHost),
                Some(addresses) => Said::Addresses(addresses),
            },
            _ => Said::No(ErrorKind::ServerMisbehaving),
        })
    }

    /// The addresses in an answer, of this name or of whatever it is an alias for, in whatever
    /// order the records come. `None`: they make no sense.
    fn addresses(&self, packet: &DnsPacket<&[u8]>, mut records: &[u8]) -> Option<Vec<IpAddr>> {
        let (mut found, mut aliases) = (Vec::new(), Vec::new());
        for _ in 0..packet.answer_record_count() {
            let (rest, record) = DnsRecord::parse(records).ok()?;
            records = rest;
            let owner = name_in(packet, record.name)?;
            match record.data {
                DnsRecordData::A(address) => found.push((owner, IpAddr::V4(address))),
                DnsRecordData::Aaaa(address) => found.push((owner, IpAddr::V6(address))),
                DnsRecordData::Cname(name) => aliases.push((owner, name_in(packet, name)?)),
                DnsRecordData::Other(..) => {}
            }
        }
        let mut name = self.name;
        for _ in 0..ALIASES {
            match aliases.iter().find(|(alias, _)| alias == name) {
                Some((_, other)) => name = other,
                None => break,
            }
        }
        found.retain(|(owner, _)| owner == name);
        Some(found.into_iter().map(|(_, address)| address).collect())
    }
}

/// A name in a packet, with all its labels, in lower case. `None`: there is none.
fn name_in(packet: &DnsPacket<&[u8]>, name: &[u8]) -> Option<Vec<u8>> {
    let mut raw = Vec::new();
    for label in packet.parse_name(name) {
        let label = label.ok()?;
        raw.push(label.len() as u8);
        raw.extend(label.iter().map(u8::to_ascii_lowercase));
        if raw.len() > 255 {
            return None;
        }
    }
    raw.push(0);
    Some(raw)
}
