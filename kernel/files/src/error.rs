//! What goes wrong with files, in `std`'s names.

use alloc::string::String;
use core::fmt;

/// What went wrong. The names are those of `std::io::ErrorKind`, where it has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No such file or directory, or no such file system.
    NotFound,
    /// Whoever keeps the file does not let us.
    PermissionDenied,
    /// It is there already.
    AlreadyExists,
    /// A part of the path, or what should be listed, is no directory.
    NotADirectory,
    /// It is a directory, where a file is needed.
    IsADirectory,
    /// Only an empty directory can be removed.
    DirectoryNotEmpty,
    /// Nothing can be written there.
    ReadOnlyFilesystem,
    /// No room is left.
    StorageFull,
    /// No file there can be as long as that.
    FileTooLarge,
    /// No file there can have such a name.
    InvalidFilename,
    /// An argument makes no sense.
    InvalidInput,
    /// What the file system, or the host, says makes no sense: it is damaged.
    InvalidData,
    /// Too many files are open there.
    TooManyOpenFiles,
    /// Somebody has it open, and would be in the way.
    ResourceBusy,
    /// The file system cannot do that.
    Unsupported,
    /// No answer came for a long time.
    TimedOut,
    /// The device has failed.
    Device,
    /// An error of the host, by Linux's number.
    Host(u32),
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorKind::NotFound => "no such file or directory",
            ErrorKind::PermissionDenied => "permission denied",
            ErrorKind::AlreadyExists => "it exists already",
            ErrorKind::NotADirectory => "not a directory",
            ErrorKind::IsADirectory => "it is a directory",
            ErrorKind::DirectoryNotEmpty => "the directory is not empty",
            ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
            ErrorKind::StorageFull => "no space is left",
            ErrorKind::FileTooLarge => "the file would be too long",
            ErrorKind::InvalidFilename => "no file can have this name",
            ErrorKind::InvalidInput => "that makes no sense",
            ErrorKind::InvalidData => "the file system is damaged",
            ErrorKind::TooManyOpenFiles => "too many open files",
            ErrorKind::ResourceBusy => "somebody has it open",
            ErrorKind::Unsupported => "this file system cannot do that",
            ErrorKind::TimedOut => "timed out",
            ErrorKind::Device => "the device has failed",
            ErrorKind::Host(number) => return write!(f, "error {number} of the host"),
        })
    }
}

impl core::error::Error for ErrorKind {}

/// What went wrong, at what, with which file. Go: `fs.PathError`.
#[doc(alias = "PathError")]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// What was done: `open`, `read`, ..
    pub op: &'static str,
    /// The path as it was given.
    pub path: String,
    /// Why it could not be done.
    pub kind: ErrorKind,
}

/// The longest path that is shown whole.
const SHOWN: usize = 80;

impl fmt::Display for Error {
    /// `open /share/x: no such file or directory`. The path is shown in one line, whatever is in
    /// it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.path.escape_debug();
        write!(f, "{} ", self.op)?;
        for c in shown.by_ref().take(SHOWN) {
            write!(f, "{c}")?;
        }
        if shown.next().is_some() {
            f.write_str("..")?;
        }
        write!(f, ": {}", self.kind)
    }
}

impl core::error::Error for Error {}

impl embedded_io::Error for Error {
    fn kind(&self) -> embedded_io::ErrorKind {
        use embedded_io::ErrorKind as Io;
        match self.kind {
            ErrorKind::NotFound => Io::NotFound,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Io::PermissionDenied,
            ErrorKind::AlreadyExists => Io::AlreadyExists,
            ErrorKind::InvalidInput | ErrorKind::InvalidFilename => Io::InvalidInput,
            ErrorKind::InvalidData => Io::InvalidData,
            ErrorKind::Unsupported => Io::Unsupported,
            ErrorKind::TimedOut => Io::TimedOut,
            _ => Io::Other,
        }
    }
}
