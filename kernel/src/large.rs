//! The heap's large blocks, which have pages of their own that can be taken back.
//!
//! A block is a slot of addresses whose size is a power of two; the pages that it needs are backed
//! by memory. Slots are never cut or joined, so that no list has to be searched; a free one costs
//! no more than its page tables. A block in use may give up its memory, too ([`decommit`]), and is
//! freed with it or without.
//!
//! A free slot keeps its memory until memory is short ([`strip`]), or until it goes to a block that
//! needs much less. slots.rs has the lists.
//!
//! **Rule:** the backed pages of a slot are its first ones. And a block that cannot be backed whole
//! takes nothing, unless others take the memory meanwhile: if it took the last pages and failed,
//! `strip` would get them back and count that as a success, and the attempt would be repeated for
//! ever.
#![allow(unsafe_code)] // Lists that live in free blocks.

use crate::frames;
use crate::layout::{LARGE, LARGE_END};
use crate::pages::{self, PAGE, Taken, absent, commit};
use crate::param::{MOST_KEPT, MOST_STALE};
use crate::slots::{self, Slots};
use core::alloc::Layout;
use core::mem::replace;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use executive::lock::{CountedLock, Rank};

/// Slots of 64 KiB, 128 KiB, .. 512 GiB.
const SMALLEST: usize = 64 * 1024;
const CLASSES: usize = 24;

/// A slot's key is its first word.
static SLOTS: [Slots; CLASSES] = [const { Slots::new(Rank::Heap) }; CLASSES];
/// Addresses from here on were never given out.
static FRESH: AtomicUsize = AtomicUsize::new(LARGE as usize);

const fn slot_bytes(class: usize) -> usize {
    SMALLEST << class
}

/// The largest alignment. A block takes at least as many addresses as its alignment, and there are
/// only some thousand times this many.
const MOST_ALIGNED: usize = 1 << 30;

/// The class of blocks of this layout. `None`: there are no such slots.
fn class_of(layout: Layout) -> Option<usize> {
    if layout.align() > MOST_ALIGNED {
        return None;
    }
    let size = layout.size().max(layout.align()).checked_next_power_of_two()?.max(SMALLEST);
    let class = (size / SMALLEST).ilog2() as usize;
    (class < CLASSES).then_some(class)
}

/// A slot that was never used.
fn fresh(class: usize) -> Option<usize> {
    let aligned = |fresh: usize| fresh.next_multiple_of(slot_bytes(class));
    let after =
        |fresh| Some(aligned(fresh) + slot_bytes(class)).filter(|&end| end <= LARGE_END as usize);
    FRESH.try_update(Relaxed, Relaxed, after).ok().map(aligned)
}

/// # Safety
/// As [`Slots::put`], except that a new slot need not have a page table.
unsafe fn put(class: usize, slot: usize) {
    if pages::has_table(slot) {
        // SAFETY: the caller's promise.
        unsafe { SLOTS[class].put(slot) };
    } else {
        // A new slot, for which others have taken the memory that was there. Unless it is the last
        // it is lost, addresses only.
        let _ = FRESH.compare_exchange(slot + slot_bytes(class), slot, Relaxed, Relaxed);
    }
}

/// A block, if that leaves enough memory to others. Null: it does not, or there is no such slot.
pub fn alloc(layout: Layout) -> *mut u8 {
    let Some(class) = class_of(layout) else { return null_mut() };
    let new = || if has(layout.size()) { fresh(class) } else { None };
    let Some(slot) = SLOTS[class].take().or_else(new) else { return null_mut() };
    if back(slot, layout.size()) {
        trim(class, slot, layout.size());
        return slot as *mut u8;
    }
    // SAFETY: ours, and nobody has used it.
    unsafe { put(class, slot) };
    null_mut()
}

/// Frees a block.
///
/// # Safety
/// It came from [`alloc()`] with this layout, and nothing uses it.
pub unsafe fn free(block: NonNull<u8>, layout: Layout) {
    if let Some(class) = class_of(layout) {
        // SAFETY: the caller's promise.
        unsafe { put(class, block.addr().get()) };
    }
}

/// Whether large.rs serves this block.
pub fn is_ours(block: NonNull<u8>) -> bool {
    (LARGE as usize..LARGE_END as usize).contains(&block.addr().get())
}

