//! What PCI functions say of themselves in their configuration space: read, and not believed.
//!
//! **Rule:** it is a claim. A list of capabilities may lead around, a bridge may lead back, a BAR
//! may lie over memory: each is checked, every loop ends, and what cannot be is an error. Pure:
//! nothing here touches the machine, and it is tried on the host with functions that lie
//! (tests/tests/pci.rs).

use super::error::Error;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use pci_types::capability::PciCapability;
use pci_types::device_type::DeviceType;
use pci_types::{
    CommandRegister, ConfigRegionAccess, EndpointHeader, HeaderType, PciAddress, PciHeader,
};

/// What a function says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Segment, bus, device, function.
    pub address: PciAddress,
    pub vendor: u16,
    pub device: u16,
    pub class: u8,
    pub subclass: u8,
    pub interface: u8,
    pub revision: u8,
    pub(super) is_endpoint: bool,
}

/// `00:1f.2`, as `lspci` writes it; the segment is in front if it is not 0.
#[derive(Clone, Copy, Debug)]
pub struct Place(pub PciAddress);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.0;
        if at.segment() != 0 {
            write!(f, "{:04x}:", at.segment())?;
        }
        write!(f, "{:02x}:{:02x}.{}", at.bus(), at.device(), at.function())
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Function { vendor, device, class, subclass, .. } = self;
        let kind = DeviceType::from((*class, *subclass));
        let place = Place(self.address);
        write!(f, "{place} {vendor:04x}:{device:04x} {class:02x}{subclass:02x} {kind:?}")
    }
}

/// A machine's configuration space.
pub trait Space: ConfigRegionAccess {
    /// Reads a register of 32 bits; what is not there reads as ones.
    fn get(&self, address: PciAddress, offset: u16) -> u32;
    /// Writes a register of 32 bits: what was read there, or to ask a BAR for its size.
    fn set(&self, address: PciAddress, offset: u16, value: u32);
    /// The segments, each with its first and its last bus.
    fn segments(&self) -> Vec<(u16, u8, u8)>;
    /// Whether a function may be there. Cheap: every bus is asked for its first.
    fn may_be(&self, address: PciAddress) -> bool;
    /// Whether `length` bytes at `at` can be a device's registers.
    fn is_device(&self, at: u64, length: u64) -> bool;
}

/// All functions that are there now, in the order of their addresses.
pub fn functions(space: &impl Space) -> Vec<Function> {
    let mut found = Vec::new();
    for (segment, first, last) in space.segments() {
        let mut seen = [false; 256];
        let mut buses = VecDeque::from([first]);
        // Bridges lead to all buses but those of further host bridges, which only AML names.
        let at = |bus| PciAddress::new(segment, bus, 0, 0);
        buses.extend((first..=last).filter(|&bus| space.may_be(at(bus))));
        while let Some(bus) = buses.pop_front() {
            // A bridge that leads back to a bus would lead around for ever.
            if core::mem::replace(&mut seen[usize::from(bus)], true) {
                continue;
            }
            for function in (0..32).flat_map(|device| functions_of(space, segment, bus, device)) {
                let below = bus_below(space, function.address);
                buses.extend(below.filter(|below| (first..=last).contains(below)));
                found.push(function);
            }
        }
    }
    found.sort_unstable_by_key(|function| function.address);
    found
}

fn functions_of(
    space: &impl Space,
    segment: u16,
    bus: u8,
    device: u8,
) -> impl Iterator<Item = Function> {
    let at = move |n| PciAddress::new(segment, bus, device, n);
    let first = function(space, at(0));
    let several = first.is_some() && PciHeader::new(at(0)).has_multiple_functions(space);
    let others = if several { 1..8 } else { 0..0 };
    first.into_iter().chain(others.filter_map(move |n| function(space, at(n))))
}

fn function(space: &impl Space, address: PciAddress) -> Option<Function> {
    let header = PciHeader::new(address);
    let (vendor, device) = header.id(space);
    if vendor == 0xffff || vendor == 0 {
        return None;
    }
    let (revision, class, subclass, interface) = header.revision_and_class(space);
    let is_endpoint = header.header_type(space) == HeaderType::Endpoint;
    Some(Function { address, vendor, device, class, subclass, interface, revision, is_endpoint })
}

/// The bus behind a bridge.
fn bus_below(space: &impl Space, address: PciAddress) -> Option<u8> {
    let bridge = PciHeader::new(address).header_type(space) == HeaderType::PciPciBridge;
    bridge.then(|| (space.get(address, 0x18) >> 8) as u8)
}

