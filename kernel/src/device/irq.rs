//! Interrupts of devices, for goroutines that wait for them: messages (MSI-X, MSI), and the pins
//! that older devices have (INTx).
//!
//! A message is a write to the local APIC of a CPU, and names a vector there. Each CPU has vectors
//! of its own for devices, and a table that says whose each is. A message goes to the CPU on which
//! its goroutine last waited: [`Irq::armed`] directs it there.
//!
//! A pin is a level: it interrupts until its device is quiet, which only a goroutine can make it.
//! So the handler masks the pin's input of the I/O APIC, and `armed` unmasks it. Devices that share
//! an input are woken together, and it stays masked until each has been looked at.
//!
//! **Rule:** a driver looks at its device, then waits, then looks again. So a message may be
//! directed elsewhere at any time, if only the driver looks once more afterwards: what was sent to
//! the old vector is seen in the device. The old vector is free at once. A message that was still
//! under way to it is a stray, or wakes another driver for nothing.
//!
//! **Rule (IRQ-CLEAN):** [`on_interrupt`] is a few atomics and at most one write that masks the
//! interrupt. The locks behind that write are held with interrupts off, for a few instructions.

use super::config::Config;
use super::error::Error;
use super::registers::Registers;
use crate::param::STORM;
use crate::vectors::{DEVICES, DEVICES_END};
use crate::{apic, ioapic};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::array;
use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use executive::atomic::AtomicRef;
use executive::irq::Line;
use executive::irq::masks::{Level, Storm};
use executive::lock::{Lock, Rank};
use executive::param::MAX_CPUS;
use executive::percpu::cpu;
use executive::println;
use pci_types::capability::MsiCapability;

const VECTORS: usize = (DEVICES_END - DEVICES) as usize;

/// Whose the vectors of a CPU are. An entry is stored (Release) under [`GIVING`], and loaded
/// (Acquire) by the handler.
struct Table([AtomicRef<Source>; VECTORS]);

/// A CPU's table is made when the CPU gets its first vector.
static TABLES: [AtomicRef<Table>; MAX_CPUS] = [const { AtomicRef::new() }; MAX_CPUS];

/// Held while vectors are given out and taken back.
static GIVING: Lock<()> = Lock::new(Rank::User, ());

/// Interrupts at vectors that were nobody's any more.
static STRAYS: AtomicU32 = AtomicU32::new(0);

/// What interrupts. It is never freed, because a handler on another CPU may still look at it.
struct Source {
    line: Line,
    storm: Storm,
    target: Lock<Target>,
    how: How,
}

/// Where messages go.
#[derive(Clone, Copy)]
struct Target {
    cpu: usize,
    vector: u8,
}

