//! Memory that devices read and write: contiguous, below 4 GiB, and not moved.
//!
//! It is cut by `linked_list_allocator` out of runs of memory that nobody has used yet
//! ([`frames::take_run`]). A run stays here when its parts are free again.
//!
//! **Rule:** what lies in it may change at any time, so it is copied in and out, never borrowed.
#![allow(unsafe_code)] // Memory by physical address.

use super::error::Error;
use crate::frames::{self, FRAME};
use crate::param::DMA_RUN;
use crate::window::phys_to_virt;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::ptr::{self, NonNull};
use core::sync::atomic::AtomicU32;
use executive::lock::{Lock, Rank};
use linked_list_allocator::Heap;

static RUNS: Lock<Vec<Heap>> = Lock::new(Rank::User, Vec::new());

/// Memory for a device, zeroed at first, given back when this is dropped. It begins at a page.
#[derive(Debug)]
pub struct Dma {
    at: NonNull<u8>,
    layout: Layout,
}

// SAFETY: memory of its own; every access is a copy.
unsafe impl Send for Dma {}
// SAFETY: as above. Two that write one byte at the same time leave one of the two values, as a
// device that writes it does.
unsafe impl Sync for Dma {}

impl Dma {
    /// `length` bytes, at least 1. An error: there is no such memory any more.
    pub fn new(length: usize) -> Result<Dma, Error> {
        let bytes = length.max(1).next_multiple_of(FRAME as usize);
        let layout = Layout::from_size_align(bytes, FRAME as usize).map_err(|_| Error::NoMemory)?;
        let mut runs = RUNS.lock();
        let cut = |heap: &mut Heap| heap.allocate_first_fit(layout).ok();
        let at = match runs.iter_mut().find_map(cut) {
            Some(at) => at,
            None => {
                // One more run. A heap keeps a little of it for itself.
                let run = (bytes + FRAME as usize).max(DMA_RUN);
                let start = frames::take_run(run).ok_or(Error::NoMemory)?;
                let mut heap = Heap::empty();
                // SAFETY: the run is ours for good, and the window maps it.
                unsafe { heap.init(phys_to_virt(start), run) };
                let at = cut(&mut heap);
                runs.push(heap);
                at.ok_or(Error::NoMemory)?
            }
        };
        // SAFETY: just allocated.
        unsafe { at.write_bytes(0, bytes) };
        Ok(Dma { at, layout })
    }

    /// The address that a device is told. Below 4 GiB.
    pub fn address(&self) -> u64 {
        self.at.as_ptr() as u64 - phys_to_virt(0) as u64
    }

    /// The address that a device is told of a part of some `Dma`. `None`: it is not in one, because
    /// the CPU sees it elsewhere, as it does the heap and all stacks.
    pub fn address_of(part: NonNull<[u8]>) -> Option<u64> {
        let start = (part.addr().get() as u64).checked_sub(phys_to_virt(0) as u64)?;
        let end = start.checked_add(part.len() as u64)?;
        (end <= 1 << 32).then_some(start)
    }

    /// How many bytes there are: whole pages.
    pub fn length(&self) -> usize {
        self.layout.size()
    }

    /// Where the CPU sees it.
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.at
    }

    fn check(&self, offset: usize, length: usize) {
        let end = offset.checked_add(length);
        assert!(
            end <= Some(self.length()) && end.is_some(),
            "{length:#x} bytes at {offset:#x} are not all in the {:#x} bytes of this Dma",
            self.length()
        );
    }

    /// A word of it that the device reads or writes at the same time, by its offset in bytes. What
    /// was written before a Release store is seen by a device that sees the word; what the device
    /// has written before it is read after an Acquire load.
    ///
    /// # Panics
    /// If it is not in this memory, or not aligned.
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        self.check(offset, size_of::<AtomicU32>());
        assert!(offset.is_multiple_of(size_of::<AtomicU32>()), "no word begins at {offset:#x}");
        // SAFETY: within our memory, which begins at a page and lives as long as the reference. It
        // is used by copies and atomics alone.
        unsafe { AtomicU32::from_ptr(self.at.as_ptr().add(offset).cast()) }
    }

    /// Copies from it, `offset` bytes behind its beginning.
    ///
    /// # Panics
    /// If not all of it is there.
    pub fn read(&self, offset: usize, into: &mut [u8]) {
        self.check(offset, into.len());
        // SAFETY: within our memory; `into` is the caller's, and so somewhere else.
        unsafe {
            ptr::copy_nonoverlapping(self.at.as_ptr().add(offset), into.as_mut_ptr(), into.len())
        };
    }

    /// Copies into it, `offset` bytes behind its beginning.
    ///
    /// # Panics
    /// If not all of it has room.
    pub fn write(&self, offset: usize, from: &[u8]) {
        self.check(offset, from.len());
        // SAFETY: as in `read`.
        unsafe {
            ptr::copy_nonoverlapping(from.as_ptr(), self.at.as_ptr().add(offset), from.len())
        };
    }
}

impl Drop for Dma {
    fn drop(&mut self) {
        let at = self.at.as_ptr().addr();
        let mut runs = RUNS.lock();
        let owns = |heap: &&mut Heap| (heap.bottom().addr()..heap.top().addr()).contains(&at);
        let heap = runs.iter_mut().find(owns).expect("a run of ours");
        // SAFETY: it was allocated there with this layout, and nobody uses it: a device's driver
        // has promised so (`Device::master`).
        unsafe { heap.deallocate(self.at, self.layout) };
    }
}
