//! What the firmware's ACPI tables say, read as bytes: CPUs, interrupt controllers, timers, and how
//! to switch the machine off.
//!
//! **Rule:** tables are claims, not facts. Every address is asked for before it is read, every
//! length is held against what is there, and what cannot be is left out, with a line that says so.
//! So this file has neither `unsafe` nor a loop whose end the tables decide alone. It depends on
//! nothing of the machine, and is fuzzed on the host (tests/tests/acpi.rs).
//!
//! A wrong checksum alone is told and forgiven, as firmware that is in use has wrong ones. The root
//! pointer's is not: it decides whether there is a table at all.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// What may be asked about the machine's addresses.
pub trait Physical {
    /// `length` bytes of memory at the physical address `at`; `None` if not all of it is memory.
    fn bytes(&self, at: u64, length: usize) -> Option<&[u8]>;
    /// Whether `length` bytes at `at` can be a device's registers: the CPU has such addresses, and
    /// they are none of the RAM that we use.
    fn device(&self, at: u64, length: u64) -> bool;
}

/// A CPU that may be started. `uid` is its name within the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    pub apic_id: u32,
    pub uid: u32,
}

/// An I/O APIC: `address` of its registers; its first input is global interrupt `first_gsi`.
#[derive(Clone, Copy, Debug)]
pub struct IoApic {
    pub address: u64,
    pub first_gsi: u32,
}

/// PCI's configuration space in memory ("ECAM"): of these buses, 1 MiB each from `address` on.
#[derive(Clone, Copy, Debug)]
pub struct Ecam {
    pub address: u64,
    pub segment: u16,
    pub first_bus: u8,
    pub last_bus: u8,
}

/// An ISA interrupt that is wired in its own way.
#[derive(Clone, Copy, Debug)]
pub struct IsaOverride {
    pub irq: u8,
    pub gsi: u32,
    pub active_low: bool,
    pub level: bool,
}

/// The machine's NMIs come in at this pin of these CPUs' local APICs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NmiPin {
    /// `None`: of every CPU.
    pub uid: Option<u32>,
    /// LINT0 or LINT1.
    pub lint: u8,
    pub active_low: bool,
}

/// A register that the FADT names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    Port(u16),
    Memory(u64),
    /// In the configuration space of device 0 to 31 on bus 0.
    Pci {
        device: u8,
        function: u8,
        offset: u8,
    },
}

/// The power management of ACPI's "fixed hardware" (ACPI specification 4.8.3). All are I/O ports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Power {
    /// Status in the first word, enable bits in the second.
    pub events: [Option<u16>; 2],
    pub control: [Option<u16>; 2],
    /// From an event block's port to its enable bits.
    pub enable_offset: u16,
    /// Ports with the enable bits of "general-purpose" events: the first, and how many.
    pub general: [Option<(u16, u16)>; 2],
    /// `SLP_TYP` of the two control registers for soft-off, from the object `\_S5`.
    pub soft_off: Option<[u8; 2]>,
    /// The interrupt of events, as an ISA interrupt. 0: there is none.
    pub sci: u8,
    /// Written with this value, this port makes the firmware leave the machine to us.
    pub enable: Option<(u16, u8)>,
    /// There is a power button that is fixed hardware.
    pub button: bool,
}

/// A table, as the root table lists it.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    pub signature: [u8; 4],
    pub address: u64,
    pub length: usize,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Platform {
    /// The CPUs that may be started, in the firmware's order, each once. The boot CPU's is among
    /// them.
    pub cpus: Vec<Cpu>,
    pub io_apics: Vec<IoApic>,
    pub overrides: Vec<IsaOverride>,
    pub nmi_pins: Vec<NmiPin>,
    pub ecams: Vec<Ecam>,
    /// Physical address of the HPET's registers.
    pub hpet: Option<u64>,
    /// I/O port of the ACPI power management timer (3.579545 MHz).
    pub pm_timer: Option<u16>,
    pub power: Power,
    /// Written with this value, this register resets the machine.
    pub reset: Option<(Register, u8)>,
    /// The clock chip's register that has the century.
    pub century: Option<u8>,
    pub tables: Vec<Table>,
    /// What was left out, a line each, and how many more lines there would have been.
    pub ignored: Vec<String>,
    pub more_ignored: usize,
}