enum How {
    /// An entry of the MSI-X table (PCI Local Bus Specification 3.0, 6.8.2).
    Entry(Registers),
    Msi(MsiCapability),
    /// One that shares an input of the I/O APIC, and its number there.
    Pin(&'static Pin, AtomicUsize),
    /// Software interrupts ([`Irq::soft`]).
    Soft,
}

/// The handler of vector `vector`, one of the devices'.
pub fn on_interrupt(vector: u8) {
    let table = TABLES[cpu()].load(Ordering::Acquire);
    match table.and_then(|t| t.0[usize::from(vector - DEVICES)].load(Ordering::Acquire)) {
        Some(Source { how: How::Pin(pin, _), .. }) => pin.came(),
        Some(source) => source.came(),
        None => {
            STRAYS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Tells of each vector that a device has, a line each, and of interrupts that came to none.
pub fn tell() {
    for (cpu, table) in TABLES.iter().enumerate() {
        let entries = table.load(Ordering::Acquire).into_iter().flat_map(|table| &table.0);
        for (vector, entry) in (DEVICES..).zip(entries) {
            if let Some(source) = entry.load(Ordering::Acquire) {
                let (how, storms) = (&source.how, source.storm.storms());
                println!("  {how} comes to CPU {cpu} as {vector:#x}; masked as a storm: {storms}");
            }
        }
    }
    println!("  {} interrupts were nobody's any more", STRAYS.load(Ordering::Relaxed));
    let all = 1 + apic::others().count();
    let beyond = (0..all).filter(|&cpu| !is_reached(cpu)).count();
    if beyond > 0 {
        println!("  devices cannot interrupt {beyond} of {all} CPUs: APIC ids above 255");
    }
}

impl Source {
    fn new(how: How) -> &'static Source {
        Box::leak(Box::new(Source {
            line: Line::new(),
            storm: Storm::new(),
            target: Lock::new(Rank::User, Target { cpu: 0, vector: 0 }),
            how,
        }))
    }

    /// In the handler.
    fn came(&'static self) {
        self.storm.came(STORM, || self.how.mask());
        self.line.raise();
    }

    /// From here on its messages go to `cpu`. `false`: that CPU has no vector left, or no message
    /// can reach it.
    fn direct_to(&'static self, cpu: usize) -> bool {
        let mut target = self.target.lock();
        let Some(vector) = claim(cpu, self) else { return false };
        self.how.direct(apic::id_of(cpu), vector);
        release(*target, self);
        *target = Target { cpu, vector };
        true
    }
}

/// Whether devices can interrupt this CPU: a message has room for eight bits of an APIC id, without
/// interrupt remapping.
fn is_reached(cpu: usize) -> bool {
    apic::id_of(cpu) <= 0xff
}

/// A vector on `cpu` for this source.
fn claim(cpu: usize, source: &'static Source) -> Option<u8> {
    if !is_reached(cpu) {
        return None;
    }
    let _one_at_a_time = GIVING.lock();
    let table = TABLES[cpu].load(Ordering::Acquire).unwrap_or_else(|| {
        let table = Box::leak(Box::new(Table(array::from_fn(|_| AtomicRef::new()))));
        TABLES[cpu].store(Some(table), Ordering::Release);
        table
    });
    let free = table.0.iter().position(|entry| entry.load(Ordering::Relaxed).is_none())?;
    table.0[free].store(Some(source), Ordering::Release);
    Some(DEVICES + free as u8)
}

/// Gives the vector back, if it was this source's.
fn release(target: Target, source: &'static Source) {
    let _one_at_a_time = GIVING.lock();
    if let Some(table) = TABLES[target.cpu].load(Ordering::Acquire)
        && let Some(entry) = table.0.get(usize::from(target.vector.wrapping_sub(DEVICES)))
        && entry.load(Ordering::Relaxed).is_some_and(|other| core::ptr::eq(other, source))
    {
        entry.store(None, Ordering::Release);
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            How::Entry(_) => f.write_str("MSI-X"),
            How::Msi(_) => f.write_str("MSI"),
            How::Pin(pin, _) => write!(f, "pin at input {}", pin.gsi),
            How::Soft => f.write_str("soft"),
        }
    }
}

impl How {
    /// A message to the CPU with this APIC id (Intel SDM vol. 3A, 12.11). Masked while it is
    /// written.
    fn direct(&self, apic_id: u32, vector: u8) {
        let address = 0xfee0_0000 | apic_id << 12;
        self.mask();
        match self {
            How::Entry(entry) => {
                entry.write(0, address);
                entry.write(4, 0u32);
                entry.write(8, u32::from(vector));
            }
            How::Msi(msi) => msi.set_message_info(address.into(), vector.into(), Config),
            How::Pin(..) | How::Soft => {}
        }
        self.unmask();
    }

    fn mask(&self) {
        match self {
            How::Entry(entry) => entry.write(12, 1u32),
            // Without a mask, the device sends nothing while its messages are off. What is lost so
            // is seen in the device.
            How::Msi(msi) => msi.set_enabled(false, Config),
            How::Pin(..) | How::Soft => {}
        }
    }

    fn unmask(&self) {
        match self {
            How::Entry(entry) => entry.write(12, 0u32),
            How::Msi(msi) => msi.set_enabled(true, Config),
            How::Pin(..) | How::Soft => {}
        }
    }
}

/// Devices that may share an input.
const SHARERS: usize = 16;

/// An input of an I/O APIC that devices' pins are wired to.
struct Pin {
    gsi: u32,
    level: Level<Source, SHARERS>,
}

static PINS: Lock<Vec<&'static Pin>> = Lock::new(Rank::User, Vec::new());

impl Pin {
    /// In the handler: on one CPU, and not again until the input is unmasked.
    fn came(&'static self) {
        self.level.came(|| ioapic::mask(self.gsi), |source| source.line.raise());
    }
}

/// One of a device's interrupts. One goroutine at a time may wait for it.
pub struct Irq(&'static Source);

impl fmt::Debug for Irq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Target { cpu, vector } = *self.0.target.lock();
        let storms = self.0.storm.storms();
        write!(f, "{}, vector {vector:#x} of CPU {cpu}, {storms} storms", self.0.how)
    }
}

impl Irq {
    /// A message that is sent from an entry of an MSI-X table.
    pub(super) fn entry(entry: Registers) -> Result<Irq, Error> {
        Irq::message(How::Entry(entry))
    }

