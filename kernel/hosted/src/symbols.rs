//! Names for a crash report: this program's own symbol table, mapped at the start and searched
//! linearly.
//!
//! A crash needs a few dozen names once, so a linear search is fast enough, and it allocates
//! nothing. Rejected: file and line from DWARF, which `addr2line` gives for the printed address.
#![allow(unsafe_code)] // maps the executable; the dynamic linker's list

use core::fmt;
use object::elf;
use object::read::elf::{FileHeader, SectionTable, SymbolTable};
use std::os::fd::AsRawFd;
use std::sync::OnceLock;

type Header = elf::FileHeader64<object::Endianness>;

struct Executable {
    symbols: SymbolTable<'static, Header>,
    /// The difference between an address in memory and in the file.
    bias: usize,
}

static EXECUTABLE: OnceLock<Executable> = OnceLock::new();

/// Without a readable symbol table (in a stripped program) there are no names; nothing else fails.
pub fn init() {
    if let Some(executable) = open() {
        let _ = EXECUTABLE.set(executable);
    }
}

fn open() -> Option<Executable> {
    let file = std::fs::File::open("/proc/self/exe").ok()?;
    let len = file.metadata().ok()?.len() as usize;
    // SAFETY: a private mapping of a file, never unmapped. A program that is truncated while it
    // runs is lost anyway.
    let data: &'static [u8] = unsafe {
        let at = libc::mmap(
            core::ptr::null_mut(),
            len,
            libc::PROT_READ,
            libc::MAP_PRIVATE,
            file.as_raw_fd(),
            0,
        );
        if at == libc::MAP_FAILED {
            return None;
        }
        core::slice::from_raw_parts(at.cast(), len)
    };
    let header = Header::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let sections: SectionTable<'static, Header> = header.sections(endian, data).ok()?;
    let symbols = sections.symbols(endian, data, elf::SHT_SYMTAB).ok()?;
    Some(Executable { symbols, bias: bias() })
}

/// Where the program was loaded: `dl_iterate_phdr` begins with the program itself.
fn bias() -> usize {
    extern "C" fn first(info: *mut libc::dl_phdr_info, _: usize, out: *mut libc::c_void) -> i32 {
        // SAFETY: `info` is the linker's, `out` is our local below.
        unsafe { *out.cast::<usize>() = (*info).dlpi_addr as usize };
        1 // enough
    }
    let mut bias = 0usize;
    // SAFETY: the callback matches and `bias` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut bias).cast()) };
    bias
}

/// Writes `name+0x12`. Takes no lock, allocates nothing.
pub fn write(pc: usize, out: &mut dyn fmt::Write) -> bool {
    use object::read::elf::Sym;
    let Some(executable) = EXECUTABLE.get() else {
        return false;
    };
    let endian = object::Endianness::Little;
    let address = pc.wrapping_sub(executable.bias) as u64;
    let symbol = executable.symbols.iter().find(|symbol| {
        let start = symbol.st_value(endian);
        // Naked functions have a size too; labels and data are left out.
        symbol.st_type() == elf::STT_FUNC
            && start <= address
            && address - start < symbol.st_size(endian).max(1)
    });
    let Some(symbol) = symbol else { return false };
    let Ok(name) = symbol.name(endian, executable.symbols.strings()) else {
        return false;
    };
    let Ok(name) = core::str::from_utf8(name) else {
        return false;
    };
    let offset = address - symbol.st_value(endian);
    write!(out, "{:#}+{offset:#x}", rustc_demangle::demangle(name)).is_ok()
}
