//! The kernel's command line: from QEMU's fw_cfg device, or from the disk image; and the files
//! that the image has besides.
//!
//! fw_cfg is a selector port and a data port (QEMU, docs/specs/fw_cfg.rst): write an item's key,
//! then read its bytes. It is looked for under a hypervisor only: elsewhere these ports may belong
//! to another device. On real hardware the image's ramdisk holds the command line as text. Behind
//! the text there may be a NUL, and behind that an archive of files (boot/src/ramdisk.rs).
#![allow(unsafe_code)] // Ports.

use core::arch::x86_64::__cpuid;
use core::fmt;
use core::str;
use executive::{machine, println};
use spin::Once;
use x86_64::instructions::port::{PortReadOnly, PortWriteOnly};

const SELECTOR: u16 = 0x510;
const DATA: u16 = 0x511;
const KEY_SIGNATURE: u16 = 0;
const KEY_DIRECTORY: u16 = 0x19;
const NAME: &[u8] = b"opt/executive/cmdline";

/// The longest command line that is taken; boot/src/options.rs refuses longer ones.
const MOST: usize = 4096;

/// The bytes, and how many of them there are.
static LINE: Once<([u8; MOST], usize)> = Once::new();

static ARCHIVE: Once<&[u8]> = Once::new();

/// The command line that the kernel was started with; empty if there was none.
pub fn command_line() -> &'static str {
    LINE.get().map_or("", |(bytes, length)| str::from_utf8(&bytes[..*length]).unwrap_or("").trim())
}

/// The archive of files that was loaded with the kernel; empty if there was none.
pub fn archive() -> &'static [u8] {
    ARCHIVE.get().copied().unwrap_or_default()
}

/// Reads the command line. `ramdisk` is what was loaded with the kernel. Its text is used when
/// there is no fw_cfg item. Start-up calls it.
///
/// A line that is too long or no text ends the run here, with status 1: a part of it could mean
/// something else.
pub fn init(ramdisk: &'static [u8]) {
    let (ramdisk, archive) = match ramdisk.iter().take(MOST + 1).position(|&byte| byte == 0) {
        Some(end) => (&ramdisk[..end], &ramdisk[end + 1..]),
        None => (ramdisk, &[][..]),
    };
    ARCHIVE.call_once(|| archive);
    LINE.call_once(|| {
        let mut bytes = [0; MOST];
        let length = from_qemu(&mut bytes).unwrap_or_else(|| {
            let n = ramdisk.len().min(MOST);
            bytes[..n].copy_from_slice(&ramdisk[..n]);
            ramdisk.len()
        });
        let Some(line) = bytes.get(..length) else {
            refuse(format_args!("has {length} bytes, more than {MOST}"));
        };
        if let Err(error) = str::from_utf8(line) {
            refuse(format_args!("is not UTF-8, from byte {} on", error.valid_up_to()));
        }
        (bytes, length)
    });
}

fn refuse(why: fmt::Arguments) -> ! {
    println!("the command line {why}: nothing is run");
    machine::exit(1)
}

fn select(key: u16) {
    // SAFETY: fw_cfg's selector; it only chooses what the data port reads.
    unsafe { PortWriteOnly::new(SELECTOR).write(key) }
}

fn bytes<const N: usize>() -> [u8; N] {
    // SAFETY: fw_cfg's data port; reading moves on to the item's next byte.
    core::array::from_fn(|_| unsafe { PortReadOnly::<u8>::new(DATA).read() })
}

/// Copies the item into `out`, as far as it fits, and returns its length.
fn from_qemu(out: &mut [u8; MOST]) -> Option<usize> {
    const HYPERVISOR: u32 = 1 << 31;
    if __cpuid(1).ecx & HYPERVISOR == 0 {
        return None;
    }
    select(KEY_SIGNATURE);
    if &bytes::<4>() != b"QEMU" {
        return None;
    }
    select(KEY_DIRECTORY);
    let count = u32::from_be_bytes(bytes());
    for _ in 0..count.min(1024) {
        let size = u32::from_be_bytes(bytes()) as usize;
        let key = u16::from_be_bytes(bytes());
        let _reserved: [u8; 2] = bytes();
        let name: [u8; 56] = bytes();
        if name.starts_with(NAME) && name[NAME.len()] == 0 {
            select(key);
            out[..size.min(MOST)].fill_with(|| bytes::<1>()[0]);
            return Some(size);
        }
    }
    None
}
