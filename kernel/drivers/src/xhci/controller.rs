//! An xHCI controller (eXtensible Host Controller Interface for USB, 1.2): its registers, its
//! memory, and its commands.
//!
//! **Rule:** the controller may be wrong, and a device at it may lie. Every wait has an end. An
//! event that answers nothing that was asked is dropped.
#![allow(unsafe_code)] // What the kernel wants promised of a device that reaches memory.

use super::error::Error;
use super::place::Place;
use super::ring::{self, ENTRIES, Events, Ring, Trb};
use crate::param::{USB_DEVICE_PATIENCE, USB_EVENTS_AT_A_TIME, USB_PATIENCE};
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{Ordering, fence};
use core::time::Duration;
use executive::select;
use executive::time::{Instant, sleep};
use kernel::device::{self, Device, Dma, Function, Irq, Registers};

/// Capability registers (5.3).
const CAPABILITIES: usize = 0x20;
const STRUCTURAL_1: usize = 0x04;
const STRUCTURAL_2: usize = 0x08;
const PARAMETERS: usize = 0x10;
const DOORBELLS: usize = 0x14;
const RUNTIME: usize = 0x18;
const CONTEXTS_OF_64_BYTES: u32 = 1 << 2;

/// Extended capabilities (7).
const LEGACY: u8 = 1;
const PROTOCOL: u8 = 2;
const FIRMWARE_OWNS: u32 = 1 << 16;
const WE_OWN: u32 = 1 << 24;
/// Of the register behind: what is neither an interrupt for the firmware nor its cause, and the
/// causes, of which a 1 clears each.
const LEGACY_RESERVED: u32 = 0b111 << 1 | 0xff << 5 | 0b111 << 17;
const LEGACY_CAUSES: u32 = 0b111 << 29;

/// Operational registers (5.4).
const COMMAND: usize = 0x00;
const STATUS: usize = 0x04;
const PAGE_SIZE: usize = 0x08;
const COMMAND_RING: usize = 0x18;
const CONTEXTS: usize = 0x30;
const CONFIGURE: usize = 0x38;
const PORTS: usize = 0x400;
const PORT_BYTES: usize = 0x10;

const RUN: u32 = 1 << 0;
const RESET: u32 = 1 << 1;
const INTERRUPTS: u32 = 1 << 2;

const HALTED: u32 = 1 << 0;
const MEMORY_ERROR: u32 = 1 << 2;
const INTERRUPT: u32 = 1 << 3;
const PORT_CHANGE: u32 = 1 << 4;
const NOT_READY: u32 = 1 << 11;
const OWN_ERROR: u32 = 1 << 12;

/// A port's register (5.4.8).
pub const CONNECTED: u32 = 1 << 0;
pub const ENABLED: u32 = 1 << 1;
pub const PORT_RESET: u32 = 1 << 4;
pub const POWER: u32 = 1 << 9;
/// Changes; a 1 clears each.
pub const CONNECT_CHANGE: u32 = 1 << 17;
pub const RESET_CHANGE: u32 = 1 << 21;
pub const CHANGES: u32 = 0x7f << 17;
/// What a write leaves as it is, if it writes what was read; of the rest a 0 does nothing.
const PORT_KEEPS: u32 = POWER | 0b11 << 14 | 0b111 << 25;

/// Runtime registers: those of the first interrupter (5.5.2).
const RUNTIME_BYTES: usize = 0x40;
const INTERRUPTER: usize = 0x20;
const SEGMENTS: usize = 0x28;
const SEGMENT_TABLE: usize = 0x30;
const DEQUEUE: usize = 0x38;
const PENDING: u32 = 1 << 0;
const ENABLE: u32 = 1 << 1;
const BUSY: u32 = 1 << 3;

