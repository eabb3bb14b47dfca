//! The physical window: all physical memory, mapped at one offset by the bootloader (writable,
//! never executable).
//!
//! **Rule:** a frame seen through the window belongs to whoever allocated it.

use core::sync::atomic::{AtomicU64, Ordering};

/// Where the window begins. Written once by [`init`], before there is a second CPU.
static OFFSET: AtomicU64 = AtomicU64::new(0);

pub fn init(offset: u64) {
    OFFSET.store(offset, Ordering::Relaxed);
}

/// The address at which the physical address `phys` can be read and written.
#[inline]
pub fn phys_to_virt(phys: u64) -> *mut u8 {
    (OFFSET.load(Ordering::Relaxed) + phys) as *mut u8
}
