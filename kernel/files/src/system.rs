//! What a file system is: five calls, and three on a file that is open.
//!
//! Paths come as names below the file system's root, without `.` and `..` among them; none is empty
//! or longer than [`MOST_NAME`](crate::MOST_NAME). No names at all are the root.

use crate::error::ErrorKind;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// How a file is opened: as `std::fs::OpenOptions`, less `append`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenOptions {
    /// It is to be read.
    pub read: bool,
    /// It is to be written.
    pub write: bool,
    /// It is made if it is not there.
    pub create: bool,
    /// It is made, and must not have been there.
    pub create_new: bool,
    /// What is in it is thrown away.
    pub truncate: bool,
}

#[rustfmt::skip]
impl OpenOptions {
    /// Nothing is allowed yet.
    pub fn new() -> Self { Self::default() }
    /// It is to be read.
    pub fn read(self, read: bool) -> Self { Self { read, ..self } }
    /// It is to be written.
    pub fn write(self, write: bool) -> Self { Self { write, ..self } }
    /// It is made if it is not there.
    pub fn create(self, create: bool) -> Self { Self { create, ..self } }
    /// It is made, and must not have been there.
    pub fn create_new(self, create_new: bool) -> Self { Self { create_new, ..self } }
    /// What is in it is thrown away.
    pub fn truncate(self, truncate: bool) -> Self { Self { truncate, ..self } }
}

/// A file system. Every call may park. What it does not have, it need not write.
pub trait FileSystem: Send + Sync {
    /// Opens a file, which may be created by that.
    fn open(&self, path: &[&str], how: OpenOptions) -> Result<Box<dyn OpenFile>, ErrorKind>;
    /// What a file or directory is.
    fn metadata(&self, path: &[&str]) -> Result<Metadata, ErrorKind>;
    /// What is in a directory, in any order.
    fn read_dir(&self, path: &[&str]) -> Result<Vec<DirEntry>, ErrorKind>;
    /// Makes an empty directory.
    fn create_dir(&self, _path: &[&str]) -> Result<(), ErrorKind> {
        Err(ErrorKind::ReadOnlyFilesystem)
    }
    /// Removes a file, or an empty directory.
    fn remove(&self, _path: &[&str]) -> Result<(), ErrorKind> {
        Err(ErrorKind::ReadOnlyFilesystem)
    }
}

/// A file that is open, until it is dropped. Several goroutines may use it at the same time.
pub trait OpenFile: Send + Sync {
    /// Reads from `offset` on, and returns how many bytes: 0 at the file's end.
    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<usize, ErrorKind>;
    /// Writes from `offset` on, and returns how many bytes: at least 1 if there are any. What is
    /// between the file's end and `offset` becomes zeros.
    fn write_at(&self, _from: &[u8], _offset: u64) -> Result<usize, ErrorKind> {
        Err(ErrorKind::ReadOnlyFilesystem)
    }
    /// The file's length now, in bytes.
    fn length(&self) -> Result<u64, ErrorKind>;
    /// Returns when all that was written will survive a loss of power.
    fn sync(&self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// What something in a directory is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileType {
    /// A file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link, which is not followed.
    Symlink,
    /// Something else: a device, a pipe.
    Other,
}

/// What a file or directory is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Metadata {
    /// File or directory.
    pub kind: FileType,
    /// A file's length in bytes; what it means for others is the file system's choice.
    pub length: u64,
}

/// Something in a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirEntry {
    /// Its name in the directory.
    pub name: String,
    /// File or directory.
    pub kind: FileType,
}
