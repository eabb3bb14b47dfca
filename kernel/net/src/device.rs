//! What an interface stands on: a card, a TAP, a wire in memory.

use core::num::NonZeroU16;
use smoltcp::phy::{Checksum, ChecksumCapabilities, DeviceCapabilities, Medium};

/// Something that sends and receives Ethernet frames, or bare IP packets. A driver implements it;
/// its interface calls it from several goroutines at the same time.
///
/// A device has one queue or several. Each has a goroutine of the interface's, the system's, which
/// takes in what comes there: it calls [`receive`](Self::receive) until nothing is left, and then
/// [`wait`](Self::wait). Frames of one connection should come by one queue, or they overtake each
/// other. Any goroutine may send, on any queue: a connection's frames go by the queue by which they
/// come.
pub trait Device: Send + Sync + 'static {
    /// What it is and what it can do. Does not change.
    fn capabilities(&self) -> Capabilities;

    /// Sends a frame of `length` bytes, which `fill` writes. `false`: there is no room, and `fill`
    /// was not called. Never parks: a spin lock may be held. It may take locks of its own, of
    /// `Rank::User` or later.
    fn send(
        &self,
        queue: usize,
        length: usize,
        segmented: Segmented,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> bool;

    /// Whether [`send`](Self::send) would find room now. If not, the interface calls again when
    /// frames have come in, or a timer has run out.
    fn has_room(&self, queue: usize) -> bool;

    /// Gives the oldest frame that has come to `take`; `false`: there is none. Never parks. No lock
    /// is held while `take` runs.
    fn receive(&self, queue: usize, take: &mut dyn FnMut(&[u8])) -> bool;

    /// Parks until [`receive`](Self::receive) may find something. `false`: never again, because
    /// the device was [closed](Self::close) or is gone.
    fn wait(&self, queue: usize) -> bool;

    /// The interface is taken down: who [waits](Self::wait) goes on.
    fn close(&self);
}

/// What a device can do.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// Its Ethernet address. `None`: it carries bare IP packets.
    pub address: Option<[u8; 6]>,
    /// The largest IP packet. Ethernet: 1,500.
    pub mtu: usize,
    /// How many queues it has, for sending and for receiving.
    pub queues: usize,
    /// It writes the checksums of IPv4, TCP and UDP into what is sent.
    pub checksums_sent: bool,
    /// It has looked at the checksums of what it gives to us.
    pub checksums_received: bool,
    /// It cuts TCP segments of up to so many bytes with all headers, if it can do that; then it
    /// must write the checksums too.
    pub segments: Option<usize>,
    /// What it receives comes from outside of this machine. So a goroutine that waits for it is
    /// not dead, although all CPUs sleep.
    pub from_outside: bool,
}

/// A frame is to be cut: each piece has at most so many bytes behind the TCP header. `None`: it is
/// one frame.
pub type Segmented = Option<NonZeroU16>;

impl Capabilities {
    /// A device with this Ethernet address that carries frames from and to the outside, by one
    /// queue, and does nothing else with them. `mtu`: the largest IP packet.
    pub fn plain(address: [u8; 6], mtu: usize) -> Self {
        Capabilities {
            address: Some(address),
            mtu,
            queues: 1,
            checksums_sent: false,
            checksums_received: false,
            segments: None,
            from_outside: true,
        }
    }

    /// How many bytes stand before an IP packet.
    pub(crate) fn header(&self) -> usize {
        if self.address.is_some() { 14 } else { 0 }
    }

    /// Whether a frame is for us, or for everybody.
    pub(crate) fn takes(&self, frame: &[u8]) -> bool {
        let Some(own) = self.address else { return true };
        frame.get(..6).is_some_and(|to| to == own || to[0] & 1 != 0)
    }

    /// As smoltcp wants to know them.
    pub(crate) fn to_smoltcp(self) -> DeviceCapabilities {
        let both = match (self.checksums_received, self.checksums_sent) {
            (false, false) => Checksum::Both,
            (true, false) => Checksum::Tx,
            (false, true) => Checksum::Rx,
            (true, true) => Checksum::None,
        };
        let mut checksum = ChecksumCapabilities::default();
        (checksum.ipv4, checksum.tcp, checksum.udp) = (both, both, both);
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = if self.address.is_some() { Medium::Ethernet } else { Medium::Ip };
        capabilities.max_transmission_unit = self.mtu + self.header();
        capabilities.checksum = checksum;
        let segments = self.segments.filter(|_| self.checksums_sent);
        capabilities.segmentation.tcpv4 = segments.and_then(core::num::NonZeroUsize::new);
        capabilities.segmentation.tcpv6 = capabilities.segmentation.tcpv4;
        capabilities
    }
}
