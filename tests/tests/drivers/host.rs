//! A controller for the driver of xHCI controllers (eXtensible Host Controller Interface for USB,
//! 1.2): as much of one as starts, gives a device an address, and answers one request.

use crate::device_error::Error;
use executive::irq::Line;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

/// What the device says it is.
pub const DESCRIPTOR: [u8; 8] = [18, 1, 0, 2, 0, 0, 0, 64];

/// Where the registers are: each block behind the one before.
const LENGTH: usize = 0x1000;
const OPERATIONAL: usize = 0x40;
const PORTS: usize = OPERATIONAL + 0x400;
const LEGACY: usize = 0x600;
const RUNTIME: usize = 0x800;
const DOORBELLS: usize = 0xa00;

const COMMAND: usize = OPERATIONAL;
const STATUS: usize = OPERATIONAL + 0x04;
const COMMAND_RING: usize = OPERATIONAL + 0x18;
const TABLE: usize = OPERATIONAL + 0x30;
const SEGMENTS: usize = RUNTIME + 0x30;

const RUN: u32 = 1 << 0;
const RESET: u32 = 1 << 1;
const HALTED: u32 = 1 << 0;
const FIRMWARE_OWNS: u32 = 1 << 16;
const WE_OWN: u32 = 1 << 24;

/// The firmware's interrupts: those that it wants, and what the controller has for it to see (a 1
/// clears it), and reserved bits, which stay.
const WANTED: u32 = 1 << 0 | 1 << 4 | 1 << 13;
const CAUSES: u32 = 0b111 << 29;
const RESERVED: u32 = 0b101 << 1 | 1 << 5;
/// Both registers of the capability as the system has to leave them.
pub const HANDED_OVER: [u32; 2] = [1 | WE_OWN, RESERVED];

/// Completion codes.
const SUCCESS: u32 = 1;
const BAD_PARAMETER: u32 = 17;

struct Controller {
    registers: [AtomicU32; LENGTH / 4],
    context: usize,
    pages: usize,
    firmware_gives: AtomicBool,
    /// What all its registers read as, once it was pulled out.
    gone: AtomicBool,
    gone_reads: AtomicU32,
    line: &'static Line,
    /// The slot context that was told last.
    slot: [AtomicU32; 3],
    /// Where the next command, the next transfer and the next event are, each with its cycle bit.
    commands: AtomicU32,
    control: AtomicU32,
    events: AtomicU32,
}

/// The memory that the driver has told of.
fn word(at: u32) -> *mut u32 {
    ptr::with_exposed_provenance_mut(at as usize)
}

#[allow(unsafe_code)] // Memory by address.
fn load(at: u32) -> u32 {
    // SAFETY: an address that the driver has told, of memory that it has not given back.
    unsafe { word(at).read_volatile() }
}

#[allow(unsafe_code)] // Memory by address.
fn store(at: u32, value: u32) {
    // SAFETY: as in `load`.
    unsafe { word(at).write_volatile(value) }
}

impl Controller {
    fn get(&self, at: usize) -> u32 {
        self.registers[at / 4].load(SeqCst)
    }
    fn set(&self, at: usize, value: u32) {
        self.registers[at / 4].store(value, SeqCst);
    }

    fn read(&self, at: usize) -> u32 {
        if self.gone.load(SeqCst) { self.gone_reads.load(SeqCst) } else { self.get(at) }
    }

    fn write(&self, at: usize, value: u32) {
        match at {
            _ if self.gone.load(SeqCst) => {}
            COMMAND if value & RESET != 0 => self.set(STATUS, HALTED),
            COMMAND => {
                self.set(COMMAND, value);
                if value & RUN == 0 {
                    return self.set(STATUS, HALTED);
                }
                self.set(STATUS, 0);
                self.commands.store(self.get(COMMAND_RING), SeqCst);
                self.events.store(load(self.get(SEGMENTS)) | 1, SeqCst);
            }
            STATUS => self.set(STATUS, self.get(STATUS) & !value),
            LEGACY => {
                let gives = value & WE_OWN != 0 && self.firmware_gives.load(SeqCst);
                self.set(LEGACY, if gives { value & !FIRMWARE_OWNS } else { value });
            }
            _ if at == LEGACY + 4 => {
                let causes = self.get(at) & CAUSES & !value;
                self.set(at, value & !CAUSES | causes);
            }
            DOORBELLS => while self.command() {},
            _ if at > DOORBELLS => while self.transfer() {},
            _ => self.set(at, value),
        }
    }

