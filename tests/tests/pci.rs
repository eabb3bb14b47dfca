//! What PCI functions say of themselves, read by the kernel's own file on the host: functions that
//! lie, and functions made at random. Nothing panics, every loop ends, and what cannot be is an
//! error.

extern crate alloc;

#[allow(dead_code)] // what only the kernel uses
#[path = "../../kernel/src/device"]
mod device {
    pub mod error;
    pub mod header;
}

use device::error::Error;
use device::header::{Bar, Space, bar, capabilities, functions};
use pci_types::{ConfigRegionAccess, PciAddress};
use std::cell::RefCell;
use std::collections::BTreeMap;
use tests::Random;

/// Functions by their addresses: 64 registers each, and what each bit of a BAR answers.
#[derive(Default)]
struct Fake {
    functions: RefCell<BTreeMap<PciAddress, Function>>,
    /// RAM: no device can be there.
    ram: core::ops::Range<u64>,
}

#[derive(Clone)]
struct Function {
    registers: [u32; 64],
    /// Bits of BARs that can be written.
    writable: [u32; 6],
}

impl ConfigRegionAccess for Fake {
    unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
        self.get(address, offset)
    }

    unsafe fn write(&self, address: PciAddress, offset: u16, value: u32) {
        self.set(address, offset, value);
    }
}

impl Space for Fake {
    fn get(&self, address: PciAddress, offset: u16) -> u32 {
        assert_eq!(offset % 4, 0, "an address within a register");
        let functions = self.functions.borrow();
        let found = functions.get(&address);
        found.map_or(u32::MAX, |f| f.registers.get(usize::from(offset / 4)).copied().unwrap_or(0))
    }

    fn set(&self, address: PciAddress, offset: u16, value: u32) {
        let mut functions = self.functions.borrow_mut();
        let Some(function) = functions.get_mut(&address) else { return };
        let n = usize::from(offset / 4);
        let mask = match n {
            1 => 0xffff,
            4..10 => function.writable[n - 4],
            _ => 0,
        };
        function.registers[n] = function.registers[n] & !mask | value & mask;
    }

    fn segments(&self) -> Vec<(u16, u8, u8)> {
        vec![(0, 0, 0xff)]
    }

    fn may_be(&self, address: PciAddress) -> bool {
        self.get(address, 0) != u32::MAX
    }

    fn is_device(&self, at: u64, length: u64) -> bool {
        at.checked_add(length).is_some_and(|end| end <= self.ram.start || self.ram.end <= at)
    }
}

/// Where the functions are that are looked at alone.
fn at() -> PciAddress {
    address(0, 3, 0)
}

fn address(bus: u8, device: u8, function: u8) -> PciAddress {
    PciAddress::new(0, bus, device, function)
}

fn an_endpoint() -> Function {
    let mut registers = [0; 64];
    registers[0] = 0x1005_1af4;
    registers[1] = 1 << 20 | 0b11; // it has capabilities, and answers
    registers[2] = 0xff << 24;
    Function { registers, writable: [0; 6] }
}

/// A machine whose RAM ends at 2 GiB, with this function.
fn machine(function: Function) -> Fake {
    Fake { functions: RefCell::new(BTreeMap::from([(at(), function)])), ram: 0..0x8000_0000 }
}

/// The function's first BARs, as these registers that answer with these bits.
fn with_bars<const N: usize>(bars: [(u32, u32); N]) -> Fake {
    let mut function = an_endpoint();
    for (n, (register, writable)) in bars.into_iter().enumerate() {
        function.registers[4 + n] = register;
        function.writable[n] = writable;
    }
    machine(function)
}

#[test]
fn bars_are_where_they_say() {
    let fake = with_bars([
        (0xfebf_1000, 0xffff_f000),
        (0xc001, 0xffff_ffe0), // ports
        (0xc101, 0xffe0),      // ports, without the upper half
        (0x000c, 0xfff0_0000), // prefetchable, 64 bits
        (0x0080, u32::MAX),
    ]);
    let before = fake.functions.borrow()[&at()].registers;
    assert_eq!(bar(&fake, at(), 0), Ok(Bar::Memory { address: 0xfebf_1000, length: 0x1000 }));
    assert_eq!(bar(&fake, at(), 1), Ok(Bar::Ports { first: 0xc000, length: 32 }));
    assert_eq!(bar(&fake, at(), 2), Ok(Bar::Ports { first: 0xc100, length: 32 }));
    assert_eq!(bar(&fake, at(), 3), Ok(Bar::Memory { address: 0x80_0000_0000, length: 1 << 20 }));
    assert_eq!(bar(&fake, at(), 5), Err(Error::NotThere), "of size 0");
    assert_eq!(bar(&fake, at(), 6), Err(Error::NotThere));
    assert_eq!(fake.functions.borrow()[&at()].registers, before, "all is as it was");
}