/// Types of entries (6.4.6), in their place.
const NORMAL: u32 = 1 << 10;
const SETUP: u32 = 2 << 10;
const DATA: u32 = 3 << 10;
const STATUS_STAGE: u32 = 4 << 10;
const ENABLE_SLOT: u32 = 9 << 10;
const DISABLE_SLOT: u32 = 10 << 10;
const ADDRESS_DEVICE: u32 = 11 << 10;
const CONFIGURE_ENDPOINT: u32 = 12 << 10;
const EVALUATE_CONTEXT: u32 = 13 << 10;
const RESET_ENDPOINT: u32 = 14 << 10;
const SET_DEQUEUE: u32 = 16 << 10;
const TRANSFER: u32 = 32 << 10;
const COMPLETED: u32 = 33 << 10;
const PORT_CHANGED: u32 = 34 << 10;
const TYPE: u32 = 0x3f << 10;

/// Bits of entries.
const SHORT_INTERRUPTS: u32 = 1 << 2;
const INTERRUPTS_WHEN_DONE: u32 = 1 << 5;
const IMMEDIATE: u32 = 1 << 6;
const IN: u32 = 1 << 16;
const DATA_IN: u32 = 3 << 16;

/// Completion codes (6.4.5).
pub const SUCCESS: u8 = 1;
pub const STALLED: u8 = 6;
pub const SHORT: u8 = 13;

/// Types of endpoints (6.2.3), in their place, and how often a transaction is tried.
const CONTROL_ENDPOINT: u32 = 4 << 3;
const INTERRUPT_IN: u32 = 7 << 3;
const THREE_TRIES: u32 = 3 << 1;

/// Speeds (7.2.2.1.1), and where they are in a port's register.
pub const FULL: u32 = 1;
pub const LOW: u32 = 2;
pub const HIGH: u32 = 3;
pub const SPEED: u32 = 10;

/// Of a slot's context: the device is a hub.
const IS_HUB: u32 = 1 << 26;

/// Where the table of event segments is in the page of the device contexts' addresses.
const SEGMENT_TABLE_AT: usize = 0x840;

/// Where the parts of a slot's memory are: what the controller says of the device, what it is
/// told of it, what the device answers, and what it reports.
const OUTPUT: usize = 0;
const INPUT: usize = 0x1000;
const ANSWER: usize = 0x2000;
pub const ANSWER_BYTES: usize = 0x800;
const REPORT: usize = 0x2800;
pub const REPORT_BYTES: usize = 0x800;
const SLOT_BYTES: usize = 0x3000;

/// The number of an endpoint in a device's contexts: that of the control endpoint.
const CONTROL: u8 = 1;

pub struct Controller {
    // First: from when it is dropped the controller does not reach memory any more.
    device: Device,
    operational: Registers,
    runtime: Registers,
    doorbells: Registers,
    interrupt: Irq,
    ports: u8,
    slots: u8,
    /// Bytes of a context.
    context: usize,
    /// Which ports want which type of slot.
    slot_types: Vec<(Range<u32>, u32)>,
    tables: Dma,
    _scratchpad: Vec<Dma>,
    commands: Ring,
    events: Events,
    /// The last answer to a command, and to a request to a device's control endpoint.
    answer: Option<Trb>,
    control: Option<Trb>,
    /// Transfers of other endpoints that are done: one of each slot at the most.
    pub reports: Vec<Trb>,
    /// A port has changed.
    pub ports_changed: bool,
    /// Not all events were looked at.
    more: bool,
}

/// A device, as the controller knows it.
pub struct Slot {
    id: u8,
    pub at: Place,
    pub speed: u32,
    /// Who translates for a slow device behind a fast hub: that hub's slot, and its port.
    translator: [u8; 2],
    /// Of a hub: how many ports it has, and how long it thinks between two slow transfers.
    hub: Option<(u8, u8)>,
    memory: Dma,
    control: Ring,
    /// The transfers of the one endpoint that is read at intervals, and which is under way.
    reports: Ring,
    waits_for: u32,
    /// That endpoint's number in the device's contexts, and how many bytes it is asked for.
    endpoint: u8,
    length: usize,
}

