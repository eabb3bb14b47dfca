//! Where the pins of PCI devices lead, as the firmware's own code says: `_PRT` of each host bridge,
//! and of bridges below that have one. The crate `acpi` runs the code (AML).
//!
//! **Rule:** the code is a claim, as tables are, and the crate panics and loops where the code is
//! damaged. So [`routing`] is called where a panic is caught and time is bounded (pins.rs). Here
//! steps are counted: each operation of the code is one, and a panic ends those that are too many.
//! What the code says is checked, and what cannot be is left out with a line. Pure but for the
//! count: it is tried on the host with tables of several firmwares (tests/tests/acpi.rs).
#![allow(unsafe_code)] // What the crate's functions are called.

use acpi::address::{AddressSpace, GenericAddress, MappedGas};
use acpi::aml::namespace::{AmlName, NameSeg};
use acpi::aml::object::Object;
use acpi::aml::{AmlError, Interpreter};
use acpi::registers::{FixedRegisters, Pm1ControlRegisterBlock, Pm1EventRegisterBlock};
use acpi::{Handle, Handler, RawPhysicalMapping};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::str::FromStr;
use core::sync::atomic::{AtomicU32, Ordering};
use pci_types::PciAddress;

/// What the code may read and write.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    Memory(u64),
    Port(u16),
    Config(PciAddress, u16),
}

/// The machine, as the code sees it.
pub trait Machine: Clone {
    /// Reads 1, 2, 4 or 8 bytes.
    fn read(&self, place: Place, bytes: usize) -> u64;
    fn write(&self, place: Place, bytes: usize, value: u64);
    fn now_ns(&self) -> u64;
    fn pause_us(&self, us: u64);
}

/// Where one pin of a device leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub segment: u16,
    pub bus: u8,
    pub device: u8,
    /// 0 to 3: INTA to INTD.
    pub pin: u8,
    /// The global interrupt, and whether the pin is active low there.
    pub gsi: u32,
    pub active_low: bool,
}

/// All that is known of pins.
#[derive(Debug, Default)]
pub struct Routing {
    pub routes: Vec<Route>,
    /// What was left out, a line each.
    pub ignored: Vec<String>,
}

impl Routing {
    /// Where this function's pin leads. A bridge without a `_PRT` of its own hands the pins on that
    /// are below it, each device's turned by its number (PCI-to-PCI Bridge Architecture 1.2, 9.1).
    /// `above` is the bridge that leads to a bus.
    pub fn input(
        &self,
        mut at: PciAddress,
        mut pin: u8,
        above: impl Fn(PciAddress) -> Option<PciAddress>,
    ) -> Option<(u32, bool)> {
        for _ in 0..=u8::MAX {
            let on_bus = |r: &&Route| (r.segment, r.bus) == (at.segment(), at.bus());
            if self.routes.iter().any(|r| on_bus(&r)) {
                let fits = |r: &&Route| on_bus(r) && (r.device, r.pin) == (at.device(), pin);
                return self.routes.iter().find(fits).map(|r| (r.gsi, r.active_low));
            }
            pin = (pin + at.device()) % 4;
            at = above(at)?;
        }
        None // the bridges lead around
    }

    fn ignore(&mut self, line: String) {
        const LINES: usize = 4;
        if self.ignored.len() < LINES {
            self.ignored.push(line);
        }
    }
}

/// Steps that are left to the code.
static STEPS: AtomicU32 = AtomicU32::new(0);
/// The largest tables have some 100,000 operations, of two steps each.
const MOST_STEPS: u32 = 1_000_000;
/// What the code may pause in all: each microsecond is as many steps.
const STEPS_A_US: u64 = 10;

fn steps(n: u64) {
    let n = u32::try_from(n).unwrap_or(u32::MAX);
    let left = STEPS.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(n));
    assert!(left.is_ok(), "it does not end");
}

/// The crate logs each operation that it begins or ends, in its loops too.
struct Steps;

impl log::Log for Steps {
    fn enabled(&self, of: &log::Metadata) -> bool {
        of.target().starts_with("acpi::")
    }
    fn log(&self, record: &log::Record) {
        if self.enabled(record.metadata()) {
            steps(1);
        }
    }
    fn flush(&self) {}
}

/// While it lives steps are counted.
struct Counted;

impl Counted {
    fn new() -> Counted {
        log::set_max_level(log::LevelFilter::Trace);
        Counted
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        log::set_max_level(log::LevelFilter::Off);
    }
}

