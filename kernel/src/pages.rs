//! The pages of goroutines' stacks and of the heap's large blocks: backing them by memory, and
//! taking it away.
//!
//! **Rule:** [`commit`] takes no lock. It turns an empty entry into a present one by one
//! compare-and-swap, with frames that can come from this CPU's reserve. So the page-fault handler
//! can call it wherever it interrupted. Making a page present needs no TLB shootdown; taking pages
//! away does ([`Taken`]).
#![allow(unsafe_code)] // Page tables.

use crate::{flush, frames, paging, window};
use core::ops::Range;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use executive::machine::Stack;

pub const PAGE: usize = frames::FRAME as usize;

/// Page-table entry bits (Intel SDM vol. 3A, 5.5.4): present, writable, not executable.
const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Whose pages they are, for reports.
pub struct Owner {
    pages: AtomicUsize,
    tables: AtomicUsize,
}

pub static STACKS: Owner = Owner::new();
pub static HEAP: Owner = Owner::new();

impl Owner {
    const fn new() -> Self {
        Owner { pages: AtomicUsize::new(0), tables: AtomicUsize::new(0) }
    }
    /// Pages that are backed by memory.
    pub fn pages(&self) -> usize {
        self.pages.load(Ordering::Relaxed)
    }
    /// Page tables above them.
    pub fn tables(&self) -> usize {
        self.tables.load(Ordering::Relaxed)
    }
}

/// Backs one page with a frame from `source`, making page tables on the way. `false`: out of
/// memory.
///
/// Several CPUs may do this for one entry, when a sender writes to a parked receiver's stack, say.
/// The first one's frame is taken, and the others put theirs back.
pub fn commit(owner: &Owner, address: usize, source: fn() -> Option<u64>) -> bool {
    let mut table = paging::top_table();
    for level in [3, 2, 1] {
        let entry = entry(table, address, level);
        table = match fill(entry, source, 0) {
            None => return false,
            Some((table, new)) => {
                owner.tables.fetch_add(new as usize, Ordering::Relaxed);
                table
            }
        };
    }
    match fill(entry(table, address, 0), source, NO_EXECUTE) {
        None => false,
        Some((_, new)) => {
            owner.pages.fetch_add(new as usize, Ordering::Relaxed);
            true
        }
    }
}

/// The entry for `address` in `table`; level 3 is the top-level table, 0 a page table.
fn entry(table: u64, address: usize, level: u32) -> &'static AtomicU64 {
    let index = address >> (12 + 9 * level) & 511;
    // SAFETY: `table` is a page table of ours, seen through the window; they are never freed.
    // Entries of these slots are only changed by atomic instructions, also by the CPU when it sets
    // accessed and dirty bits.
    unsafe { &*window::phys_to_virt(table).cast::<AtomicU64>().add(index) }
}

/// What the entry points to, made present if it is empty, and whether this call did that. `None`
/// too if it holds a link.
fn fill(entry: &AtomicU64, source: fn() -> Option<u64>, flags: u64) -> Option<(u64, bool)> {
    let present = |value: u64| (value & PRESENT != 0).then_some((value & ADDRESS, false));
    match entry.load(Ordering::Acquire) {
        0 => {}
        old => return present(old),
    }
    let frame = source()?;
    // Release: whoever follows the entry (a CPU's page walk, or `load` above) sees the frame's
    // zeroes.
    match entry.compare_exchange(
        0,
        frame | PRESENT | WRITABLE | flags,
        Ordering::AcqRel,
        Ordering::Acquire,
    ) {
        Ok(_) => Some((frame, true)),
        Err(theirs) => {
            frames::put_reserved(frame);
            present(theirs)
        }
    }
}

// The entry of an absent page has 63 free bits (Intel SDM vol. 3A, figure 5-11): room for a link of
// a list of slots without any memory.

/// The link in the entry of an absent page, which has a table; 0 is none.
pub fn link(page: usize) -> usize {
    let value = page_entry(page).map_or(0, |entry| entry.load(Ordering::Acquire));
    if value & PRESENT == 0 { value as usize } else { 0 }
}