/// Lines that are kept: a table that is wrong throughout shall not fill the screen.
const LINES: usize = 12;
/// More than any machine has; more are not believed.
const MOST_CPUS: usize = 4096;
const MOST_IO_APICS: usize = 128;
const MOST_TABLES: usize = 256;
const MOST_PINS: usize = 4096;
const MOST_ECAMS: usize = 64;
/// The longest table that is believed.
const LONGEST: usize = 16 << 20;
/// The header that every table has (ACPI specification 5.2.6).
pub const HEADER: usize = 36;
/// Where the MP specification's default configurations have the I/O APIC (MPS 1.4, chapter 5).
const DEFAULT_IO_APIC: IoApic = IoApic { address: 0xfec0_0000, first_gsi: 0 };
const IO_APIC_BYTES: u64 = 0x20;
const HPET_BYTES: u64 = 0x400;

/// Reads all that the root pointer at `rsdp` leads to. Without tables there is one CPU, which says
/// itself who it is, and the I/O APIC that every PC has.
pub fn read(memory: &dyn Physical, rsdp: Option<u64>) -> Platform {
    let mut found = Platform::default();
    match rsdp {
        Some(at) => found.read_root(memory, at),
        None => found.ignore("there are no ACPI tables: one CPU is used".into()),
    }
    if found.io_apics.is_empty() {
        found.io_apics.push(DEFAULT_IO_APIC);
    }
    found
}

/// A table whose length is that of its bytes.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..)?.first_chunk().copied()
    }
    fn u8(&self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }
    fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }
    fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }
    fn u64(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }
}

fn sums_to_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte)) == 0
}

/// A table's name, as it can be printed.
fn name(signature: [u8; 4]) -> String {
    signature.iter().map(|&b| if b.is_ascii_graphic() { b as char } else { '?' }).collect()
}

impl Platform {
    /// The pins at which NMIs come to the CPU with this APIC id.
    pub fn nmi_pins_of(&self, apic_id: u32) -> impl Iterator<Item = &NmiPin> {
        let uid = self.cpus.iter().find(|cpu| cpu.apic_id == apic_id).map(|cpu| cpu.uid);
        self.nmi_pins.iter().filter(move |pin| pin.uid.is_none() || pin.uid == uid)
    }

    /// How many of the CPUs are used, at most `most` of them, and only with APICs in x2APIC mode
    /// those whose ids have more than eight bits; and the line that tells of the others.
    pub fn unused(&self, most: usize, x2apic: bool) -> Option<String> {
        let reach = self.cpus.iter().filter(|cpu| x2apic || cpu.apic_id < 0xff).count();
        let (all, used) = (self.cpus.len(), reach.min(most));
        if used == all {
            return None;
        }
        let why = if reach > most {
            format!("the kernel is built for {most}")
        } else {
            "the firmware left the APICs in a mode that reaches no more".into()
        };
        Some(format!("{all} CPUs are there, and {used} are used: {why}"))
    }

    fn ignore(&mut self, line: String) {
        if self.ignored.len() < LINES {
            self.ignored.push(line);
        } else {
            self.more_ignored += 1;
        }
    }

