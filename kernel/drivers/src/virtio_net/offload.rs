//! What the card does for us, as its header says it: checksums, and cutting long frames (5.1.6 of
//! virtio's specification). No device: package `tests` runs it on the host.

use super::rings::HEADER;
use core::num::NonZeroU16;
use core::ops::Range;
use smoltcp::wire::{IpAddress, IpProtocol, Ipv4Address, Ipv6Address, checksum};

/// The checksum is to be completed by who has the frame.
const NEEDS_CSUM: u8 = 1;
/// The checksum was found right.
const DATA_VALID: u8 = 2;

/// How the card is to cut a frame.
const TCPV4: u8 = 1;
const TCPV6: u8 = 4;

const ETHERNET: usize = 14;

/// A frame's IP packet, with a TCP segment or a UDP datagram in it.
struct Packet {
    /// Where its IP header is, if that has a checksum.
    v4: Option<Range<usize>>,
    protocol: IpProtocol,
    source: IpAddress,
    target: IpAddress,
    /// The segment or datagram, whole, and where in it the checksum is. `None`: there is none.
    payload: Option<(Range<usize>, usize)>,
}

/// `None`: it is something else, or shorter than it says.
fn read(frame: &[u8]) -> Option<Packet> {
    let word = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
    let address = |at: usize, bytes| frame.get(ETHERNET + at..ETHERNET + at + bytes);
    let v4 = |at| Some(IpAddress::Ipv4(Ipv4Address::from_octets(address(at, 4)?.try_into().ok()?)));
    let v6 =
        |at| Some(IpAddress::Ipv6(Ipv6Address::from_octets(address(at, 16)?.try_into().ok()?)));
    let (v4, end, is_part, protocol, source, target) = match word(12)? {
        0x0800 => {
            let header = usize::from(frame.get(ETHERNET)? & 15) * 4;
            let is_part = word(ETHERNET + 6)? & 0x3fff != 0; // more follow, or it is not the first
            let header = ETHERNET..ETHERNET + header;
            let end = ETHERNET + usize::from(word(ETHERNET + 2)?);
            (Some(header), end, is_part, frame.get(ETHERNET + 9)?, v4(12)?, v4(16)?)
        }
        0x86dd => {
            let end = ETHERNET + 40 + usize::from(word(ETHERNET + 4)?);
            (None, end, false, frame.get(ETHERNET + 6)?, v6(8)?, v6(24)?)
        }
        _ => return None,
    };
    let protocol = IpProtocol::from(*protocol);
    let begin = v4.as_ref().map_or(ETHERNET + 40, |header| header.end);
    let checksum = match protocol {
        IpProtocol::Tcp => Some(16),
        IpProtocol::Udp => Some(6),
        _ => None,
    };
    if v4.as_ref().is_some_and(|header| header.len() < 20) || end > frame.len() || begin > end {
        return None;
    }
    let whole = checksum.filter(|at| !is_part && begin + at + 2 <= end);
    let payload = whole.map(|at| (begin..end, at));
    Some(Packet { v4, protocol, source, target, payload })
}

impl Packet {
    fn pseudo_header(&self, length: usize) -> u16 {
        checksum::pseudo_header(&self.source, &self.target, self.protocol, length as u32)
    }
}

/// The header for a frame of ours whose checksums, of IP, TCP and UDP, are missing. What the card
/// does not do is done here.
pub fn leave_to_the_card(frame: &mut [u8], segmented: Option<NonZeroU16>) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let Some(packet) = read(frame) else { return header };
    if let Some(v4) = packet.v4.clone() {
        let at = v4.start + 10;
        frame[at..at + 2].fill(0);
        let sum = !checksum::data(&frame[v4]);
        frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
    let Some((payload, offset)) = packet.payload.clone() else { return header };
    let sum = packet.pseudo_header(payload.len());
    let at = payload.start + offset;
    frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    header[0] = NEEDS_CSUM;
    header[6..8].copy_from_slice(&(payload.start as u16).to_le_bytes());
    header[8..10].copy_from_slice(&(offset as u16).to_le_bytes());
    if let Some(size) = segmented
        && packet.protocol == IpProtocol::Tcp
    {
        let tcp = usize::from(frame[payload.start + 12] >> 4) * 4;
        header[1] = if packet.v4.is_some() { TCPV4 } else { TCPV6 };
        header[2..4].copy_from_slice(&((payload.start + tcp) as u16).to_le_bytes());
        header[4..6].copy_from_slice(&size.get().to_le_bytes());
    }
    header
}

/// Whether the checksums of a frame that has come are right: the card has looked at them, or we do.
/// What has none, or is shorter than it says, is right here.
pub fn is_right(header: &[u8; HEADER], frame: &[u8]) -> bool {
    let Some(packet) = read(frame) else { return true };
    if let Some(v4) = &packet.v4
        && checksum::data(&frame[v4.clone()]) != !0
    {
        return false;
    }
    if header[0] & (NEEDS_CSUM | DATA_VALID) != 0 {
        return true;
    }
    let Some((payload, offset)) = &packet.payload else { return true };
    let at = payload.start + offset;
    if packet.protocol == IpProtocol::Udp && packet.v4.is_some() && frame[at..at + 2] == [0, 0] {
        return true; // it was not made
    }
    let sums = [packet.pseudo_header(payload.len()), checksum::data(&frame[payload.clone()])];
    checksum::combine(&sums) == !0
}
