//! Intel's gigabit cards that most emulators have, for package `net`: 8254x (QEMU: `-device
//! e1000`) and 82574 (`-device e1000e`). "SDM" is Intel's PCI/PCI-X Family of Gigabit Ethernet
//! Controllers Software Developer's Manual; what only the 82574 has is in its datasheet.
//!
//! One queue, without offloads: checksums are the stack's work. What comes interrupts, and the
//! goroutine that serves the queue takes frames until none is left; meanwhile the card does not
//! interrupt. What was sent is never waited for.
//!
//! **Rule:** what the card writes into its rings is a claim: a length is checked before it is used,
//! and frames are copied out before they are looked at. A card that says what cannot be, or is
//! gone, is not used any more, and what is sent by it is lost, as with a cable that was pulled.
#![allow(unsafe_code)] // What a driver promises (`Device::master`).

use crate::card::{self, Address, Counters, Counts, count};
use crate::error::Error;
use crate::param::RESET_PATIENCE;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::mem;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering, Ordering::Relaxed};
use core::time::Duration;
use executive::lock::{Lock, Rank};
use executive::time::{Instant, sleep};
use kernel::device::{self, Dma, Function, Irq, Place, Registers};
use kernel::println;
use net::{Capabilities, Device, Segmented};

const INTEL: u16 = 0x8086;
/// The cards that this driver was tried with, in emulators.
const KNOWN: [(u16, &str); 4] =
    [(0x100c, "82544GC"), (0x100e, "82540EM"), (0x100f, "82545EM"), (I82574, "82574L")];
/// The one with PCI Express. It has MSI-X.
const I82574: u16 = 0x10d3;

/// Registers (SDM, 13.4), all of 32 bits.
mod at {
    pub const CTRL: usize = 0x0000;
    pub const STATUS: usize = 0x0008;
    pub const ICR: usize = 0x00c0;
    pub const IMS: usize = 0x00d0;
    pub const IMC: usize = 0x00d8;
    /// 82574: which causes an MSI-X message clears.
    pub const EIAC: usize = 0x00dc;
    /// 82574: which entry of the MSI-X table is whose.
    pub const IVAR: usize = 0x00e4;
    pub const RCTL: usize = 0x0100;
    pub const TCTL: usize = 0x0400;
    pub const TIPG: usize = 0x0410;
    pub const RX: usize = 0x2800;
    pub const TX: usize = 0x3800;
    pub const TXDCTL: usize = 0x3828;
    pub const MTA: usize = 0x5200;
    pub const RAL: usize = 0x5400;
    pub const RAH: usize = 0x5404;
    pub const END: usize = 0x6000;

    /// Behind [`RX`] or [`TX`]: the ring's address and its bytes, and its two ends. The card has
    /// the descriptors from the head on, and not the tail.
    pub const LOW: usize = 0x00;
    pub const HIGH: usize = 0x04;
    pub const LENGTH: usize = 0x08;
    pub const HEAD: usize = 0x10;
    pub const TAIL: usize = 0x18;
}

/// Bits of CTRL: link reset, speed by what the other end can do, link up, reset, reset of the PHY.
const LRST: u32 = 1 << 3;
const ASDE: u32 = 1 << 5;
const SLU: u32 = 1 << 6;
const RST: u32 = 1 << 26;
const PHY_RST: u32 = 1 << 31;
/// A bit of STATUS: the link is up.
const LU: u32 = 1 << 1;
/// A bit of RAH: the address is valid.
const AV: u32 = 1 << 31;

/// Causes of interrupts: the link has changed, few descriptors are left, none was left, a frame has
/// come; and the 82574's for MSI-X: a frame on queue 0, the link.
const LSC: u32 = 1 << 2;
const RXDMT0: u32 = 1 << 4;
const RXO: u32 = 1 << 6;
const RXT0: u32 = 1 << 7;
const RXQ0: u32 = 1 << 20;
const OTHER: u32 = 1 << 24;
const CAUSES: u32 = LSC | RXDMT0 | RXO | RXT0;