    fn read_root(&mut self, memory: &dyn Physical, rsdp: u64) {
        const OLD: usize = 20;
        const NEW: usize = 36;
        let Some(old) = memory.bytes(rsdp, OLD) else {
            return self.ignore(format!("ACPI: the root pointer at {rsdp:#x} is not in memory"));
        };
        if !old.starts_with(b"RSD PTR ") || !sums_to_zero(old) {
            return self.ignore(format!("ACPI: what lies at {rsdp:#x} is no root pointer"));
        }
        let mut roots = vec![];
        if old[15] >= 2 {
            match memory.bytes(rsdp, NEW).filter(|new| sums_to_zero(new)).map(Bytes) {
                Some(new) => roots.push((*b"XSDT", new.u64(24).unwrap_or(0))),
                None => self.ignore("ACPI: the root pointer's newer half is damaged".into()),
            }
        }
        roots.push((*b"RSDT", Bytes(old).u32(16).unwrap_or(0).into()));
        for (signature, at) in roots.into_iter().filter(|&(_, at)| at != 0) {
            if let Some(root) = self.table(memory, at)
                && root.signature == signature
                && let Some(bytes) = memory.bytes(at, root.length)
            {
                return self.read_entries(memory, &bytes[HEADER..], signature == *b"XSDT");
            }
            self.ignore(format!("ACPI: there is no {} at {at:#x}", name(signature)));
        }
        self.ignore("ACPI: no list of tables: one CPU is used".into());
    }

    /// A table's header, if all of the table is memory.
    fn table(&mut self, memory: &dyn Physical, at: u64) -> Option<Table> {
        let Some(header) = memory.bytes(at, HEADER).map(Bytes) else {
            self.ignore(format!("ACPI: the table at {at:#x} is not in memory"));
            return None;
        };
        let (signature, length) = (header.array(0)?, header.u32(4)? as usize);
        let whole = memory.bytes(at, length.min(LONGEST));
        let Some(whole) = whole.filter(|_| (HEADER..=LONGEST).contains(&length)) else {
            let name = name(signature);
            self.ignore(format!("ACPI: {name} at {at:#x} says it has {length} bytes"));
            return None;
        };
        if !sums_to_zero(whole) {
            let name = name(signature);
            self.ignore(format!("ACPI: the checksum of {name} is wrong; it is read all the same"));
        }
        Some(Table { signature, address: at, length })
    }

    fn read_entries(&mut self, memory: &dyn Physical, entries: &[u8], wide: bool) {
        let size = if wide { 8 } else { 4 };
        if entries.len() / size > MOST_TABLES {
            self.ignore(format!("ACPI: only {MOST_TABLES} of {} tables", entries.len() / size));
        }
        for entry in entries.chunks_exact(size).take(MOST_TABLES) {
            let at = entry.iter().rev().fold(0, |at, &byte| at << 8 | u64::from(byte));
            if at != 0
                && let Some(table) = self.table(memory, at)
            {
                self.tables.push(table);
            }
        }
        for (signature, read) in [
            (b"APIC", Platform::read_madt as fn(&mut Platform, &dyn Physical, &Bytes)),
            (b"HPET", Platform::read_hpet),
            (b"MCFG", Platform::read_mcfg),
            (b"FACP", Platform::read_fadt),
        ] {
            let Some(table) = self.tables.iter().find(|t| t.signature == *signature) else {
                continue;
            };
            if let Some(bytes) = memory.bytes(table.address, table.length) {
                read(self, memory, &Bytes(bytes));
            }
        }
        if self.cpus.is_empty() {
            self.ignore("ACPI: no table lists CPUs: one CPU is used".into());
        }
    }

    /// The CPUs and the interrupt controllers (ACPI specification 5.2.12).
    fn read_madt(&mut self, memory: &dyn Physical, madt: &Bytes) {
        const ENTRIES: usize = 44;
        let mut rest = madt.0.get(ENTRIES..).unwrap_or(&[]);
        while let [kind, length, ..] = *rest {
            let (at, length) = (madt.0.len() - rest.len(), usize::from(length));
            if length < 2 || length > rest.len() {
                return self.ignore(format!(
                    "ACPI: entry {kind} at {at:#x} of APIC has {length} bytes: the rest is left out"
                ));
            }
            let (entry, after) = rest.split_at(length);
            rest = after;
            if self.madt_entry(memory, kind, &Bytes(entry)).is_none() {
                self.ignore(format!("ACPI: entry {kind} at {at:#x} of APIC is too short"));
            }
        }
        if !rest.is_empty() {
            self.ignore("ACPI: one byte is left at the end of APIC".into());
        }
    }

