//! An interface, from inside: a device, and a smoltcp `Interface` for each CPU, which has that
//! CPU's neighbours and random numbers. All of them have the same addresses and routes.
//!
//! A socket keeps nothing of the `Interface` that serves it, so any may serve any: whoever touches
//! a socket takes that of its own CPU. So its lock is nearly always free.
//!
//! **Rule:** locks are taken in this order: an endpoint's, an `Interface`'s, the device's or the
//! list of those who wait for a neighbour. A shard of the table is locked alone.

use crate::device::{Capabilities, Device, Segmented};
use crate::frame::{Numbers, acknowledge_at_next, asks_for_neighbour};
use crate::param::RESOLVING;
use crate::random::Random;
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec;
use alloc::vec::Vec;
use core::mem;
use core::net::IpAddr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use executive::JoinHandle;
use executive::affinity::cpus;
use executive::chan::Sender;
use executive::lock::{Lock, LockGuard, Rank};
use executive::percpu;
use executive::time::Instant;
use smoltcp::iface::{self, SocketSet};
use smoltcp::phy;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};

/// What may be waiting for something other than a frame of its own: a timer, a neighbour.
pub(crate) trait Driven: Send + Sync {
    /// It may be able to send now.
    fn drive(self: Arc<Self>);
}

pub(crate) struct Link {
    pub(crate) name: &'static str,
    pub(crate) device: Arc<dyn Device>,
    pub(crate) capabilities: Capabilities,
    interfaces: Vec<Lock<PerCpu>>,
    resolving: Lock<Vec<Weak<dyn Driven>>>,
    /// Until then (ns) the answer to a question for a neighbour may come.
    asked_until: AtomicU64,
    /// Who looks after its addresses.
    kept: Lock<Vec<Kept>>,
    clock: u32,
}

/// What a goroutine that looks after addresses cares for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Care {
    /// What DHCP servers say, and hardware addresses.
    Lease,
    /// What routers announce.
    Routers,
}

/// Such a goroutine. It ends when nothing more can come.
pub(crate) struct Kept {
    pub(crate) care: Care,
    pub(crate) to: Sender<Box<[u8]>>,
    pub(crate) done: JoinHandle<()>,
}

/// What a CPU has of a link.
pub(crate) struct PerCpu {
    pub(crate) interface: iface::Interface,
    pub(crate) counts: Counts,
}

/// Frames of a link, or of one of its CPUs.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    /// Taken in.
    pub received: u64,
    /// Sent.
    pub sent: u64,
    /// Not sent: the device had no room.
    pub no_room: u64,
}

/// How long an answer to a question for a neighbour may take.
const ANSWER: Duration = Duration::from_secs(1);

impl Link {
    pub(crate) fn new(
        name: &'static str,
        device: Arc<dyn Device>,
        random: &Random,
        clock: u32,
    ) -> Arc<Self> {
        let capabilities = device.capabilities();
        let address = match capabilities.address {
            Some(address) => HardwareAddress::Ethernet(EthernetAddress(address)),
            None => HardwareAddress::Ip,
        };
        let interfaces = (0..cpus()).map(|cpu| {
            let mut config = iface::Config::new(address);
            config.random_seed = random.next();
            let now = now_for(clock);
            let mut port = Port::new(&*device, capabilities, cpu, None);
            let interface = iface::Interface::new(config, &mut port, now);
            Lock::new(Rank::User, PerCpu { interface, counts: Counts::default() })
        });
        let interfaces = interfaces.collect();
        let resolving = Lock::new(Rank::User, Vec::new());
        let asked_until = AtomicU64::new(0);
        let kept = Lock::new(Rank::User, Vec::new());
        let link =
            Link { name, device, capabilities, interfaces, resolving, asked_until, kept, clock };
        Arc::new(link)
    }

