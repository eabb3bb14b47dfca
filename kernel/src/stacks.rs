//! Goroutines' stacks: much address space, little memory.
//!
//! Each size class owns a range of addresses (layout.rs), cut into slots of 68 KiB, 128 KiB, 256
//! KiB, .. 128 MiB. The lowest page of a slot is never mapped: it is the guard. The topmost page is
//! mapped when the slot is first given out. The page-fault handler ([`grow`]) maps the pages
//! between, one by one, as they are touched.
//!
//! ```text
//! slot:  | guard 4 KiB | .. not touched: no memory .. | touched | top page |
//!        ^ base        ^ Stack::lo                                         ^ Stack::hi
//! ```
//!
//! A page costs 4096 bytes and 8 of page table; a 68 KiB slot's share of tables is 137 bytes. Slots
//! up to 1 MiB share a page table with neighbours, and `alloc` makes it with the topmost page.
//! Larger slots have page tables of their own, and [`grow`] makes the others of them.
//!
//! **Rule:** [`grow`] takes no lock (pages.rs).
//!
//! A free stack waits in a list of its class and keeps its topmost page. Taking its other pages
//! away makes every CPU flush (flush.rs), so stacks that have some wait in one more list (`DIRTY`)
//! until one flush is worth it.
//!
//! When memory is short ([`strip`]), free stacks lose their topmost pages too (slots.rs). A stack
//! without memory keeps its addresses, and its share of a page table.
#![allow(unsafe_code)] // Lists that live in free stacks.

use crate::frames;
use crate::layout::{self, P4_SLOT, STACK_CLASSES, STACK_SLOTS_SMALLEST};
use crate::pages::{self, PAGE, Taken, commit, committed};
use crate::param::MOST_DIRTY_PAGES;
use crate::slots::{self, Lists, Slots};
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};
use executive::lock::{CountedLock, Rank};
use executive::machine::Stack;
use executive::param::MAX_CPUS;
use executive::percpu::{Pin, cpu};

const SMALLEST_SLOT: usize = 64 * 1024;
/// Bytes that one page table maps.
const TABLE_SPAN: usize = 2 * 1024 * 1024;

/// The free stacks of each class. Their keys are their topmost words. Each class has a lock: two
/// sizes never wait for each other.
static FREE: [Slots; STACK_CLASSES] = [const { Slots::new(Rank::Stacks) }; STACK_CLASSES];

/// How many slots of each class were ever dealt to a CPU. Written by `deal` (Release), read by
/// `find` (Acquire): code that runs on a slot finds it dealt.
static DEALT: [AtomicUsize; STACK_CLASSES] = [const { AtomicUsize::new(0) }; STACK_CLASSES];

/// The slots that a CPU was dealt and has not given out yet: `[next, end)` of each class. Only that
/// CPU changes them, pinned.
#[repr(align(64))]
struct Hand {
    next: [AtomicUsize; STACK_CLASSES],
    end: [AtomicUsize; STACK_CLASSES],
}

static HANDS: [Hand; MAX_CPUS] = [const {
    Hand {
        next: [const { AtomicUsize::new(0) }; STACK_CLASSES],
        end: [const { AtomicUsize::new(0) }; STACK_CLASSES],
    }
}; MAX_CPUS];

/// The smallest slot has one page more than a power of two. With 16 pages from top to top, the tops
/// of all stacks would fall into the same few sets of a TLB, which chooses a set by the last bits
/// of the page number (Intel's first level: 16 sets of 4; QEMU: 64 entries).
const fn slot_bytes(class: usize) -> usize {
    if class == 0 { SMALLEST_SLOT + PAGE } else { SMALLEST_SLOT << class }
}

/// Slots come in groups that share a page table; a slot that needs several tables is a group. The
/// smallest leave two pages of a table's span unused.
const fn group_span(class: usize) -> usize {
    if slot_bytes(class) < TABLE_SPAN { TABLE_SPAN } else { slot_bytes(class) }
}

const fn group(class: usize) -> usize {
    group_span(class) / slot_bytes(class)
}

/// Bytes of its page table that a stack of the usual size takes.
pub const TABLE_SHARE: usize = PAGE.div_ceil(group(0));

/// The first address of a slot.
const fn slot(class: usize, index: usize) -> usize {
    let n = group(class);
    range_start(class) + index / n * group_span(class) + index % n * slot_bytes(class)
}