    /// `None`: the entry ends too early. Kinds that mean nothing to us are skipped.
    fn madt_entry(&mut self, memory: &dyn Physical, kind: u8, entry: &Bytes) -> Option<()> {
        match kind {
            0 => {
                let (uid, id) = (entry.u8(2)?.into(), entry.u8(3)?);
                let flags = entry.u32(4)?;
                if id != 0xff {
                    self.add_cpu(Cpu { apic_id: id.into(), uid }, flags);
                }
            }
            9 => {
                let (apic_id, flags, uid) = (entry.u32(4)?, entry.u32(8)?, entry.u32(12)?);
                self.add_cpu(Cpu { apic_id, uid }, flags);
            }
            1 => {
                let (address, first_gsi) = (entry.u32(4)?.into(), entry.u32(8)?);
                self.add_io_apic(memory, IoApic { address, first_gsi });
            }
            2 => {
                let (bus, irq) = (entry.u8(2)?, entry.u8(3)?);
                let (gsi, flags) = (entry.u32(4)?, entry.u16(8)?);
                if bus != 0 || irq >= 16 || self.overrides.iter().any(|o| o.irq == irq) {
                    self.ignore(format!("ACPI: interrupt {irq} of bus {bus} is wired oddly"));
                } else {
                    let (active_low, level) = wiring(flags);
                    self.overrides.push(IsaOverride { irq, gsi, active_low, level });
                }
            }
            4 => {
                let (uid, flags, lint) = (entry.u8(2)?, entry.u16(3)?, entry.u8(5)?);
                self.add_pin((uid != 0xff).then_some(uid.into()), flags, lint);
            }
            10 => {
                let (flags, uid, lint) = (entry.u16(2)?, entry.u32(4)?, entry.u8(8)?);
                self.add_pin((uid != u32::MAX).then_some(uid), flags, lint);
            }
            _ => {}
        }
        Some(())
    }

    /// Only CPUs that are enabled now. "Online capable" ones (flag bit 1) are empty sockets that
    /// may be filled later; a CPU with neither flag must not be touched. One CPU listed twice,
    /// as APIC and as x2APIC, is one CPU.
    fn add_cpu(&mut self, cpu: Cpu, flags: u32) {
        const ENABLED: u32 = 1 << 0;
        if flags & ENABLED == 0 || self.cpus.iter().any(|c| c.apic_id == cpu.apic_id) {
            return;
        }
        if self.cpus.len() < MOST_CPUS {
            self.cpus.push(cpu);
        } else {
            self.ignore(format!("ACPI: more than {MOST_CPUS} CPUs"));
        }
    }

    fn add_io_apic(&mut self, memory: &dyn Physical, io: IoApic) {
        if !io.address.is_multiple_of(16) || !memory.device(io.address, IO_APIC_BYTES) {
            self.ignore(format!("ACPI: no I/O APIC can be at {:#x}", io.address));
        } else if self.io_apics.iter().any(|known| known.address == io.address) {
            self.ignore(format!("ACPI: the I/O APIC at {:#x} is listed twice", io.address));
        } else if self.io_apics.len() < MOST_IO_APICS {
            self.io_apics.push(io);
        } else {
            self.ignore(format!("ACPI: more than {MOST_IO_APICS} I/O APICs"));
        }
    }

    fn add_pin(&mut self, uid: Option<u32>, flags: u16, lint: u8) {
        if lint > 1 || self.nmi_pins.len() >= MOST_PINS {
            return self.ignore(format!("ACPI: a CPU has no pin LINT{lint} for NMIs"));
        }
        self.nmi_pins.push(NmiPin { uid, lint, active_low: wiring(flags).0 });
    }

    /// IA-PC HPET specification 1.0a, 3.2.4.
    fn read_hpet(&mut self, memory: &dyn Physical, table: &Bytes) {
        const MEMORY_SPACE: u8 = 0;
        match (table.u8(40), table.u64(44)) {
            (Some(MEMORY_SPACE), Some(at)) if at % 8 == 0 && memory.device(at, HPET_BYTES) => {
                self.hpet = Some(at)
            }
            (_, at) => {
                self.ignore(format!("ACPI: no HPET can be at {:#x}", at.unwrap_or_default()))
            }
        }
    }