    /// The `Interface` of this CPU.
    pub(crate) fn here(&self) -> LockGuard<'_, PerCpu> {
        self.interfaces[percpu::cpu()].lock()
    }

    /// That of each CPU, one after the other.
    pub(crate) fn each(&self) -> impl Iterator<Item = LockGuard<'_, PerCpu>> {
        self.interfaces.iter().map(Lock::lock)
    }

    /// What a call of `Interface` needs.
    pub(crate) fn port<'a>(&'a self, frame: Option<&'a [u8]>) -> Port<'a> {
        Port::new(&*self.device, self.capabilities, percpu::cpu(), frame)
    }

    /// The time, as smoltcp is told it.
    pub(crate) fn now(&self) -> smoltcp::time::Instant {
        self.at(Instant::now())
    }

    /// A time, as smoltcp is told it.
    pub(crate) fn at(&self, time: Instant) -> smoltcp::time::Instant {
        at_for(self.clock, time)
    }

    /// How long (ns) smoltcp's `at` comes after its `now`.
    pub(crate) fn between(&self, now: smoltcp::time::Instant, at: smoltcp::time::Instant) -> u64 {
        let left = at.total_micros().saturating_sub(now.total_micros());
        u64::try_from(left).unwrap_or(0).saturating_mul(1000) / u64::from(self.clock)
    }

    /// So long a time, as smoltcp is told it.
    pub(crate) fn span(&self, d: Duration) -> smoltcp::time::Duration {
        smoltcp::time::Duration::from_micros(d.as_micros() as u64 * u64::from(self.clock))
    }

    /// A frame that is for no socket: smoltcp answers it, if it wants to.
    pub(crate) fn answer(&self, frame: &[u8]) {
        let (now, mut port) = (self.now(), self.port(Some(frame)));
        let mut here = self.here();
        here.interface.poll_ingress_single(now, &mut port, &mut SocketSet::new(vec![]));
        here.counts.add(&port);
    }

    /// A frame about hardware addresses: every CPU learns from it, and this one answers it. Who has
    /// waited for it sends.
    pub(crate) fn learn(&self, frame: &[u8]) {
        let mut nobody = SocketSet::new(vec![]);
        for (cpu, lock) in self.interfaces.iter().enumerate() {
            let now = self.now();
            let mut port = Port::new(&*self.device, self.capabilities, cpu, Some(frame));
            port.mute = cpu > 0;
            let mut there = lock.lock();
            there.interface.poll_ingress_single(now, &mut port, &mut nobody);
            there.counts.sent += u64::from(port.sent);
        }
        self.tell(Care::Lease, frame);
        let waiting = mem::take(&mut *self.resolving.lock());
        waiting.iter().filter_map(Weak::upgrade).for_each(Driven::drive);
    }

    /// Gives the frame to who cares for it. `false`: nobody does. If it does not come to look it is
    /// lost, as on any wire.
    pub(crate) fn tell(&self, care: Care, frame: &[u8]) -> bool {
        let to = self.kept.lock().iter().find(|it| it.care == care).map(|it| it.to.clone());
        to.inspect(|to| _ = to.try_send(frame.into())).is_some()
    }

    pub(crate) fn is_kept(&self, care: Care) -> bool {
        self.kept.lock().iter().any(|it| it.care == care)
    }

    pub(crate) fn keep(&self, kept: Kept) {
        self.kept.lock().push(kept);
    }

    /// Nothing more comes to those who look after its addresses.
    pub(crate) fn release(&self) -> Vec<Kept> {
        mem::take(&mut *self.kept.lock())
    }

    /// Whether who could not send may be waiting for a neighbour.
    pub(crate) fn is_resolving(&self, port: &Port<'_>) -> bool {
        // Relaxed: if an answer is missed the endpoint's own timer repeats the question.
        let now = Instant::now();
        if port.asked {
            self.asked_until.store((now + ANSWER).as_nanos(), Relaxed);
        }
        port.sent == 0 && now.as_nanos() < self.asked_until.load(Relaxed)
    }

    /// `waiter` is driven when a neighbour's address is told. The caller holds this CPU's
    /// `Interface`: so an answer that it has not seen comes later, and finds the waiter.
    pub(crate) fn wait_for_neighbour(&self, waiter: Weak<dyn Driven>) {
        let mut resolving = self.resolving.lock();
        if resolving.len() < RESOLVING {
            resolving.push(waiter);
        }
    }

    /// Our address for a peer there, if this link leads there.
    pub(crate) fn source_for(&self, remote: IpAddr) -> Option<IpAddr> {
        let here = self.here();
        let addresses = here.interface.ip_addrs();
        let direct = addresses.iter().any(|cidr| cidr.contains_addr(&remote.into()));
        let gateway = match remote {
            IpAddr::V4(_) => here.interface.routes().get_default_ipv4_route().is_some(),
            IpAddr::V6(_) => here.interface.routes().get_default_ipv6_route().is_some(),
        };
        let same_version =
            |cidr: &&IpCidr| IpAddr::from(cidr.address()).is_ipv4() == remote.is_ipv4();
        if !direct && !gateway || !addresses.iter().any(|cidr| same_version(&cidr)) {
            return None;
        }
        here.interface.get_source_address(&remote.into()).map(IpAddr::from)
    }

    /// Whether `remote` is in one of this link's networks.
    pub(crate) fn is_direct(&self, remote: IpAddr) -> bool {
        let here = self.here();
        here.interface.ip_addrs().iter().any(|cidr| cidr.contains_addr(&remote.into()))
    }

    /// Whether the address is ours here.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.here().interface.has_ip_addr(smoltcp::wire::IpAddress::from(address))
    }

    /// All CPUs' counts.
    pub(crate) fn counts(&self) -> Counts {
        self.each().fold(Counts::default(), |sum, there| Counts {
            received: sum.received + there.counts.received,
            sent: sum.sent + there.counts.sent,
            no_room: sum.no_room + there.counts.no_room,
        })
    }
}