/// Writes the link. It is even, so that the page stays absent. The caller owns the page, which has
/// a table.
pub fn set_link(page: usize, link: usize) {
    debug_assert!(link & PRESENT as usize == 0);
    let entry = page_entry(page).expect("a page that was there has a table");
    let old = entry.swap(link as u64, Ordering::AcqRel);
    debug_assert!(old & PRESENT == 0);
}

/// How many bytes of a stack are backed by memory now.
pub fn committed(stack: Stack) -> usize {
    stack.size() - absent(stack.lo..stack.hi).count() * PAGE
}

/// The pages that are not backed by memory now.
pub fn absent(pages: Range<usize>) -> impl Iterator<Item = usize> {
    entries(pages).filter(|(_, entry)| !entry.is_some_and(is_set)).map(|(page, _)| page)
}

fn is_set(entry: &AtomicU64) -> bool {
    entry.load(Ordering::Acquire) & PRESENT != 0
}

/// Each page's entry, if it has a table; from the lowest up.
fn entries(pages: Range<usize>) -> impl Iterator<Item = (usize, Option<&'static AtomicU64>)> {
    let mut table = page_table(pages.start);
    pages.step_by(PAGE).map(move |page| {
        let index = page / PAGE % 512;
        if index == 0 {
            table = page_table(page);
        }
        (page, table.map(|table| &table[index]))
    })
}

/// The page-table entry for a page, if there is a table.
fn page_entry(address: usize) -> Option<&'static AtomicU64> {
    page_table(address).map(|table| &table[address / PAGE % 512])
}

/// The page table for an address, if there is one.
fn page_table(address: usize) -> Option<&'static [AtomicU64; 512]> {
    let mut table = paging::top_table();
    for level in [3, 2, 1] {
        let value = entry(table, address, level).load(Ordering::Acquire);
        if value & PRESENT == 0 {
            return None;
        }
        table = value & ADDRESS;
    }
    // SAFETY: as in `entry`.
    Some(unsafe { &*window::phys_to_virt(table).cast() })
}

/// Whether there is a page table for a page: room for a link.
pub fn has_table(page: usize) -> bool {
    page_entry(page).is_some()
}

/// Whether a page is backed by memory.
pub fn is_present(page: usize) -> bool {
    page_entry(page).is_some_and(is_set)
}

/// Frames that are no longer mapped but may still be in TLBs. Each holds the address of the next; 0
/// ends the list. Writing to them before the flush is sound: a stale translation could only serve
/// accesses to these pages, and there are none.
pub struct Taken(u64);

impl Taken {
    pub const NONE: Taken = Taken(0);

    /// Unmaps these pages; returns how many there were.
    ///
    /// # Safety
    /// They belong to a stack or a slot that the caller owns, and nothing uses them.
    pub unsafe fn pages(&mut self, owner: &Owner, pages: Range<usize>) -> usize {
        let mut count = 0;
        for (_, entry) in entries(pages) {
            // Others are empty, or hold a link.
            let Some(entry) = entry.filter(|entry| is_set(entry)) else { continue };
            let frame = entry.swap(0, Ordering::AcqRel) & ADDRESS;
            // SAFETY: the caller's promise; the window maps the frame.
            unsafe { window::phys_to_virt(frame).cast::<u64>().write(self.0) };
            self.0 = frame;
            count += 1;
        }
        owner.pages.fetch_sub(count, Ordering::Relaxed);
        count
    }

    /// Makes every CPU forget the pages, then gives their frames back.
    pub fn flush_and_free(self) {
        if self.0 != 0 {
            flush::everywhere();
        }
        // SAFETY: no TLB has them any more.
        unsafe { self.free() }
    }

    /// Gives the frames back.
    ///
    /// # Safety
    /// No CPU uses a translation of these pages any more: each has flushed since, or will before it
    /// runs other code (hold.rs).
    pub unsafe fn free(self) {
        let mut next = self.0;
        while next != 0 {
            let frame = next;
            // SAFETY: `pages` wrote the link; the caller promises that nothing maps the frame.
            unsafe {
                next = window::phys_to_virt(frame).cast::<u64>().read();
                frames::free(frame);
            }
        }
    }
}
