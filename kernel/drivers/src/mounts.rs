//! What is in `/` (package `files`): the archive that was loaded with the kernel is `/ram`, a
//! directory of the host has the name that the host gives it, and disks with a FAT volume are
//! `/disk`, `/disk2`, ..

use crate::blk::{self, Disk};
use crate::error::Error;
use crate::share::Share;
use crate::virtio::{DeviceType, devices};
use alloc::format;
use alloc::string::String;
use core::fmt::Display;
use files::fat::{Fat, Timestamp};
use files::{ErrorKind, FileSystem, Ramdisk, p9};
use kernel::device::{Function, Place};
use kernel::println;

/// Mounts all that there is, of these functions too, and says so in a line each. Once, after the
/// disks were started.
pub(crate) fn mount_all(functions: &[Function]) {
    let archive = kernel::archive();
    if !archive.is_empty() {
        match Ramdisk::new(archive) {
            Ok(ramdisk) => mount("ram", ramdisk, "loaded with the kernel"),
            Err(error) => println!("ram: {error}"),
        }
    }
    for function in devices(functions, DeviceType::_9P) {
        let place = Place(function.address);
        let started = Share::start(function);
        match started.map(|share| (share.tag(), p9::Share::attach(share))) {
            Ok((tag, Ok(share))) => mount(&tag, share, format_args!("virtio 9P, {place}")),
            Ok((tag, Err(error))) => println!("{tag}: {place} cannot be used: {error}"),
            Err(error) => println!("share: {place} cannot be used: {error}"),
        }
    }
    for (disk, nth) in blk::disks().into_iter().zip(1..) {
        let name = if nth == 1 { String::from("disk") } else { format!("disk{nth}") };
        match Fat::mount(disk, now) {
            Ok(fat) => mount(&name, fat, format_args!("FAT, {disk}")),
            Err(ErrorKind::InvalidData) => {} // something else is on it
            Err(error) => println!("{name}: {error}"),
        }
    }
}

fn mount(name: &str, system: impl FileSystem + 'static, what: impl Display) {
    match files::mount(name, system) {
        Ok(()) => println!("/{name}: {what}"),
        Err(error) => println!("{error}"),
    }
}

/// By the clock chip; the oldest time that FAT knows, if there is none.
fn now() -> Timestamp {
    let now = kernel::rtc::now().and_then(|now| {
        let year = u16::try_from(now.year).ok()?.max(1980);
        let [month, day, hour, minute, second] =
            [now.month, now.day, now.hour, now.minute, now.second].map(|n| n as u8);
        Timestamp::from_calendar(year, month, day, hour, minute, second).ok()
    });
    now.unwrap_or_else(|| Timestamp::from_calendar(1980, 1, 1, 0, 0, 0).expect("a date"))
}

impl files::fat::Disk for &'static Disk {
    fn blocks(&self) -> u64 {
        (**self).blocks()
    }
    fn read(&self, block: u64, into: &mut [u8]) -> Result<(), ErrorKind> {
        (**self).read(block, into).map_err(ErrorKind::from)
    }
    fn write(&self, block: u64, from: &[u8]) -> Result<(), ErrorKind> {
        (**self).write(block, from).map_err(ErrorKind::from)
    }
    fn flush(&self) -> Result<(), ErrorKind> {
        (**self).flush().map_err(ErrorKind::from)
    }
}

impl From<Error> for ErrorKind {
    fn from(error: Error) -> ErrorKind {
        match error {
            Error::ReadOnly => ErrorKind::ReadOnlyFilesystem,
            Error::TimedOut(_) => ErrorKind::TimedOut,
            Error::OutOfRange => ErrorKind::InvalidData,
            Error::Unsupported => ErrorKind::Unsupported,
            _ => ErrorKind::Device,
        }
    }
}
