//! What a frame is for: as much of its headers as must be known to find its socket. What smoltcp
//! then makes of it, it reads anew.

use crate::random::Random;
use core::net::{IpAddr, SocketAddr};
use smoltcp::wire::{
    DHCP_CLIENT_PORT, DHCP_SERVER_PORT, EthernetFrame, EthernetProtocol, IpProtocol, IpVersion,
    Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket,
};

/// The two ends of a connection: ours comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Flow {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

impl Flow {
    /// Spreads flows over shards and buckets. Who does not know the secret can't aim at one.
    #[inline]
    pub(crate) fn hash(&self, random: &Random) -> u64 {
        let ports = u64::from(self.local.port()) << 16 | u64::from(self.remote.port());
        match (self.local.ip(), self.remote.ip()) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => {
                random.of([u64::from(local.to_bits()) << 32 | u64::from(remote.to_bits()), ports])
            }
            (local, remote) => {
                let [a, b] = halves(local);
                let [c, d] = halves(remote);
                random.of([a, b, c, d, ports])
            }
        }
    }
}

fn halves(address: IpAddr) -> [u64; 2] {
    let bits = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    [(bits >> 64) as u64, bits as u64]
}

/// A TCP segment's headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) flow: Flow,
    pub(crate) syn: bool,
    pub(crate) ack: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    pub(crate) sequence: u32,
    pub(crate) acknowledges: u32,
    /// Behind its last byte, SYN and FIN counted.
    pub(crate) end: u32,
    /// The sender takes nothing more for now.
    pub(crate) shuts: bool,
}

/// How far a connection has come, as its own last segment said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Numbers {
    /// Behind all that was ever sent: SND.NXT.
    pub(crate) next: u32,
    /// What is expected of the peer: RCV.NXT.
    pub(crate) expected: u32,
}

impl Segment {
    /// Bytes of data in it.
    pub(crate) fn data(&self) -> u32 {
        let numbers = u32::from(self.syn) + u32::from(self.fin);
        self.end.wrapping_sub(self.sequence).wrapping_sub(numbers)
    }

    /// It has nothing but an acknowledgement.
    pub(crate) fn is_acknowledgement(&self) -> bool {
        self.ack && !self.rst && self.end == self.sequence
    }
}

/// For whom a frame is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Frame {
    Tcp(Segment),
    Udp(Flow),
    /// Hardware addresses: asked for, or told. Every CPU's interface wants to know.
    Neighbours,
    /// The answer to a ping.
    EchoReply,
    /// A DHCP server says something.
    Lease(Flow),
    /// A router announces itself.
    Router,
    /// Whatever else is right: a ping, an error.
    Ip,
    /// A part of a packet. We never put them together.
    Fragment,
    /// Not for us to understand.
    Other,
    /// Shorter than its headers say.
    Malformed,
}

const ECHO_REPLY: u8 = 0;
const ECHO_REPLY_V6: u8 = 129;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// Reads the headers. That of Ethernet has so many bytes, or none, if there is none.
pub(crate) fn read(bytes: &[u8], header: usize) -> Frame {
    match try_read(bytes, header) {
        Ok(frame) => frame,
        Err(smoltcp::wire::Error) => Frame::Malformed,
    }
}