/// RCTL: enabled; broadcasts too; buffers of 2048 bytes; without the frame's CRC. What is longer
/// than Ethernet allows the card drops.
const RECEIVE: u32 = 1 << 1 | 1 << 15 | 1 << 26;
/// TCTL: enabled; short frames are padded; the thresholds of collisions that the SDM gives.
const TRANSMIT: u32 = 1 << 1 | 1 << 3 | 0xf << 4 | 0x40 << 12;
/// The gaps between frames that the SDM gives for copper.
const GAPS: u32 = 8 | 8 << 10 | 6 << 20;
/// 82574: descriptors are written back one by one. Bit 22 must be set.
const TXDCTL_82574: u32 = 1 << 24 | 1 << 22 | 1 << 16;

/// Descriptors of a ring, and their bytes (SDM, 3.2.3 and 3.3.3, legacy): an address of 64 bits,
/// a word that begins with the length, and one that begins with the status.
const RING: usize = 256;
const DESCRIPTOR: usize = 16;
const LENGTH: usize = 8;
const STATUS: usize = 12;
/// Status: the card has done with it; it is the frame's last.
const DD: u32 = 1 << 0;
const EOP: u32 = 1 << 1;
/// What is sent: the frame's last; with a CRC; tell when it is done.
const COMMAND: u32 = (1 << 0 | 1 << 1 | 1 << 3) << 24;
/// Bytes of a buffer.
const BUFFER: usize = 2048;
/// How many frames are taken before the card is told that it has their buffers again: telling costs
/// an exit under a hypervisor.
const GIVE_BACK: usize = 32;

const ETHERNET: usize = 14;
const MTU: usize = 1500;

/// Whether this driver knows the card.
pub(crate) fn knows(function: &Function) -> bool {
    function.vendor == INTEL && KNOWN.iter().any(|(id, _)| *id == function.device)
}

/// A network card.
pub struct Card {
    // First: it can reach no memory any more before that is free.
    device: device::Device,
    name: &'static str,
    registers: Registers,
    irq: Irq,
    causes: u32,
    address: [u8; 6],
    incoming: Lock<Ring>,
    outgoing: Lock<Ring>,
    counts: Counters,
    link: AtomicBool,
    /// The interface was taken down, or the card is broken. Stored before who waits is woken.
    over: AtomicBool,
    broken: Lock<Option<Error>>,
}

/// A ring of descriptors, each with a buffer of its own.
struct Ring {
    descriptors: Dma,
    buffers: Dma,
    /// The next one: to be filled by the card, or by us.
    next: usize,
    /// Where a frame that has come is copied to (whoever serves the queue has it meanwhile), or one
    /// that goes is written.
    frame: Vec<u8>,
}

impl Ring {
    fn new() -> Result<Ring, Error> {
        let ring = Ring {
            descriptors: Dma::new(RING * DESCRIPTOR)?,
            buffers: Dma::new(RING * BUFFER)?,
            next: 0,
            frame: Vec::with_capacity(BUFFER),
        };
        for nth in 0..RING {
            let address = ring.buffers.address() + (nth * BUFFER) as u64;
            ring.descriptors.write(nth * DESCRIPTOR, &address.to_le_bytes());
        }
        Ok(ring)
    }

    /// Tells the card where the ring is. Both ends are at its beginning.
    fn show(&self, registers: &Registers, side: usize) {
        let address = self.descriptors.address();
        registers.write(side + at::LOW, address as u32);
        registers.write(side + at::HIGH, (address >> 32) as u32);
        registers.write(side + at::LENGTH, (RING * DESCRIPTOR) as u32);
        registers.write(side + at::HEAD, 0u32);
        registers.write(side + at::TAIL, 0u32);
    }

    /// A word of a descriptor.
    fn word(&self, nth: usize, word: usize) -> &AtomicU32 {
        self.descriptors.word(nth % RING * DESCRIPTOR + word)
    }

    /// The status of a descriptor. Acquire: what the card has written before it is read behind it.
    fn status(&self, nth: usize) -> u32 {
        self.word(nth, STATUS).load(Ordering::Acquire)
    }

    fn is_done(&self, nth: usize) -> bool {
        self.status(nth) & DD != 0
    }

    /// Whether one more can be sent. If all were the card's the head would be the tail, and none
    /// were.
    fn has_room(&self) -> bool {
        self.is_done(self.next) && self.is_done(self.next + 1)
    }
}

