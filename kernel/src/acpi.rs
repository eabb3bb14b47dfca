//! Where the firmware's tables lie, and what they said: tables.rs reads them, once.
//!
//! The firmware's memory map says what is memory. What it leaves out below 1 MiB may be the
//! firmware's too, and is only read.
#![allow(unsafe_code)] // The tables are foreign memory, read through the physical window.

use crate::frames;
use crate::param::LOW_MEMORY;
use crate::tables::{self, Physical};
use crate::window::phys_to_virt;
use alloc::vec::Vec;
use bootloader_api::info::{MemoryRegion, MemoryRegionKind};
use core::arch::x86_64::__cpuid;
use core::slice;
use executive::println;
use spin::Once;

pub use crate::tables::{IsaOverride, NmiPin, Platform};

static PLATFORM: Once<Platform> = Once::new();

/// Reads the tables that the root pointer at the physical address `rsdp` leads to, and says what of
/// them is left out. `map` is the firmware's memory map. Needs the heap.
pub fn init(rsdp: Option<u64>, map: &'static [MemoryRegion]) -> &'static Platform {
    PLATFORM.call_once(|| {
        let found = tables::read(&Memory { map, address_bits: address_bits() }, rsdp);
        found.ignored.iter().for_each(|line| println!("{line}"));
        if found.more_ignored > 0 {
            println!("ACPI: and {} more lines like these", found.more_ignored);
        }
        found
    })
}

/// What [`init`] found; `None` before.
pub fn known() -> Option<&'static Platform> {
    PLATFORM.get()
}

/// What [`init`] found.
///
/// # Panics
/// Before `init`.
pub fn platform() -> &'static Platform {
    PLATFORM.get().expect("acpi::platform before acpi::init")
}

/// How wide physical addresses are (Intel SDM vol. 2A, CPUID leaf 80000008h).
fn address_bits() -> u32 {
    const SIZES: u32 = 0x8000_0008;
    match __cpuid(0x8000_0000).eax {
        SIZES.. => __cpuid(SIZES).eax & 0xff,
        _ => 36,
    }
}

/// Whether `length` bytes at `at` can be a device's registers ([`Physical::device`]).
///
/// # Panics
/// Before `init`.
pub fn is_device(at: u64, length: u64) -> bool {
    Memory { map: frames::map(), address_bits: address_bits() }.device(at, length)
}

/// The firmware's code (AML), each table's without its header, the DSDT first.
pub fn code() -> Vec<&'static [u8]> {
    let Some(found) = known() else { return Vec::new() };
    let named = |name: [u8; 4]| found.tables.iter().filter(move |t| t.signature == name);
    let tables = named(*b"DSDT").take(1).chain(named(*b"SSDT"));
    let bytes = tables.filter_map(|table| {
        let at = firmware(table.address, table.length)?;
        // SAFETY: memory of the firmware's, which the window maps for good and nobody of us
        // writes.
        let table = unsafe { slice::from_raw_parts(at, table.length) };
        table.get(tables::HEADER..)
    });
    bytes.collect()
}

/// Where the firmware's memory is seen, `length` bytes at the physical address `at`. `None`: it is
/// none of its, or below 1 MiB, where some is ours.
pub fn firmware(at: u64, length: usize) -> Option<*mut u8> {
    let memory = Memory { map: frames::map(), address_bits: address_bits() };
    (at >= LOW_MEMORY && memory.bytes(at, length).is_some()).then(|| phys_to_virt(at))
}

fn is_ours(region: &MemoryRegion) -> bool {
    matches!(region.kind, MemoryRegionKind::Usable | MemoryRegionKind::Bootloader)
}

struct Memory {
    map: &'static [MemoryRegion],
    address_bits: u32,
}

impl Memory {
    /// The end of the region of the firmware's memory that `at` is in.
    fn region_end(&self, at: u64) -> Option<u64> {
        if at < LOW_MEMORY {
            return Some(LOW_MEMORY);
        }
        let region = self.map.iter().find(|r| (r.start..r.end).contains(&at));
        region.filter(|r| !is_ours(r)).map(|r| r.end)
    }
}

impl Physical for Memory {
    fn bytes(&self, at: u64, length: usize) -> Option<&[u8]> {
        let end = at.checked_add(length as u64)?;
        let mut seen = at;
        while seen < end {
            seen = self.region_end(seen)?; // each region is at most once on the way
        }
        // SAFETY: the window maps all regions of the map, and what lies below 1 MiB. Nobody writes
        // there: it is none of our memory, and of that below 1 MiB nothing is in use yet.
        (at != 0).then(|| unsafe { slice::from_raw_parts(phys_to_virt(at), length) })
    }

    fn device(&self, at: u64, length: u64) -> bool {
        at >= LOW_MEMORY
            && at.checked_add(length).is_some_and(|end| {
                (end - 1) >> self.address_bits == 0
                    && !self.map.iter().any(|r| is_ours(r) && at < r.end && r.start < end)
            })
    }
}