fn try_read(bytes: &[u8], header: usize) -> Result<Frame, smoltcp::wire::Error> {
    let packet = bytes.get(header..).ok_or(smoltcp::wire::Error)?;
    let version = if header == 0 {
        IpVersion::of_packet(packet)?
    } else {
        match EthernetFrame::new_checked(bytes)?.ethertype() {
            EthernetProtocol::Arp => return Ok(Frame::Neighbours),
            EthernetProtocol::Ipv4 => IpVersion::Ipv4,
            EthernetProtocol::Ipv6 => IpVersion::Ipv6,
            _ => return Ok(Frame::Other),
        }
    };
    let (local, remote, protocol, payload): (IpAddr, IpAddr, _, _) = match version {
        IpVersion::Ipv4 => {
            let ip = Ipv4Packet::new_checked(packet)?;
            if ip.more_frags() || ip.frag_offset() != 0 {
                return Ok(Frame::Fragment);
            }
            (ip.dst_addr().into(), ip.src_addr().into(), ip.next_header(), ip.payload())
        }
        IpVersion::Ipv6 => {
            let ip = Ipv6Packet::new_checked(packet)?;
            if ip.next_header() == IpProtocol::Icmpv6
                && let Some(&kind) = ip.payload().first()
                && matches!(kind, NEIGHBOUR_SOLICITATION | NEIGHBOUR_ADVERTISEMENT)
            {
                return Ok(Frame::Neighbours);
            }
            (ip.dst_addr().into(), ip.src_addr().into(), ip.next_header(), ip.payload())
        }
    };
    let flow = |local_port, remote_port| Flow {
        local: SocketAddr::new(local, local_port),
        remote: SocketAddr::new(remote, remote_port),
    };
    Ok(match protocol {
        IpProtocol::Tcp => {
            let tcp = TcpPacket::new_checked(payload)?;
            let sequence = tcp.seq_number().0 as u32;
            Frame::Tcp(Segment {
                flow: flow(tcp.dst_port(), tcp.src_port()),
                syn: tcp.syn(),
                ack: tcp.ack(),
                fin: tcp.fin(),
                rst: tcp.rst(),
                sequence,
                acknowledges: tcp.ack_number().0 as u32,
                end: sequence.wrapping_add(tcp.segment_len() as u32),
                shuts: tcp.window_len() == 0,
            })
        }
        IpProtocol::Udp => {
            let udp = UdpPacket::new_checked(payload)?;
            let flow = flow(udp.dst_port(), udp.src_port());
            let is_lease = udp.src_port() == DHCP_SERVER_PORT && udp.dst_port() == DHCP_CLIENT_PORT;
            if is_lease { Frame::Lease(flow) } else { Frame::Udp(flow) }
        }
        IpProtocol::Icmp if payload.first() == Some(&ECHO_REPLY) => Frame::EchoReply,
        IpProtocol::Icmpv6 => match payload.first() {
            Some(&ECHO_REPLY_V6) => Frame::EchoReply,
            Some(&ROUTER_ADVERTISEMENT) => Frame::Router,
            _ => Frame::Ip,
        },
        _ => Frame::Ip,
    })
}

/// Whether this is a question for a neighbour's hardware address.
pub(crate) fn asks_for_neighbour(bytes: &[u8], header: usize) -> bool {
    header > 0 && matches!(read(bytes, header), Frame::Neighbours)
}

/// Gives an outgoing TCP segment that has nothing but an acknowledgement the number behind all that
/// was ever sent, which `numbers` keeps. `checksum`: it has one already.
///
/// When smoltcp sends again what was lost, it goes back in its numbers, and its acknowledgements go
/// with it. The peer has seen those numbers, and drops the segment with its acknowledgement; and if
/// both ends have gone back, nothing moves ever again. RFC 9293 (3.10.7.4) says SND.NXT.
pub(crate) fn acknowledge_at_next(
    packet: &mut [u8],
    numbers: &mut Option<Numbers>,
    checksum: bool,
) {
    let Some(at) = tcp_at(packet) else { return };
    let mut tcp = TcpPacket::new_unchecked(&mut packet[at]);
    let (length, sequence) = (tcp.segment_len(), tcp.seq_number().0 as u32);
    if tcp.rst() {
        return;
    }
    let end = sequence.wrapping_add(length as u32);
    let expected = tcp.ack_number().0 as u32;
    let numbers = numbers.get_or_insert(Numbers { next: end, expected });
    numbers.expected = expected;
    if is_after(end, numbers.next) {
        numbers.next = end;
    } else if length == 0 && is_after(numbers.next, sequence) {
        tcp.set_seq_number(smoltcp::wire::TcpSeqNumber(numbers.next as i32));
        if checksum {
            tcp.set_checksum(patched(tcp.checksum(), sequence, numbers.next));
        }
    }
}

/// Whether the sequence number `a` comes after `b`.
pub(crate) fn is_after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

/// A checksum after a word has changed (RFC 1624).
fn patched(checksum: u16, was: u32, is: u32) -> u16 {
    let halves = |word: u32| (word >> 16) + (word & 0xffff);
    let mut sum = u32::from(!checksum) + halves(!was) + halves(is);
    while sum > 0xffff {
        sum = halves(sum);
    }
    !(sum as u16)
}

/// Where the TCP segment lies in a packet that smoltcp has made.
fn tcp_at(ip: &[u8]) -> Option<core::ops::Range<usize>> {
    let (protocol, header, length) = match ip.first()? >> 4 {
        4 => {
            let packet = Ipv4Packet::new_unchecked(ip);
            let header = usize::from(packet.header_len());
            (packet.next_header(), header, usize::from(packet.total_len()))
        }
        6 => {
            let packet = Ipv6Packet::new_unchecked(ip);
            (packet.next_header(), packet.header_len(), packet.total_len())
        }
        _ => return None,
    };
    (protocol == IpProtocol::Tcp && ip.len() >= length).then_some(header..length)
}
