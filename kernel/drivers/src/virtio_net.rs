//! Virtio's network cards (5.1 of its specification), for package `net`. QEMU: `-device
//! virtio-net-pci`.
//!
//! A card has a queue for each CPU, if it can; a queue is two rings, one for each way. What comes
//! interrupts the CPU of its queue, where a goroutine of the interface's takes it in. While that is
//! at work the card does not interrupt. What was sent is never waited for: its buffers are taken
//! back when more is sent.
//!
//! Where it can, the card makes and checks the checksums, cuts long segments into frames, and puts
//! short ones together.
//!
//! **Rule:** a card that says what cannot be, or is gone, is not used any more: it is reset, its
//! goroutines end, and what is sent by it is lost, as with a cable that was pulled.
#![allow(unsafe_code)] // Memory is lent to the device.

mod offload;
mod rings;

use crate::card::{self, Address, Counters, Counts, count};
use crate::error::Error;
use crate::param::{CARD_PATIENCE, LONG_FRAME, LONG_FRAMES};
use crate::random;
use crate::virtio::ring::{self, Nonsense, Ring};
use crate::virtio::{Doorbell, Health, Interrupt, KernelHal, Pci, Queue, Transport};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::mem;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use executive::lock::{Lock, Rank};
use executive::{Builder, affinity};
use kernel::device::{self, Dma, Function, Place};
use kernel::println;
use net::{Capabilities, Device, Segmented};
use rings::{BUFFER, Came, HEADER, LONGEST, Pool};
use zerocopy::{FromBytes, IntoBytes};

/// Descriptors of a ring: QEMU has no fewer, and no more unless it is told.
const RING: usize = 256;

/// Features (5.1.3).
mod feature {
    pub const CSUM: u64 = 1 << 0;
    pub const GUEST_CSUM: u64 = 1 << 1;
    pub const MTU: u64 = 1 << 3;
    pub const MAC: u64 = 1 << 5;
    pub const GUEST_TSO4: u64 = 1 << 7;
    pub const GUEST_TSO6: u64 = 1 << 8;
    pub const HOST_TSO4: u64 = 1 << 11;
    pub const HOST_TSO6: u64 = 1 << 12;
    pub const MRG_RXBUF: u64 = 1 << 15;
    pub const STATUS: u64 = 1 << 16;
    pub const CTRL_VQ: u64 = 1 << 17;
    pub const MQ: u64 = 1 << 22;
    pub const HOST_TSO: u64 = HOST_TSO4 | HOST_TSO6;
    pub const GUEST_TSO: u64 = GUEST_TSO4 | GUEST_TSO6;
}
use feature::*;

/// Where in its configuration the card says what (5.1.4).
mod config {
    pub const MAC: usize = 0;
    pub const STATUS: usize = 6;
    pub const PAIRS: usize = 8;
    pub const MTU: usize = 10;
}

/// Bytes of the largest IP packet of Ethernet's, which a buffer has room for.
const MTU: u16 = 1500;
/// The least that IP may have (RFC 791).
const LEAST_MTU: u16 = 68;

/// A network card.
pub struct Card {
    // First: the device is reset before its memory is free.
    pci: Pci,
    name: &'static str,
    health: Health,
    features: u64,
    address: [u8; 6],
    mtu: u16,
    queues: Vec<Pair>,
    /// For questions about the card itself. Its memory is the device's until the reset.
    _control: Option<Queue<8>>,
    link: AtomicBool,
    /// That of changes of the configuration, if it has one of its own.
    link_interrupt: Option<Interrupt>,
    /// The interface was taken down, or the card is broken. Stored before those who wait are woken.
    over: AtomicBool,
    broken: Lock<Option<Error>>,
}

/// A queue of the card's.
struct Pair {
    incoming: Lock<Incoming>,
    interrupt: Interrupt,
    received: Doorbell,
    transmitter: Lock<rings::Transmitter<KernelHal, RING>>,
    sent: Doorbell,
    counts: Counters,
    _memory: [Dma; 2],
}

struct Incoming {
    receiver: rings::Receiver<KernelHal, RING>,
    /// Where a frame that has come is copied to. Whoever serves the queue has it meanwhile.
    frame: Vec<u8>,
}

