//! PCI's configuration space: by memory (ECAM) where the firmware's table MCFG says so, else
//! through two ports.
//!
//! **Rule:** a function's registers are the business of who has taken the function. This file only
//! carries words there and back; a register that nobody has reads as ones.
#![allow(unsafe_code)] // Ports, and device registers.

use super::header::Space;
use crate::acpi;
use crate::paging;
use crate::tables::Ecam;
use alloc::vec::Vec;
use core::array;
use core::sync::atomic::{AtomicPtr, Ordering};
use pci_types::{ConfigRegionAccess, PciAddress};
use spin::{Mutex, Once};
use x86_64::instructions::interrupts::without_interrupts;
use x86_64::instructions::port::Port;

/// The configuration space of this machine's functions.
#[derive(Clone, Copy)]
pub struct Config;

/// A region of configuration space in memory. A bus is mapped when it is first looked at.
struct Region {
    ecam: Ecam,
    buses: [AtomicPtr<u8>; 256],
}

static REGIONS: Once<Vec<Region>> = Once::new();
/// The address port and the data port are a pair.
static PORTS: Mutex<()> = Mutex::new(());

const BUS_BYTES: u64 = 1 << 20;

/// Whether segment 0 is read through memory.
pub fn is_ecam() -> bool {
    regions().iter().any(|r| r.ecam.segment == 0)
}

/// A region that does not show what the ports show is not one.
fn regions() -> &'static [Region] {
    REGIONS.call_once(|| {
        let regions = acpi::platform()
            .ecams
            .iter()
            .map(|&ecam| Region { ecam, buses: array::from_fn(|_| AtomicPtr::default()) });
        let mut regions: Vec<_> = regions.collect();
        regions.retain(|region| {
            let first = PciAddress::new(region.ecam.segment, region.ecam.first_bus, 0, 0);
            let seen = region.register(first, 0);
            // SAFETY: `register` gives the place of a register in a mapped bus.
            let seen = unsafe { seen.read_volatile() };
            region.ecam.segment != 0 || seen == read_by_ports(first, 0)
        });
        regions
    })
}

impl Region {
    fn has(&self, address: PciAddress) -> bool {
        address.segment() == self.ecam.segment
            && (self.ecam.first_bus..=self.ecam.last_bus).contains(&address.bus())
    }

    /// Where a register is (PCI Express Base Specification, 7.2.2). Two CPUs that look at a bus for
    /// the first time may both map it, which does no harm.
    fn register(&self, address: PciAddress, offset: u16) -> *mut u32 {
        let mapped = &self.buses[usize::from(address.bus())];
        let mut bus = mapped.load(Ordering::Acquire);
        if bus.is_null() {
            let number = u64::from(address.bus() - self.ecam.first_bus);
            bus = paging::map_mmio(self.ecam.address + number * BUS_BYTES, BUS_BYTES);
            mapped.store(bus, Ordering::Release); // partner: the load above
        }
        let function = usize::from(address.device()) << 15 | usize::from(address.function()) << 12;
        // SAFETY: within the bus, of which a function has 4 KiB.
        unsafe { bus.add(function | usize::from(offset & 0xffc)).cast() }
    }
}

fn region(address: PciAddress) -> Option<&'static Region> {
    regions().iter().find(|region| region.has(address))
}

fn read_by_ports(address: PciAddress, offset: u16) -> u32 {
    by_ports(address, offset, |data| {
        // SAFETY: the register that `by_ports` has chosen; reading one of a function that is not
        // there gives ones.
        unsafe { data.read() }
    })
    .unwrap_or(u32::MAX)
}

/// Configuration mechanism 1 (PCI Local Bus Specification 3.0, 3.2.2.3.2): 256 bytes of each
/// function of segment 0.
fn by_ports<T>(
    address: PciAddress,
    offset: u16,
    act: impl FnOnce(&mut Port<u32>) -> T,
) -> Option<T> {
    if address.segment() != 0 || offset >= 0x100 {
        return None;
    }
    let (bus, device) = (u32::from(address.bus()), u32::from(address.device()));
    let function = bus << 16 | device << 11 | u32::from(address.function()) << 8;
    without_interrupts(|| {
        let _pair = PORTS.lock();
        // SAFETY: the address port chooses a register, no more.
        unsafe { Port::new(0xcf8).write(1 << 31 | function | u32::from(offset & 0xfc)) };
        Some(act(&mut Port::new(0xcfc)))
    })
}

/// May be called in a handler, for a bus that was looked at before.
impl ConfigRegionAccess for Config {
    unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
        match region(address) {
            // SAFETY: `register` gives the place of a register in a mapped bus.
            Some(region) => unsafe { region.register(address, offset).read_volatile() },
            None => read_by_ports(address, offset),
        }
    }

    unsafe fn write(&self, address: PciAddress, offset: u16, value: u32) {
        match region(address) {
            // SAFETY: as in `read`; the value is the caller's promise.
            Some(region) => unsafe { region.register(address, offset).write_volatile(value) },
            // SAFETY: the register that `by_ports` has chosen, and the caller's promise.
            None => drop(by_ports(address, offset, |data| unsafe { data.write(value) })),
        }
    }
}

impl Space for Config {
    fn get(&self, address: PciAddress, offset: u16) -> u32 {
        // SAFETY: any register may be read; what is not there reads as ones.
        unsafe { self.read(address, offset) }
    }

    fn set(&self, address: PciAddress, offset: u16, value: u32) {
        // SAFETY: header.rs puts back what it has read, and asks BARs for their sizes of a function
        // that does not answer meanwhile.
        unsafe { self.write(address, offset, value) }
    }

    /// Segment 0 is always there.
    fn segments(&self) -> Vec<(u16, u8, u8)> {
        let of = |r: &Region| (r.ecam.segment, r.ecam.first_bus, r.ecam.last_bus);
        let mut all: Vec<_> = regions().iter().map(of).collect();
        if !all.iter().any(|&(segment, ..)| segment == 0) {
            all.push((0, 0, 0xff));
        }
        all
    }

    /// By ports, because a bus that is looked at in memory must be mapped.
    fn may_be(&self, address: PciAddress) -> bool {
        read_by_ports(address, 0) != u32::MAX
    }

    fn is_device(&self, at: u64, length: u64) -> bool {
        acpi::is_device(at, length)
    }
}