    /// The next entry of a ring, if there is one, and where it is.
    fn next(ring: &AtomicU32) -> Option<(u32, [u32; 4])> {
        let (at, cycle) = (ring.load(SeqCst) & !0xf, ring.load(SeqCst) & 1);
        let entry = [0, 4, 8, 12].map(|n| load(at + n));
        (entry[3] & 1 == cycle).then(|| {
            ring.store((at + 16) | cycle, SeqCst);
            (at, entry)
        })
    }

    fn tell(&self, about: u32, code: u32, what: u32) {
        let at = self.events.fetch_add(16, SeqCst);
        let entry = [about, 0, code << 24, what | at & 1];
        entry.iter().zip(0..).for_each(|(&value, n)| store((at & !0xf) + 4 * n, value));
        self.line.raise();
    }

    fn command(&self) -> bool {
        let Some((at, [input, _, _, what])) = Self::next(&self.commands) else { return false };
        let code = match what >> 10 & 0x3f {
            9 | 10 => SUCCESS,
            11 => self.address(input),
            12 => self.endpoint(input),
            _ => BAD_PARAMETER,
        };
        self.tell(at, code, 33 << 10 | 1 << 24);
        true
    }

    /// Slot 1's device gets its address, if its input contexts are where they should be.
    fn address(&self, input: u32) -> u32 {
        let context = |n: usize| input + (n * self.context) as u32;
        let (slot, endpoint) = (context(1), context(2));
        let packet = if load(slot) >> 20 & 0xf == 3 { 64 } else { 8 }; // by its speed
        // A control endpoint; three tries.
        let kind = packet << 16 | 4 << 3 | 3 << 1;
        let right = load(input + 4) == 0b11 && load(endpoint + 4) == kind;
        self.keep(slot);
        self.control.store(load(endpoint + 8), SeqCst);
        if right { SUCCESS } else { BAD_PARAMETER }
    }

    /// Its slot's context is told anew, and one endpoint's.
    fn endpoint(&self, input: u32) -> u32 {
        self.keep(input + self.context as u32);
        if load(input + 4).count_ones() == 2 { SUCCESS } else { BAD_PARAMETER }
    }

    fn keep(&self, slot: u32) {
        self.slot.iter().zip(0..).for_each(|(word, n)| word.store(load(slot + 4 * n), SeqCst));
    }

    /// Setup, data, and status.
    fn transfer(&self) -> bool {
        let Some((_, setup)) = Self::next(&self.control) else { return false };
        assert_eq!(setup[..2], [0x0100_0680, 8 << 16], "the device's descriptor is asked for");
        let (_, [data, _, length, _]) = Self::next(&self.control).expect("data");
        assert_eq!(length, 8);
        for (bytes, n) in DESCRIPTOR.chunks(4).zip(0..) {
            store(data + 4 * n, u32::from_le_bytes(bytes.try_into().expect("four")));
        }
        let (at, _) = Self::next(&self.control).expect("a status");
        self.tell(at, SUCCESS, 32 << 10 | 1 << 24 | 1 << 16);
        true
    }
}

/// The controller, as the test sees it.
pub struct Host(Arc<Controller>);

impl Host {
    /// With contexts of so many bytes, and so many pages that it wants for itself.
    pub fn new(context: usize, pages: usize) -> Host {
        let host = Controller {
            registers: [const { AtomicU32::new(0) }; LENGTH / 4],
            context,
            pages,
            firmware_gives: AtomicBool::new(true),
            gone: AtomicBool::new(false),
            gone_reads: AtomicU32::new(0),
            line: Box::leak(Box::new(Line::new())),
            slot: [const { AtomicU32::new(0) }; 3],
            commands: AtomicU32::new(0),
            control: AtomicU32::new(0),
            events: AtomicU32::new(0),
        };
        let pages = pages as u32;
        for (at, value) in [
            (0x00, 0x0120_0000 | OPERATIONAL as u32),
            (0x04, 4 << 24 | 8), // ports, slots
            (0x08, (pages >> 5) << 21 | (pages & 0x1f) << 27),
            (0x10, ((LEGACY / 4) as u32) << 16 | if context == 64 { 1 << 2 } else { 0 }),
            (0x14, DOORBELLS as u32),
            (0x18, RUNTIME as u32),
            (STATUS, HALTED),
            (OPERATIONAL + 0x08, 1),        // pages of 4 KiB
            (PORTS + 0x10, 0b11 | 3 << 10), // a device at port 2, enabled, at high speed
            (LEGACY, 1),
        ] {
            host.set(at, value);
        }
        Host(Arc::new(host))
    }