/// Which features are wanted of those that are offered. Some are of no use without others
/// (5.1.3.1).
fn wanted(offered: u64) -> u64 {
    let mut wanted = CSUM | GUEST_CSUM | feature::MTU | feature::MAC | MRG_RXBUF | feature::STATUS;
    if offered & CSUM != 0 {
        wanted |= HOST_TSO;
    }
    // Without buffers that are merged each would have to be as long as the longest frame.
    if offered & GUEST_CSUM != 0 && offered & MRG_RXBUF != 0 {
        wanted |= GUEST_TSO;
    }
    if offered & MQ != 0 && affinity::num_cpus() > 1 {
        wanted |= MQ | CTRL_VQ;
    }
    wanted & offered
}

impl Card {
    /// Takes and starts the device.
    pub fn start(function: Function, name: &'static str) -> Result<Card, Error> {
        let cpus = affinity::num_cpus();
        // One for questions, too.
        let mut pci = Pci::open(function, cpus + 1)?;
        let offered = pci.read_device_features();
        let features = pci.begin(wanted(offered))?;
        let has = |feature| features & feature != 0;
        let most = if has(MQ) && has(CTRL_VQ) { read::<u16>(&pci, config::PAIRS)? } else { 1 };
        let control = 2 * u32::from(most);
        let several = usize::from(most).min(cpus).min(pci.interrupts().saturating_sub(1));
        let (several, control) = match u16::try_from(control) {
            Ok(control) if several > 1 => (several, Some(control)),
            _ => (1, None),
        };
        let receivers = (0..several as u16).map(|nth| 2 * nth);
        let numbers: Vec<u16> = receivers.clone().chain(control).collect();
        pci.interrupts_are_for(&numbers);
        let queues: Result<_, _> =
            receivers.map(|nth| Pair::new(&mut pci, nth, features)).collect();
        let queues: Vec<Pair> = queues?;
        let control = control.map(|nth| Queue::new(&mut pci, nth)).transpose()?;
        pci.ready();
        queues.iter().for_each(|queue| queue.received.ring());
        if let Some(control) = &control {
            const PAIRS_SET: [u8; 2] = [4, 0];
            let mut refused = [0];
            let pairs = (several as u16).to_le_bytes();
            control.call(CARD_PATIENCE, &[&PAIRS_SET, &pairs], &mut [&mut refused])?;
            if refused != [0] {
                return Err(Error::Features);
            }
        }
        let mtu = if has(feature::MTU) { read(&pci, config::MTU)? } else { MTU };
        let address = if has(feature::MAC) { read(&pci, config::MAC)? } else { own_address() };
        let card = Card {
            name,
            health: pci.health()?,
            link_interrupt: pci.config_interrupt().ok(),
            pci,
            features,
            address,
            mtu: mtu.clamp(LEAST_MTU, MTU),
            queues,
            _control: control,
            link: AtomicBool::new(true),
            over: AtomicBool::new(false),
            broken: Lock::new(Rank::User, None),
        };
        card.link.store(card.has_link(), Relaxed);
        Ok(card)
    }

    /// Whether there is somebody at the other end of the cable, as far as the card knows.
    fn is_up(&self) -> bool {
        self.link.load(Relaxed) && !self.is_over()
    }

    fn is_over(&self) -> bool {
        // Relaxed: who is woken by `wake_all` has taken a lock since, as `Interrupt::send` has.
        self.over.load(Relaxed)
    }

    fn has_link(&self) -> bool {
        const LINK_UP: u16 = 1;
        self.features & feature::STATUS == 0
            || read::<u16>(&self.pci, config::STATUS).is_ok_and(|status| status & LINK_UP != 0)
    }

    /// The card's configuration may have changed.
    fn look_at_link(&self) {
        self.look_if_gone();
        let is_up = self.has_link();
        if !self.is_over() && self.link.swap(is_up, Relaxed) != is_up {
            println!("{}: the link is {}", self.name, if is_up { "up" } else { "down" });
        }
    }

    fn look_if_gone(&self) {
        if !self.is_over()
            && let Err(error) = self.health.check()
        {
            self.break_down(error);
        }
    }

