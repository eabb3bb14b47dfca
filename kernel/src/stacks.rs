//! Goroutines' stacks: much address space, little memory.
//!
//! Each size class owns a range of addresses (layout.rs), cut into slots of a power of two from 64 KiB to 128 MiB. The
//! lowest page of a slot is never mapped (the guard); the topmost is mapped when the slot is first given out; the
//! pages between are mapped one by one by the page-fault handler ([`grow`]) as they are touched.
//!
//! ```text
//! slot:  | guard 4 KiB | .. not touched: no memory .. | touched | top page |
//!        ^ base        ^ Stack::lo                                         ^ Stack::hi
//! ```
//!
//! A page costs 4096 bytes and 8 of page table; a 64 KiB slot's share of tables is 128 bytes. Slots up to 1 MiB
//! share a page table with neighbours, so it is made under the lock when a slot is first given out; larger ones have page tables of
//! their own, which [`grow`] makes.
//!
//! The one rule: [`grow`] takes no lock. It only ever turns an empty entry into a present one, by one compare-and-swap, and
//! what it needs comes from this CPU's reserve of frames. Making a page present needs no TLB shootdown.
//!
//! A stack given back keeps its pages and goes on a list of its class, threaded through its topmost page. [`trim`]
//! takes pages away, and that needs every CPU to forget them (flush.rs) before they are used again.
#![allow(unsafe_code)] // Page tables, and a list that lives in free stacks.

use crate::layout::{self, P4_SLOT, STACK_CLASSES, STACK_SLOTS_SMALLEST};
use crate::{flush, frames, paging, window};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use executive::lock::{Lock, Rank};
use executive::machine::Stack;

const PAGE: usize = 4096;
const SMALLEST_SLOT: usize = 64 * 1024;

/// Page-table entry bits (Intel SDM vol. 3A, 5.5.4): present, writable, not executable.
const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// The slots of one size.
struct Class {
    /// `hi` of the first free stack; 0 is none. Each free stack's topmost word is the `hi` of the next.
    free: usize,
}

/// One lock a class: two sizes never wait for each other.
static CLASSES: [Lock<Class>; STACK_CLASSES] = [const { Lock::new(Rank::Stacks, Class { free: 0 }) }; STACK_CLASSES];

/// Slots of each class that were ever given out: those below are mapped at least at their top. Written under the
/// class's lock (Release), read by `grow` (Acquire): whoever runs on a slot sees the mark above it.
static MADE: [AtomicUsize; STACK_CLASSES] = [const { AtomicUsize::new(0) }; STACK_CLASSES];
/// Slots on the free lists, and pages of memory in all slots. For reports.
static FREE: [AtomicUsize; STACK_CLASSES] = [const { AtomicUsize::new(0) }; STACK_CLASSES];
static PAGES: AtomicUsize = AtomicUsize::new(0);
static TABLES: AtomicUsize = AtomicUsize::new(0);

const fn slot_bytes(class: usize) -> usize {
    SMALLEST_SLOT << class
}

const fn range_start(class: usize) -> usize {
    let before = if class == 0 { 0 } else { STACK_SLOTS_SMALLEST + class as u64 - 1 };
    (layout::STACKS + before * P4_SLOT) as usize
}

const fn capacity(class: usize) -> usize {
    let slots = if class == 0 { STACK_SLOTS_SMALLEST } else { 1 };
    (slots * P4_SLOT) as usize / slot_bytes(class)
}

/// The class and the slot's first address, for an address in one that was given out.
fn find(address: usize) -> Option<(usize, usize)> {
    let offset = (address as u64).checked_sub(layout::STACKS)?;
    let class = (offset / P4_SLOT).saturating_sub(STACK_SLOTS_SMALLEST - 1) as usize;
    if class >= STACK_CLASSES {
        return None;
    }
    let index = (address - range_start(class)) / slot_bytes(class);
    // Acquire: partner of the Release in `alloc`.
    (index < MADE[class].load(Ordering::Acquire)).then(|| (class, range_start(class) + index * slot_bytes(class)))
}

