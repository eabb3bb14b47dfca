//! `executive::machine::up` lists all that machines call.
use super::map::sources;
use super::std;
use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{fs, vec};

/// What machines are made with, and do not call: types, locks, output, a driver's, the fuzzer's.
const TOOLS: [&str; 9] =
    ["machine", "param", "percpu", "lock", "atomic", "irq", "print", "println", "kit"];

/// What has goroutines of its own: it calls what goroutines call.
const DRIVERS: [&str; 4] = ["screen.rs", "serial.rs", "device/pins.rs", "given_up.rs"];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What a source names of the executive, comments apart: the last names of its paths.
fn called(source: &str) -> Vec<String> {
    let code: Vec<_> = source.lines().map(|line| line.split("//").next().unwrap_or("")).collect();
    let mut called = Vec::new();
    for path in code.join("").split("executive::").skip(1) {
        let end = |c: char| !(c.is_alphanumeric() || "_:{, }".contains(c));
        let path = &path[..path.find(end).unwrap_or(path.len())];
        let path = if path.starts_with('{') || path.contains("::{") {
            path.split('}').next().unwrap_or(path)
        } else {
            path.split([',', ' ', '{', '}']).next().unwrap_or(path)
        };
        let names: Vec<_> = path.split([':', '{', ',', ' ']).filter(|n| !n.is_empty()).collect();
        let in_a_group = if path.contains("::{") { &names[1..] } else { &names[names.len() - 1..] };
        let names = if path.starts_with('{') { &names[..] } else { in_a_group };
        if path.starts_with('{') || !TOOLS.contains(&path.split(':').next().unwrap_or("")) {
            called.extend(names.iter().filter(|n| !TOOLS.contains(n)).map(ToString::to_string));
        }
    }
    called
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn up_lists_what_machines_call_and_nothing_else() {
    let face = read("../src/machine.rs");
    let listed = face.split("pub mod up {").nth(1).unwrap();
    let listed: Vec<_> = listed
        .lines()
        .filter(|line| !line.contains("//!"))
        .flat_map(|line| line.split([' ', ',', '{', '}', ';']))
        .filter_map(|path| path.rsplit("::").next())
        .filter(|word| !["", "pub", "use"].contains(word))
        .collect();
    let mut called_by_some = vec![];
    for src in ["../../src", "../../hosted/src"] {
        for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(src)) {
            let drives = DRIVERS.iter().any(|driver| file.ends_with(driver));
            for name in called(&fs::read_to_string(&file).unwrap()) {
                let told = drives || listed.contains(&&name[..]) || name == "Outside";
                assert!(told, "{} calls {name}, which machine::up does not list", file.display());
                called_by_some.push(name);
            }
        }
    }
    for name in listed {
        assert!(called_by_some.iter().any(|called| called == name), "no machine calls {name}");
    }
}

#[test]
fn the_reader_of_calls_reads() {
    let source = "use executive::{print, start}; executive::a::b(); // executive::c
use executive::a::{d, e}; executive::lock::f";
    assert_eq!(called(source), ["start", "b", "d", "e"]);
}