impl Card {
    /// Takes and starts the card. On a goroutine.
    pub(crate) fn start(function: Function, name: &'static str) -> Result<Card, Error> {
        let mut device = function.take()?;
        let registers = device.bar(0)?;
        if registers.length() < at::END {
            return Err(device::Error::OutOfRange.into());
        }
        reset(&registers)?;
        // SAFETY: by its reset it has forgotten what it was told before. From here on it is told
        // the addresses of `Dma` memory alone, which is freed behind `device`.
        unsafe { device.master() };
        let irq = device.irqs(1)?.swap_remove(0);
        let [incoming, outgoing] = [Ring::new()?, Ring::new()?];
        let mut causes = CAUSES;
        if function.device == I82574 {
            const VALID: u32 = 1 << 3;
            // Entry 0 is for frames on queue 0, and for the link.
            registers.write(at::IVAR, VALID | VALID << 16);
            registers.write(at::EIAC, RXQ0 | OTHER);
            registers.write(at::TXDCTL, TXDCTL_82574);
            causes |= RXQ0 | OTHER;
        }
        (0..128).for_each(|nth| registers.write(at::MTA + 4 * nth, 0u32));
        incoming.show(&registers, at::RX);
        outgoing.show(&registers, at::TX);
        registers.write(at::TIPG, GAPS);
        registers.write(at::TCTL, TRANSMIT);
        registers.write(at::RCTL, RECEIVE);
        let control = registers.read::<u32>(at::CTRL) & !(LRST | PHY_RST);
        registers.write(at::CTRL, control | SLU | ASDE);
        for nth in 0..RING {
            // Nothing is in what shall be sent, so that is done.
            outgoing.word(nth, STATUS).store(DD, Relaxed);
        }
        registers.write(at::RX + at::TAIL, RING as u32 - 1);
        let card = Card {
            address: address(&registers)?,
            device,
            name,
            irq,
            causes,
            incoming: Lock::new(Rank::User, incoming),
            outgoing: Lock::new(Rank::User, outgoing),
            counts: Counters::default(),
            link: AtomicBool::new(registers.read::<u32>(at::STATUS) & LU != 0),
            registers,
            over: AtomicBool::new(false),
            broken: Lock::new(Rank::User, None),
        };
        Ok(card)
    }

    fn is_over(&self) -> bool {
        // Relaxed: who is woken by `close` has taken a lock since, as `Irq::send` has.
        self.over.load(Relaxed)
    }

    /// It does not interrupt from here on. Returns why it has.
    fn quiet(&self) -> u32 {
        self.registers.write(at::IMC, u32::MAX);
        self.registers.read(at::ICR) // which clears it
    }

    fn look_at_link(&self) {
        let is_up = self.registers.read::<u32>(at::STATUS) & LU != 0;
        if !self.is_over() && self.link.swap(is_up, Relaxed) != is_up {
            println!("{}: the link is {}", self.name, if is_up { "up" } else { "down" });
        }
    }

    fn look_if_gone(&self) {
        if !self.is_over() && !self.device.function().is_there() {
            self.break_down(Error::Gone);
        }
    }

    /// It is not used any more. Never parks.
    fn break_down(&self, why: Error) {
        let known = self.broken.lock().replace(why);
        if known.is_none() {
            self.registers.write(at::CTRL, RST);
            println!("{} is not used any more: {why}", self.name);
        }
        self.close();
    }
}

/// Resets the card, and waits until it says that it has done so. Then it neither interrupts nor
/// sends nor receives (SDM, 14.3).
fn reset(registers: &Registers) -> Result<(), Error> {
    registers.write(at::IMC, u32::MAX);
    registers.write(at::RCTL, 0u32);
    registers.write(at::TCTL, 0u32);
    let control: u32 = registers.read(at::CTRL);
    registers.write(at::CTRL, control | RST);
    let end = Instant::now() + RESET_PATIENCE;
    loop {
        sleep(Duration::from_millis(1)); // it must be left alone for a microsecond
        if registers.read::<u32>(at::CTRL) & RST == 0 {
            break;
        }
        if end.remaining().is_zero() {
            return Err(Error::TimedOut(RESET_PATIENCE));
        }
    }
    registers.write(at::IMC, u32::MAX);
    let _: u32 = registers.read(at::ICR);
    Ok(())
}

