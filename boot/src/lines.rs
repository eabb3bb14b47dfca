//! The kernel's line table, made of its debug information: small enough to be loaded with the
//! kernel, which reads it when it crashes (kernel/src/lines.rs).
//!
//! ```text
//! u32        how many bytes of file names follow
//! names      each ends with a zero
//! rows       by address; each holds up to the next:
//!   LEB128   how far the address is above the last row's, times 2, plus 1 if another file follows
//!   [LEB128] the file: 1 is the first name, 0: nothing is known
//!   LEB128   the line's distance from the last row's, times 2; of one below it, the complement
//! ```
//!
//! A place has one line: that of the innermost function inlined there that is neither of Rust's
//! library nor of the executive, if there is any. So what is told of `v[n]` and of `rx.recv()` is
//! where they stand, and not where a library panics or parks.
//!
//! Rejected: `.debug_line` itself, read in the kernel by `gimli`. It is four times as large, and it
//! does not know what was inlined where.

#[allow(dead_code)] // only the tests read a table here
#[path = "../../kernel/src/lines.rs"]
mod reader;

pub use reader::SECTION;

use anyhow::{Context, Result};
use object::{Object, ObjectSection};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// The table for this ELF file; empty if it has no debug information.
pub fn table(kernel: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(kernel)?;
    let elf = object::File::parse(&*bytes).context("the kernel is no ELF file")?;
    let section = |id: gimli::SectionId| -> Result<Slice<'_>, gimli::Error> {
        let data = elf.section_by_name(id.name()).and_then(|section| section.data().ok());
        Ok(gimli::EndianSlice::new(data.unwrap_or(&[]), gimli::LittleEndian))
    };
    let dwarf = gimli::Dwarf::load(section)?;
    let folders = folders(&dwarf)?;
    let places = addr2line::Context::from_dwarf(dwarf)?;
    let mut rows = Vec::new();
    for (start, length, _) in places.find_location_range(0, u64::MAX)? {
        let place = place(&places, start)?;
        rows.push((start, place));
        rows.push((start + length, None)); // unless another begins there
    }
    rows.sort_by_key(|&(start, place)| (start, place.is_some()));
    rows.dedup_by(|next, row| {
        let same = next.0 == row.0;
        if same {
            row.1 = next.1;
        }
        same
    });
    rows.dedup_by_key(|row| row.1);
    Ok(write(&rows, &folders))
}

type Slice<'a> = gimli::EndianSlice<'a, gimli::LittleEndian>;

/// Whose lines tell less than those of who called them.
const LIBRARIES: [&str; 2] = ["/library/", "/kernel/executive/"];

/// What is compiled there: the innermost that is no library's, or else the innermost.
fn place<'a>(
    places: &'a addr2line::Context<Slice<'_>>,
    address: u64,
) -> Result<Option<(&'a str, u32)>> {
    let mut frames = places.find_frames(address).skip_all_loads()?;
    let mut innermost = None;
    while let Some(frame) = frames.next()? {
        let Some(location) = frame.location else { continue };
        let (Some(file), Some(line)) = (location.file, location.line) else { continue };
        innermost = innermost.or(Some((file, line)));
        if !LIBRARIES.iter().any(|library| file.contains(library)) {
            return Ok(Some((file, line)));
        }
    }
    Ok(innermost)
}

/// The folders in which the compiler was called: names of files are told from there.
fn folders(dwarf: &gimli::Dwarf<Slice<'_>>) -> Result<Vec<String>> {
    let mut folders = Vec::new();
    let mut units = dwarf.units();
    while let Some(unit) = units.next()? {
        if let Some(folder) = dwarf.unit(unit)?.comp_dir {
            folders.push(format!("{}/", folder.to_string_lossy()));
        }
    }
    folders.sort_by_key(|folder| std::cmp::Reverse(folder.len()));
    folders.dedup();
    Ok(folders)
}

/// As a report prints it: from where the compiler was called, and without where cargo and rustup
/// keep what they have loaded.
fn short<'a>(file: &'a str, folders: &[String]) -> &'a str {
    for kept in ["/registry/src/", "/git/checkouts/"] {
        if let Some((_, file)) = file.split_once(kept) {
            return file.split_once('/').map_or(file, |(_, file)| file);
        }
    }
    if let Some(at) = file.find("/library/") {
        return &file[at + 1..];
    }
    folders.iter().find_map(|folder| file.strip_prefix(&**folder)).unwrap_or(file)
}

fn write(rows: &[(u64, Option<(&str, u32)>)], folders: &[String]) -> Vec<u8> {
    let (mut names, mut numbers) = (Vec::new(), HashMap::new());
    let mut out = Vec::new();
    let (mut last_start, mut last_file, mut last_line) = (0, 0, 0);
    for &(start, place) in rows {
        let (file, line) = place.map_or((0, last_line), |(file, line)| {
            let next = numbers.len() as u64 + 1;
            let number = *numbers.entry(file).or_insert_with(|| {
                names.extend_from_slice(short(file, folders).as_bytes());
                names.push(0);
                next
            });
            (number, i64::from(line))
        });
        number(&mut out, (start - last_start) << 1 | u64::from(file != last_file));
        if file != last_file {
            number(&mut out, file);
        }
        let step = line - last_line;
        number(&mut out, ((step << 1) ^ (step >> 63)) as u64);
        (last_start, last_file, last_line) = (start, file, line);
    }
    let mut table = (names.len() as u32).to_le_bytes().to_vec();
    table.append(&mut names);
    table.append(&mut out);
    table
}

/// Appends a number in LEB128.
fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::reader::lookup;
    use super::*;

    /// Two files, a hole, a jump far ahead, and lines that go down.
    const ROWS: &[(u64, Option<(&str, u32)>)] = &[
        (0x1000, Some(("/w/src/a.rs", 10))),
        (0x1004, Some(("/w/src/a.rs", 7))),
        (0x1010, None),
        (0x9_0000_0000, Some(("/c/registry/src/index-1/spin-1.0/src/b.rs", 100_000))),
        (0x9_0000_0001, Some(("/w/src/a.rs", 1))),
        (0x9_0000_0009, None),
    ];

    #[test]
    fn what_is_written_is_read() {
        let table = write(ROWS, &["/w/".into()]);
        let at = |address| lookup(&table, address);
        assert_eq!(at(0xfff), None);
        assert_eq!(at(0x1000), Some(("src/a.rs", 10)));
        assert_eq!(at(0x1003), Some(("src/a.rs", 10)));
        assert_eq!(at(0x1004), Some(("src/a.rs", 7)));
        assert_eq!(at(0x1010), None);
        assert_eq!(at(0x9_0000_0000), Some(("spin-1.0/src/b.rs", 100_000)));
        assert_eq!(at(0x9_0000_0008), Some(("src/a.rs", 1)));
        assert_eq!(at(u64::MAX), None);
    }

    /// It is read when all else has failed: a damaged table must not make that worse.
    #[test]
    fn a_cut_or_damaged_table_is_no_panic() {
        let table = write(ROWS, &[]);
        for length in 0..table.len() {
            for (address, _) in ROWS {
                lookup(&table[..length], *address);
            }
        }
        for at in 0..table.len() {
            for bits in [0x01, 0x80, 0xff] {
                let mut damaged = table.clone();
                damaged[at] ^= bits;
                for (address, _) in ROWS {
                    lookup(&damaged, *address);
                }
            }
        }
    }
}
