//! Function names, files and lines for backtraces: read from the kernel's own ELF file, which the
//! bootloader left in memory.
//!
//! Each address is looked up by a linear walk over the symbol table. That is slow and simple,
//! allocates nothing, and works as long as memory can be read. Every offset in the file is checked,
//! because a crash report must not crash.

use crate::lines;
use crate::window::phys_to_virt;
use core::fmt::{self, Write};
use spin::Once;

struct Image {
    file: &'static [u8],
    /// The difference between an address in memory and in the file.
    offset: u64,
}

static IMAGE: Once<Image> = Once::new();

/// Notes where the file is: its physical address and length, and the offset at which it was loaded.
pub fn init(phys: u64, length: u64, offset: u64) {
    // SAFETY: the file lies in memory that the memory map does not call usable; nobody writes it.
    #[allow(unsafe_code)]
    let file = unsafe { core::slice::from_raw_parts(phys_to_virt(phys), length as usize) };
    IMAGE.call_once(|| Image { file, offset });
}

/// Writes the name of the function around `pc`, how far into it, and file and line if they are
/// known; `false` if there is no function.
pub fn name(pc: usize, out: &mut dyn Write) -> bool {
    let Some(image) = IMAGE.get() else { return false };
    let address = (pc as u64).wrapping_sub(image.offset);
    let Some((name, start)) = lookup(image.file, address) else { return false };
    let known = named(image.file, lines::SECTION).and_then(|table| lines::lookup(table, address));
    write_name(name, address - start, out).is_ok()
        && known.is_none_or(|(file, line)| write!(out, " at {file}:{line}").is_ok())
}

fn write_name(name: &str, offset: u64, out: &mut dyn Write) -> fmt::Result {
    // `{:#}` leaves out the hash at the end.
    write!(out, "{:#}+{offset:#x}", rustc_demangle::demangle(name))
}

/// Sizes and field offsets of ELF64 (System V ABI, chapters 4 and 5).
mod elf {
    pub const SECTION_OFFSET: usize = 0x28; // e_shoff
    pub const SECTION_COUNT: usize = 0x3c; // e_shnum
    pub const SECTION_NAMES: usize = 0x3e; // e_shstrndx
    pub const SECTION_SIZE: usize = 64;
    pub const SECTION_TYPE: usize = 4;
    pub const SECTION_AT: usize = 0x18;
    pub const SECTION_LENGTH: usize = 0x20;
    pub const SECTION_LINK: usize = 0x28;
    pub const SYMTAB: u32 = 2;
    pub const SYMBOL_SIZE: usize = 24;
    pub const FUNC: u8 = 2;
}

fn field<const N: usize>(file: &[u8], at: usize) -> Option<[u8; N]> {
    file.get(at..at.checked_add(N)?)?.try_into().ok()
}
fn u16_at(file: &[u8], at: usize) -> Option<usize> {
    Some(u16::from_le_bytes(field(file, at)?).into())
}
fn u32_at(file: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(field(file, at)?))
}
fn u64_at(file: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(field(file, at)?))
}

/// The bytes of section `index`, and its type and link.
fn section(file: &[u8], index: usize) -> Option<(&[u8], u32, usize)> {
    let header = u64_at(file, elf::SECTION_OFFSET)? as usize + index * elf::SECTION_SIZE;
    let at = u64_at(file, header + elf::SECTION_AT)? as usize;
    let length = u64_at(file, header + elf::SECTION_LENGTH)? as usize;
    let kind = u32_at(file, header + elf::SECTION_TYPE)?;
    let link = u32_at(file, header + elf::SECTION_LINK)? as usize;
    // A section without bytes in the file (.bss) may point past its end.
    Some((file.get(at..at.checked_add(length)?).unwrap_or(&[]), kind, link))
}

/// The bytes of the section of this name.
fn named<'a>(file: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (names, ..) = section(file, u16_at(file, elf::SECTION_NAMES)?)?;
    let has_name = |index: &usize| {
        let header = u64_at(file, elf::SECTION_OFFSET)? as usize + index * elf::SECTION_SIZE;
        let rest = names.get(u32_at(file, header)? as usize..)?.strip_prefix(name.as_bytes())?;
        Some(rest.first() == Some(&0))
    };
    let index =
        (0..u16_at(file, elf::SECTION_COUNT)?).find(|index| has_name(index) == Some(true))?;
    Some(section(file, index)?.0)
}

/// The function that contains `address`, and where it starts.
fn lookup(file: &[u8], address: u64) -> Option<(&str, u64)> {
    let count = u16_at(file, elf::SECTION_COUNT)?;
    let symtab = |index| section(file, index).filter(|s| s.1 == elf::SYMTAB);
    let (symbols, _, strings) = (0..count).find_map(symtab)?;
    let (strings, ..) = section(file, strings)?;
    for symbol in symbols.as_chunks::<{ elf::SYMBOL_SIZE }>().0 {
        let (start, size) = (u64_at(symbol, 8)?, u64_at(symbol, 16)?);
        if symbol[4] & 0xf == elf::FUNC && address.wrapping_sub(start) < size {
            let name = strings.get(u32_at(symbol, 0)? as usize..)?;
            let end = name.iter().position(|&b| b == 0)?;
            return Some((core::str::from_utf8(&name[..end]).ok()?, start));
        }
    }
    None
}