/// Its own address, which its reset has loaded.
fn address(registers: &Registers) -> Result<[u8; 6], Error> {
    let high: u32 = registers.read(at::RAH);
    let [a, b, c, d] = registers.read::<u32>(at::RAL).to_le_bytes();
    let [e, g, ..] = high.to_le_bytes();
    let is_one = a & 1 == 0 && [a, b, c, d, e, g] != [0; 6];
    if high & AV != 0 && is_one { Ok([a, b, c, d, e, g]) } else { Err(Error::Nonsense) }
}

impl card::Card for Card {
    fn counts(&self) -> Vec<Counts> {
        vec![self.counts.get()]
    }

    fn broken(&self) -> Option<Error> {
        *self.broken.lock()
    }
}

/// `82540EM, 00:03.0, 52:54:00:12:34:56`.
impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = self.device.function();
        let known = KNOWN.iter().find(|(id, _)| *id == function.device);
        let (_, name) = known.expect("`start` was given one that is known");
        write!(f, "{name}, {}, {}", Place(function.address), Address(self.address))?;
        let is_up = self.link.load(Relaxed) && !self.is_over();
        f.write_str(if is_up { "" } else { ", the link is down" })
    }
}

impl Device for Card {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(self.address, MTU)
    }

    fn send(
        &self,
        _queue: usize,
        length: usize,
        _segmented: Segmented,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> bool {
        let mut ring = self.outgoing.lock();
        let nth = ring.next;
        let is_lost = self.is_over() || !self.link.load(Relaxed) || length > BUFFER;
        if !is_lost && !ring.has_room() {
            count(&self.counts.no_room, 1);
            return false;
        }
        ring.frame.resize(length, 0);
        fill(&mut ring.frame);
        if is_lost {
            count(&self.counts.lost, 1);
            return true;
        }
        ring.buffers.write(nth * BUFFER, &ring.frame);
        ring.word(nth, STATUS).store(0, Relaxed);
        ring.word(nth, LENGTH).store(COMMAND | length as u32, Ordering::Release);
        ring.next = (nth + 1) % RING;
        self.registers.write(at::TX + at::TAIL, ring.next as u32);
        count(&self.counts.frames_sent, 1);
        count(&self.counts.bytes_sent, length);
        true
    }

    fn has_room(&self, _queue: usize) -> bool {
        self.is_over() || self.outgoing.lock().has_room()
    }

    fn receive(&self, _queue: usize, take: &mut dyn FnMut(&[u8])) -> bool {
        if self.is_over() {
            return false;
        }
        let mut ring = self.incoming.lock();
        let nth = ring.next;
        let status = ring.status(nth);
        if status & DD == 0 {
            // The last of those that were taken is the one that the card may not have.
            let tail = (nth + RING - 1) % RING;
            self.registers.write(at::RX + at::TAIL, tail as u32);
            return false;
        }
        let length = (ring.word(nth, LENGTH).load(Relaxed) & 0xffff) as usize;
        if length > BUFFER {
            drop(ring);
            self.break_down(Error::Nonsense);
            return false;
        }
        let mut frame = mem::take(&mut ring.frame);
        frame.resize(length, 0);
        ring.buffers.read(nth * BUFFER, &mut frame);
        ring.word(nth, STATUS).store(0, Ordering::Release);
        ring.next = (nth + 1) % RING;
        if nth % GIVE_BACK == GIVE_BACK - 1 {
            self.registers.write(at::RX + at::TAIL, nth as u32);
        }
        drop(ring);
        count(&self.counts.frames_received, 1);
        count(&self.counts.bytes_received, length);
        if status & EOP == 0 {
            count(&self.counts.too_long, 1);
        } else if length < ETHERNET {
            count(&self.counts.short, 1);
        } else {
            take(&frame);
        }
        self.incoming.lock().frame = frame;
        true
    }

    fn wait(&self, _queue: usize) -> bool {
        loop {
            if self.quiet() & LSC != 0 {
                self.look_at_link();
            }
            self.look_if_gone();
            if self.is_over() {
                return false;
            }
            let irq = self.irq.armed();
            self.registers.write(at::IMS, self.causes);
            let has_come = {
                let ring = self.incoming.lock();
                ring.is_done(ring.next)
            };
            if has_come {
                self.registers.write(at::IMC, u32::MAX);
                return true;
            }
            irq.wait();
        }
    }

    fn close(&self) {
        self.over.store(true, Relaxed);
        self.irq.send();
    }
}