    /// It is not used any more. Never parks.
    fn break_down(&self, why: Error) {
        let known = self.broken.lock().replace(why);
        if known.is_none() {
            self.health.stop();
            println!("{} is not used any more: {why}", self.name);
        }
        self.close();
    }

    /// What makes sense; else it is the last that this card has said.
    fn sense<T>(&self, said: Result<T, Nonsense>) -> Option<T> {
        if said.is_err() {
            self.break_down(Error::Nonsense);
        }
        said.ok()
    }

    /// The card has not sent enough of what it was given.
    fn no_room(&self, queue: &Pair) -> bool {
        count(&queue.counts.no_room, 1);
        self.look_if_gone();
        false
    }
}

/// A field of the card's configuration.
fn read<T: FromBytes + IntoBytes>(pci: &Pci, at: usize) -> Result<T, Error> {
    pci.read_config_space(at).map_err(|_| device::Error::OutOfRange.into())
}

/// An address for a card that has none, administered by us (IEEE 802, 8.2).
fn own_address() -> [u8; 6] {
    let mut address = [0; 6];
    random::fill(&mut address);
    address[0] = address[0] & !1 | 2;
    address
}

/// `virtio, 00:03.0, 52:54:00:12:34:56, 4 queues`.
impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = Place(self.pci.function().address);
        write!(f, "virtio, {place}, {}, ", Address(self.address))?;
        match self.queues.len() {
            1 => f.write_str("1 queue")?,
            queues => write!(f, "{queues} queues")?,
        }
        f.write_str(if self.is_up() { "" } else { ", the link is down" })
    }
}

/// A ring has 8 KiB, which shall be on the stack once.
#[inline(never)]
fn ring(pci: &mut Pci, nth: u16) -> Result<Box<Ring<KernelHal, RING>>, Error> {
    if pci.queue_used(nth) || pci.max_queue_size(nth) < RING as u32 {
        return Err(Error::Queue);
    }
    let no_memory = |_| device::Error::NoMemory;
    Ok(Box::new(Ring::new(pci, nth).map_err(no_memory)?))
}

impl Pair {
    /// Rings number `nth` and the next one, and their memory.
    fn new(pci: &mut Pci, nth: u16, features: u64) -> Result<Pair, Error> {
        let (receives, sends) = (ring(pci, nth)?, ring(pci, nth + 1)?);
        let longs = if features & HOST_TSO != 0 { LONG_FRAMES } else { 0 };
        let shorts = RING - longs;
        let comes = Dma::new(RING * BUFFER)?;
        let goes = Dma::new(shorts * BUFFER + longs * LONG_FRAME)?;
        // SAFETY: parts of a `Dma`, which is zeroed, and lives until the device was reset; only
        // these pools know of them.
        let (pool, short, long) = unsafe {
            let behind = goes.as_ptr().add(shorts * BUFFER);
            (
                Pool::new(comes.as_ptr(), BUFFER, 0, RING as u16),
                Pool::new(goes.as_ptr(), BUFFER, 0, shorts as u16),
                (longs > 0).then(|| Pool::new(behind, LONG_FRAME, shorts as u16, longs as u16)),
            )
        };
        let receiver = rings::Receiver::new(receives, pool, features & MRG_RXBUF != 0);
        let receiver = receiver.map_err(|Nonsense| Error::Queue)?;
        let incoming = Incoming { receiver, frame: Vec::with_capacity(LONGEST) };
        Ok(Pair {
            incoming: Lock::new(Rank::User, incoming),
            interrupt: pci.interrupt(nth)?,
            received: pci.doorbell(nth)?,
            transmitter: Lock::new(Rank::User, rings::Transmitter::new(sends, short, long)),
            sent: pci.doorbell(nth + 1)?,
            counts: Counters::default(),
            _memory: [comes, goes],
        })
    }
}

impl card::Card for Card {
    fn counts(&self) -> Vec<Counts> {
        self.queues.iter().map(|queue| queue.counts.get()).collect()
    }

    fn broken(&self) -> Option<Error> {
        *self.broken.lock()
    }

