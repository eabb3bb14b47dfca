//! The reader of ACPI tables (kernel/src/tables.rs), on the host: real tables of several firmwares,
//! and the same ones damaged. CASES=1000000 tries as many.

extern crate alloc;

#[allow(dead_code)] // what only the kernel uses
#[path = "../../kernel/src/tables.rs"]
mod tables;

use std::cell::Cell;
use tables::{Physical, Platform, read};
use tests::Random;

/// What lay in memory: pieces with their addresses. The first is the root pointer.
#[derive(Clone)]
struct Firmware {
    pieces: Vec<(u64, Vec<u8>)>,
    /// How much was asked for: an endless loop shows.
    asked: Cell<usize>,
}

impl Physical for Firmware {
    fn bytes(&self, at: u64, length: usize) -> Option<&[u8]> {
        self.asked.set(self.asked.get() + 1);
        assert!(self.asked.get() < 5000, "the tables are read for ever");
        self.pieces.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(at.checked_sub(*start)?).ok()?;
            bytes.get(from..from.checked_add(length)?)
        })
    }
    fn device(&self, at: u64, length: u64) -> bool {
        (0x8000_0000..1 << 40).contains(&at) && at + length < 1 << 40
    }
}

impl Firmware {
    /// Written as address (8 bytes), length (4), and the bytes.
    fn of(mut dump: &[u8]) -> Firmware {
        let mut pieces = Vec::new();
        while let Some((head, rest)) = dump.split_at_checked(12) {
            let at = u64::from_le_bytes(head[..8].try_into().unwrap());
            let (bytes, rest) =
                rest.split_at(u32::from_le_bytes(head[8..].try_into().unwrap()) as usize);
            pieces.push((at, bytes.to_vec()));
            dump = rest;
        }
        Firmware { pieces, asked: Cell::new(0) }
    }
    fn read(&self) -> Platform {
        self.asked.set(0);
        read(self, Some(self.pieces[0].0))
    }
    fn piece(&mut self, signature: &[u8]) -> &mut Vec<u8> {
        let found = self.pieces.iter_mut().find(|(_, bytes)| bytes.starts_with(signature));
        &mut found.expect("the firmware has this table").1
    }
}

macro_rules! firmware {
    ($($name:literal)*) => {
        [$(($name, Firmware::of(include_bytes!(concat!("../acpi/", $name, ".acpi"))))),*]
    };
}

