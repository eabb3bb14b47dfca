//! A virtqueue, and what is out in it. No locks, no waiting, no device: package `tests` runs it on
//! the host, where a device of its own fills it with nonsense.
//!
//! QEMU before 8.1 leaves the fences below out of what it makes of a machine of one CPU, though its
//! devices run beside it (mended by its commit c914d46d). A notification or an interrupt could be
//! lost so; in 800,000 round trips over a card with QEMU 7.2 none was.
//!
//! **Rule:** what the device writes into the ring is a claim. What it says to be done must be out,
//! and no longer than there is room for. Else the ring is not used any more.
#![allow(unsafe_code)] // `VirtQueue` takes slices of memory that the device reads and writes.

use alloc::vec::Vec;
use core::ptr::NonNull;
use core::slice;
use core::sync::atomic::{Ordering, fence};
use virtio_drivers::Hal;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::Transport;

/// Each request takes two descriptors at the most, so half of `SIZE` fit; and `SIZE` of those that
/// only read or only write.
pub struct Ring<H: Hal, const SIZE: usize> {
    queue: VirtQueue<H, SIZE>,
    /// What the device has not answered yet, by its first descriptor.
    out: Vec<Option<Sent>>,
}

struct Sent {
    cookie: u16,
    buffers: Buffers,
}

/// What the device reads, and behind it what it writes: in bytes. One of them may be 0.
#[derive(Clone, Copy)]
pub struct Buffers {
    pub at: NonNull<u8>,
    pub to_device: usize,
    pub from_device: usize,
}

// SAFETY: an address. Who sends it promises that the memory stays.
unsafe impl Send for Buffers {}

/// The device has said what cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nonsense;

impl<H: Hal, const SIZE: usize> Ring<H, SIZE> {
    /// How many requests fit.
    pub const ROOM: usize = SIZE / 2;

    /// Makes queue number `nth` of a device.
    pub fn new(transport: &mut impl Transport, nth: u16) -> virtio_drivers::Result<Self> {
        let queue = VirtQueue::new(transport, nth, false, false)?;
        Ok(Ring { queue, out: (0..SIZE).map(|_| None).collect() })
    }

    /// Gives the device a request, which it answers in its own time. `Ok(true)`: it wants to be
    /// notified of that. An error: there is no room.
    ///
    /// # Safety
    /// The buffers are memory that `H` can share, and nobody else's until [`take`](Self::take) has
    /// returned the cookie; for good, if it returns `Nonsense` before.
    pub unsafe fn send(&mut self, cookie: u16, buffers: Buffers) -> virtio_drivers::Result<bool> {
        // SAFETY: the caller's promise. Nothing is read or written through the slices: of their
        // addresses and lengths `VirtQueue` makes descriptors.
        let token = unsafe {
            let (read, mut written) = parts(buffers);
            self.queue.add(read.as_slice(), written.as_mut_slice())?
        };
        self.out[usize::from(token)] = Some(Sent { cookie, buffers });
        // `VirtQueue` publishes the request before it looks whether the device sleeps. So that the
        // device, which says that it sleeps before it looks for requests, cannot miss it, the look
        // must not be before the publishing.
        fence(Ordering::SeqCst);
        Ok(self.queue.should_notify())
    }

    /// Whether the device shall interrupt when it has answered something. With `true`: look
    /// ([`has_answers`](Self::has_answers)) after this, before you wait.
    pub fn set_interrupts(&mut self, wanted: bool) {
        self.queue.set_dev_notify(wanted);
        // The device publishes an answer before it looks whether it shall interrupt. So that one of
        // the two sees the other, our look must not be before this.
        fence(Ordering::SeqCst);
    }

    /// Whether [`take`](Self::take) would find something.
    pub fn has_answers(&self) -> bool {
        self.queue.can_pop()
    }

    /// The cookie of a request that the device has answered, and how many bytes it wrote.
    pub fn take(&mut self) -> Option<Result<(u16, usize), Nonsense>> {
        let token = self.queue.peek_used()?;
        let sent = self.out.get_mut(usize::from(token)).and_then(Option::take);
        let Some(Sent { cookie, buffers }) = sent else { return Some(Err(Nonsense)) };
        // SAFETY: the same buffers as those that `send` added when it got this token. Nothing is
        // read or written through the slices.
        let written = unsafe {
            let (read, mut written) = parts(buffers);
            self.queue.pop_used(token, read.as_slice(), written.as_mut_slice())
        };
        Some(match written.map(|length| length as usize) {
            Ok(length) if length <= buffers.from_device => Ok((cookie, length)),
            _ => Err(Nonsense),
        })
    }
}

/// What the device reads and what it writes, as `VirtQueue` takes them: what has no bytes is left
/// out.
///
/// # Safety
/// The buffers are valid, and nobody else's meanwhile.
unsafe fn parts<'a>(buffers: Buffers) -> (Option<&'a [u8]>, Option<&'a mut [u8]>) {
    let Buffers { at, to_device, from_device } = buffers;
    // SAFETY: the caller's promise; the two are beside each other.
    let (read, written) = unsafe {
        let behind = at.as_ptr().add(to_device);
        (
            slice::from_raw_parts(at.as_ptr(), to_device),
            slice::from_raw_parts_mut(behind, from_device),
        )
    };
    (
        Some(read).filter(|read| !read.is_empty()),
        Some(written).filter(|written| !written.is_empty()),
    )
}