/// Whether a block in use has its memory: [`decommit`] takes all, and [`back`] begins with the
/// first page.
pub fn is_backed(block: NonNull<u8>, size: usize) -> bool {
    pages::is_present(block.addr().get() + size - 1)
}

/// Takes the memory of a block in use. `false`: it had none. Now and then it interrupts every CPU.
///
/// # Safety
/// [`alloc()`] gave the block for this layout. Nobody looks into it, or writes there, before it is
/// [backed](back) again.
pub unsafe fn decommit(block: NonNull<u8>, layout: Layout) -> bool {
    let Some(class) = class_of(layout) else { return false };
    let slot = block.addr().get();
    let mut stale = STALE.lock();
    // SAFETY: the caller's promise.
    let pages = unsafe { stale.pages(&pages::HEAP, slot..backed_end(class, slot)) };
    // Relaxed, here and in `forget`: written under the lock.
    let all = STALE_PAGES.load(Relaxed) + pages;
    STALE_PAGES.store(all, Relaxed);
    drop(stale);
    if all > MOST_STALE {
        forget();
    }
    pages > 0
}

/// Pages of blocks in use that [`decommit`] has taken, and that TLBs may still have. Nobody uses
/// their addresses; so one flush is enough for many of them, if it comes before the addresses are
/// backed again.
static STALE: CountedLock<Taken> = CountedLock::counted(Rank::Heap, Taken::NONE);
static STALE_PAGES: AtomicUsize = AtomicUsize::new(0);

/// How many wait for a flush.
pub fn stale() -> usize {
    STALE_PAGES.load(Relaxed)
}

/// Makes every CPU forget the stale pages, and gives their frames back; returns how many there
/// were.
fn forget() -> usize {
    // Relaxed: an owner of addresses sees the count of those who took their pages, because the
    // block came to it by a lock; or a later one, and that is 0 only after their flush.
    if STALE_PAGES.load(Relaxed) == 0 {
        return 0;
    }
    let mut stale = STALE.lock(); // others wait until all CPUs have forgotten
    replace(&mut *stale, Taken::NONE).flush_and_free();
    STALE_PAGES.swap(0, Relaxed)
}

/// Backs a block by memory.
pub fn back(block: usize, size: usize) -> bool {
    let pages = block..block + size;
    let missing = absent(pages.clone()).count() * PAGE;
    if missing > 0 {
        forget();
    }
    missing == 0
        || has(missing) && absent(pages).all(|page| commit(&pages::HEAP, page, frames::alloc))
}

/// Gives back the memory that a block's slot has kept of an earlier block, if it is much.
fn trim(class: usize, slot: usize, size: usize) {
    let rest = (slot + size).next_multiple_of(PAGE);
    if rest + MOST_KEPT < slot + slot_bytes(class) && pages::is_present(rest + MOST_KEPT) {
        let mut taken = Taken::NONE;
        // SAFETY: the slot is ours, and holds nothing yet.
        unsafe { taken.pages(&pages::HEAP, rest..backed_end(class, slot)) };
        taken.flush_and_free();
    }
}

/// The end of a slot's backed pages.
fn backed_end(class: usize, slot: usize) -> usize {
    // Below `low` they are backed, from `high` on they are not.
    let (mut low, mut high) = (slot, slot + slot_bytes(class));
    while low < high {
        let middle = (low + (high - low) / 2) & !(PAGE - 1);
        if pages::is_present(middle) {
            low = middle + PAGE;
        } else {
            high = middle;
        }
    }
    low
}

fn has(bytes: usize) -> bool {
    frames::has(bytes, frames::left_to_others())
}

/// Takes the memory of free slots, up to `most` pages; returns how many. Interrupts every CPU if
/// there were any.
pub fn strip(most: usize) -> usize {
    forget() + slots::strip(&SLOTS, &pages::HEAP, most, |class, slot| slot..backed_end(class, slot))
}

/// How often the locks were taken, and how often someone had to spin for one.
pub fn lock_stats() -> (u64, u64) {
    let ((slots, contended), stale) = (slots::lock_stats(&SLOTS), STALE.stats());
    (slots + stale.0, contended + stale.1)
}
