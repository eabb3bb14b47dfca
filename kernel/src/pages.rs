//! The pages of goroutines' stacks: mapping them as they are touched, and taking them away.
//!
//! The one rule: [`commit`] takes no lock. It only ever turns an empty entry into a present one, by one compare-and-swap, and
//! what it needs can come from this CPU's reserve of frames: so the page-fault handler can use it wherever it
//! interrupted. Making a page present needs no TLB shootdown; taking pages away does ([`Taken`]).
#![allow(unsafe_code)] // Page tables.

use crate::{flush, frames, paging, window};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use executive::machine::Stack;

pub const PAGE: usize = frames::FRAME as usize;

/// Page-table entry bits (Intel SDM vol. 3A, 5.5.4): present, writable, not executable.
const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Pages of memory in all stacks, and page tables above them. For reports.
static PAGES: AtomicUsize = AtomicUsize::new(0);
static TABLES: AtomicUsize = AtomicUsize::new(0);

pub fn in_use() -> usize {
    PAGES.load(Ordering::Relaxed)
}

pub fn tables() -> usize {
    TABLES.load(Ordering::Relaxed)
}

/// Backs one page with a frame from `source`, making page tables on the way. `false`: out of memory.
///
/// Several CPUs may be here for one entry (a sender that writes to a parked receiver's stack): the first one's frame
/// is taken, and the others give theirs back.
pub fn commit(address: usize, source: fn() -> Option<u64>) -> bool {
    let mut table = paging::top_table();
    for level in [3, 2, 1] {
        let entry = entry(table, address, level);
        table = match fill(entry, source, 0) {
            None => return false,
            Some((table, new)) => {
                TABLES.fetch_add(new as usize, Ordering::Relaxed);
                table
            }
        };
    }
    match fill(entry(table, address, 0), source, NO_EXECUTE) {
        None => false,
        Some((_, new)) => {
            PAGES.fetch_add(new as usize, Ordering::Relaxed);
            true
        }
    }
}

/// The entry for `address` in `table`; level 3 is the top-level table, 0 a page table.
fn entry(table: u64, address: usize, level: u32) -> &'static AtomicU64 {
    let index = address >> (12 + 9 * level) & 511;
    // SAFETY: `table` is a page table of ours, which are never freed, seen through the window; all who change
    // entries of these slots do so by atomic instructions. The CPU sets accessed and dirty bits atomically.
    unsafe { &*window::phys_to_virt(table).cast::<AtomicU64>().add(index) }
}

/// What the entry points to, made present if it is not, and whether this call did that.
fn fill(entry: &AtomicU64, source: fn() -> Option<u64>, flags: u64) -> Option<(u64, bool)> {
    let old = entry.load(Ordering::Acquire);
    if old & PRESENT != 0 {
        return Some((old & ADDRESS, false));
    }
    let frame = source()?;
    // Release: whoever follows the entry (a CPU's page walk, or `load` above) sees the frame's zeroes.
    match entry.compare_exchange(old, frame | PRESENT | WRITABLE | flags, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Some((frame, true)),
        Err(theirs) => {
            frames::put_reserved(frame);
            Some((theirs & ADDRESS, false))
        }
    }
}

/// How many bytes of a stack are backed by memory now.
pub fn committed(stack: Stack) -> usize {
    (stack.lo..stack.hi).step_by(PAGE).filter(|&page| is_present(page)).count() * PAGE
}

/// The page-table entry for a page, if there is a table.
fn page_entry(address: usize) -> Option<&'static AtomicU64> {
    let mut table = paging::top_table();
    for level in [3, 2, 1] {
        let value = entry(table, address, level).load(Ordering::Acquire);
        if value & PRESENT == 0 {
            return None;
        }
        table = value & ADDRESS;
    }
    Some(entry(table, address, 0))
}

/// Whether a page of a stack is backed by memory.
pub fn is_present(page: usize) -> bool {
    page_entry(page).is_some_and(|entry| entry.load(Ordering::Acquire) & PRESENT != 0)
}

/// Frames that are no longer mapped but may still be in TLBs: each holds the address of the next, 0 ends the list. Writing
/// to them before the flush is sound: a stale translation could only serve uses of these pages, and there are none.
pub struct Taken(u64);

impl Taken {
    pub const NONE: Taken = Taken(0);

    /// Unmaps all but the topmost page.
    ///
    /// # Safety
    /// The caller owns the stack; nothing uses it but, perhaps, its topmost page.
    pub unsafe fn pages_of(&mut self, stack: Stack) {
        for page in (stack.lo..stack.hi - PAGE).step_by(PAGE) {
            let Some(entry) = page_entry(page) else { continue };
            let old = entry.swap(0, Ordering::AcqRel);
            if old & PRESENT != 0 {
                let frame = old & ADDRESS;
                // SAFETY: the caller's promise; the window maps the frame.
                unsafe { window::phys_to_virt(frame).cast::<u64>().write(self.0) };
                self.0 = frame;
                PAGES.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Makes every CPU forget the pages, then gives their frames back.
    pub fn flush_and_free(self) {
        let mut next = self.0;
        if next != 0 {
            flush::everywhere();
        }
        while next != 0 {
            let frame = next;
            // SAFETY: the link that `pages_of` wrote; after the flush nothing maps the frame, in any TLB.
            unsafe {
                next = window::phys_to_virt(frame).cast::<u64>().read();
                frames::free(frame);
            }
        }
    }
}
