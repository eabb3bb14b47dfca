//! What can go wrong with a device, in words.

use core::fmt;
use core::time::Duration;
use kernel::device;

/// Why a device did not do what it was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The kernel has not what the driver needs.
    Kernel(device::Error),
    /// It is older than virtio 1.
    Old,
    /// It does not accept the features that its driver can do with, of which it offers all.
    Features,
    /// It does not take the interrupt vectors that it was given.
    Vectors,
    /// It has no queue of this number, or a shorter one than its driver needs.
    Queue,
    /// It took longer than this.
    TimedOut(Duration),
    /// It has answered what was not asked, or more than there is room for. Nobody asks it any more.
    Nonsense,
    /// It says that only a reset will help.
    NeedsReset,
    /// It is not there any more.
    Gone,
    /// It has tried, and failed.
    Failed,
    /// It does not know how.
    Unsupported,
    /// It cannot be written to.
    ReadOnly,
    /// Not all of it is there.
    OutOfRange,
    /// The length is not that of whole blocks.
    Partial,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Kernel(error) => return error.fmt(f),
            Error::TimedOut(patience) => {
                return write!(f, "the device has not answered within {patience:?}");
            }
            Error::Old => "the device is older than virtio 1",
            Error::Features => "the device refuses the features that it offers",
            Error::Vectors => "the device refuses its interrupt vectors",
            Error::Queue => "the device has no queue of the length that is needed",
            Error::Nonsense => "the device has answered what it was not asked",
            Error::NeedsReset => "the device says that it needs a reset",
            Error::Gone => "the device is not there any more",
            Error::Failed => "the device reports an I/O error",
            Error::Unsupported => "the device does not know how",
            Error::ReadOnly => "the device is read-only",
            Error::OutOfRange => "the device ends before that",
            Error::Partial => "only whole blocks can be read and written",
        })
    }
}

impl core::error::Error for Error {}

impl From<device::Error> for Error {
    fn from(error: device::Error) -> Error {
        Error::Kernel(error)
    }
}