#[test]
fn bars_that_cannot_be_are_refused() {
    for (what, register, writable) in [
        ("over RAM", 0x1000_0000, 0xffff_f000),
        ("nowhere", 0, 0xffff_f000),
        ("not aligned", 0xfebf_1000, 0xffff_0000),
        ("a size with holes", 0xfeb0_0000, 0xfff0_f000),
        ("longer than any", 0x8000_0000, 0x8000_0000),
        ("of a reserved type", 0xfebf_0006, 0xffff_f000),
        ("below 1 MiB", 0xfebf_0002, 0xffff_f000),
        ("ports at 0", 1, 0xffe0),
        ("ports with holes", 0xc001, 0xff0f & !1),
    ] {
        let fake = with_bars([(register, writable)]);
        assert_eq!(bar(&fake, at(), 0), Err(Error::BadBar), "{what}");
    }
    let fake = with_bars([(0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0x4, 0xffff_f000)]);
    assert_eq!(bar(&fake, at(), 5), Err(Error::BadBar), "64 bits in the last register");
}

#[test]
fn a_list_of_capabilities_that_does_not_end_is_none() {
    let offsets = |links: &[(usize, u32)], first: u32| -> Vec<u16> {
        let mut function = an_endpoint();
        function.registers[0x34 / 4] = first;
        for &(at, word) in links {
            function.registers[at / 4] = word;
        }
        let found = capabilities(&machine(function), at());
        found.iter().map(|capability| capability.address().offset).collect()
    };
    let link = |id: u32, next: u32| next << 8 | id;
    let good = [(0x40, link(0x05, 0x50)), (0x50, link(0x11, 0x70)), (0x70, link(0x09, 0))];
    assert_eq!(offsets(&good, 0x40), [0x40, 0x50, 0x70]);
    for (what, links) in [
        ("a ring", [(0x40, link(9, 0x50)), (0x50, link(9, 0x40))]),
        ("a ring of entries that mean nothing", [(0x40, link(0, 0x44)), (0x44, link(0, 0x40))]),
        ("to itself", [(0x40, link(9, 0x40)), (0x50, 0)]),
        ("into the header", [(0x40, link(9, 0x10)), (0x50, 0)]),
        ("between two registers", [(0x40, link(9, 0x52)), (0x50, 0)]),
    ] {
        assert_eq!(offsets(&links, 0x40), [0u16; 0], "{what}");
    }
}

#[test]
fn bridges_lead_to_buses_once() {
    let fake = Fake::default();
    let bridge = |to: u32| {
        let mut function = an_endpoint();
        function.registers[3] = 1 << 16;
        function.registers[6] = to << 8;
        function
    };
    {
        let mut functions = fake.functions.borrow_mut();
        functions.insert(address(0, 1, 0), bridge(5));
        functions.insert(address(5, 2, 0), bridge(0)); // back
        functions.insert(address(5, 3, 0), bridge(5)); // to itself
        functions.insert(address(5, 4, 0), an_endpoint());
        let mut several = an_endpoint();
        several.registers[3] |= 1 << 23;
        functions.insert(address(5, 6, 0), several);
        functions.insert(address(5, 6, 7), an_endpoint());
        functions.insert(address(5, 8, 1), an_endpoint()); // without a function 0
    }
    let found: Vec<_> = functions(&fake).iter().map(|f| f.address).collect();
    let there = [(0, 1, 0), (5, 2, 0), (5, 3, 0), (5, 4, 0), (5, 6, 0), (5, 6, 7)];
    assert_eq!(found, there.map(|(bus, device, function)| address(bus, device, function)));
}

#[test]
fn functions_made_at_random_do_no_harm() {
    let mut random = Random(1);
    let mut next = move || random.next() as u32;
    for case in 0..20_000 {
        let fake = Fake { ram: 0..0x8000_0000, ..Fake::default() };
        for _ in 0..4 {
            let at = next();
            let mut function = an_endpoint();
            function.registers.fill_with(|| {
                // Mostly bits at random; sometimes few, or all alike.
                match next() % 4 {
                    0 => next() & next() & next(),
                    1 => 0u32.wrapping_sub(next() & 1),
                    _ => next(),
                }
            });
            function.registers[1] |= 1 << 20;
            function.registers[3] &= 0xff81_ffff; // endpoints and bridges
            function.writable.fill_with(|| next() | next());
            let bus = [0, 0, 1, at as u8][(at >> 30) as usize];
            let at = address(bus, (at >> 8) as u8 % 32, (at >> 16) as u8 % 2);
            fake.functions.borrow_mut().insert(at, function);
        }
        for function in functions(&fake) {
            assert!(capabilities(&fake, function.address).len() <= 48, "case {case}");
            for n in 0..=6 {
                match bar(&fake, function.address, n) {
                    Ok(Bar::Memory { address, length }) => {
                        assert!(fake.is_device(address, length) && length > 0, "case {case}");
                    }
                    Ok(Bar::Ports { first, length }) => {
                        assert!(first > 0 && first.checked_add(length - 1).is_some());
                    }
                    Err(_) => {}
                }
            }
        }
    }
}
