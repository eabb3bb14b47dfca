//! The reader of ACPI tables (kernel/src/tables.rs), on the host: real tables of several firmwares,
//! and the same ones damaged. CASES=1000000 tries as many.

extern crate alloc;

#[allow(dead_code)] // what only the kernel uses
#[path = "../../kernel/src/tables.rs"]
mod tables;

#[allow(dead_code)] // as above
#[path = "../../kernel/src/device/aml.rs"]
mod aml;

use aml::{Place, Routing, routing};
use pci_types::PciAddress;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::panic::{self, AssertUnwindSafe};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;
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

/// A PC to whose registers the firmware's code has access. Ports hold zeros until they are written.
#[derive(Clone, Default)]
struct Pc(Rc<RefCell<BTreeMap<u16, u64>>>);

impl aml::Machine for Pc {
    fn read(&self, place: Place, _: usize) -> u64 {
        match place {
            Place::Port(port) => self.0.borrow().get(&port).copied().unwrap_or(0),
            Place::Config(_, 0x60..0x64) => 10, // where the chip's links lead
            _ => 0,
        }
    }
    fn write(&self, place: Place, _: usize, value: u64) {
        let Place::Port(port) = place else { return };
        self.0.borrow_mut().insert(port, value);
    }
    fn now_ns(&self) -> u64 {
        0
    }
    fn pause_us(&self, _: u64) {}
}

impl Firmware {
    fn code(&self) -> Vec<&[u8]> {
        let named = |name: &'static [u8]| {
            self.pieces.iter().filter(move |(_, bytes)| bytes.starts_with(name))
        };
        named(b"DSDT").chain(named(b"SSDT")).map(|(_, bytes)| &bytes[36..]).collect()
    }
}

/// What panics is the code's; the words of a panic are not wanted.
fn quietly<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    let before = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let done = panic::catch_unwind(AssertUnwindSafe(f));
    panic::set_hook(before);
    done.map_err(|why| match why.downcast::<String>() {
        Ok(message) => *message,
        Err(why) => why.downcast_ref::<&str>().unwrap_or(&"?").to_string(),
    })
}

fn led(routing: &Routing, device: u8, pin: u8) -> Option<(u32, bool)> {
    routing.input(PciAddress::new(0, 0, device, 0), pin, |_| None)
}

/// One test: steps are counted for the process.
#[test]
fn the_firmwares_code_says_where_pins_lead() {
    for (name, firmware) in all() {
        let found = routing(Pc::default(), &firmware.code());
        match name {
            // The crate stores nothing into an empty element of a package, as this code does.
            "pc-seabios" | "pc-ovmf" => {
                assert!(found.routes.is_empty(), "{name}");
                let [line] = &found.ignored[..] else { panic!("{name}: {:?}", found.ignored) };
                assert!(line.starts_with("\\_SB_.PCI0._PRT: "), "{name}: {line}");
            }
            _ => assert_eq!(found.ignored, [""; 0], "{name}"),
        }
        if name == "bochs" {
            assert_eq!(led(&found, 3, 0).map(|(gsi, _)| gsi), Some(10));
        }
        if name.starts_with("q35") {
            for (device, pin) in (0..25).flat_map(|device| (0..4).map(move |pin| (device, pin))) {
                let expected = Some((20 + u32::from(device + pin) % 4, false));
                assert_eq!(led(&found, device, pin), expected, "{name}: {device} {pin}");
            }
        }
    }
    links_are_followed_and_set();
    code_that_does_not_end_is_ended();
}

/// A piece of code that has a length (ACPI specification 20.2.4).
fn block(op: &[u8], body: &[u8]) -> Vec<u8> {
    let length = body.len() + 2;
    [op, &[0x40 | length as u8 & 0xf, (length >> 4) as u8], body].concat()
}

fn device(name: &[u8], body: &[Vec<u8>]) -> Vec<u8> {
    block(&[0x5b, 0x82], &[name, &body.concat()].concat())
}

fn named(name: &[u8], object: &[u8]) -> Vec<u8> {
    [&[0x08], name, object].concat()
}

fn buffer(bytes: &[u8]) -> Vec<u8> {
    block(&[0x11], &[&[0x0a, bytes.len() as u8], bytes].concat())
}

