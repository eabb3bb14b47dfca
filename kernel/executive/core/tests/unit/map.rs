//! Reads a crate's lib.rs as what it is, the order of its layers, and its files for who uses whom.
//! (The kernel's are read by tests/tests/kernel_units.rs.)
use super::std;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, fs};

/// Who may name what stands below it, and why.
pub type Upward = &'static [(&'static str, &'static str, &'static str)];

pub struct Map {
    pub src: PathBuf,
    pub upward: Upward,
    /// So many modules there are at least, or lib.rs was not understood.
    pub least: usize,
}

impl Map {
    /// What is used and does not stand above (a macro and what lib.rs exports do not), and should
    /// not be.
    pub fn wrong(&self) -> Vec<String> {
        let root = ["lib.rs", "main.rs"]
            .map(|name| self.src.join(name))
            .into_iter()
            .find(|path| path.exists());
        let order = modules(&fs::read_to_string(root.expect("a crate has a root")).unwrap());
        assert!(order.len() >= self.least, "lib.rs was not understood: {order:?}");
        let mut wrong = Vec::new();
        for (at, module) in order.iter().enumerate() {
            let files = self.files(module);
            assert!(!files.is_empty(), "no file for {module}");
            for file in files {
                for name in used(&fs::read_to_string(&file).unwrap()) {
                    let above = order[..=at].contains(&name);
                    if !above
                        && !self.upward.iter().any(|&(from, to, _)| from == module && to == name)
                    {
                        wrong.push(format!(
                            "{} uses crate::{name}",
                            file.file_name().unwrap().display()
                        ));
                    }
                }
            }
        }
        wrong
    }

    /// The same within each folder that lists its files in its `mod.rs`.
    pub fn wrong_within_folders(&self) -> Vec<String> {
        let order = modules(&fs::read_to_string(self.src.join("lib.rs")).unwrap());
        let mut wrong = Vec::new();
        for folder in order {
            let Ok(list) = fs::read_to_string(self.src.join(&folder).join("mod.rs")) else {
                continue;
            };
            let order = modules(&list);
            for (at, module) in order.iter().enumerate() {
                let read = |folder: &str| {
                    fs::read_to_string(self.src.join(folder).join(format!("{module}.rs")))
                };
                let source = read(&folder).or_else(|_| read("model")).unwrap();
                for name in used_of(&folder, &source) {
                    if order[at + 1..].contains(&name) {
                        wrong.push(format!("{folder}/{module}.rs uses {name}"));
                    }
                }
            }
        }
        wrong
    }

    /// What may be used, and is not.
    pub fn left_over(&self) -> Vec<String> {
        let uses = |from: &str, to: &str| {
            self.files(from)
                .iter()
                .any(|file| used(&fs::read_to_string(file).unwrap()).iter().any(|name| name == to))
        };
        let left = self.upward.iter().filter(|(from, to, _)| !uses(from, to));
        left.map(|(from, to, why)| format!("{from} does not use {to} any more ({why})")).collect()
    }

    /// A module's own file and those below it.
    fn files(&self, module: &str) -> Vec<PathBuf> {
        let mut files = std::vec![];
        let file = self.src.join(format!("{module}.rs"));
        if file.exists() {
            files.push(file);
        }
        if let Ok(dir) = fs::read_dir(self.src.join(module)) {
            let paths = dir.map(|entry| entry.unwrap().path());
            files.extend(paths.filter(|path| path.extension().is_some_and(|e| e == "rs")));
        }
        files
    }
}

/// Every source below a folder, in order.
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            all.push(path);
        }
    }
    all.sort();
    all
}

/// Names in `mod x;` lines, in order.
fn modules(source: &str) -> Vec<String> {
    source
        .lines()
        .filter_map(|line| {
            line.trim_start_matches("pub ")
                .trim_start_matches("pub(crate) ")
                .strip_prefix("mod ")?
                .strip_suffix(';')
        })
        .filter(|&name| !["unit", "models"].contains(&name))
        .map(ToString::to_string)
        .collect()
}

/// The first names after each `crate::`, comments apart.
pub fn used(source: &str) -> Vec<String> {
    let code: String = source
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""))
        .collect::<Vec<_>>()
        .join("\n");
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

/// The names after each `super::`, `crate::folder::` and, in a group, `folder::`, comments apart.
pub fn used_of(folder: &str, source: &str) -> Vec<String> {
    let code: String = source
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""))
        .collect::<Vec<_>>()
        .join("\n");
    let ways = [
        "super::".to_string(),
        format!("crate::{folder}::"),
        format!(" {folder}::"),
        format!("{{{folder}::"),
    ];
    let name =
        |at: usize| code[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    ways.iter()
        .flat_map(|way| code.match_indices(way).map(|(at, way)| name(at + way.len())))
        .collect()
}

fn push(names: &mut Vec<String>, name: String) -> String {
    if !name.is_empty() {
        names.push(name);
    }
    String::new()
}