/// The bridge that leads to the bus of this address.
pub fn bridge_to(space: &impl Space, below: PciAddress) -> Option<PciAddress> {
    let bridges = functions(space).into_iter().map(|function| function.address);
    let mut of_segment = bridges.filter(|at| at.segment() == below.segment());
    of_segment.find(|&at| bus_below(space, at) == Some(below.bus()))
}

/// A function's capabilities; none if their list does not end. (`pci_types` follows it for ever.)
pub fn capabilities(space: &impl Space, address: PciAddress) -> Vec<PciCapability> {
    let Some(endpoint) = EndpointHeader::from_header(PciHeader::new(address), space) else {
        return vec![];
    };
    if !list_ends(space, address, endpoint.capability_pointer(space)) {
        return vec![];
    }
    endpoint.capabilities(space).collect()
}

/// Whether a list of capabilities that begins at `at` ends, all of it in its place: behind the
/// header, at multiples of 4.
fn list_ends(space: &impl Space, address: PciAddress, mut at: u16) -> bool {
    const PLACE: Range<u16> = 0x40..0x100;
    for _ in PLACE.step_by(4) {
        if at == 0 {
            return true;
        }
        if !PLACE.contains(&at) || !at.is_multiple_of(4) {
            return false;
        }
        at = (space.get(address, at) >> 8 & 0xff) as u16;
    }
    at == 0
}

/// Where a BAR leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    Memory { address: u64, length: u64 },
    Ports { first: u16, length: u16 },
}

/// Longer registers are not believed.
const MOST_BAR: u64 = 1 << 30;
const LEAST_BAR: u64 = 16;

/// Where a function's BAR `n` leads, and that it can be there (PCI Local Bus Specification 3.0,
/// 6.2.5.1). Nobody else may use the function meanwhile: it does not answer while it is asked for
/// sizes. (`pci_types` lets it answer, and panics at a reserved type.)
pub fn bar(space: &impl Space, address: PciAddress, n: u8) -> Result<Bar, Error> {
    const IO: u32 = 1 << 0;
    const TYPE: u32 = 0b11 << 1;
    const WIDE: u32 = 0b10 << 1;
    if n >= 6 {
        return Err(Error::NotThere);
    }
    let offset = 0x10 + 4 * u16::from(n);
    let low = space.get(address, offset);
    let wide = low & (IO | TYPE) == WIDE;
    let reserved = low & IO == 0 && !wide && low & TYPE != 0;
    if reserved || wide && n == 5 {
        return Err(Error::BadBar);
    }
    let high = if wide { space.get(address, offset + 4) } else { 0 };
    let mut header = PciHeader::new(address);
    let was = header.command(space);
    header.update_command(space, |command| {
        command.difference(CommandRegister::IO_ENABLE | CommandRegister::MEMORY_ENABLE)
    });
    let ask = |offset, was| {
        space.set(address, offset, u32::MAX);
        let answer = space.get(address, offset);
        space.set(address, offset, was);
        answer
    };
    let low_answer = ask(offset, low);
    let high_answer = if wide { ask(offset + 4, high) } else { u32::MAX };
    header.update_command(space, |_| was);
    if low & IO != 0 {
        return ports(low & !0b11, low_answer & !0b11);
    }
    let bits = u64::from(high_answer) << 32 | u64::from(low_answer & !0xf);
    if bits << if wide { 0 } else { 32 } == 0 {
        return Err(Error::NotThere);
    }
    let (address, length) =
        (u64::from(high) << 32 | u64::from(low & !0xf), (!bits).wrapping_add(1));
    let possible = length.is_power_of_two()
        && (LEAST_BAR..=MOST_BAR).contains(&length)
        && address != 0
        && address.is_multiple_of(length)
        && space.is_device(address, length);
    if possible { Ok(Bar::Memory { address, length }) } else { Err(Error::BadBar) }
}

/// A BAR of ports, by its base and by what it answered. Many devices leave the upper half out.
fn ports(base: u32, answer: u32) -> Result<Bar, Error> {
    if answer == 0 {
        return Err(Error::NotThere);
    }
    let length = (!(answer | 0xffff_0000)).wrapping_add(1);
    match (u16::try_from(base), u16::try_from(length)) {
        (Ok(first @ 1..), Ok(length @ 1..))
            if length.is_power_of_two() && first.is_multiple_of(length) =>
        {
            Ok(Bar::Ports { first, length })
        }
        _ => Err(Error::BadBar),
    }
}