fn package(elements: &[Vec<u8>]) -> Vec<u8> {
    block(&[0x12], &[&[elements.len() as u8], &elements.concat()[..]].concat())
}

/// A link whose registers are ports: the mask of its interrupt, and there what `_SRS` writes.
fn link(name: &[u8], port: u8, now: &[u8], possible: &[u8]) -> Vec<u8> {
    let region = [&[0x5b, 0x80], &b"REG_"[..], &[1, 0x0a, port, 0x0a, 2]].concat();
    let field = block(&[0x5b, 0x81], &[&b"REG_"[..], &[2], b"MASK", &[16]].concat());
    // CreateWordField (Arg0, 1, NEW_), and Store (NEW_, MASK)
    let set = [&[1, 0x8b, 0x68, 1], &b"NEW_"[..], &[0x70], b"NEW_", b"MASK"].concat();
    let set = block(&[0x14], &[&b"_SRS"[..], &set].concat());
    let known = [named(b"_CRS", &buffer(now)), named(b"_PRS", &buffer(possible))];
    device(name, &[region, field, known.concat(), set])
}

fn entry(device: u32, pin: u8, source: &[u8], index: u8) -> Vec<u8> {
    let address = [&[0x0c], &(device << 16 | 0xffff).to_le_bytes()[..]].concat();
    package(&[address, vec![0x0a, pin], source.to_vec(), vec![0x0a, index]])
}

fn links_are_followed_and_set() {
    let end = [0x79, 0];
    let small = |mask: u16, flags: &[u8]| {
        let tag = 0x22 + flags.len() as u8;
        [&[tag], &mask.to_le_bytes()[..], flags, &end].concat()
    };
    let extended = [&[0x89, 6, 0, 0b1101, 1], &[33, 0, 0, 0][..], &end].concat();
    let host = named(b"_HID", &[0x0c, 0x41, 0xd0, 0x0a, 0x08]);
    let routes = [
        entry(1, 0, &[0], 17),
        entry(1, 1, b"LNKA", 0),
        entry(1, 2, b"LNKB", 0),
        entry(1, 3, b"LNKC", 0),
        entry(2, 0, b"LNKD", 0),
        entry(2, 1, b"NONE", 0),
        entry(99, 1, b"LNKA", 0),
    ];
    let code = [
        link(b"LNKA", 0x10, &small(1 << 11, &[0b1_0000]), &small(1 << 11, &[0b1_0000])),
        link(b"LNKB", 0x20, &extended, &extended),
        link(
            b"LNKC",
            0x30,
            &small(0, &[]),
            &[&[0x31, 0][..], &small(1 << 11 | 1 << 10, &[])].concat(),
        ),
        link(b"LNKD", 0x40, &small(0, &[0b1_1000]), &small(1 << 3 | 1 << 5 | 1 << 10, &[0b1_1000])),
        device(b"PCI0", &[host, named(b"_PRT", &package(&routes))]),
    ];
    let pc = Pc::default();
    let found = routing(pc.clone(), &[&code.concat()]);
    assert_eq!(found.ignored, [r"an entry of \PCI0._PRT"; 2], "no such link, no such device");
    assert_eq!(led(&found, 1, 0), Some((17, true)), "no link");
    assert_eq!(led(&found, 1, 1), Some((11, false)), "level-triggered, active high");
    assert_eq!(led(&found, 1, 2), Some((33, true)));
    assert_eq!(led(&found, 1, 3), Some((10, true)), "called edge-triggered; 11 has somebody");
    assert_eq!(led(&found, 2, 0), Some((5, true)), "10 has somebody, and 3 is ISA's");
    let written: Vec<_> = pc.0.borrow().iter().map(|(&port, &mask)| (port, mask)).collect();
    assert_eq!(written, [(0x30, 1 << 10), (0x40, 1 << 5)], "what leads somewhere is not set");
}

fn code_that_does_not_end_is_ended() {
    let endless = [0xa2, 0x02, 0x01]; // While (One) {}
    let [(_, firmware), ..] = all();
    let mut code = firmware.code();
    code.push(&endless);
    let why = quietly(|| routing(Pc::default(), &code)).unwrap_err();
    assert_eq!(why, "it does not end");
}