fn all() -> [(&'static str, Firmware); 6] {
    firmware!("pc-seabios" "q35-seabios" "pc-ovmf" "q35-ovmf" "microvm" "bochs")
}

fn apic_ids(found: &Platform) -> Vec<u32> {
    found.cpus.iter().map(|cpu| cpu.apic_id).collect()
}

#[test]
fn real_tables_are_read_whole() {
    for (name, firmware) in all() {
        let found = firmware.read();
        assert_eq!(found.ignored, [""; 0], "{name}");
        let cpus: &[u32] = match name {
            "q35-seabios" => &[0, 1, 2, 4, 5, 6],
            "pc-ovmf" | "microvm" => &[0, 1],
            "bochs" => &[0],
            _ => &[0, 1, 2, 3],
        };
        assert_eq!(apic_ids(&found), cpus, "{name}");
        assert_eq!(found.io_apics.len(), if name == "microvm" { 2 } else { 1 }, "{name}");
        if name != "microvm" {
            assert_eq!(found.hpet, Some(0xfed0_0000), "{name}");
            assert_eq!(found.power.sci, 9, "{name}");
            assert_eq!(found.power.soft_off, Some([0, 0]), "{name}");
            assert!(found.pm_timer.is_some() && found.power.control[0].is_some(), "{name}");
            let pins: Vec<u8> = found.nmi_pins.iter().map(|pin| pin.lint).collect();
            assert_eq!(pins, if name == "bochs" { vec![] } else { vec![1] }, "{name}");
        }
    }
}

#[test]
fn cpus_that_are_not_used_are_told_of() {
    let mut found = all()[0].1.read();
    assert_eq!(found.unused(256, false), None);
    found.cpus = (0..288).map(|apic_id| tables::Cpu { apic_id, uid: apic_id }).collect();
    let told = |most, x2apic| found.unused(most, x2apic).unwrap();
    assert_eq!(
        told(256, true),
        "288 CPUs are there, and 256 are used: the kernel is built for 256"
    );
    assert!(told(256, false).starts_with("288 CPUs are there, and 255 are used: the firmware"));
}

/// Damages a few places: bits, bytes, whole numbers, a table's end. Then, as often as not, puts the
/// checksums right, or the damage would be found too soon.
fn damage(firmware: &mut Firmware, random: &mut Random) {
    const ODD: [u64; 8] = [0, 1, 2, 0xff, 0xffff, 0x8000_0000, 0xffff_ffff, u64::MAX];
    for _ in 0..1 + random.below(4) {
        let n = firmware.pieces.len();
        // The root, its list and the first tables as often as all the code of the DSDT.
        let nth = random.below(n);
        let bytes = &mut firmware.pieces[nth].1;
        let at = if random.below(2) == 0 {
            random.below(bytes.len().min(64))
        } else {
            random.below(bytes.len())
        };
        match random.below(5) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 | 3 => {
                let odd = ODD[random.below(ODD.len())].to_le_bytes();
                let width = 1 << random.below(4);
                let end = bytes.len().min(at + width);
                bytes[at..end].copy_from_slice(&odd[..end - at]);
            }
            _ => bytes.truncate(at),
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
    if random.below(2) == 0 {
        return;
    }
    for (nth, (_, bytes)) in firmware.pieces.iter_mut().enumerate() {
        let length = bytes.len();
        let mut set = |at: usize, over: usize| {
            if bytes.len() >= over {
                bytes[at] = 0;
                bytes[at] = bytes[..over].iter().fold(0, |sum: u8, &b| sum.wrapping_sub(b));
            }
        };
        if nth == 0 {
            set(8, 20);
            set(32, 36);
        } else {
            set(9, length.max(10));
        }
    }
}

#[test]
fn damaged_tables_end_in_a_platform_that_can_be_used() {
    let cases = std::env::var("CASES").map_or(20_000, |n| n.parse().expect("CASES is a number"));
    let whole = all();
    let (mut silent, mut told) = (0, 0);
    for case in 0..cases {
        let mut random = Random(case);
        let (name, firmware) = &whole[random.below(whole.len())];
        let mut damaged = firmware.clone();
        damage(&mut damaged, &mut random);
        let found = damaged.read();
        let bound = |ok: bool| assert!(ok, "case {case} of {name}: {found:?}");
        bound(found.ignored.len() <= 12 && found.ignored.iter().all(|l| !l.contains('\n')));
        bound(found.ignored.iter().all(|line| line.len() < 100));
        bound(!found.io_apics.is_empty());
        bound(found.io_apics.iter().all(|io| firmware.device(io.address, 0x20)));
        bound(found.hpet.is_none_or(|at| firmware.device(at, 0x400)));
        bound(found.nmi_pins.iter().all(|pin| pin.lint < 2));
        bound(found.power.soft_off.is_none_or(|types| types.iter().all(|&t| t < 8)));
        let ids = apic_ids(&found);
        bound(ids.iter().enumerate().all(|(nth, id)| !ids[..nth].contains(id)));
        // A machine whose tables say less than before says why, unless a flag or a kind changed.
        let before = firmware.read();
        let less = found.tables.len() < before.tables.len()
            || found.hpet.is_none() && before.hpet.is_some();
        if found.ignored.is_empty() {
            silent += 1
        } else {
            told += 1
        };
        if less && found.ignored.is_empty() && !renamed(&before, &found) {
            panic!("case {case} of {name} left something out without a word: {found:?}");
        }
    }
    println!("{cases} cases: {told} with a line, {silent} without");
}

/// A table has another name, or the list says that there are fewer: nothing that can be seen.
fn renamed(before: &Platform, found: &Platform) -> bool {
    before.tables.iter().any(|b| !found.tables.iter().any(|f| f.signature == b.signature))
}

#[test]
fn each_kind_of_damage_has_its_line() {
    /// What is broken, and what must be said.
    type Case = (&'static str, fn(&mut Firmware), &'static str);
    let cases: [Case; 8] = [
        ("a root pointer into nowhere", |f| f.pieces[0].0 += 1 << 40, "is not in memory"),
        ("an entry of length 0", |f| f.piece(b"APIC")[45] = 0, "has 0 bytes: the rest is left out"),
        ("a list shorter than its header", |f| f.piece(b"RSDT")[4] = 35, "says it has 35 bytes"),
        ("a list of another length", |f| f.piece(b"RSDT")[4] = 0, "says it has 0 bytes"),
        ("a table that is not there", |f| f.piece(b"RSDT")[36 + 3] = 0xee, "is not in memory"),
        ("an HPET too far away", |f| f.piece(b"HPET")[44 + 7] = 0x80, "no HPET can be at 0x8000"),
        ("an I/O APIC in RAM", |f| f.piece(b"APIC")[44 + 4 * 8 + 7] = 0, "no I/O APIC can be at"),
        ("no way to switch off", |f| cut(f.piece(b"DSDT"), b"_S5_"), "no \\_S5"),
    ];
    for (what, damage, line) in cases {
        let [(_, mut firmware), ..] = all();
        let rsdp = firmware.pieces[0].0;
        damage(&mut firmware);
        let said = read(&firmware, Some(rsdp)).ignored.join("\n");
        assert!(said.contains(line), "{what}: {said}");
    }
}

fn cut(bytes: &mut [u8], name: &[u8]) {
    let at = bytes.windows(name.len()).position(|window| window == name).expect("it is there");
    bytes[at] = b'X';
}