    /// A message that is sent by way of the capability MSI.
    pub(super) fn msi(msi: MsiCapability) -> Result<Irq, Error> {
        Irq::message(How::Msi(msi))
    }

    /// An interrupt that no device sends, but [`Irq::send`].
    pub fn soft() -> Result<Irq, Error> {
        Irq::message(How::Soft)
    }

    fn message(how: How) -> Result<Irq, Error> {
        let source = Source::new(how);
        let directed = source.direct_to(cpu()) || source.direct_to(0);
        if directed { Ok(Irq(source)) } else { Err(Error::NoVector) }
    }

    /// A device's pin, wired to this input: level-triggered; active low, unless the firmware says
    /// otherwise.
    pub(super) fn pin(gsi: u32, active_low: bool) -> Result<Irq, Error> {
        let mut pins = PINS.lock();
        let known = pins.iter().copied().find(|pin| pin.gsi == gsi);
        let pin = known.unwrap_or_else(|| Box::leak(Box::new(Pin { gsi, level: Level::new() })));
        let source = Source::new(How::Pin(pin, AtomicUsize::new(0)));
        let How::Pin(_, number) = &source.how else { unreachable!() };
        number.store(pin.level.join(source).ok_or(Error::NoVector)?, Ordering::Relaxed);
        if known.is_none() {
            let vector = claim(0, source).ok_or(Error::NoVector)?;
            *source.target.lock() = Target { cpu: 0, vector };
            if !ioapic::route(gsi, vector, 0, true, active_low) {
                release(Target { cpu: 0, vector }, source);
                return Err(Error::NoPin);
            }
            pins.push(pin);
        }
        // Masked since its last sharer left, perhaps.
        ioapic::unmask(gsi);
        Ok(Irq(source))
    }

    /// Whether it is a message, which ends by itself. A pin interrupts until its device is quiet.
    pub fn is_message(&self) -> bool {
        !matches!(self.0.how, How::Pin(..))
    }

    /// Parks until an interrupt came since the last call. Look at the device before and after it:
    /// several interrupts may count as one, and one may come for nothing.
    ///
    /// # Panics
    /// If another goroutine waits for it.
    pub fn wait(&self) {
        self.armed().wait();
    }

    /// What a goroutine waits on that has looked at its device: in a select,
    /// `irq(interrupt.armed())`. From here on the device interrupts this CPU, if its interrupt is a
    /// message.
    pub fn armed(&self) -> executive::irq::Irq {
        let source = self.0;
        let looks_once_more = match &source.how {
            How::Pin(pin, number) => {
                pin.level.served(number.load(Ordering::Relaxed), || ioapic::unmask(pin.gsi));
                false
            }
            how => {
                let was_masked = source.storm.looked(|| how.unmask());
                if was_masked && source.storm.storms() == 1 {
                    println!("{how}: it interrupted {STORM} times while its driver did not look");
                }
                let here = cpu();
                let goes_elsewhere = source.target.lock().cpu != here;
                was_masked | (goes_elsewhere && source.direct_to(here))
            }
        };
        if looks_once_more {
            source.line.raise();
        }
        executive::irq::Irq::of(&source.line)
    }

    /// Interrupts the CPU that the device would interrupt: for tests and measurements.
    pub fn send(&self) {
        let Target { cpu, vector } = *self.0.target.lock();
        apic::send_ipi(cpu, vector);
    }
}

impl Drop for Irq {
    /// The device interrupts nobody any more, by this.
    fn drop(&mut self) {
        let source = self.0;
        match &source.how {
            How::Pin(pin, number) => {
                pin.level.leave(number.load(Ordering::Relaxed), || ioapic::unmask(pin.gsi));
            }
            how => {
                how.mask();
                release(*source.target.lock(), source);
            }
        }
    }
}
