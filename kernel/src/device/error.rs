//! Why something of a device cannot be had.

use core::fmt;

/// Why something of a device cannot be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// No such device, or it has no such thing.
    NotThere,
    /// Another driver has it.
    Taken,
    /// The kernel keeps it for itself.
    Kept,
    /// The device says that its registers are where they cannot be.
    BadBar,
    /// Not all of it is within the registers.
    OutOfRange,
    /// No contiguous memory below 4 GiB is left.
    NoMemory,
    /// No vector is left on a CPU that a message can reach.
    NoVector,
    /// The device has no message to send, and nobody knows where its pin leads.
    NoPin,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::NotThere => "it is not there",
            Error::Taken => "another driver has it",
            Error::Kept => "the kernel keeps it for itself",
            Error::BadBar => "its registers cannot be where it says they are",
            Error::OutOfRange => "not all of it is within the device's registers",
            Error::NoMemory => "there is no contiguous memory left below 4 GiB",
            Error::NoVector => "no interrupt vector is left on a CPU that it can interrupt",
            Error::NoPin => "it sends no messages, and nobody knows where its interrupt pin leads",
        })
    }
}

impl core::error::Error for Error {}
