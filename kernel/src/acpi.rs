//! What the firmware says that the machine has: CPUs, interrupt controllers, timers (ACPI's MADT,
//! HPET, FADT).
//!
//! [`init`] reads it once; it is never written again.
//!
//! **Rule:** firmware tables are claims, not facts. The kernel survives every odd one; without any
//! tables it takes one CPU, and the addresses that every PC has.
#![allow(unsafe_code)] // The tables are foreign memory, read through the physical window.

use crate::window::phys_to_virt;
use ::acpi::address::AddressSpace;
use ::acpi::aml::AmlError;
use ::acpi::sdt::fadt::Fadt;
use ::acpi::sdt::madt::{Madt, MadtEntry, Polarity, TriggerMode, parse_mps_inti_flags};
use ::acpi::{AcpiTables, Handle, Handler, HpetInfo, PciAddress, PhysicalMapping};
use alloc::vec;
use alloc::vec::Vec;
use core::ptr::NonNull;
use spin::Once;

/// An I/O APIC: `address` of its registers; its first input is global interrupt `first_gsi`.
#[derive(Clone, Copy, Debug)]
pub struct IoApic {
    pub address: u64,
    pub first_gsi: u32,
}

/// An ISA interrupt that is wired in its own way.
#[derive(Clone, Copy, Debug)]
pub struct IsaOverride {
    pub irq: u8,
    pub gsi: u32,
    pub active_low: bool,
    pub level: bool,
}

/// What was found.
#[derive(Debug)]
pub struct Platform {
    /// APIC ids of the CPUs that may be started, in the firmware's order, each once. The boot CPU's
    /// is among them.
    pub apic_ids: Vec<u32>,
    pub io_apics: Vec<IoApic>,
    pub overrides: Vec<IsaOverride>,
    /// The machine's NMIs come in at LINT1 of the CPUs' APICs. (Tables say it for each CPU, and the
    /// same for all.)
    pub nmi_at_lint1: bool,
    /// Physical address of the HPET's registers.
    pub hpet: Option<u64>,
    /// I/O port of the ACPI power management timer (3.579545 MHz).
    pub pm_timer: Option<u16>,
}

static PLATFORM: Once<Platform> = Once::new();

/// Reads the tables that the root pointer at the physical address `rsdp` leads to. Needs the heap.
pub fn init(rsdp: Option<u64>) -> &'static Platform {
    PLATFORM.call_once(|| read(rsdp))
}

/// What [`init`] found.
///
/// # Panics
/// Before `init`.
pub fn platform() -> &'static Platform {
    PLATFORM.get().expect("acpi::platform before acpi::init")
}

fn read(rsdp: Option<u64>) -> Platform {
    let mut found = Platform {
        apic_ids: vec![],
        io_apics: vec![],
        overrides: vec![],
        nmi_at_lint1: false,
        hpet: None,
        pm_timer: None,
    };
    // SAFETY: the bootloader found the pointer where firmware puts it; its signature is checked.
    let tables = rsdp.and_then(|at| unsafe { AcpiTables::from_rsdp(Window, at as usize) }.ok());
    if let Some(tables) = &tables {
        if let Some(madt) = tables.find_table::<Madt>() {
            read_madt(&mut found, &madt);
        }
        found.hpet = HpetInfo::new(tables).ok().map(|hpet| hpet.base_address as u64);
        found.pm_timer = tables.find_table::<Fadt>().and_then(|fadt| pm_timer(&fadt));
    }
    if found.io_apics.is_empty() {
        // Where the MP specification's default configurations have it (MPS 1.4, chapter 5).
        found.io_apics.push(IoApic { address: 0xfec0_0000, first_gsi: 0 });
    }
    found
}

