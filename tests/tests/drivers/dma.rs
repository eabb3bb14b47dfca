//! `kernel::device::Dma`, of this process.
#![allow(unsafe_code)] // Memory by address.
#![allow(dead_code)] // Each test uses a part of it.

use crate::device::Error;
use executive::lock::{Lock, Rank};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;

const PAGE: usize = 4096;

/// Pages whose addresses a device is told. They are below 4 GiB.
#[derive(Debug)]
pub struct Dma {
    at: NonNull<u8>,
    length: usize,
}

// SAFETY: memory of its own; every access is a copy.
unsafe impl Send for Dma {}
// SAFETY: as above.
unsafe impl Sync for Dma {}

/// Where there is memory that was not given back.
static IN_USE: Lock<Vec<u64>> = Lock::new(Rank::User, Vec::new());

/// Whether the memory that begins there was not given back.
pub fn is_in_use(at: u64) -> bool {
    IN_USE.lock().contains(&at)
}

impl Dma {
    pub fn new(length: usize) -> Result<Dma, Error> {
        let length = length.max(1).next_multiple_of(PAGE);
        let (access, kind) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
        );
        // SAFETY: pages that nobody has.
        let at = unsafe { libc::mmap(ptr::null_mut(), length, access, kind, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(Error::NoMemory);
        }
        let memory = Dma { at: NonNull::new(at.cast()).expect("not page 0"), length };
        IN_USE.lock().push(memory.address());
        Ok(memory)
    }
    pub fn address(&self) -> u64 {
        self.at.as_ptr().expose_provenance() as u64
    }
    pub fn address_of(part: NonNull<[u8]>) -> Option<u64> {
        Some(part.cast::<u8>().as_ptr().expose_provenance() as u64)
    }
    pub fn length(&self) -> usize {
        self.length
    }
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset + 4 <= self.length && offset.is_multiple_of(4));
        // SAFETY: within the memory; it is used by copies and atomics alone.
        unsafe { AtomicU32::from_ptr(self.at.add(offset).as_ptr().cast()) }
    }
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.at
    }
    pub fn read(&self, offset: usize, into: &mut [u8]) {
        assert!(offset + into.len() <= self.length());
        // SAFETY: within the memory.
        unsafe {
            self.at.add(offset).copy_to_nonoverlapping(NonNull::from(&mut *into).cast(), into.len())
        }
    }
    pub fn write(&self, offset: usize, from: &[u8]) {
        assert!(offset + from.len() <= self.length());
        // SAFETY: within the memory.
        unsafe {
            self.at.add(offset).copy_from_nonoverlapping(NonNull::from(from).cast(), from.len());
        }
    }
}

impl Drop for Dma {
    fn drop(&mut self) {
        let at = self.address();
        IN_USE.lock().retain(|&other| other != at);
        // SAFETY: `new` has it from there.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.length) };
    }
}