    /// PCI Firmware Specification 3.0, 4.1.2.
    fn read_mcfg(&mut self, memory: &dyn Physical, table: &Bytes) {
        const BUS: u64 = 1 << 20;
        let entries =
            table.0.get(44..).unwrap_or(&[]).as_chunks::<16>().0.iter().map(|entry| Bytes(entry));
        for entry in entries {
            let (Some(base), Some(segment)) = (entry.u64(0), entry.u16(8)) else { continue };
            let (first_bus, last_bus) = (entry.u8(10).unwrap_or(1), entry.u8(11).unwrap_or(0));
            let begin = u64::from(first_bus) * BUS;
            let buses = (u64::from(last_bus) + 1).saturating_sub(first_bus.into());
            // The base is where bus 0 would be.
            let address = base.checked_add(begin).filter(|&at| {
                buses > 0 && base.is_multiple_of(BUS) && memory.device(at, buses * BUS)
            });
            match address {
                Some(address) if self.ecams.len() < MOST_ECAMS => {
                    self.ecams.push(Ecam { address, segment, first_bus, last_bus });
                }
                _ => self.ignore(format!("ACPI: PCI's registers cannot be at {base:#x}")),
            }
        }
    }

    /// The fixed hardware (ACPI specification 5.2.9). Each field is one if the table is long
    /// enough.
    fn read_fadt(&mut self, memory: &dyn Physical, fadt: &Bytes) {
        const PM_TIMER_BYTES: u8 = 4;
        const BUTTON_IS_A_DEVICE: u32 = 1 << 4;
        const RESET_IS_SUPPORTED: u32 = 1 << 10;
        const HARDWARE_REDUCED: u32 = 1 << 20;
        let flags = fadt.u32(112).unwrap_or(0);
        let fixed = flags & HARDWARE_REDUCED == 0;
        if fixed {
            // The newer field, a whole register's description, or the older one, a port.
            let port = |new: usize, old: usize| match fadt.array(new).and_then(register) {
                Some(Register::Port(port)) => Some(port),
                _ => fadt.u32(old).and_then(|p| u16::try_from(p).ok()).filter(|&p| p != 0),
            };
            let length = |at: usize| fadt.u8(at).unwrap_or(0);
            // PCs have the timer in the I/O space only, and there are enough other clocks.
            self.pm_timer = port(208, 76).filter(|_| length(91) == PM_TIMER_BYTES);
            let power = &mut self.power;
            if length(88) >= 4 {
                power.events = [port(148, 56), port(160, 60)];
                power.enable_offset = u16::from(length(88) / 2);
            }
            let enables = |block: Option<u16>, length: u8| {
                let half = u16::from(length / 2);
                Some((block?.checked_add(half)?, half))
            };
            power.general =
                [enables(port(220, 80), length(92)), enables(port(232, 84), length(93))];
            if length(89) >= 2 {
                power.control = [port(172, 64), port(184, 68)];
            }
            let sci = fadt.u16(46).and_then(|irq| u8::try_from(irq).ok());
            power.sci = sci.filter(|irq| (1..16).contains(irq)).unwrap_or(0);
            power.button = flags & BUTTON_IS_A_DEVICE == 0;
            let command = fadt.u32(48).and_then(|port| u16::try_from(port).ok());
            power.enable =
                command.zip(fadt.u8(52)).filter(|&(port, value)| port != 0 && value != 0);
            // That interrupt is level-triggered and active low, unless it is said otherwise.
            let sci = self.power.sci;
            if sci != 0 && !self.overrides.iter().any(|o| o.irq == sci) {
                let (active_low, level) = (true, true);
                self.overrides.push(IsaOverride { irq: sci, gsi: sci.into(), active_low, level });
            }
        }
        if flags & RESET_IS_SUPPORTED != 0 {
            let at = fadt.array(116).and_then(register);
            let at = at.filter(|&at| match at {
                Register::Memory(at) => memory.device(at, 1),
                _ => true,
            });
            self.reset = at.zip(fadt.u8(128));
            if self.reset.is_none() {
                self.ignore("ACPI: the reset register cannot be where FACP says".into());
            }
        }
        self.century = fadt.u8(108).filter(|&at| (14..128).contains(&at));
        let definitions = [fadt.u64(140).unwrap_or(0), fadt.u32(40).unwrap_or(0).into()];
        if let Some(&at) = definitions.iter().find(|&&at| at != 0)
            && let Some(table) = self.table(memory, at)
        {
            self.tables.push(table);
        }
        // `\_S5` is in the first of them that has it.
        let code = self.tables.iter().filter(|t| [*b"DSDT", *b"SSDT"].contains(&t.signature));
        let mut bytes = code.filter_map(|t| memory.bytes(t.address, t.length));
        self.power.soft_off = bytes.find_map(|aml| soft_off(&aml[HEADER..]));
        if fixed && self.power.soft_off.is_none() {
            self.ignore("ACPI: no \\_S5: this machine cannot be switched off by software".into());
        }
    }
}