/// Runs the code, each table's without its header, the DSDT first. One call at a time.
///
/// # Panics
/// If the code is damaged.
pub fn routing(machine: impl Machine, tables: &[&[u8]]) -> Routing {
    STEPS.store(MOST_STEPS, Ordering::Relaxed);
    let _ = log::set_logger(&Steps); // or it is ours already
    let _counted = Counted::new();
    let mut found = Routing::default();
    let code = Code::load(machine, tables, &mut found);
    code.routes(&mut found);
    found
}

type Links = BTreeMap<String, Option<(u32, bool)>>;

struct Code<M: Machine> {
    machine: M,
    interpreter: Interpreter<Ground<M>>,
}

fn path(name: &str) -> AmlName {
    AmlName::from_str(name).expect("a name of ours")
}

impl<M: Machine> Code<M> {
    fn load(machine: M, tables: &[&[u8]], found: &mut Routing) -> Code<M> {
        let ground = Ground(machine.clone());
        // Used only for a lock that the firmware shares, of which the interpreter is not told.
        let nowhere = || {
            let address_space = AddressSpace::SystemIo;
            let (bit_width, bit_offset, access_size, address) = (16, 0, 2, 0);
            let gas = GenericAddress { address_space, bit_width, bit_offset, access_size, address };
            // SAFETY: a port is not mapped.
            unsafe { MappedGas::map_gas(gas, ground.clone()) }.expect("a port")
        };
        let registers = FixedRegisters {
            pm1_event_registers: Pm1EventRegisterBlock {
                pm1_event_length: 4,
                pm1a: nowhere(),
                pm1b: None,
            },
            pm1_control_registers: Pm1ControlRegisterBlock { pm1a: nowhere(), pm1b: None },
        };
        let interpreter = Interpreter::new(ground, 2, Arc::new(registers), None);
        for (n, table) in tables.iter().enumerate() {
            if let Err(error) = interpreter.load_table(table) {
                found.ignore(format!("table {n} of the code ends with {error:?}"));
            }
        }
        Code { machine, interpreter }
    }

    fn evaluate(&self, path: AmlName, argument: Option<Object>) -> Result<Object, AmlError> {
        let arguments = argument.into_iter().map(Object::wrap).collect();
        Ok((*self.interpreter.evaluate(path, arguments)?).clone())
    }

    /// The integer of that name in a scope.
    fn number(&self, scope: &AmlName, name: &str) -> Option<u64> {
        match self.evaluate(path(name).resolve(scope).ok()?, None).ok()? {
            Object::Integer(value) => Some(value),
            _ => None,
        }
    }

    fn routes(&self, found: &mut Routing) {
        // Interrupts come by I/O APICs (ACPI specification 5.8.1). Firmware that does not care has
        // no such method.
        let _ = self.evaluate(path("\\_PIC"), Some(Object::Integer(1)));
        let mut scopes = Vec::new();
        let prt = NameSeg::from_bytes(*b"_PRT").expect("a name");
        let mut names = self.interpreter.namespace.lock().clone();
        let _ = names.traverse(|scope, level| {
            if level.values.contains_key(&prt) {
                scopes.push(scope.clone());
            }
            Ok(true)
        });
        let mut links = Links::new();
        for scope in scopes {
            let Some((segment, bus)) = self.bus(&scope, 0) else {
                found.ignore(format!("_PRT of {scope}, which leads to no bus"));
                continue;
            };
            match self.evaluate(path("_PRT").resolve(&scope).expect("a scope"), None) {
                Ok(Object::Package(entries)) => {
                    for entry in &entries {
                        match self.route(&scope, entry, &mut links) {
                            Some((device, pin, (gsi, active_low))) => found.routes.push(Route {
                                segment,
                                bus,
                                device,
                                pin,
                                gsi,
                                active_low,
                            }),
                            None => found.ignore(format!("an entry of {scope}._PRT")),
                        }
                    }
                }
                Ok(_) => found.ignore(format!("{scope}._PRT, which is no package")),
                Err(error) => found.ignore(format!("{scope}._PRT: {error:?}")),
            }
        }
    }

