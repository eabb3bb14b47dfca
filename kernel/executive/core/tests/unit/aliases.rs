//! A search in the documentation for a name of Go's lands where our sources mention it: an item
//! whose comment says "Go: `name`" has that name as an alias, if it is not called so itself.
use super::map::sources;
use super::std;
use std::collections::BTreeSet;
use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, fs};

/// Crates whose items have their aliases.
const FOLDERS: [&str; 3] = ["src", "../services/src", "../src"];

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn names_of_go_are_aliases() {
    for folder in FOLDERS {
        let mut seen = Seen::default();
        for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)) {
            seen.read(&file.display().to_string(), &fs::read_to_string(&file).unwrap());
        }
        let missing = seen.missing();
        assert!(missing.is_empty(), "{missing:#?}");
    }
}

#[test]
fn the_reader_of_aliases_reads() {
    let source = "\
//! A file. Go: `chansend`, `chanrecv` (chan.go).

/// An item. Go: `time.Sleep`,
/// and `usleep(3)`; nothing of `nanosleep`.
#[doc(alias = \"time.Sleep\")]
#[inline]
pub fn doze() {}

/// By its own name. Go: `len(c)`. No name: Go: `c <- v`.
#[doc(alias(\"chanrecv\", \"other\"))]
pub fn len() {}
    /// A field. Go: `runnext`.
    run_next: u32,
/// Go: `hchan`.
pub(crate) struct Hchan<T> {
";
    let mut seen = Seen::default();
    seen.read("x.rs", source);
    assert_eq!(seen.missing(), ["x.rs: doze: usleep", "x.rs: chansend"]);
}

/// Go's names in comments, and aliases.
#[derive(Default)]
struct Seen {
    aliases: BTreeSet<String>,
    /// Names in the heads of files, each with its file: an alias of any item will do.
    heads: Vec<(String, String)>,
    missing: Vec<String>,
}

impl Seen {
    fn read(&mut self, file: &str, source: &str) {
        let (mut head, mut docs, mut attributes) = (String::new(), String::new(), String::new());
        for line in source.lines().map(str::trim) {
            if let Some(text) = line.strip_prefix("//!") {
                head += text;
            } else if let Some(text) = line.strip_prefix("///") {
                docs += text;
            } else if line.starts_with("#[") || attributes.ends_with(',') {
                attributes += line;
            } else if !line.is_empty() && !line.starts_with("//") {
                self.item(file, line, &docs, &attributes);
                docs.clear();
                attributes.clear();
            }
        }
        self.heads.extend(names(&head).into_iter().map(|name| (file.to_string(), name)));
    }

    fn item(&mut self, file: &str, line: &str, docs: &str, attributes: &str) {
        let aliases: Vec<String> = aliases(attributes);
        let item = item_name(line);
        for name in names(docs) {
            let plain = |name: &str| name.replace('_', "").to_lowercase();
            if !aliases.contains(&name) && plain(&name) != plain(&item) {
                self.missing.push(format!("{file}: {item}: {name}"));
            }
        }
        self.aliases.extend(aliases);
    }

    fn missing(self) -> Vec<String> {
        let heads = self.heads.into_iter().filter(|(_, name)| !self.aliases.contains(name));
        let heads = heads.map(|(file, name)| format!("{file}: {name}"));
        self.missing.into_iter().chain(heads).collect()
    }
}

/// The names in each "Go: `a`, `b` and `c`", without a call's arguments. What is no name is left
/// out.
fn names(docs: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, go) in docs.match_indices("Go: `") {
        let mut rest = &docs[at + go.len() - 1..];
        while let Some((code, after)) = rest.strip_prefix('`').and_then(|rest| rest.split_once('`'))
        {
            let name = code.split('(').next().unwrap_or(code);
            if name.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_alphanumeric() || "_.".contains(c))
            {
                names.push(name.to_string());
            }
            rest = after.trim_start_matches([',', ' ']).trim_start_matches("and ");
        }
    }
    names
}

/// The strings in `doc(alias = "..")` and `doc(alias("..", ".."))`.
fn aliases(attributes: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (at, doc) in attributes.match_indices("#[doc(alias") {
        let list = attributes[at + doc.len()..].split(")]").next().unwrap_or("");
        all.extend(list.split('"').skip(1).step_by(2).map(ToString::to_string));
    }
    all
}

/// What a line declares: `pub const fn name(..`, `name: u32,`, `Name,`.
fn item_name(line: &str) -> String {
    let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
    let line = line.split(['(', ':', '=', '<']).next().unwrap_or("");
    let words = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty());
    let words: Vec<&str> = words.collect();
    let kinds = ["fn", "struct", "enum", "trait", "type", "static", "mod", "macro_rules", "const"];
    let kind = words.iter().rposition(|word| kinds.contains(word));
    let name = match kind {
        Some(at) => words.get(at + 1),
        None => words.iter().find(|word| !["pub", "crate", "super"].contains(word)),
    };
    name.copied().unwrap_or("").to_string()
}