fn read_madt(found: &mut Platform, madt: &PhysicalMapping<Window, Madt>) {
    // An entry of length 0 would be read for ever; no machine has this many entries.
    for entry in madt.get().entries().take(4096) {
        match entry {
            MadtEntry::LocalApic(e) if e.apic_id != 0xff => {
                add_cpu(found, e.apic_id.into(), e.flags)
            }
            MadtEntry::LocalX2Apic(e) => add_cpu(found, e.x2apic_id, e.flags),
            MadtEntry::IoApic(e) => found.io_apics.push(IoApic {
                address: e.io_apic_address.into(),
                first_gsi: e.global_system_interrupt_base,
            }),
            MadtEntry::LocalApicNmi(e) => found.nmi_at_lint1 |= e.nmi_line == 1,
            MadtEntry::X2ApicNmi(e) => found.nmi_at_lint1 |= e.nmi_line == 1,
            MadtEntry::InterruptSourceOverride(e) if e.bus == 0 => {
                // "As the bus does" means active high and edge-triggered on ISA. So do flags that
                // make no sense.
                let (polarity, trigger) = parse_mps_inti_flags(e.flags)
                    .unwrap_or((Polarity::SameAsBus, TriggerMode::SameAsBus));
                found.overrides.push(IsaOverride {
                    irq: e.irq,
                    gsi: e.global_system_interrupt,
                    active_low: polarity == Polarity::ActiveLow,
                    level: trigger == TriggerMode::Level,
                });
            }
            _ => {}
        }
    }
}

/// Only CPUs that are enabled now. "Online capable" ones (flag bit 1) are empty sockets that may be
/// filled later; a CPU with neither flag must not be touched. One CPU listed twice, as APIC and as
/// x2APIC, is one CPU.
fn add_cpu(found: &mut Platform, apic_id: u32, flags: u32) {
    const ENABLED: u32 = 1 << 0;
    if flags & ENABLED != 0 && !found.apic_ids.contains(&apic_id) {
        found.apic_ids.push(apic_id);
    }
}

fn pm_timer(fadt: &Fadt) -> Option<u16> {
    let block = fadt.pm_timer_block().ok()??;
    // ACPI allows a timer in memory space too, but PCs have none, and there are enough other
    // clocks.
    (block.address_space == AddressSpace::SystemIo).then(|| u16::try_from(block.address).ok())?
}

/// Methods of [`Handler`] for the AML interpreter, which we do not run. (It cannot be left out:
/// acpi 6.1 does not build without it.)
macro_rules! never_called {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        $(fn $name(&self $(, _: $argument)*) $(-> $result)? { unreachable!("AML is not run") })*
    };
}

/// How the `acpi` crate reaches memory. Tables need nothing else.
#[derive(Clone)]
struct Window;

impl Handler for Window {
    unsafe fn map_physical_region<T>(&self, at: usize, size: usize) -> PhysicalMapping<Self, T> {
        PhysicalMapping {
            physical_start: at,
            virtual_start: NonNull::new(phys_to_virt(at as u64).cast())
                .expect("the window is above 0"),
            region_length: size,
            mapped_length: size,
            handler: Window,
        }
    }
    fn unmap_physical_region<T>(_: &PhysicalMapping<Self, T>) {}

    never_called! {
        read_u8(usize) -> u8; read_u16(usize) -> u16;
        read_u32(usize) -> u32; read_u64(usize) -> u64;
        write_u8(usize, u8); write_u16(usize, u16); write_u32(usize, u32); write_u64(usize, u64);
        read_io_u8(u16) -> u8; read_io_u16(u16) -> u16; read_io_u32(u16) -> u32;
        write_io_u8(u16, u8); write_io_u16(u16, u16); write_io_u32(u16, u32);
        read_pci_u8(PciAddress, u16) -> u8; read_pci_u16(PciAddress, u16) -> u16;
        read_pci_u32(PciAddress, u16) -> u32;
        write_pci_u8(PciAddress, u16, u8); write_pci_u16(PciAddress, u16, u16);
        write_pci_u32(PciAddress, u16, u32);
        nanos_since_boot() -> u64; stall(u64); sleep(u64); create_mutex() -> Handle;
        acquire(Handle, u16) -> Result<(), AmlError>; release(Handle);
    }
}