    /// The segment and the bus that a device of this name leads to.
    fn bus(&self, scope: &AmlName, depth: u8) -> Option<(u16, u8)> {
        const DEPTH: u8 = 32;
        if depth > DEPTH {
            return None;
        }
        if self.is_host_bridge(scope) {
            let number = |name| self.number(scope, name).unwrap_or(0);
            return Some((u16::try_from(number("_SEG")).ok()?, u8::try_from(number("_BBN")).ok()?));
        }
        let address = self.number(scope, "_ADR")?;
        let (segment, bus) = self.bus(&scope.parent().ok()?, depth + 1)?;
        let device = u8::try_from(address >> 16).ok().filter(|&device| device < 32)?;
        let function = u8::try_from(address & 0xffff).ok().filter(|&function| function < 8)?;
        let bridge = PciAddress::new(segment, bus, device, function);
        let register = |at| self.machine.read(Place::Config(bridge, at), 1) as u8;
        (register(0x0e) & 0x7f == 1).then(|| (segment, register(0x19)))
    }

    /// PNP0A03, PCI, or PNP0A08, PCI Express.
    fn is_host_bridge(&self, scope: &AmlName) -> bool {
        ["_HID", "_CID"].into_iter().any(|name| {
            match path(name).resolve(scope).map(|path| self.evaluate(path, None)) {
                Ok(Ok(Object::Integer(id))) => matches!(id, 0x030a_d041 | 0x080a_d041),
                Ok(Ok(Object::String(id))) => matches!(&*id, "PNP0A03" | "PNP0A08"),
                _ => false,
            }
        })
    }

    /// An entry of a `_PRT` (ACPI specification 6.2.13): device, pin, and where it leads.
    fn route(
        &self,
        scope: &AmlName,
        entry: &Object,
        links: &mut Links,
    ) -> Option<(u8, u8, (u32, bool))> {
        let Object::Package(entry) = entry else { return None };
        let number = |n: usize| entry.get(n)?.as_integer().ok();
        let device = u8::try_from(number(0)? >> 16).ok().filter(|&device| device < 32)?;
        let pin = u8::try_from(number(1)?).ok().filter(|&pin| pin < 4)?;
        let (name, scope) = match &*entry.get(2)?.clone().unwrap_reference() {
            // No link: level-triggered and active low, as pins are.
            Object::Integer(0) => {
                return Some((device, pin, (u32::try_from(number(3)?).ok()?, true)));
            }
            Object::NamePath { name, scope } => (name.clone(), scope.clone()),
            Object::String(name) => (AmlName::from_str(name).ok()?, scope.clone()),
            _ => return None,
        };
        let link = self.interpreter.namespace.lock().search_for_level(&name, &scope).ok()?;
        let source = match links.get(&link.to_string()) {
            Some(&known) => known,
            None => {
                let led = self.link(&link, links);
                links.insert(link.to_string(), led);
                led
            }
        };
        Some((device, pin, source?))
    }

    /// Where a link leads, which is set if it is not set yet.
    fn link(&self, link: &AmlName, links: &Links) -> Option<(u32, bool)> {
        let current = self.interrupts(link, "_CRS");
        if let Some(Interrupts { numbers, active_low, .. }) = &current
            && let Some(&gsi @ 1..) = numbers.first()
        {
            return Some((gsi, *active_low));
        }
        let possible = self.interrupts(link, "_PRS")?;
        let used = |gsi: u32| links.values().flatten().filter(|led| led.0 == gsi).count();
        // Those that ISA devices do not have; of them the one that the fewest links have.
        let rank = |gsi: u32| usize::from(gsi < 16 && ![5, 9, 10, 11].contains(&gsi));
        let chosen = possible.numbers.iter().copied().filter(|&gsi| gsi > 0);
        let gsi = chosen.min_by_key(|&gsi| (rank(gsi), used(gsi)))?;
        let template = Object::Buffer(possible.template(gsi)?);
        self.evaluate(path("_SRS").resolve(link).ok()?, Some(template)).ok()?;
        Some((gsi, possible.active_low))
    }

    fn interrupts(&self, link: &AmlName, name: &str) -> Option<Interrupts> {
        match self.evaluate(path(name).resolve(link).ok()?, None).ok()? {
            Object::Buffer(bytes) => Interrupts::of(&bytes),
            _ => None,
        }
    }
}

/// The interrupts that a resource template names first (ACPI specification 6.4).
#[derive(Debug, PartialEq, Eq)]
struct Interrupts {
    numbers: Vec<u32>,
    /// A pin that is called edge-triggered, as on ISA, is wired as pins are.
    active_low: bool,
    /// The descriptor's flags; `Err`: the small descriptor's, which need not have them.
    flags: Result<u8, Option<u8>>,
}

const EXTENDED: u8 = 0x89;
const END: [u8; 2] = [0x79, 0];

