//! An archive in memory as a file system: a tar, as `tar` makes it (POSIX.1-1988's ustar, and GNU's
//! long names). Read-only.
//!
//! **Rule:** the archive may be anything. What it says is checked, and an archive that is damaged
//! is an error that names the place; nothing of it is then used.
//!
//! Rejected: the crate `tar-no-std`, which knows neither directories nor long names.

use crate::error::ErrorKind;
use crate::system::{DirEntry, FileSystem, FileType, Metadata, OpenFile, OpenOptions};
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt;

/// A header, and what files' lengths are rounded to.
const BLOCK: usize = 512;

/// A file system in memory.
#[derive(Debug)]
pub struct Ramdisk {
    /// By their paths: names with slashes between them.
    all: BTreeMap<String, Node>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Node {
    File(&'static [u8]),
    Dir,
}

/// An archive that is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damaged {
    /// Where in the archive, in bytes.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the archive is damaged: at byte {}: {}", self.at, self.what)
    }
}

impl core::error::Error for Damaged {}

impl Ramdisk {
    /// The files of an archive. Links and devices in it are left out.
    pub fn new(archive: &'static [u8]) -> Result<Ramdisk, Damaged> {
        let mut disk = Ramdisk { all: BTreeMap::new() };
        let mut rest = archive;
        // The name that GNU tar gives the entry after it.
        let mut long: Option<&[u8]> = None;
        while let Some(header) = rest.split_off(..BLOCK) {
            let at = archive.len() - rest.len() - BLOCK;
            let damaged = |what| Err(Damaged { at, what });
            if header.iter().all(|&byte| byte == 0) {
                return Ok(disk); // the end: what follows is padding
            }
            // The checksum is taken with spaces in its own place.
            let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
            let own: u32 = header[148..156].iter().map(|&byte| u32::from(byte)).sum();
            if octal(&header[148..156]) != Some(u64::from(sum - own + 8 * u32::from(b' '))) {
                return damaged("the checksum of a header is wrong");
            }
            let length = octal(&header[124..136]).and_then(|n| usize::try_from(n).ok());
            let Some(length) = length.filter(|&length| length <= rest.len()) else {
                return damaged("a file is longer than the archive");
            };
            let (data, _) = rest.split_at(length);
            rest = &rest[length.next_multiple_of(BLOCK).min(rest.len())..];
            let (name, prefix) = (until_nul(&header[..100]), until_nul(&header[345..500]));
            let posix = &header[257..263] == b"ustar\0";
            let name = match long.take() {
                Some(long) => long.to_vec(),
                None if posix && !prefix.is_empty() => [prefix, b"/", name].concat(),
                None => name.to_vec(),
            };
            let node = match header[156] {
                b'0' | b'7' | 0 => Node::File(data),
                b'5' => Node::Dir,
                b'L' => {
                    long = Some(until_nul(data));
                    continue;
                }
                _ => continue,
            };
            let Ok(name) = core::str::from_utf8(&name) else {
                return damaged("a name is not UTF-8");
            };
            let names = match crate::path::names(name) {
                Ok(names) if !name.split('/').any(|name| name == "..") => names,
                _ => return damaged("a name is none"),
            };
            if !disk.add(&names, node) {
                return damaged("something is both a file and a directory");
            }
        }
        // Many a tool leaves the two empty blocks at the end out.
        match rest.is_empty() {
            true => Ok(disk),
            false => Err(Damaged {
                at: archive.len() - rest.len(),
                what: "it ends in the middle of a header",
            }),
        }
    }

    /// Adds it, and the directories that it is in. A later entry takes the place of an earlier one.
    fn add(&mut self, names: &[&str], node: Node) -> bool {
        (1..=names.len()).all(|n| {
            let node = if n == names.len() { node } else { Node::Dir };
            let old = self.all.insert(names[..n].join("/"), node);
            old.is_none_or(|old| (old == Node::Dir) == (node == Node::Dir))
        })
    }

    fn find(&self, path: &[&str]) -> Result<Node, ErrorKind> {
        if path.is_empty() {
            return Ok(Node::Dir);
        }
        match self.all.get(&path.join("/")) {
            Some(&node) => Ok(node),
            None => match self.find(&path[..path.len() - 1]) {
                Ok(Node::File(_)) => Err(ErrorKind::NotADirectory),
                _ => Err(ErrorKind::NotFound),
            },
        }
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// A number as tar writes it: octal digits, then spaces or NULs; perhaps spaces before. Or, if its
/// first bit is set, as GNU tar writes a large one: 256 to a digit.
fn octal(field: &[u8]) -> Option<u64> {
    if let [0x80, large @ ..] = field {
        let fits = |n: u64, &byte: &u8| n.checked_mul(256)?.checked_add(byte.into());
        return large.iter().try_fold(0, fits);
    }
    let text = core::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    u64::from_str_radix(text, 8).ok().filter(|_| !text.starts_with('+'))
}

impl FileSystem for Ramdisk {
    fn open(&self, path: &[&str], how: OpenOptions) -> Result<Box<dyn OpenFile>, ErrorKind> {
        match self.find(path) {
            _ if how.write => Err(ErrorKind::ReadOnlyFilesystem),
            Ok(Node::File(data)) => Ok(Box::new(data)),
            Ok(Node::Dir) => Err(ErrorKind::IsADirectory),
            Err(error) => Err(error),
        }
    }

    fn metadata(&self, path: &[&str]) -> Result<Metadata, ErrorKind> {
        Ok(match self.find(path)? {
            Node::File(data) => Metadata { kind: FileType::File, length: data.len() as u64 },
            Node::Dir => Metadata { kind: FileType::Dir, length: 0 },
        })
    }

    fn read_dir(&self, path: &[&str]) -> Result<alloc::vec::Vec<DirEntry>, ErrorKind> {
        if self.find(path)? != Node::Dir {
            return Err(ErrorKind::NotADirectory);
        }
        let mut below = path.join("/");
        if !below.is_empty() {
            below += "/";
        }
        let inside = self
            .all
            .range(below.clone()..)
            .map_while(|(path, node)| path.strip_prefix(&*below).map(|name| (name, node)));
        let entries = inside.filter(|(name, _)| !name.contains('/')).map(|(name, node)| DirEntry {
            name: name.to_owned(),
            kind: if *node == Node::Dir { FileType::Dir } else { FileType::File },
        });
        Ok(entries.collect())
    }
}

impl OpenFile for &'static [u8] {
    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<usize, ErrorKind> {
        let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let n = into.len().min(self.len() - begin);
        into[..n].copy_from_slice(&self[begin..begin + n]);
        Ok(n)
    }
    fn length(&self) -> Result<u64, ErrorKind> {
        Ok(self.len() as u64)
    }
}
