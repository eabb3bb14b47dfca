//! Frames in a card's two rings, and the memory that they lie in. No locks, no waiting, no device:
//! package `tests` runs it on the host, where a device of its own says nonsense.
//!
//! **Rule:** what has come is copied out before it is looked at, so that nothing changes meanwhile;
//! and its buffers go back to the device at once. What is to be sent is written in place: the
//! device has no reason to write there, and is not asked to read before it is whole.
#![allow(unsafe_code)] // Buffers that the device reads and writes.

use super::ring::{Buffers, Nonsense, Ring};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;
use core::ptr::NonNull;
use core::slice;
use virtio_drivers::Hal;

/// Bytes of what stands before each frame (5.1.6 of virtio's specification).
pub const HEADER: usize = 12;

/// Bytes of a buffer: a header and a frame of Ethernet's usual length, and no page's edge within.
pub const BUFFER: usize = 2048;

/// The longest frame that the device may put together of what has come: an IP packet, the headers
/// before it, and a VLAN's tag.
pub const LONGEST: usize = 65_535 + 14 + 4;

/// Memory for a device, in buffers of one length. They are numbered from `first` on.
pub struct Pool {
    at: NonNull<u8>,
    bytes: usize,
    numbers: Range<u16>,
    /// Those that are not out.
    free: Vec<u16>,
}

// SAFETY: an address. Who made it has promised that the memory stays.
unsafe impl Send for Pool {}

/// A buffer that is not out. It must be sent.
pub struct Slot {
    number: u16,
    at: NonNull<u8>,
    bytes: usize,
}

impl Pool {
    /// # Safety
    /// `count` times `bytes` bytes from `at` on are initialised, can be shared with the device, and
    /// are nobody else's as long as this pool lives or the device may use them.
    pub unsafe fn new(at: NonNull<u8>, bytes: usize, first: u16, count: u16) -> Self {
        let numbers = first..first + count;
        Pool { at, bytes, free: numbers.clone().rev().collect(), numbers }
    }

    fn at(&self, number: u16) -> NonNull<u8> {
        let nth = usize::from(number - self.numbers.start);
        // SAFETY: a buffer's number, so it is within the memory.
        unsafe { self.at.add(nth * self.bytes) }
    }

    fn slot(&mut self) -> Option<Slot> {
        let number = self.free.pop()?;
        Some(Slot { number, at: self.at(number), bytes: self.bytes })
    }
}

impl Slot {
    /// Its first `length` bytes.
    ///
    /// # Panics
    /// If it has not so many.
    pub fn bytes(&mut self, length: usize) -> &mut [u8] {
        assert!(length <= self.bytes, "the frame is longer than its buffer");
        // SAFETY: the buffer is out of its pool, and not out in the ring: it is this slot's alone.
        unsafe { slice::from_raw_parts_mut(self.at.as_ptr(), length) }
    }
}

/// What comes.
pub struct Receiver<H: Hal, const SIZE: usize> {
    ring: Box<Ring<H, SIZE>>,
    pool: Pool,
    /// A frame may lie in several buffers.
    merges: bool,
}

/// A frame has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Came {
    /// What stood before it.
    pub header: [u8; HEADER],
    /// Not all of it was copied: it was longer than a frame can be.
    pub too_long: bool,
    /// The device wants to be notified that it has its buffers again.
    pub notify: bool,
}

impl<H: Hal, const SIZE: usize> Receiver<H, SIZE> {
    /// A ring that nobody has used yet. Gives the device all buffers of the pool, which has no more
    /// than `SIZE`. The device is to be notified.
    pub fn new(
        mut ring: Box<Ring<H, SIZE>>,
        mut pool: Pool,
        merges: bool,
    ) -> Result<Self, Nonsense> {
        while let Some(slot) = pool.slot() {
            Self::give(&mut ring, &slot)?;
        }
        Ok(Receiver { ring, pool, merges })
    }

    fn give(ring: &mut Ring<H, SIZE>, slot: &Slot) -> Result<bool, Nonsense> {
        let buffers = Buffers { at: slot.at, to_device: 0, from_device: slot.bytes };
        // SAFETY: the pool's memory can be shared, and the buffer is out of the pool until the ring
        // returns its number.
        unsafe { ring.send(slot.number, buffers) }.map_err(|_| Nonsense)
    }

