//! A device's registers: a range of memory or of I/O ports, as one type that a driver reads and
//! writes without `unsafe`.
//!
//! **Rule:** every access is checked against the range, and is exactly one of the width that is
//! asked for. What may be done to a device by its registers is bounded elsewhere: a device cannot
//! write to memory before its driver has said that it tells it addresses of [`Dma`](super::Dma)
//! alone ([`Device::master`](super::Device::master)); and ports by which the machine itself is
//! driven are nobody's ([`ports`]).
#![allow(unsafe_code)] // Device registers, and ports.

use super::error::Error;
use crate::paging;
use alloc::vec::Vec;
use core::ops::Range;
use executive::lock::{Lock, Rank};
use x86_64::instructions::port::{Port, PortRead, PortWrite};

/// A range of registers. Offsets are in bytes.
///
/// # Panics
/// Every access panics if it does not lie within the range, or is not aligned to its width.
#[derive(Debug)]
pub struct Registers {
    place: Place,
    length: usize,
}

#[derive(Debug)]
enum Place {
    Memory(*mut u8),
    Ports(u16),
}

// SAFETY: an address of device registers, which are used by volatile accesses of one word alone.
unsafe impl Send for Registers {}
// SAFETY: as above: two CPUs that use one register at the same time do so one after the other.
unsafe impl Sync for Registers {}

/// A width that registers have.
pub trait Word: sealed::Word {}
impl Word for u8 {}
impl Word for u16 {}
impl Word for u32 {}

mod sealed {
    pub trait Word: Copy + super::PortRead + super::PortWrite {}
    impl Word for u8 {}
    impl Word for u16 {}
    impl Word for u32 {}
}

impl Registers {
    /// Maps registers in memory.
    pub(super) fn memory(address: u64, length: u64) -> Registers {
        let place = Place::Memory(paging::map_mmio(address, length));
        Registers { place, length: length as usize }
    }

    pub(super) fn io(first: u16, length: u16) -> Registers {
        Registers { place: Place::Ports(first), length: length.into() }
    }

    /// How many bytes of registers there are.
    pub fn length(&self) -> usize {
        self.length
    }

    fn check<W: Word>(&self, offset: usize) {
        let width = size_of::<W>();
        assert!(
            offset.is_multiple_of(width) && offset.checked_add(width) <= Some(self.length),
            "no register of {width} bytes at {offset:#x}: the device has {:#x} bytes",
            self.length
        );
    }

    /// Reads a register: `registers.read::<u32>(8)`.
    pub fn read<W: Word>(&self, offset: usize) -> W {
        self.check::<W>(offset);
        match self.place {
            // SAFETY: mapped for good, within the range, and aligned, as `check` has seen.
            Place::Memory(at) => unsafe { at.add(offset).cast::<W>().read_volatile() },
            // SAFETY: a port of this device, by the rule above.
            Place::Ports(first) => unsafe { Port::<W>::new(first + offset as u16).read() },
        }
    }

    /// Writes a register: `registers.write(8, 1u32)`.
    pub fn write<W: Word>(&self, offset: usize, value: W) {
        self.check::<W>(offset);
        match self.place {
            // SAFETY: as in `read`.
            Place::Memory(at) => unsafe { at.add(offset).cast::<W>().write_volatile(value) },
            // SAFETY: as in `read`.
            Place::Ports(first) => unsafe { Port::new(first + offset as u16).write(value) },
        }
    }

    /// These registers from `offset` on, `length` bytes.
    pub fn part(&self, offset: usize, length: usize) -> Result<Registers, Error> {
        if offset.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(Error::OutOfRange);
        }
        let place = match self.place {
            // SAFETY: within the range.
            Place::Memory(at) => Place::Memory(unsafe { at.add(offset) }),
            Place::Ports(first) => Place::Ports(first + offset as u16),
        };
        Ok(Registers { place, length })
    }
}

/// Ports by which memory, interrupts and CPUs are driven, and those that the kernel uses itself:
/// DMA controllers, interrupt controllers, timer, keyboard's controller, DMA pages and system
/// control, second DMA controller, the first serial port, PCI's configuration.
const KEPT: [Range<u16>; 9] = [
    0x00..0x20,
    0x20..0x22,
    0x40..0x44,
    0x60..0x65,
    0x80..0xa2,
    0xb2..0xb4,
    0xc0..0xe0,
    0x3f8..0x400,
    0xcf8..0xd00,
];

static GIVEN: Lock<Vec<Range<u16>>> = Lock::new(Rank::User, Vec::new());

/// The `length` ports from `first` on, for a device that is known by its ports, as ISA's are. They
/// are the caller's for good. An error: the kernel keeps one of them for itself, or somebody has
/// one already.
pub fn ports(first: u16, length: u16) -> Result<Registers, Error> {
    let end = first.checked_add(length).ok_or(Error::OutOfRange)?;
    let range = first..end;
    let overlaps = |other: &Range<u16>| first < other.end && other.start < end;
    if KEPT.iter().any(overlaps) {
        return Err(Error::Kept);
    }
    let mut given = GIVEN.lock();
    if given.iter().any(overlaps) {
        return Err(Error::Taken);
    }
    given.push(range);
    Ok(Registers::io(first, length))
}
