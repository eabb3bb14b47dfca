//! From a kernel's ELF file to a machine that ran it: the host's half of a boot.
//!
//! ```text
//! options  what the person asked for
//! outcome  how a run ended, and what status that is for the caller
//! medium   where an image is put: a file, or a disk
//! ramdisk  what the bootloader loads beside the kernel
//! lines    file and line for crash reports, from the debug information
//! image    ELF -> disk image for BIOS and UEFI, kept while the ELF is unchanged
//! firmware where this host keeps its UEFI firmware
//! qemu     the machine: QEMU's command line
//! serial   the machine's serial line: out to us, and in from us
//! run      starts the machine, watches the clock, reads how it ended
//! ```

pub mod options;
pub mod outcome;

pub mod medium;

pub mod ramdisk;
pub mod lines;
pub mod image;

pub mod firmware;
pub mod qemu;
pub mod serial;

pub mod run;