/// Looks every millisecond: for what comes without an interrupt.
fn poll(what: &'static str, mut done: impl FnMut() -> bool) -> Result<(), Error> {
    let end = Instant::now() + USB_PATIENCE;
    while !done() {
        if end.remaining().is_zero() {
            return Err(Error::TimedOut(what));
        }
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The extended capabilities, as far as their list goes: an id, and where.
fn extended(registers: &Registers, parameters: u32) -> Vec<(u8, usize)> {
    let mut found = Vec::new();
    let mut at = (parameters >> 16) as usize * 4;
    // Each has at least 16 bytes behind it, so a longer list is a wrong one.
    while at != 0 && at + 16 <= registers.length() && found.len() < 64 {
        let word = registers.read::<u32>(at);
        found.push((word as u8, at));
        at = match (word >> 8 & 0xff) as usize * 4 {
            0 => 0,
            next => at + next,
        };
    }
    found
}

/// Takes the controller from the firmware, which may have driven a keyboard with it. It is given
/// up to 5 seconds, and then not asked any more.
fn take_over(registers: &Registers, at: usize) {
    let owner = || registers.read::<u32>(at);
    registers.write(at, owner() | WE_OWN);
    if poll("the firmware", || owner() & FIRMWARE_OWNS == 0).is_err() {
        registers.write(at, owner() & !FIRMWARE_OWNS);
    }
    // It gets no interrupts of the controller any more.
    let control = registers.read::<u32>(at + 4);
    registers.write(at + 4, control & LEGACY_RESERVED | LEGACY_CAUSES);
}

impl Controller {
    /// Takes and starts the controller.
    pub fn open(function: Function) -> Result<Controller, Error> {
        let mut device = function.take()?;
        let registers = device.bar(0)?;
        let capabilities = registers.part(0, CAPABILITIES)?;
        let read = |at| capabilities.read::<u32>(at);
        let (structural, parameters) = (read(STRUCTURAL_1), read(PARAMETERS));
        let (slots, ports) = (structural as u8, (structural >> 24) as u8);
        let begin = usize::from(read(0) as u8);
        if slots == 0 || ports == 0 || !begin.is_multiple_of(4) {
            return Err(Error::Nonsense);
        }
        let operational = registers.part(begin, PORTS + PORT_BYTES * usize::from(ports))?;
        let runtime = registers.part(read(RUNTIME) as usize & !0x1f, RUNTIME_BYTES)?;
        let doorbells =
            registers.part(read(DOORBELLS) as usize & !0b11, 4 * (1 + usize::from(slots)))?;
        let extended = extended(&registers, parameters);
        if let Some(&(_, at)) = extended.iter().find(|&&(id, _)| id == LEGACY) {
            take_over(&registers, at);
        }
        let protocols = extended.iter().filter(|&&(id, _)| id == PROTOCOL).map(|&(_, at)| {
            let ports = registers.read::<u32>(at + 8);
            let (first, count) = (ports & 0xff, ports >> 8 & 0xff);
            (first..first + count, registers.read::<u32>(at + 12) & 0x1f)
        });
        let slot_types = protocols.collect();

        let status = || operational.read::<u32>(STATUS);
        let ready = || status() & NOT_READY == 0;
        poll("its start", ready)?;
        operational.write(COMMAND, 0u32);
        poll("its stop", || status() & HALTED != 0)?;
        operational.write(COMMAND, RESET);
        let is_reset = || operational.read::<u32>(COMMAND) & RESET == 0 && ready();
        poll("its reset", is_reset)?;
        if status() == u32::MAX {
            return Err(Error::Gone);
        }
        if operational.read::<u32>(PAGE_SIZE) & 1 == 0 {
            return Err(Error::Nonsense); // pages of 4 KiB are all that any controller has
        }
        // SAFETY: by its reset it has forgotten what it was told before. From here on it is told
        // the addresses of `Dma` memory alone. A slot's memory is freed when the controller has
        // said that the slot is disabled (`disable`), the rest behind `device`.
        unsafe { device.master() };
        let interrupt = device.irqs(1)?.swap_remove(0);
        let tables = Dma::new(0x1000)?;
        let structural = read(STRUCTURAL_2);
        let pages = (structural >> 21 & 0x1f) << 5 | structural >> 27;
        let controller = Controller {
            device,
            operational,
            runtime,
            doorbells,
            interrupt,
            ports,
            slots,
            context: if parameters & CONTEXTS_OF_64_BYTES != 0 { 64 } else { 32 },
            slot_types,
            _scratchpad: scratchpad(&tables, pages as usize)?,
            tables,
            commands: Ring::new()?,
            events: Events::new()?,
            answer: None,
            control: None,
            reports: Vec::new(),
            ports_changed: false,
            more: false,
        };
        controller.run()?;
        Ok(controller)
    }

    /// Tells the controller where its memory is, and starts it (4.2).
    fn run(&self) -> Result<(), Error> {
        let Controller { operational, runtime, tables, commands, events, .. } = self;
        let segment = [events.address(), 0, ENTRIES as u32, 0];
        ring::write(tables, SEGMENT_TABLE_AT, &segment);
        let tables = tables.address() as u32;
        let wide = |registers: &Registers, at, low: u32| {
            registers.write(at, low);
            registers.write(at + 4, 0u32);
        };
        operational.write(CONFIGURE, u32::from(self.slots));
        wide(operational, CONTEXTS, tables);
        wide(operational, COMMAND_RING, commands.dequeue_pointer());
        runtime.write(SEGMENTS, 1u32);
        wide(runtime, DEQUEUE, events.dequeue_pointer());
        wide(runtime, SEGMENT_TABLE, tables + SEGMENT_TABLE_AT as u32);
        runtime.write(INTERRUPTER, ENABLE | PENDING);
        operational.write(COMMAND, RUN | INTERRUPTS);
        poll("its start", || operational.read::<u32>(STATUS) & HALTED == 0)
    }

    /// The numbers of its ports.
    pub fn ports(&self) -> impl Iterator<Item = u8> + use<> {
        1..=self.ports
    }

    pub fn port(&self, port: u8) -> u32 {
        self.operational.read(PORTS + PORT_BYTES * usize::from(port - 1))
    }

    /// Sets bits of a port, or clears changes.
    pub fn set_port(&self, port: u8, bits: u32) {
        let value = self.port(port) & PORT_KEEPS | bits;
        self.operational.write(PORTS + PORT_BYTES * usize::from(port - 1), value);
    }

    fn is_there(&self) -> bool {
        self.device.function().is_there()
    }

    /// Takes in what has happened.
    pub fn look(&mut self) -> Result<(), Error> {
        let status = self.operational.read::<u32>(STATUS);
        if matches!(status, 0 | u32::MAX) && !self.is_there() {
            return Err(Error::Gone);
        }
        if status & (HALTED | MEMORY_ERROR | OWN_ERROR) != 0 {
            return Err(Error::Stopped);
        }
        // Before the events are looked at: one that comes later interrupts again.
        self.operational.write(STATUS, INTERRUPT | PORT_CHANGE);
        self.runtime.write(INTERRUPTER, ENABLE | PENDING);
        self.more = true;
        for _ in 0..USB_EVENTS_AT_A_TIME {
            let Some(event) = self.events.take() else {
                self.more = false;
                break;
            };
            self.take(event);
        }
        self.runtime.write(DEQUEUE, self.events.dequeue_pointer() | BUSY);
        self.runtime.write(DEQUEUE + 4, 0u32);
        Ok(())
    }

    fn take(&mut self, event: Trb) {
        match event[3] & TYPE {
            COMPLETED => self.answer = Some(event),
            TRANSFER if endpoint_of(event) == CONTROL => self.control = Some(event),
            TRANSFER if !self.reports.iter().any(|other| slot_of(*other) == slot_of(event)) => {
                self.reports.push(event);
            }
            PORT_CHANGED => self.ports_changed = true,
            _ => {}
        }
    }

    /// Parks until the controller interrupts, or until then.
    pub fn pause(&self, until: Option<Instant>) {
        if self.more {
            return executive::yield_now();
        }
        match until {
            None => self.interrupt.wait(),
            Some(end) => select! {
                irq(self.interrupt.armed()) => {}
                after(end.remaining()) => {}
            },
        }
    }

    /// Waits until `seen` has seen something; `None`: it has not, for so long.
    pub fn until<T>(
        &mut self,
        patience: Duration,
        mut seen: impl FnMut(&Self) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let end = Instant::now() + patience;
        loop {
            self.look()?;
            let found = seen(self);
            if found.is_some() || end.remaining().is_zero() {
                return Ok(found);
            }
            self.pause(Some(end));
        }
    }

    fn ring(&self, slot: u8, endpoint: u8) {
        fence(Ordering::SeqCst); // the entries before the doorbell
        self.doorbells.write(4 * usize::from(slot), u32::from(endpoint));
    }

    /// Has a command done; returns the slot that the answer names.
    fn command(&mut self, what: &'static str, trb: Trb) -> Result<u8, Error> {
        let at = self.commands.push(trb);
        self.ring(0, 0);
        let answer = |c: &Self| c.answer.filter(|answer| answer[0] == at);
        let answer = self.until(USB_PATIENCE, answer)?.ok_or(Error::TimedOut(what))?;
        match code_of(answer) {
            SUCCESS => Ok(slot_of(answer)),
            code => Err(Error::Refused(what, code)),
        }
    }

    /// A command that has the controller read the slot's input context: of the slot, the control
    /// endpoint, and up to one more, those that are given.
    fn tell(
        &mut self,
        what: &'static str,
        command: u32,
        slot: &Slot,
        told: &[(u8, [u32; 5])],
    ) -> Result<(), Error> {
        ring::write(&slot.memory, INPUT, &[0; 0x1000 / 4]);
        let added = told.iter().fold(0, |added, &(context, _)| added | 1 << context);
        ring::write(&slot.memory, INPUT + 4, &[added]);
        for (context, words) in told {
            let at = INPUT + self.context * (1 + usize::from(*context));
            ring::write(&slot.memory, at, words);
        }
        let at = slot.memory.address() as u32 + INPUT as u32;
        self.command(what, [at, 0, 0, command | u32::from(slot.id) << 24])?;
        Ok(())
    }

    /// Gives the device at this place, which is reset, a slot and an address. `hub` is the one it
    /// is plugged into.
    pub fn enable(&mut self, at: Place, speed: u32, hub: Option<&Slot>) -> Result<Slot, Error> {
        let translator = match hub {
            Some(hub) if matches!(speed, FULL | LOW) => match hub.speed {
                HIGH => [hub.id, at.port()],
                _ => hub.translator,
            },
            _ => [0, 0],
        };
        let (memory, control, reports) = (Dma::new(SLOT_BYTES)?, Ring::new()?, Ring::new()?);
        let of_port = |(ports, _): &&(Range<u32>, u32)| ports.contains(&u32::from(at.root()));
        let slot_type = self.slot_types.iter().find(of_port).map_or(0, |&(_, kind)| kind);
        let id = self.command("a slot", [0, 0, 0, ENABLE_SLOT | slot_type << 16])?;
        if id == 0 || id > self.slots {
            return Err(Error::Nonsense);
        }
        let output = memory.address() as u32 + OUTPUT as u32;
        ring::write(&self.tables, 8 * usize::from(id), &[output, 0]);
        let (hub, waits_for, endpoint, length) = (None, 0, 0, 0);
        let slot = Slot {
            id,
            at,
            speed,
            translator,
            hub,
            memory,
            control,
            reports,
            waits_for,
            endpoint,
            length,
        };
        let packet = match speed {
            FULL | LOW => 8,
            HIGH => 64,
            _ => 512,
        };
        let told = [(0, slot.context(CONTROL)), (CONTROL, slot.control(packet))];
        match self.tell("the device's address", ADDRESS_DEVICE, &slot, &told) {
            Ok(()) => Ok(slot),
            Err(error) => {
                self.disable(slot)?;
                Err(error)
            }
        }
    }

    /// The device's slot is free again, and what it has used.
    pub fn disable(&mut self, slot: Slot) -> Result<(), Error> {
        let command = [0, 0, 0, DISABLE_SLOT | u32::from(slot.id) << 24];
        let disabled = self.command("the end of a slot", command);
        self.reports.retain(|report| slot_of(*report) != slot.id);
        if let Err(error) = disabled {
            // It may use the memory for ever.
            core::mem::forget(slot);
            return Err(error);
        }
        ring::write(&self.tables, 8 * usize::from(slot.id), &[0, 0]);
        Ok(())
    }

    /// The device's control endpoint takes packets of up to so many bytes.
    pub fn set_packet(&mut self, slot: &Slot, packet: u8) -> Result<(), Error> {
        if slot.speed != FULL || packet == 8 {
            return Ok(()); // all others have one length
        }
        if ![16, 32, 64].contains(&packet) {
            return Err(Error::Odd);
        }
        let told = [(CONTROL, slot.control(packet.into()))];
        self.tell("a packet's length", EVALUATE_CONTEXT, slot, &told)
    }

    /// A request to the device (USB 2.0, 9.3): type, request, value, index. Returns what it has
    /// answered, `length` bytes; those that it has not sent are 0.
    pub fn request(
        &mut self,
        slot: &mut Slot,
        [kind, request]: [u8; 2],
        [value, index]: [u16; 2],
        length: usize,
    ) -> Result<Vec<u8>, Error> {
        let mut answer = alloc::vec![0; length.min(ANSWER_BYTES)];
        let length = answer.len() as u32;
        slot.memory.write(ANSWER, &answer);
        let first = u32::from(kind) | u32::from(request) << 8 | u32::from(value) << 16;
        let second = u32::from(index) | length << 16;
        let ways = if length > 0 { DATA_IN } else { 0 };
        slot.control.push([first, second, 8, SETUP | IMMEDIATE | ways]);
        if length > 0 {
            let at = slot.memory.address() as u32 + ANSWER as u32;
            slot.control.push([at, 0, length, DATA | IN]);
        }
        let way = if length > 0 { 0 } else { IN };
        slot.control.push([0, 0, 0, STATUS_STAGE | way | INTERRUPTS_WHEN_DONE]);
        self.control = None;
        self.ring(slot.id, CONTROL);
        let of_slot = |c: &Self| c.control.filter(|event| slot_of(*event) == slot.id);
        match code_of(self.until(USB_DEVICE_PATIENCE, of_slot)?.ok_or(Error::Silent)?) {
            SUCCESS | SHORT => {
                slot.memory.read(ANSWER, &mut answer);
                Ok(answer)
            }
            code => {
                self.unhalt(slot.id, CONTROL, &slot.control)?;
                Err(Error::Failed(code))
            }
        }
    }

    /// An endpoint that has failed takes transfers again, from the next one on.
    fn unhalt(&mut self, slot: u8, endpoint: u8, ring: &Ring) -> Result<(), Error> {
        let of = u32::from(slot) << 24 | u32::from(endpoint) << 16;
        self.command("an endpoint's reset", [0, 0, 0, RESET_ENDPOINT | of])?;
        self.command("a ring", [ring.dequeue_pointer(), 0, 0, SET_DEQUEUE | of])?;
        Ok(())
    }

    /// The device has this endpoint, number 1 to 15, by which it is read at intervals.
    pub fn configure(
        &mut self,
        slot: &mut Slot,
        number: u8,
        packet: u16,
        interval: u8,
    ) -> Result<(), Error> {
        // In units of 125 us, as a power of two.
        let interval = match slot.speed {
            FULL | LOW => (u32::from(interval.max(1)) * 8).ilog2().clamp(3, 10),
            _ => u32::from(interval.clamp(1, 16)) - 1,
        };
        slot.endpoint = 2 * number + 1;
        slot.length = usize::from(packet).clamp(8, REPORT_BYTES);
        let packet = u32::from(packet);
        let kind = packet << 16 | INTERRUPT_IN | THREE_TRIES;
        let ring = slot.reports.dequeue_pointer();
        let words = [interval << 16, kind, ring, 0, packet << 16 | packet];
        let told = [(0, slot.context(slot.endpoint)), (slot.endpoint, words)];
        self.tell("an endpoint", CONFIGURE_ENDPOINT, slot, &told)
    }

    /// Asks for the next report.
    pub fn ask(&mut self, slot: &mut Slot) {
        let at = slot.memory.address() as u32 + REPORT as u32;
        let last = NORMAL | INTERRUPTS_WHEN_DONE | SHORT_INTERRUPTS;
        slot.waits_for = slot.reports.push([at, 0, slot.length as u32, last]);
        self.ring(slot.id, slot.endpoint);
    }

    /// The endpoint has failed: it can be asked again.
    pub fn recover(&mut self, slot: &mut Slot, code: u8) -> Result<(), Error> {
        const CLEAR_FEATURE: [u8; 2] = [0x02, 1];
        const ENDPOINT_HALT: u16 = 0;
        self.unhalt(slot.id, slot.endpoint, &slot.reports)?;
        if code == STALLED {
            let index = u16::from(slot.endpoint / 2) | 0x80;
            self.request(slot, CLEAR_FEATURE, [ENDPOINT_HALT, index], 0)?;
        }
        Ok(())
    }
}

impl Slot {
    /// The controller is told, when the endpoint is, that this is a hub.
    pub fn is_hub(&mut self, ports: u8, thinks: u8) {
        self.hub = Some((ports, thinks));
    }

    /// The slot's context (6.2.2), whose last endpoint is `last`. (The fifth word is the
    /// controller's.)
    fn context(&self, last: u8) -> [u32; 5] {
        let (is_hub, (ports, thinks)) = match self.hub {
            Some(hub) => (IS_HUB, hub),
            None => (0, (0, 0)),
        };
        // Only a fast hub translates, and so thinks.
        let thinks = if self.speed == HIGH { thinks } else { 0 };
        let first = u32::from(last) << 27 | is_hub | self.speed << 20 | self.at.route();
        let second = u32::from(ports) << 24 | u32::from(self.at.root()) << 16;
        let third = u32::from(thinks) << 16 | u32::from(u16::from_le_bytes(self.translator));
        [first, second, third, 0, 0]
    }

    /// The control endpoint's context (6.2.3).
    fn control(&self, packet: u32) -> [u32; 5] {
        let kind = packet << 16 | CONTROL_ENDPOINT | THREE_TRIES;
        [0, kind, self.control.dequeue_pointer(), 0, 8]
    }

    /// The code and the bytes of a transfer, if it is the one that was asked for.
    pub fn report<const N: usize>(&self, event: Trb) -> Option<(u8, [u8; N])> {
        let (slot, endpoint) = (slot_of(event), endpoint_of(event));
        if (slot, endpoint, event[0]) != (self.id, self.endpoint, self.waits_for) {
            return None;
        }
        let missing = (event[2] & 0xff_ffff) as usize;
        let mut bytes = [0; N];
        let there = self.length.saturating_sub(missing).min(N);
        self.memory.read(REPORT, &mut bytes[..there]);
        Some((code_of(event), bytes))
    }
}

impl Drop for Controller {
    /// It stops: its devices are asked nothing any more.
    fn drop(&mut self) {
        self.operational.write(COMMAND, 0u32);
        let halted = || self.operational.read::<u32>(STATUS) & HALTED != 0;
        let _ = poll("its stop", || halted() || !self.is_there());
    }
}

/// Memory that the controller wants for itself: so many pages.
fn scratchpad(tables: &Dma, pages: usize) -> Result<Vec<Dma>, device::Error> {
    if pages == 0 {
        return Ok(Vec::new());
    }
    let list = Dma::new(8 * pages)?;
    ring::write(tables, 0, &[list.address() as u32, 0]);
    let mut all = Vec::with_capacity(pages + 1);
    for n in 0..pages {
        let page = Dma::new(0x1000)?;
        ring::write(&list, 8 * n, &[page.address() as u32, 0]);
        all.push(page);
    }
    all.push(list);
    Ok(all)
}

fn slot_of(event: Trb) -> u8 {
    (event[3] >> 24) as u8
}

fn endpoint_of(event: Trb) -> u8 {
    (event[3] >> 16 & 0x1f) as u8
}

fn code_of(event: Trb) -> u8 {
    (event[2] >> 24) as u8
}
