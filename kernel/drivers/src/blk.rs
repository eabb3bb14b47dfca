//! Virtio's disks (5.2 of its specification). QEMU: `-device virtio-blk-pci`.
//!
//! Any number of goroutines read and write at the same time; each parks until the disk has done
//! what it was asked for. The disk does them in any order: who wants an order waits in between.

use crate::error::Error;
use crate::param::{DISK_PATIENCE, MOST_AT_ONCE};
use crate::virtio::{Pci, Queue, Transport};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use executive::lock::{Lock, Rank};
use kernel::device::{Function, Place};

/// Bytes of a block.
pub const BLOCK: usize = 512;

/// Descriptors of the queue: 64 requests are out at a time.
const QUEUE: usize = 128;

/// Features (5.2.3).
const READ_ONLY: u64 = 1 << 5;
const FLUSH: u64 = 1 << 9;

/// What can be asked for (5.2.6).
#[derive(Clone, Copy)]
enum Kind {
    Read = 0,
    Write = 1,
    Flush = 4,
}

/// A disk. Its blocks are numbered from 0 on.
#[derive(Debug)]
pub struct Disk {
    // First: the device is reset before the queue's memory is free.
    pci: Pci,
    queue: Queue<QUEUE>,
    features: u64,
    /// Nanoseconds.
    patience: AtomicU64,
}

static ALL: Lock<Vec<&'static Disk>> = Lock::new(Rank::User, Vec::new());

/// The disks that were started, in the order of their addresses.
pub fn disks() -> Vec<&'static Disk> {
    ALL.lock().clone()
}

pub(crate) fn provide(disk: Disk) -> &'static Disk {
    let disk: &Disk = Box::leak(Box::new(disk));
    ALL.lock().push(disk);
    disk
}

impl Disk {
    /// Takes and starts the device.
    pub fn start(function: Function) -> Result<Disk, Error> {
        let mut pci = Pci::open(function, 1)?;
        let features = pci.begin(READ_ONLY | FLUSH)?;
        let queue = Queue::new(&mut pci, 0)?;
        pci.ready();
        let patience = AtomicU64::new(DISK_PATIENCE.as_nanos() as u64);
        Ok(Disk { pci, queue, features, patience })
    }

    /// How many blocks there are. 0: it does not say.
    pub fn blocks(&self) -> u64 {
        let half = |at| self.pci.read_config_space::<u32>(at).map_or(0, u64::from);
        // Of two halves one may be older.
        let both = || half(0) | half(4) << 32;
        let twice = || Some(both()).filter(|&blocks| blocks == both());
        (0..10).find_map(|_| twice()).unwrap_or(0)
    }

    /// Whether nothing can be written.
    pub fn is_read_only(&self) -> bool {
        self.features & READ_ONLY != 0
    }

    /// How its queue is used, for a person.
    pub fn queue(&self) -> &dyn fmt::Debug {
        &self.queue
    }

    /// How long a request may take from here on before it is given up.
    pub fn set_patience(&self, patience: Duration) {
        self.patience.store(patience.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Reads whole blocks, from number `block` on.
    pub fn read(&self, block: u64, into: &mut [u8]) -> Result<(), Error> {
        let mut at = self.first(block, into.len())?;
        for part in into.chunks_mut(MOST_AT_ONCE) {
            self.ask(Kind::Read, at, &[], part)?;
            at += (part.len() / BLOCK) as u64;
        }
        Ok(())
    }

    /// Writes whole blocks, from number `block` on. After a failure of the power they may be lost
    /// if they were not [flushed](Self::flush).
    pub fn write(&self, block: u64, from: &[u8]) -> Result<(), Error> {
        if self.is_read_only() {
            return Err(Error::ReadOnly);
        }
        let mut at = self.first(block, from.len())?;
        for part in from.chunks(MOST_AT_ONCE) {
            self.ask(Kind::Write, at, part, &mut [])?;
            at += (part.len() / BLOCK) as u64;
        }
        Ok(())
    }

    /// What was written before this call is safe when it returns.
    pub fn flush(&self) -> Result<(), Error> {
        // A disk that cannot be told writes through.
        if self.features & FLUSH == 0 { Ok(()) } else { self.ask(Kind::Flush, 0, &[], &mut []) }
    }

    /// `block`, if there can be so many bytes from there on. (Whether there are, the disk knows.)
    fn first(&self, block: u64, bytes: usize) -> Result<u64, Error> {
        if !bytes.is_multiple_of(BLOCK) {
            return Err(Error::Partial);
        }
        let end = block.checked_add((bytes / BLOCK) as u64);
        end.map(|_| block).ok_or(Error::OutOfRange)
    }

    fn ask(&self, kind: Kind, block: u64, from: &[u8], into: &mut [u8]) -> Result<(), Error> {
        let mut header = [0; 16];
        header[..4].copy_from_slice(&(kind as u32).to_le_bytes());
        header[8..].copy_from_slice(&block.to_le_bytes());
        let mut status = [0];
        let patience = Duration::from_nanos(self.patience.load(Ordering::Relaxed));
        self.queue.call(patience, &[&header, from], &mut [into, &mut status])?;
        match status {
            [0] => Ok(()),
            [1] if block.saturating_add((from.len().max(into.len()) / BLOCK) as u64)
                > self.blocks() =>
            {
                Err(Error::OutOfRange)
            }
            [1] => Err(Error::Failed),
            [2] => Err(Error::Unsupported),
            _ => Err(Error::Nonsense),
        }
    }
}

/// `00:04.0, 8192 blocks of 512 bytes`.
impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = Place(self.pci.function().address);
        write!(f, "{place}, {} blocks of {BLOCK} bytes", self.blocks())?;
        f.write_str(if self.is_read_only() { ", read-only" } else { "" })
    }
}
