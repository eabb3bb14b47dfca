//! lib.rs is the map: each module uses only what stands above it.
use super::map::{Map, sources, used, used_of};
use super::std;
use std::fs;
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;

/// The core, the services and the face. (`fatal` calls upward by symbol, which is not seen here.)
fn maps() -> [Map; 3] {
    let map = |src: &str, upward, least| Map {
        src: Path::new(env!("CARGO_MANIFEST_DIR")).join(src),
        upward,
        least,
    };
    [
        map(
            "src",
            &[
                ("tools", "proc", "the last unpin calls preempted, which yields if the caller may"),
                (
                    "switch",
                    "proc",
                    "goexit calls goexit1, async_preempt preempt_yield: symbols in assembly",
                ),
            ],
            7,
        ),
        map("../services/src", &[], 10),
        map("../src", &[], 1),
    ]
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn each_module_uses_only_what_stands_above_it() {
    for map in maps() {
        let wrong = map.wrong();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn each_file_of_a_folder_uses_only_what_stands_above_it() {
    for map in maps() {
        let wrong = map.wrong_within_folders();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn no_exception_is_left_over() {
    for map in maps() {
        let left = map.left_over();
        assert!(left.is_empty(), "{left:#?}");
    }
}

fn text(source: PathBuf) -> String {
    fs::read_to_string(source).unwrap()
}

/// The text of each source of a crate. The core's stand-ins for tests (`model`) do not count.
fn code(src: &Path) -> impl Iterator<Item = String> {
    let model = src.join("model");
    sources(src).into_iter().filter(move |path| !path.starts_with(&model)).map(text)
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn lines_have_100_columns_at_the_most() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let folders = ["kernel", "boot/src", "course", "tests/src", "tests/tests", "tests/scenarios"];
    let found: Vec<_> =
        folders.iter().flat_map(|folder| sources(&root.join(folder))).map(text).collect();
    assert!(found.len() > 100);
    let long = found.iter().flat_map(|text| text.lines()).filter(|line| line.chars().count() > 100);
    assert_eq!(long.collect::<Vec<_>>(), [""; 0]);
}

/// xv6's kernel (riscv, revision of 2024) has 6,512 lines, comments included.
#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn the_core_is_smaller_than_xv6() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let lines: usize = code(&src).map(|text| text.lines().count()).sum();
    assert!((5000..6500).contains(&lines), "the core has {lines} lines: what can go?");
}

/// Half as many as before the executive was cut into crates.
#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn files_that_have_unsafe_code_are_few() {
    let found: Vec<_> = maps().iter().flat_map(|map| code(&map.src)).collect();
    let is_unsafe = |line: &str| line.split("//").next().is_some_and(has_unsafe);
    let trusted = found.iter().filter(|text| text.lines().any(is_unsafe)).count();
    assert!((10..=23).contains(&trusted), "{trusted} files have unsafe code");
    let silent = found.iter().filter(|text| text.contains("#![allow(unsafe_code)]\n")).count();
    assert_eq!(silent, 0, "files that do not say why they have it");
}

fn has_unsafe(code: &str) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
}

#[test]
fn the_reader_of_uses_reads() {
    assert_eq!(
        used(
            "use crate::a::b; use crate::{c, d::{e, f}, g as h};
// crate::x
$crate::y"
        ),
        ["a", "c", "d", "g"]
    );
    assert_eq!(
        used_of("a", "use crate::a::b; use super::c::d; use crate::{e, a::f};"),
        ["c", "b", "f"]
    );
}