/// The slot in which an address lies, if any.
const fn index_of(class: usize, address: usize) -> Option<usize> {
    let (offset, span, n) = (address - range_start(class), group_span(class), group(class));
    let in_group = offset % span / slot_bytes(class);
    if in_group < n { Some(offset / span * n + in_group) } else { None }
}

const fn range_start(class: usize) -> usize {
    let before = if class == 0 { 0 } else { STACK_SLOTS_SMALLEST + class as u64 - 1 };
    (layout::STACKS + before * P4_SLOT) as usize
}

const fn capacity(class: usize) -> usize {
    let slots = if class == 0 { STACK_SLOTS_SMALLEST } else { 1 };
    (slots * P4_SLOT) as usize / group_span(class) * group(class)
}

const _: () = assert!(
    capacity(0) >= 100_000_000,
    "docs/performance.md promises room for many more than ten million stacks"
);

/// The class and the first address of the slot in which an address lies, if the slot was dealt.
fn find(address: usize) -> Option<(usize, usize)> {
    let offset = (address as u64).checked_sub(layout::STACKS)?;
    let class = (offset / P4_SLOT).saturating_sub(STACK_SLOTS_SMALLEST - 1) as usize;
    if class >= STACK_CLASSES {
        return None;
    }
    let index = index_of(class, address)?;
    // Acquire: partner of the Release in `deal`.
    (index < DEALT[class].load(Ordering::Acquire)).then(|| (class, slot(class, index)))
}

/// The class for stacks of `size` usable bytes. `None`: larger than the largest.
pub fn class_for(size: usize) -> Option<usize> {
    (0..STACK_CLASSES).find(|&class| slot_bytes(class) - PAGE >= size)
}

/// A stack of this class. `None`: out of memory, or of addresses.
pub fn alloc(class: usize) -> Option<Stack> {
    take(class).or_else(|| if clean() { take(class) } else { None })
}

const fn key(hi: usize) -> usize {
    hi - size_of::<usize>()
}

/// Backs the topmost page of a stack. `false`: out of memory. Page tables made so far serve the
/// next try.
fn back(hi: usize) -> bool {
    commit(&pages::STACKS, hi - PAGE, frames::alloc_for_new_stack)
}

/// A free stack of the class, or a new one.
fn take(class: usize) -> Option<Stack> {
    let stack = |hi| Stack { lo: hi - slot_bytes(class) + PAGE, hi };
    if let Some(key) = FREE[class].take() {
        let hi = key + size_of::<usize>();
        if back(hi) {
            return Some(stack(hi));
        }
        // SAFETY: ours, and nobody has used it.
        unsafe { FREE[class].put(key) };
        return None;
    }
    let _pin = Pin::new();
    let hand = &HANDS[cpu()];
    let mut index = hand.next[class].load(Ordering::Relaxed);
    if index == hand.end[class].load(Ordering::Relaxed) {
        let dealt = deal(class)?;
        index = dealt.start;
        hand.end[class].store(dealt.end, Ordering::Relaxed);
    }
    hand.next[class].store(index, Ordering::Relaxed);
    let hi = slot(class, index) + slot_bytes(class);
    back(hi).then(|| {
        hand.next[class].store(index + 1, Ordering::Relaxed);
        stack(hi)
    })
}

/// Deals slots that were never used to one CPU: a group. So most new stacks need no atomic
/// instruction that CPUs share, and CPUs do not write to each other's page tables.
#[cold]
fn deal(class: usize) -> Option<Range<usize>> {
    let after = |start| Some(start + group(class)).filter(|&end| end <= capacity(class));
    // Release: partner of the Acquire in `find`.
    let start = DEALT[class].try_update(Ordering::Release, Ordering::Relaxed, after).ok()?;
    Some(start..start + group(class))
}

/// Gives a stack back.
///
/// # Safety
/// It came from [`alloc()`], and nothing runs on it or points into it.
pub unsafe fn free(stack: Stack) {
    let Some((class, _)) = find(stack.lo) else {
        executive::fatal::throw("free_stack: not a stack of ours")
    };
    let below_top = committed(stack) / PAGE - 1;
    if below_top == 0 {
        // SAFETY: STACK-OWNER: the caller owns the stack and gives it to us.
        return unsafe { FREE[class].put(key(stack.hi)) };
    }
    let full = {
        let mut dirty = DIRTY.lock();
        // SAFETY: as above; the topmost page is mapped.
        unsafe { dirty.stacks.push(key(stack.hi)) };
        dirty.pages += below_top;
        dirty.pages > MOST_DIRTY_PAGES
    };
    if full {
        clean();
    }
}