impl Counts {
    pub(crate) fn add(&mut self, port: &Port<'_>) {
        self.sent += u64::from(port.sent) + u64::from(port.asked);
        self.no_room += u64::from(port.no_room);
    }
}

/// The time for smoltcp, if its clock goes so many times too fast.
pub(crate) fn now_for(clock: u32) -> smoltcp::time::Instant {
    at_for(clock, Instant::now())
}

fn at_for(clock: u32, time: Instant) -> smoltcp::time::Instant {
    let micros = time.as_nanos() / 1000 * u64::from(clock);
    smoltcp::time::Instant::from_micros(micros as i64)
}

/// A device as smoltcp sees it during one call: with the one frame that has come, perhaps.
pub(crate) struct Port<'a> {
    device: &'a dyn Device,
    capabilities: phy::DeviceCapabilities,
    /// By which it sends.
    pub(crate) queue: usize,
    pub(crate) frame: Option<&'a [u8]>,
    /// What it says is not sent: another CPU says it.
    pub(crate) mute: bool,
    /// Frames that were sent, but for questions for neighbours.
    pub(crate) sent: u32,
    /// A question for a neighbour was sent.
    pub(crate) asked: bool,
    pub(crate) no_room: u32,
    /// How far the TCP connection has come that is served.
    pub(crate) numbers: Option<Numbers>,
    header: usize,
}

impl<'a> Port<'a> {
    fn new(
        device: &'a dyn Device,
        capabilities: Capabilities,
        cpu: usize,
        frame: Option<&'a [u8]>,
    ) -> Self {
        Port {
            device,
            header: capabilities.header(),
            queue: cpu % capabilities.queues,
            capabilities: capabilities.to_smoltcp(),
            frame,
            mute: false,
            sent: 0,
            asked: false,
            no_room: 0,
            numbers: None,
        }
    }

    /// Sends a frame that somebody else has made.
    pub(crate) fn send(&mut self, length: usize, fill: impl FnOnce(&mut [u8])) {
        phy::TxToken::consume(Tx { port: self, segmented: None }, length, fill);
    }
}

pub(crate) struct Rx<'f>(&'f [u8]);

pub(crate) struct Tx<'p, 'a> {
    port: &'p mut Port<'a>,
    segmented: Segmented,
}

impl<'f> phy::Device for Port<'f> {
    type RxToken<'a>
        = Rx<'f>
    where
        Self: 'a;
    type TxToken<'a>
        = Tx<'a, 'f>
    where
        Self: 'a;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Rx<'f>, Tx<'_, 'f>)> {
        Some((Rx(self.frame.take()?), Tx { port: self, segmented: None }))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Tx<'_, 'f>> {
        if !self.device.has_room(self.queue) {
            self.no_room += 1;
            return None;
        }
        Some(Tx { port: self, segmented: None })
    }

    fn capabilities(&self) -> phy::DeviceCapabilities {
        self.capabilities.clone()
    }
}

impl phy::RxToken for Rx<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl phy::TxToken for Tx<'_, '_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let port = self.port;
        let (mut f, mut result, mut asks) = (Some(f), None, false);
        let checksum = port.capabilities.checksum.tcp.tx();
        let (numbers, header) = (&mut port.numbers, port.header);
        let mut fill = |frame: &mut [u8]| {
            if let Some(f) = f.take() {
                result = Some(f(frame));
                asks = length <= SHORT && asks_for_neighbour(frame, header);
                acknowledge_at_next(&mut frame[header..], numbers, checksum);
            }
        };
        let sent = !port.mute && port.device.send(port.queue, length, self.segmented, &mut fill);
        if !sent {
            fill(&mut vec![0; length]); // lost, as on any wire
            port.no_room += u32::from(!port.mute);
        } else if asks {
            port.asked = true;
        } else {
            port.sent += 1;
        }
        match result {
            Some(result) => result,
            None => unreachable!("a device has sent a frame that was not filled"),
        }
    }

    fn set_meta(&mut self, meta: phy::PacketMeta) {
        self.segmented = meta.segmentation_offload_size;
    }
}

/// No question for a neighbour is longer: Ethernet, IPv6, a solicitation with an address.
const SHORT: usize = 14 + 40 + 32;
