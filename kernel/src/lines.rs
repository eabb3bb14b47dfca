//! File and line for backtraces: reads the table that `boot` has put into the kernel's file
//! (boot/src/lines.rs makes it, and says how it is written).
//!
//! A lookup walks the table from its start: slow, simple, and nothing is allocated. Every offset is
//! checked, because a crash report must not crash.

/// The section in which the table lies.
pub const SECTION: &str = ".executive_lines";

/// The file and line of the code at `address`; `None`: the table does not know.
pub fn lookup(table: &[u8], address: u64) -> Option<(&str, u64)> {
    let (length, rest) = table.split_first_chunk()?;
    let (files, mut rows) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let (mut start, mut file, mut line) = (0u64, 0u64, 0u64);
    let mut found = None;
    while !rows.is_empty() {
        let word = number(&mut rows)?;
        start = start.wrapping_add(word >> 1);
        if start > address {
            break;
        }
        if word & 1 != 0 {
            file = number(&mut rows)?;
        }
        let step = number(&mut rows)?;
        line = line.wrapping_add((step >> 1) ^ (step & 1).wrapping_neg());
        found = Some((file, line));
    }
    let (file, line) = found?;
    let name = files.split(|&byte| byte == 0).nth(file.checked_sub(1)? as usize)?;
    Some((core::str::from_utf8(name).ok()?, line))
}

/// A number in LEB128.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
