//! What is common to network cards.

use crate::error::Error;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use net::Device;

/// A network card. Its text is what it is, where, its address, and whether its link is down.
pub trait Card: Device + fmt::Display {
    /// What each of its queues has done.
    fn counts(&self) -> Vec<Counts>;

    /// Why it is not used any more, if that is so.
    fn broken(&self) -> Option<Error>;

    /// Goroutines that it needs beside those of its interface. Called once, behind that.
    fn watch(self: Arc<Self>) {}
}

/// What a queue has done.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    /// Frames that came, and their bytes, also those that were dropped then.
    pub frames_received: u64,
    pub bytes_received: u64,
    /// Frames that went, and their bytes. What the card cuts is one.
    pub frames_sent: u64,
    pub bytes_sent: u64,
    /// Dropped: shorter than an Ethernet header ..
    pub short: u64,
    /// .. longer than a frame can be ..
    pub too_long: u64,
    /// .. with a wrong checksum.
    pub wrong_checksum: u64,
    /// Not sent: the card had not sent enough of the earlier ones.
    pub no_room: u64,
    /// Not sent: the card is not used any more.
    pub lost: u64,
}

/// [`Counts`] as they are counted, by several goroutines.
#[derive(Default)]
pub(crate) struct Counters {
    pub frames_received: AtomicU64,
    pub bytes_received: AtomicU64,
    pub frames_sent: AtomicU64,
    pub bytes_sent: AtomicU64,
    pub short: AtomicU64,
    pub too_long: AtomicU64,
    pub wrong_checksum: AtomicU64,
    pub no_room: AtomicU64,
    pub lost: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Relaxed);
}

impl Counters {
    pub fn get(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        Counts {
            frames_received: get(&self.frames_received),
            bytes_received: get(&self.bytes_received),
            frames_sent: get(&self.frames_sent),
            bytes_sent: get(&self.bytes_sent),
            short: get(&self.short),
            too_long: get(&self.too_long),
            wrong_checksum: get(&self.wrong_checksum),
            no_room: get(&self.no_room),
            lost: get(&self.lost),
        }
    }
}

/// `52:54:00:12:34:56`.
pub(crate) struct Address(pub [u8; 6]);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