/// Damaged code ends in routes that can be, in a panic, or not at all: there are loops of the crate
/// that nobody can end from within (kernel/src/given_up.rs). So the cases are a process's.
#[test]
fn damaged_code_does_no_harm() {
    const PATIENCE: Duration = Duration::from_secs(3); // a case takes a millisecond
    let (mut from, mut ends) = (0, BTreeMap::<String, u64>::new());
    while from < code_cases() {
        let mut process = Command::new(std::env::current_exe().expect("a name"))
            .args(["--ignored", "--exact", "--nocapture", "cases_of_damaged_code"])
            .env("FROM", from.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be run again");
        let (told, lines) = mpsc::channel();
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|l| told.send(l)));
        let end = loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    if let Some((case, end)) = line.split_once(": ")
                        && let Ok(case) = case.parse::<u64>()
                    {
                        *ends.entry(end.into()).or_default() += 1;
                        from = case + 1;
                    }
                }
                Err(end) => break end,
            }
        };
        let _ = process.kill();
        let status = process.wait().expect("it was started");
        let end = match end {
            RecvTimeoutError::Timeout => "no end",
            // Killed, by itself: memory has run out.
            RecvTimeoutError::Disconnected if status.code().is_none() => "no memory",
            RecvTimeoutError::Disconnected => {
                assert!(status.success(), "case {from}");
                continue;
            }
        };
        *ends.entry(end.into()).or_default() += 1;
        from += 1;
    }
    println!("{from} cases of code: {ends:?}");
    assert!(ends["routes"] * 4 > from && ends.get("no end").is_none_or(|n| n * 20 < from));
}

fn code_cases() -> u64 {
    std::env::var("CASES").map_or(500, |n| n.parse().expect("CASES is a number"))
}

#[test]
#[ignore = "a part of the test above"]
fn cases_of_damaged_code() {
    let from = std::env::var("FROM").expect("the test above says it").parse().expect("a number");
    let whole = all();
    for case in from..code_cases() {
        let mut random = Random(case);
        let (_, firmware) = &whole[random.below(whole.len())];
        let mut code: Vec<_> = firmware.code().into_iter().map(|table| table.to_vec()).collect();
        for _ in 0..1 + random.below(4) {
            let nth = random.below(code.len());
            let table = &mut code[nth];
            let at = random.below(table.len());
            match random.below(3) {
                0 => table[at] ^= 1 << random.below(8),
                1 => table[at] = random.next() as u8,
                _ => table.truncate(at + 1),
            }
        }
        let code: Vec<&[u8]> = code.iter().map(|table| &table[..]).collect();
        let end = match quietly(|| routing(Pc::default(), &code)) {
            Err(_) => "a panic",
            Ok(found) => {
                let possible = |r: &aml::Route| r.device < 32 && r.pin < 4 && r.gsi > 0;
                assert!(found.routes.iter().all(possible), "case {case}: {found:?}");
                "routes"
            }
        };
        println!("{case}: {end}");
    }
}

/// A bridge without routes of its own hands pins on, each device's turned by its number.
#[test]
fn pins_behind_bridges_are_turned() {
    let route = |pin: u8| {
        let gsi = 16 + u32::from(pin);
        aml::Route { segment: 0, bus: 0, device: 4, pin, gsi, active_low: true }
    };
    let routing = Routing { routes: (0..4).map(route).collect(), ignored: vec![] };
    let at = |bus, device| PciAddress::new(0, bus, device, 0);
    // Bus 2 is behind device 3 on bus 1, and that behind device 4 on bus 0.
    let above = |below: PciAddress| match below.bus() {
        2 => Some(at(1, 3)),
        1 => Some(at(0, 4)),
        _ => None,
    };
    let led = |bus, device, pin| routing.input(at(bus, device), pin, above);
    assert_eq!(led(0, 4, 2), Some((18, true)));
    assert_eq!(led(0, 5, 2), None, "no route");
    assert_eq!(led(1, 1, 0), Some((17, true)));
    assert_eq!(led(2, 2, 1), Some((16 + (1 + 2 + 3) % 4, true)));
    assert_eq!(led(7, 2, 1), None, "no bridge leads there");
    assert_eq!(routing.input(at(1, 0), 0, |_| Some(at(1, 0))), None, "the bridge leads to itself");
}