/// Active low, and level-triggered. "As the bus does" means active high and edge-triggered on ISA;
/// so do flags that make no sense.
fn wiring(flags: u16) -> (bool, bool) {
    const ALTERED: u16 = 0b11;
    (flags & 0b11 == ALTERED, flags >> 2 & 0b11 == ALTERED)
}

/// A "generic address" (ACPI specification 5.2.3.2): space, width, offset, access size, address.
fn register(bytes: [u8; 12]) -> Option<Register> {
    let at = Bytes(&bytes).u64(4).filter(|&at| at != 0)?;
    match bytes[0] {
        0 => Some(Register::Memory(at)),
        1 => u16::try_from(at).ok().map(Register::Port),
        2 => Some(Register::Pci {
            device: u8::try_from(at >> 32 & 0xffff).ok().filter(|&device| device < 32)?,
            function: u8::try_from(at >> 16 & 0xffff).ok().filter(|&function| function < 8)?,
            offset: u8::try_from(at & 0xffff).ok()?,
        }),
        _ => None,
    }
}

/// The two values of `Name (\_S5, Package () {..})` in AML (ACPI specification 7.4.2 and 20.2).
///
/// It is looked for as bytes: `NameOp`, the name, `PackageOp`, a length, the number of elements,
/// and the elements, which are constants. docs/decisions/0010 tells why the code is not run
/// for it.
fn soft_off(aml: &[u8]) -> Option<[u8; 2]> {
    const NAME_OP: u8 = 0x08;
    const PACKAGE_OP: u8 = 0x12;
    let at = |name: usize| {
        let before = &aml[..name];
        let named = before.ends_with(&[NAME_OP]) || before.ends_with(&[NAME_OP, b'\\']);
        let (&[op, lead], rest) = aml.get(name + 4..)?.split_first_chunk()?;
        // The length's own length is in its first byte's upper bits; all that we want of the
        // package lies right behind.
        let elements = rest.get(usize::from(lead >> 6)..)?;
        let (&count, mut elements) = elements.split_first()?;
        let first = constant(&mut elements)?;
        let second = if count > 1 { constant(&mut elements)? } else { 0 };
        (named && op == PACKAGE_OP && count > 0).then_some([first, second])
    };
    let names = aml.windows(4).enumerate().filter(|(_, window)| window == b"_S5_");
    names.map(|(name, _)| name).find_map(at)
}

/// A constant that fits into the three bits of `SLP_TYP`.
fn constant(aml: &mut &[u8]) -> Option<u8> {
    let (op, rest) = aml.split_first()?;
    let bytes = match op {
        0x00 | 0x01 => 0,
        0x0a => 1,
        0x0b => 2,
        0x0c => 4,
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(bytes)?;
    *aml = rest;
    let value = value.iter().rev().fold(0, |v, &byte| v << 8 | u32::from(byte));
    let value = if bytes == 0 { u32::from(*op) } else { value };
    u8::try_from(value).ok().filter(|&value| value < 8)
}