impl Interrupts {
    fn of(mut template: &[u8]) -> Option<Interrupts> {
        while let [tag, rest @ ..] = template {
            let (kind, length, rest) = match (tag, rest) {
                (0x80.., [low, high, rest @ ..]) => {
                    (*tag, u16::from_le_bytes([*low, *high]).into(), rest)
                }
                _ => (tag >> 3, usize::from(tag & 0b111), rest),
            };
            let (body, after) = rest.split_at_checked(length)?;
            template = after;
            match (kind, body) {
                (EXTENDED, [flags, count, numbers @ ..]) => {
                    let numbers = numbers.as_chunks().0.iter().take((*count).into());
                    return Some(Interrupts {
                        numbers: numbers.map(|&number| u32::from_le_bytes(number)).collect(),
                        active_low: flags & 0b110 != 0,
                        flags: Ok(*flags),
                    });
                }
                (4, [low, high, flags @ ..]) => {
                    let mask = u16::from_le_bytes([*low, *high]);
                    let flags = flags.first().copied();
                    return Some(Interrupts {
                        numbers: (0..16).filter(|n| mask >> n & 1 != 0).collect(),
                        active_low: flags.is_none_or(|flags| flags & 0b1001 != 0),
                        flags: Err(flags),
                    });
                }
                (0xf, _) => return None,
                _ => {} // alternatives begin, or another resource
            }
        }
        None
    }

    /// A template that names one of them.
    fn template(&self, gsi: u32) -> Option<Vec<u8>> {
        let mut template = match self.flags {
            Ok(flags) => {
                let mut extended = vec![EXTENDED, 6, 0, flags, 1];
                extended.extend(gsi.to_le_bytes());
                extended
            }
            Err(flags) => {
                let [low, high] = 1u16.checked_shl(gsi)?.to_le_bytes();
                let mut small = vec![0x22 + u8::from(flags.is_some()), low, high];
                small.extend(flags);
                small
            }
        };
        template.extend(END);
        Some(template)
    }
}

/// A [`Machine`] as the crate wants it.
#[derive(Clone)]
struct Ground<M>(M);

macro_rules! accesses {
    ($($read:ident $write:ident $word:ty)*) => {$(
        fn $read(&self, address: usize) -> $word {
            self.0.read(Place::Memory(address as u64), size_of::<$word>()) as $word
        }
        fn $write(&self, address: usize, value: $word) {
            self.0.write(Place::Memory(address as u64), size_of::<$word>(), value.into());
        }
    )*};
    (io: $($read:ident $write:ident $word:ty)*) => {$(
        fn $read(&self, port: u16) -> $word {
            self.0.read(Place::Port(port), size_of::<$word>()) as $word
        }
        fn $write(&self, port: u16, value: $word) {
            self.0.write(Place::Port(port), size_of::<$word>(), value.into());
        }
    )*};
    (pci: $($read:ident $write:ident $word:ty)*) => {$(
        fn $read(&self, address: PciAddress, offset: u16) -> $word {
            self.0.read(Place::Config(address, offset), size_of::<$word>()) as $word
        }
        fn $write(&self, address: PciAddress, offset: u16, value: $word) {
            self.0.write(Place::Config(address, offset), size_of::<$word>(), value.into());
        }
    )*};
}

impl<M: Machine> Handler for Ground<M> {
    /// Tables are handed over as bytes.
    unsafe fn map_physical_region<T>(&self, at: usize, _: usize) -> RawPhysicalMapping<T> {
        panic!("it wants memory at {at:#x}");
    }
    unsafe fn unmap_physical_region<T>(&self, _: RawPhysicalMapping<T>) {}

    accesses! { read_u8 write_u8 u8  read_u16 write_u16 u16  read_u32 write_u32 u32
    read_u64 write_u64 u64 }
    accesses! { io: read_io_u8 write_io_u8 u8  read_io_u16 write_io_u16 u16
    read_io_u32 write_io_u32 u32 }
    accesses! { pci: read_pci_u8 write_pci_u8 u8  read_pci_u16 write_pci_u16 u16
    read_pci_u32 write_pci_u32 u32 }

    fn nanos_since_boot(&self) -> u64 {
        self.0.now_ns()
    }
    fn stall(&self, us: u64) {
        steps(us.saturating_mul(STEPS_A_US));
        self.0.pause_us(us);
    }
    fn sleep(&self, ms: u64) {
        self.stall(ms.saturating_mul(1000));
    }

    // Nobody else runs the code.
    fn create_mutex(&self) -> Handle {
        Handle(0)
    }
    fn acquire(&self, _: Handle, _: u16) -> Result<(), AmlError> {
        Ok(())
    }
    fn release(&self, _: Handle) {}
}
