//! Directories of the host: virtio's transport for 9P (QEMU: `-device virtio-9p-pci`). The protocol
//! is in package `files`.

use crate::error::Error;
use crate::param::{MOST_MESSAGE, SHARE_PATIENCE};
use crate::virtio::{Pci, Queue, Transport};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use files::ErrorKind;
use files::p9::Channel;
use kernel::device::{Function, Place};

/// Descriptors of the queue: half as many requests are out at a time.
const QUEUE: usize = 32;

/// The device says its name.
const MOUNT_TAG: u64 = 1 << 0;

/// A directory of the host. Dropped, the device is reset.
#[derive(Debug)]
pub struct Share {
    // First: the device is reset before the queue's memory is free.
    pci: Pci,
    queue: Queue<QUEUE>,
}

impl Share {
    /// Takes and starts the device.
    pub fn start(function: Function) -> Result<Share, Error> {
        let mut pci = Pci::open(function, 1)?;
        pci.begin(MOUNT_TAG)?;
        let queue = Queue::new(&mut pci, 0)?;
        pci.ready();
        Ok(Share { pci, queue })
    }

    /// The name that the host has given it; `share` if that cannot be one in a path.
    pub fn tag(&self) -> String {
        let byte = |at| self.pci.read_config_space::<u8>(at).ok();
        let tag = || {
            let length = usize::from(u16::from_le_bytes([byte(0)?, byte(1)?]));
            let bytes: Option<Vec<u8>> = (2..2 + length.min(files::MOST_NAME)).map(byte).collect();
            String::from_utf8(bytes?).ok()
        };
        let plain = |tag: &String| {
            !tag.is_empty() && tag.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        };
        tag().filter(plain).unwrap_or_else(|| "share".into())
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Place(self.pci.function().address).fmt(f)
    }
}

impl Channel for Share {
    fn exchange(&self, _: u16, request: &[u8], answer: &mut [u8]) -> Result<usize, ErrorKind> {
        self.queue.call(SHARE_PATIENCE, &[request], &mut [answer]).map_err(ErrorKind::from)
    }
    fn tags(&self) -> u16 {
        QUEUE as u16 / 2
    }
    fn most(&self) -> u32 {
        MOST_MESSAGE
    }
}