    /// The firmware has it, wants interrupts, and gives it away when it is asked to, or not.
    pub fn of_firmware(self, gives: bool) -> Host {
        self.0.set(LEGACY, 1 | FIRMWARE_OWNS);
        self.0.set(LEGACY + 4, WANTED | CAUSES | RESERVED);
        self.0.firmware_gives.store(gives, SeqCst);
        self
    }

    /// A register that says something else.
    pub fn says(self, register: usize, value: u32) -> Host {
        self.0.set(register, value);
        self
    }

    pub fn function(&self) -> Function {
        Function(self.0.clone())
    }
    pub fn legacy(&self) -> [u32; 2] {
        [self.0.get(LEGACY), self.0.get(LEGACY + 4)]
    }
    pub fn slot_context(&self) -> [u32; 3] {
        [0, 1, 2].map(|n| self.0.slot[n].load(SeqCst))
    }
    pub fn is_stopped(&self) -> bool {
        self.0.get(STATUS) & HALTED != 0
    }
    /// From here on its registers read as this.
    pub fn pull_out(&self, registers: u32) {
        self.0.gone_reads.store(registers, SeqCst);
        self.0.gone.store(true, SeqCst);
    }

    /// The pages that it was given for itself (6.6).
    pub fn scratchpad(&self) -> Vec<u64> {
        let entry = |at: u32| u64::from(load(at)) | u64::from(load(at + 4)) << 32;
        let list = entry(self.0.get(TABLE));
        let pages = self.0.pages as u32;
        assert!(list == 0 || entry(list as u32 + 8 * pages) == 0, "more than it wants");
        (0..pages).map(|n| entry(list as u32 + 8 * n)).collect()
    }
}

#[derive(Clone)]
pub struct Function(Arc<Controller>);

impl Function {
    pub fn take(self) -> Result<Device, Error> {
        Ok(Device(self))
    }
    pub fn is_there(&self) -> bool {
        !self.0.gone.load(SeqCst)
    }
}

pub struct Device(Function);

impl Device {
    pub fn function(&self) -> &Function {
        &self.0
    }
    pub fn bar(&self, _: u8) -> Result<Registers, Error> {
        Ok(Registers { controller: self.0.0.clone(), base: 0, length: LENGTH })
    }
    #[allow(unsafe_code)] // as the kernel's
    pub unsafe fn master(&mut self) {}
    pub fn irqs(&mut self, _: usize) -> Result<Vec<Irq>, Error> {
        Ok(vec![Irq(self.0.0.clone())])
    }
}

pub struct Irq(Arc<Controller>);

impl Irq {
    pub fn armed(&self) -> executive::irq::Irq {
        executive::irq::Irq::of(self.0.line)
    }
    pub fn wait(&self) {
        self.armed().wait();
    }
}

pub struct Registers {
    controller: Arc<Controller>,
    base: usize,
    length: usize,
}

impl Registers {
    pub fn length(&self) -> usize {
        self.length
    }
    pub fn read<W: From<u32>>(&self, at: usize) -> W {
        assert!(at + 4 <= self.length && at.is_multiple_of(4));
        self.controller.read(self.base + at).into()
    }
    pub fn write(&self, at: usize, value: u32) {
        assert!(at + 4 <= self.length && at.is_multiple_of(4));
        self.controller.write(self.base + at, value);
    }
    pub fn part(&self, offset: usize, length: usize) -> Result<Registers, Error> {
        if offset + length > self.length {
            return Err(Error::OutOfRange);
        }
        Ok(Registers { controller: self.controller.clone(), base: self.base + offset, length })
    }
}
