//! lib.rs is the map: each module uses only what stands above it.
use super::std;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, fs};

/// Who may name what stands below it, and why. `percpu` and `fatal` call upward by symbol, which is not seen here.
const UPWARD: &[(&str, &str, &str)] = &[
    ("switch", "proc", "goexit calls goexit1: a symbol in assembly"),
    ("join", "crash", "go's panic tells how many goroutines there are"),
];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Names in `mod x;` lines, in order.
fn modules(source: &str) -> Vec<String> {
    source
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
        .filter(|&name| name != "unit")
        .map(ToString::to_string)
        .collect()
}

/// A module's own file and those below it.
fn files(module: &str) -> Vec<PathBuf> {
    let mut files = std::vec![];
    let file = src().join(format!("{module}.rs"));
    if file.exists() {
        files.push(file);
    }
    if let Ok(dir) = fs::read_dir(src().join(module)) {
        files.extend(dir.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "rs")));
    }
    files
}

/// The first names after each `crate::`, comments apart.
fn used(source: &str) -> Vec<String> {
    let code: String = source.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n");
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with('$') {
            continue; // in a macro: the user's
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut name = String::new();
            let mut first = true;
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                match c {
                    _ if depth == 0 => break,
                    ',' if depth == 1 => (first, name) = (true, push(&mut names, name)),
                    c if first && (c.is_alphanumeric() || c == '_') => name.push(c),
                    c if !c.is_whitespace() || !name.is_empty() => first = false,
                    _ => {}
                }
            }
            push(&mut names, name);
        } else {
            names.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    names
}

fn push(names: &mut Vec<String>, name: String) -> String {
    if !name.is_empty() {
        names.push(name);
    }
    String::new()
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn each_module_uses_only_what_stands_above_it() {
    let order = modules(&fs::read_to_string(src().join("lib.rs")).unwrap());
    assert!(order.len() > 20, "lib.rs was not understood: {order:?}");
    let mut wrong = Vec::new();
    for (at, module) in order.iter().enumerate() {
        let files = files(module);
        assert!(!files.is_empty(), "no file for {module}");
        for file in files {
            for name in used(&fs::read_to_string(&file).unwrap()) {
                let above = order[..=at].contains(&name);
                if !above && !UPWARD.iter().any(|&(from, to, _)| from == module && to == name) {
                    wrong.push(format!("{} uses crate::{name}", file.file_name().unwrap().display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn no_exception_is_left_over() {
    for (from, to, why) in UPWARD {
        let uses =
            files(from).iter().any(|file| used(&fs::read_to_string(file).unwrap()).iter().any(|name| name == to));
        assert!(uses, "{from} does not use {to} any more ({why})");
    }
}

#[test]
fn the_reader_of_uses_reads() {
    assert_eq!(
        used("use crate::a::b; use crate::{c, d::{e, f}, g as h};\n// crate::x\n$crate::y"),
        ["a", "c", "d", "g"]
    );
}
