//! What can go wrong with a USB controller or a device, in words.

use crate::param::{USB_DEVICE_PATIENCE, USB_PATIENCE};
use core::fmt;
use kernel::device;

/// Why a USB controller or a device cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The kernel has not what the driver needs.
    Kernel(device::Error),
    /// The controller has not done this in time.
    TimedOut(&'static str),
    /// The controller is not there any more.
    Gone,
    /// The controller has stopped, by an error of its own.
    Stopped,
    /// The controller says of itself what cannot be.
    Nonsense,
    /// The controller has refused this, by this code (xHCI, 6.4.5).
    Refused(&'static str, u8),
    /// The device has not answered in time.
    Silent,
    /// The device has answered with this code (xHCI, 6.4.5).
    Failed(u8),
    /// The device says of itself what cannot be.
    Odd,
    /// The reset of its port has not enabled the device.
    Port,
    /// The device is a hub, behind as many hubs as may be.
    TooDeep,
    /// The device was pulled out.
    PulledOut,
}

impl Error {
    /// Whether it is the controller that cannot be used any more.
    pub(super) fn is_controllers(self) -> bool {
        matches!(self, Error::TimedOut(_) | Error::Gone | Error::Stopped | Error::Nonsense)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Kernel(error) => fmt::Display::fmt(error, f),
            Error::TimedOut(what) => write!(f, "{what} has taken more than {USB_PATIENCE:?}"),
            Error::Gone => f.write_str("it is not there any more"),
            Error::Stopped => f.write_str("it has stopped, by an error of its own"),
            Error::Nonsense => f.write_str("it says of itself what cannot be"),
            Error::Refused(what, code) => write!(f, "the controller refuses {what}: code {code}"),
            Error::Silent => write!(f, "it has not answered within {USB_DEVICE_PATIENCE:?}"),
            Error::Failed(code) => write!(f, "it has not answered well: code {code}"),
            Error::Odd => f.write_str("the device says of itself what cannot be"),
            Error::Port => f.write_str("the reset of its port does not enable it"),
            Error::TooDeep => f.write_str("it is a hub behind five others"),
            Error::PulledOut => f.write_str("it was pulled out"),
        }
    }
}

impl core::error::Error for Error {}

impl From<device::Error> for Error {
    fn from(error: device::Error) -> Error {
        Error::Kernel(error)
    }
}
