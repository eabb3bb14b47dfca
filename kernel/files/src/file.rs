//! What goroutines call: [`File`], and calls that take a path.

use crate::error::{Error, ErrorKind};
use crate::mounts::{self, mounts};
use crate::path::names;
use crate::system::{DirEntry, FileSystem, FileType, Metadata, OpenFile, OpenOptions};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use embedded_io::{ErrorType, Seek, SeekFrom};

/// How much of a file is copied at a time.
const PIECE: usize = 64 << 10;

impl OpenOptions {
    /// Opens the file at `path`. Parks.
    ///
    /// # Errors
    /// As the file system says; [`InvalidInput`](ErrorKind::InvalidInput) if it is neither to be
    /// read nor written, or made or emptied but not written.
    pub fn open(self, path: &str) -> Result<File, Error> {
        let changes = self.create || self.create_new || self.truncate;
        let opened = at("open", path, |system, names| match self {
            _ if names.is_empty() => Err(ErrorKind::IsADirectory),
            Self { read: false, write: false, .. } => Err(ErrorKind::InvalidInput),
            Self { write: false, .. } if changes => Err(ErrorKind::InvalidInput),
            _ => system.open(names, self),
        })?;
        Ok(File { opened, path: path.into(), position: 0 })
    }
}

/// A file that is open, and a place in it for [`embedded_io`]'s `Read`, `Write` and `Seek`.
/// Closed when dropped, which may park; what the file system then says is lost, so
/// [`sync_all`](File::sync_all) before, if it matters.
pub struct File {
    opened: Box<dyn OpenFile>,
    path: String,
    position: u64,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.path, self.position)
    }
}

impl File {
    /// Opens a file to be read. Parks.
    pub fn open(path: &str) -> Result<File, Error> {
        OpenOptions::new().read(true).open(path)
    }

    /// Opens a file to be written: a new one, or one that is emptied. Parks.
    pub fn create(path: &str) -> Result<File, Error> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }

    /// Reads from `offset` on; returns how many bytes, 0 at the end. Parks.
    pub fn read_at(&self, into: &mut [u8], offset: u64) -> Result<usize, Error> {
        if into.is_empty() {
            return Ok(0);
        }
        self.tell("read", self.opened.read_at(into, offset))
    }

    /// Writes from `offset` on; returns how many bytes, at least 1 if there are any. Parks.
    pub fn write_at(&self, from: &[u8], offset: u64) -> Result<usize, Error> {
        if from.is_empty() {
            return Ok(0);
        }
        match self.opened.write_at(from, offset) {
            Ok(0) => self.tell("write", Err(ErrorKind::StorageFull)),
            result => self.tell("write", result),
        }
    }

    /// Its length now, in bytes. Parks.
    pub fn length(&self) -> Result<u64, Error> {
        self.tell("stat", self.opened.length())
    }

    /// Returns when all that was written will survive a loss of power. Parks.
    pub fn sync_all(&self) -> Result<(), Error> {
        self.tell("sync", self.opened.sync())
    }

    /// The path with which it was opened.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn tell<T>(&self, op: &'static str, result: Result<T, ErrorKind>) -> Result<T, Error> {
        result.map_err(|kind| Error { op, path: self.path.clone(), kind })
    }
}

impl ErrorType for File {
    type Error = Error;
}

impl embedded_io::Read for File {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        let n = self.read_at(into, self.position)?;
        self.position += n as u64;
        Ok(n)
    }
}

impl embedded_io::Write for File {
    fn write(&mut self, from: &[u8]) -> Result<usize, Error> {
        let n = self.write_at(from, self.position)?;
        self.position += n as u64;
        Ok(n)
    }
    /// Nothing is kept back by a `File`.
    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, Error> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(by) => self.length()?.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = self.tell("seek", place.ok_or(ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

/// Does something with a path's file system, and the names below its root.
fn at<T>(
    op: &'static str,
    path: &str,
    act: impl FnOnce(&dyn FileSystem, &[&str]) -> Result<T, ErrorKind>,
) -> Result<T, Error> {
    let done = names(path).and_then(|names| match names.split_first() {
        Some((first, rest)) => act(&*mounts::find(first)?, rest),
        None => act(&Root, &[]),
    });
    done.map_err(|kind| Error { op, path: path.into(), kind })
}

/// What is in a directory, by name. Parks.
pub fn read_dir(path: &str) -> Result<Vec<DirEntry>, Error> {
    let mut all = at("read", path, |system, names| system.read_dir(names))?;
    all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// What a file or directory is. Parks.
pub fn metadata(path: &str) -> Result<Metadata, Error> {
    at("stat", path, |system, names| system.metadata(names))
}

/// Makes an empty directory. Parks.
pub fn create_dir(path: &str) -> Result<(), Error> {
    at("mkdir", path, |system, names| match names {
        [] => Err(ErrorKind::AlreadyExists),
        names => system.create_dir(names),
    })
}

/// Removes a file, or an empty directory. Parks. Go: `os.Remove`.
pub fn remove(path: &str) -> Result<(), Error> {
    at("remove", path, |system, names| match names {
        [] => Err(ErrorKind::ResourceBusy),
        names => system.remove(names),
    })
}

/// All that is in a file. Parks.
pub fn read(path: &str) -> Result<Vec<u8>, Error> {
    let file = File::open(path)?;
    let mut all = Vec::new();
    loop {
        let old = all.len();
        all.resize(old + PIECE, 0);
        let n = file.read_at(&mut all[old..], old as u64)?;
        all.truncate(old + n);
        if n == 0 {
            return Ok(all);
        }
    }
}

/// Makes a file of these bytes, in place of what was there. Parks.
pub fn write(path: &str, bytes: &[u8]) -> Result<(), Error> {
    let mut file = File::create(path)?;
    embedded_io::Write::write_all(&mut file, bytes)?;
    file.sync_all()
}

/// Copies a file, and returns its length. Parks.
pub fn copy(from: &str, to: &str) -> Result<u64, Error> {
    let (from, mut to) = (File::open(from)?, File::create(to)?);
    let (mut piece, mut done) = (alloc::vec![0; PIECE], 0);
    loop {
        let n = from.read_at(&mut piece, done)?;
        if n == 0 {
            to.sync_all()?;
            return Ok(done);
        }
        embedded_io::Write::write_all(&mut to, &piece[..n])?;
        done += n as u64;
    }
}

/// The directory that all file systems are in.
struct Root;

impl FileSystem for Root {
    fn open(&self, _: &[&str], _: OpenOptions) -> Result<Box<dyn OpenFile>, ErrorKind> {
        Err(ErrorKind::IsADirectory)
    }
    fn metadata(&self, _: &[&str]) -> Result<Metadata, ErrorKind> {
        Ok(Metadata { kind: FileType::Dir, length: 0 })
    }
    fn read_dir(&self, _: &[&str]) -> Result<Vec<DirEntry>, ErrorKind> {
        let entry = |name| DirEntry { name, kind: FileType::Dir };
        Ok(mounts().into_iter().map(entry).collect())
    }
}