/// Free stacks that have pages below their topmost.
struct Dirty {
    stacks: Lists,
    pages: usize,
}

static DIRTY: CountedLock<Dirty> =
    CountedLock::counted(Rank::Stacks, Dirty { stacks: Lists::NONE, pages: 0 });

/// Makes all dirty stacks clean, with one flush for all. `false`: there were none.
fn clean() -> bool {
    let mut dirty =
        core::mem::replace(&mut *DIRTY.lock(), Dirty { stacks: Lists::NONE, pages: 0 }).stacks;
    let (mut taken, mut cleaned, mut some) = (Taken::NONE, Lists::NONE, false);
    let class = |key: usize| find(key).expect("it was found when it was freed").0;
    while let Some(key) = dirty.pop_warm() {
        let top = key & !(PAGE - 1);
        // SAFETY: the stack is free, and in no list but ours; its topmost page stays.
        unsafe {
            taken.pages(&pages::STACKS, top + 2 * PAGE - slot_bytes(class(key))..top);
            cleaned.push(key);
        }
        some = true;
    }
    taken.flush_and_free();
    while let Some(key) = cleaned.pop_warm() {
        // SAFETY: as above.
        unsafe { FREE[class(key)].put(key) };
    }
    some
}

/// Takes the memory of up to `most` free stacks; returns how many pages there were. Interrupts
/// every CPU if there were any.
pub fn strip(most: usize) -> usize {
    clean();
    slots::strip(&FREE, &pages::STACKS, most, |_, key| {
        (key & !(PAGE - 1))..key + size_of::<usize>()
    })
}

/// The pages of a stack that lie wholly below `sp`, and so are not in use, except those that the
/// goroutine will touch again as soon as it runs.
pub fn unused(stack: Stack, sp: usize) -> Range<usize> {
    const SOON: usize = 1024;
    stack.lo..((sp - SOON) & !(PAGE - 1)).max(stack.lo)
}

/// From the page-fault handler: backs the touched page, if it lies in the usable part of a stack.
pub fn grow(address: usize) -> Growth {
    match find(address) {
        None => Growth::NotAStack,
        Some((_, base)) if address < base + PAGE => Growth::Guard,
        Some(_) if pages::link(address & !(PAGE - 1)) != 0 => Growth::NotAStack, // a free one
        Some(_) if commit(&pages::STACKS, address & !(PAGE - 1), frames::alloc_in_fault) => {
            Growth::Done
        }
        Some(_) => Growth::OutOfMemory,
    }
}

/// What became of a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Growth {
    Done,
    NotAStack,
    /// The stack overflowed.
    Guard,
    OutOfMemory,
}

/// What all stacks take together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Stacks ever made; how many of them are free now; how many of these have no memory.
    pub made: usize,
    pub free: usize,
    pub bare: usize,
    /// Bytes of memory in them, and of the page tables that map them.
    pub committed: usize,
    pub tables: usize,
}

pub fn usage() -> Usage {
    let sum =
        |counts: &[AtomicUsize]| counts.iter().map(|n| n.load(Ordering::Relaxed)).sum::<usize>();
    let dealt = |hand: &Hand| sum(&hand.end).saturating_sub(sum(&hand.next));
    let in_hands: usize = HANDS.iter().map(dealt).sum();
    let (free, bare) =
        FREE.iter().map(Slots::counts).fold((0, 0), |(f, b), (f1, b1)| (f + f1, b + b1));
    Usage {
        made: sum(&DEALT).saturating_sub(in_hands),
        free,
        bare,
        committed: pages::STACKS.pages() * PAGE,
        tables: pages::STACKS.tables() * PAGE,
    }
}

/// How often the classes' locks were taken, and how often someone had to spin for one.
pub fn lock_stats() -> (u64, u64) {
    let ((free, contended), dirty) = (slots::lock_stats(&FREE), DIRTY.stats());
    (free + dirty.0, contended + dirty.1)
}