    /// A goroutine of the system's tells of the link from here on. If the card's only interrupt is
    /// its queue's, who waits for that does.
    fn watch(self: Arc<Self>) {
        let (name, card) = (self.name, self.clone());
        let watch = move || {
            while let Some(interrupt) = &card.link_interrupt {
                card.look_at_link();
                if card.is_over() {
                    break;
                }
                interrupt.armed().wait();
            }
        };
        if self.link_interrupt.is_some() && Builder::new().system("link").spawn(watch).is_err() {
            println!("{name}: no memory for a goroutine that watches the link");
        }
    }
}

impl Device for Card {
    fn capabilities(&self) -> Capabilities {
        let has = |features| self.features & features == features;
        Capabilities {
            address: Some(self.address),
            mtu: self.mtu.into(),
            queues: self.queues.len(),
            checksums_sent: has(CSUM),
            checksums_received: has(GUEST_CSUM),
            segments: has(HOST_TSO).then_some(LONG_FRAME - HEADER),
            from_outside: true,
        }
    }

    fn send(
        &self,
        queue: usize,
        length: usize,
        segmented: Segmented,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> bool {
        let queue = &self.queues[queue];
        if self.is_over() {
            fill(&mut vec![0; length]);
            count(&queue.counts.lost, 1);
            return true;
        }
        let slot = queue.transmitter.lock().slot(HEADER + length);
        let Some(mut slot) = self.sense(slot).flatten() else { return self.no_room(queue) };
        let (header, frame) = slot.bytes(HEADER + length).split_at_mut(HEADER);
        fill(frame);
        header.copy_from_slice(&match self.features & CSUM {
            0 => [0; HEADER],
            _ => offload::leave_to_the_card(frame, segmented),
        });
        let sent = queue.transmitter.lock().send(slot, HEADER + length);
        if self.sense(sent) == Some(true) {
            queue.sent.ring();
        }
        count(&queue.counts.frames_sent, 1);
        count(&queue.counts.bytes_sent, length);
        true
    }

    fn has_room(&self, queue: usize) -> bool {
        let queue = &self.queues[queue];
        if self.is_over() {
            return true; // what is sent is lost
        }
        let has_room = queue.transmitter.lock().has_room();
        self.sense(has_room) == Some(true) || self.no_room(queue)
    }

    fn receive(&self, queue: usize, take: &mut dyn FnMut(&[u8])) -> bool {
        if self.is_over() {
            return false;
        }
        let queue = &self.queues[queue];
        let (came, mut frame) = {
            let mut incoming = queue.incoming.lock();
            let mut frame = mem::take(&mut incoming.frame);
            (incoming.receiver.take(&mut frame), frame)
        };
        let came = came.and_then(|came| self.sense(came));
        if let Some(came) = &came {
            if came.notify {
                queue.received.ring();
            }
            if is_good(&queue.counts, came, &frame, self.features) {
                take(&frame);
            }
        }
        frame.clear();
        queue.incoming.lock().frame = frame;
        came.is_some()
    }

    fn wait(&self, queue: usize) -> bool {
        let queue = &self.queues[queue];
        loop {
            if queue.interrupt.quiet() {
                self.look_at_link();
            }
            if self.is_over() {
                return false;
            }
            let interrupt = queue.interrupt.armed();
            if queue.incoming.lock().receiver.look_before_waiting() {
                return true;
            }
            interrupt.wait();
        }
    }

    fn close(&self) {
        self.over.store(true, Relaxed);
        let queues = self.queues.iter().map(|queue| &queue.interrupt);
        queues.chain(&self.link_interrupt).for_each(Interrupt::send);
    }
}

/// Whether a frame that has come is to be taken in.
fn is_good(counts: &Counters, came: &Came, frame: &[u8], features: u64) -> bool {
    count(&counts.frames_received, 1);
    count(&counts.bytes_received, frame.len());
    let why_not = if came.too_long {
        &counts.too_long
    } else if frame.len() < 14 {
        &counts.short
    } else if features & GUEST_CSUM != 0 && !offload::is_right(&came.header, frame) {
        &counts.wrong_checksum
    } else {
        return true;
    };
    count(why_not, 1);
    false
}