/// A stack of at least `size` usable bytes. `None`: out of memory, or larger than we have.
pub fn alloc(size: usize) -> Option<Stack> {
    let class = (0..STACK_CLASSES).find(|&class| slot_bytes(class) - PAGE >= size)?;
    let mut list = CLASSES[class].lock();
    if list.free != 0 {
        let hi = list.free;
        // SAFETY: a free stack's topmost word is our link, and its topmost page is mapped.
        list.free = unsafe { (hi as *const usize).sub(1).read() };
        FREE[class].fetch_sub(1, Ordering::Relaxed);
        return Some(Stack { lo: hi - slot_bytes(class) + PAGE, hi });
    }
    let index = MADE[class].load(Ordering::Relaxed);
    if index == capacity(class) {
        return None;
    }
    let base = range_start(class) + index * slot_bytes(class);
    let hi = base + slot_bytes(class);
    // If this fails half-way, the tables made so far serve the next try.
    if !commit(hi - PAGE, frames::alloc) {
        return None;
    }
    // Release: partner of the Acquire in `find`.
    MADE[class].store(index + 1, Ordering::Release);
    Some(Stack { lo: base + PAGE, hi })
}

/// Gives a stack back. It keeps its pages.
///
/// # Safety
/// It came from [`alloc`], and nothing runs on it or points into it.
pub unsafe fn free(stack: Stack) {
    let Some((class, _)) = find(stack.lo) else { executive::fatal::throw("free_stack: not a stack of ours") };
    let mut list = CLASSES[class].lock();
    // SAFETY: STACK-OWNER: the caller owns the stack and gives it to us; the topmost page is mapped.
    unsafe { (stack.hi as *mut usize).sub(1).write(list.free) };
    list.free = stack.hi;
    FREE[class].fetch_add(1, Ordering::Relaxed);
}

/// From the page-fault handler: backs the touched page, if it lies in the usable part of a stack.
pub fn grow(address: usize) -> Growth {
    match find(address) {
        None => Growth::NotAStack,
        Some((_, base)) if address < base + PAGE => Growth::Guard,
        Some(_) if commit(address & !(PAGE - 1), frames::alloc_in_fault) => Growth::Done,
        Some(_) => Growth::OutOfMemory,
    }
}

/// What became of a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Growth {
    Done,
    NotAStack,
    /// It ran over its end.
    Guard,
    OutOfMemory,
}

/// Backs one page with a frame from `source`, making page tables on the way. `false`: out of memory.
///
/// Several CPUs may be here for one entry (a sender that writes to a parked receiver's stack): the first one's frame
/// is taken, and the others give theirs back.
fn commit(address: usize, source: fn() -> Option<u64>) -> bool {
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

/// Takes the memory of all but the topmost page away. Interrupts every CPU if there was any.
///
/// # Safety
/// It came from [`alloc`], and nothing runs on it or points into it but its topmost page.
pub unsafe fn trim(stack: Stack) {
    // Taken frames, each holding the address of the next. Writing to them before the flush is sound: a stale
    // translation could only serve uses of these pages, of which there are none.
    let mut taken = 0;
    for page in (stack.lo..stack.hi - PAGE).step_by(PAGE) {
        let Some(entry) = page_entry(page) else { continue };
        let old = entry.swap(0, Ordering::AcqRel);
        if old & PRESENT != 0 {
            let frame = old & ADDRESS;
            // SAFETY: STACK-OWNER: the caller owns the stack; nothing uses the page. The window maps the frame.
            unsafe { window::phys_to_virt(frame).cast::<u64>().write(taken) };
            taken = frame;
            PAGES.fetch_sub(1, Ordering::Relaxed);
        }
    }
    if taken == 0 {
        return;
    }
    flush::everywhere();
    while taken != 0 {
        let frame = taken;
        // SAFETY: the link written above; after the flush nothing maps the frame, in any TLB.
        unsafe {
            taken = window::phys_to_virt(frame).cast::<u64>().read();
            frames::free(frame);
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

fn is_present(page: usize) -> bool {
    page_entry(page).is_some_and(|entry| entry.load(Ordering::Acquire) & PRESENT != 0)
}

/// What all stacks take together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Stacks ever made, and how many of them are free now.
    pub made: usize,
    pub free: usize,
    /// Bytes of memory in them, and of the page tables that map them.
    pub committed: usize,
    pub tables: usize,
}

pub fn usage() -> Usage {
    let sum = |counts: &[AtomicUsize]| counts.iter().map(|n| n.load(Ordering::Relaxed)).sum();
    Usage {
        made: sum(&MADE),
        free: sum(&FREE),
        committed: PAGES.load(Ordering::Relaxed) * PAGE,
        tables: TABLES.load(Ordering::Relaxed) * PAGE,
    }
}