    /// The oldest buffer that has come, and how many bytes are in it.
    fn next(&mut self) -> Option<Result<(Slot, usize), Nonsense>> {
        let (number, length) = match self.ring.take()? {
            Ok(answer) => answer,
            Err(Nonsense) => return Some(Err(Nonsense)),
        };
        Some(Ok((Slot { number, at: self.pool.at(number), bytes: self.pool.bytes }, length)))
    }

    /// Copies the oldest frame that has come into `into`, whose room is at least [`LONGEST`] bytes.
    /// An error: no frame is to be expected from this device any more.
    pub fn take(&mut self, into: &mut Vec<u8>) -> Option<Result<Came, Nonsense>> {
        let first = self.next()?;
        Some(first.and_then(|(slot, length)| self.take_from(slot, length, into)))
    }

    fn take_from(
        &mut self,
        mut slot: Slot,
        length: usize,
        into: &mut Vec<u8>,
    ) -> Result<Came, Nonsense> {
        into.clear();
        let mut header = [0; HEADER];
        let (before, frame) = slot.bytes(length).split_at_checked(HEADER).ok_or(Nonsense)?;
        header.copy_from_slice(before);
        into.extend_from_slice(frame);
        let mut came = Came { header, too_long: false, notify: Self::give(&mut self.ring, &slot)? };
        let buffers = if self.merges { u16::from_le_bytes([header[10], header[11]]) } else { 1 };
        if !(1..=SIZE).contains(&usize::from(buffers)) {
            return Err(Nonsense);
        }
        // The others came together with the first (5.1.6.4).
        for _ in 1..buffers {
            let (mut slot, length) = self.next().ok_or(Nonsense)??;
            if into.len() + length <= LONGEST {
                into.extend_from_slice(slot.bytes(length));
            } else {
                came.too_long = true;
            }
            came.notify |= Self::give(&mut self.ring, &slot)?;
        }
        Ok(came)
    }

    /// To be called before somebody waits. `true`: a frame has come, and there will be no interrupt
    /// before the next call.
    pub fn look_before_waiting(&mut self) -> bool {
        self.ring.set_interrupts(true);
        let has_come = self.ring.has_answers();
        if has_come {
            self.ring.set_interrupts(false);
        }
        has_come
    }
}

/// What goes.
pub struct Transmitter<H: Hal, const SIZE: usize> {
    ring: Box<Ring<H, SIZE>>,
    short: Pool,
    /// For frames that the device cuts, if it can.
    long: Option<Pool>,
}

impl<H: Hal, const SIZE: usize> Transmitter<H, SIZE> {
    /// A ring that nobody has used yet. The pools have different numbers, no more than `SIZE`
    /// together.
    pub fn new(mut ring: Box<Ring<H, SIZE>>, short: Pool, long: Option<Pool>) -> Self {
        ring.set_interrupts(false); // what was sent is looked for when more is
        Transmitter { ring, short, long }
    }

    /// Takes back what the device has sent.
    fn take_back(&mut self) -> Result<(), Nonsense> {
        while let Some(answer) = self.ring.take() {
            let (number, _) = answer?;
            match &mut self.long {
                Some(long) if long.numbers.contains(&number) => long.free.push(number),
                _ => self.short.free.push(number),
            }
        }
        Ok(())
    }

    /// Whether there is room for a frame of any length.
    pub fn has_room(&mut self) -> Result<bool, Nonsense> {
        let has = |tx: &Self| {
            !tx.short.free.is_empty() && tx.long.as_ref().is_none_or(|long| !long.free.is_empty())
        };
        if !has(self) {
            self.take_back()?;
        }
        Ok(has(self))
    }

    /// A buffer of at least so many bytes. `None`: all are out, or none is so long.
    pub fn slot(&mut self, length: usize) -> Result<Option<Slot>, Nonsense> {
        for _ in 0..2 {
            let slot = match &mut self.long {
                _ if length <= self.short.bytes => self.short.slot(),
                Some(long) if length <= long.bytes => long.slot(),
                _ => return Ok(None),
            };
            if slot.is_some() {
                return Ok(slot);
            }
            self.take_back()?;
        }
        Ok(None)
    }

    /// Sends the first `length` bytes of a buffer. `true`: the device wants to be notified.
    pub fn send(&mut self, slot: Slot, length: usize) -> Result<bool, Nonsense> {
        let buffers = Buffers { at: slot.at, to_device: length, from_device: 0 };
        // SAFETY: as in `Receiver::give`.
        unsafe { self.ring.send(slot.number, buffers) }.map_err(|_| Nonsense)
    }
}
