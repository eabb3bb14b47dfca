//! Files for goroutines: `/ram/readme.txt`, `/share/results/1`, `/disk/LOG.TXT`.
//!
//! A path begins with the name of a file system that somebody has mounted ([`mount`]): an archive
//! in memory ([`Ramdisk`]), a directory of the host ([`p9`]), a disk ([`fat`]). There is no current
//! directory: a path without a slash at its beginning begins at the root all the same.
//!
//! The names are `std`'s: [`File`], [`read_dir`], [`metadata`], [`copy`]; a [`File`] is also an
//! [`embedded_io`] reader, writer and seeker. Every call may park its goroutine, and no other.
//!
//! ```
//! # hosted::run(|| {
//! # let archive = include_bytes!("../tests/small.tar");
//! let ramdisk = files::Ramdisk::new(archive).unwrap();
//! files::mount("ram", ramdisk).unwrap();
//! assert_eq!(files::read("/ram/hello.txt").unwrap(), b"hello\n");
//! # });
//! ```
//!
//! There is no hardware in here: what a file system stands on is a trait ([`p9::Channel`],
//! [`fat::Disk`]), so that all of it is tried as a Linux process too.
//!
//! The modules below stand in layer order, each using only those above it.
#![no_std]
#![warn(missing_docs)]
#![forbid(unsafe_code)]
extern crate alloc;

mod error;
mod path;
mod system;
mod mounts;
mod file;
mod ramdisk;
pub mod p9;
pub mod fat;

pub use embedded_io;
pub use error::{Error, ErrorKind};
pub use file::{File, copy, create_dir, metadata, read, read_dir, remove, write};
pub use mounts::{mount, mounts};
pub use path::{MOST_NAME, MOST_PATH};
pub use ramdisk::Ramdisk;
pub use system::{DirEntry, FileSystem, FileType, Metadata, OpenFile, OpenOptions};
