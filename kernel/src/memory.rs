//! Where every page of RAM is, and how contended the machine's locks are: for the console's `mem`
//! and `locks`.
#![allow(unsafe_code)] // Memory that is in use is taken away.

use crate::{frames, gdt, heap, pages, paging, reclaim, serial, stacks};
use core::alloc::Layout;
use core::ptr::NonNull;

const FRAME: u64 = frames::FRAME;

/// Bytes of RAM by use. The parts of `usable` add up to it, apart from changes while they are read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// The memory in the firmware's map: usable, taken by the kernel image and the bootloader, and
    /// kept by the firmware. (The last are addresses, not all of them RAM.)
    pub usable: u64,
    pub kernel: u64,
    pub firmware: u64,
    /// Of `usable`: committed pages of goroutines' stacks, and the tables that map them.
    pub stacks: u64,
    pub stack_tables: u64,
    /// The heap's memory; and how much of it is cut into blocks, free ones included.
    pub heap: u64,
    pub heap_given: u64,
    /// Of that, in blocks that are in use; the rest waits in chains.
    pub heap_in_use: u64,
    /// CPUs' own stacks.
    pub cpu_stacks: u64,
    /// Zeroed frames that CPUs keep for their next page fault.
    pub reserves: u64,
    /// All other page tables.
    pub tables: u64,
    /// Below 1 MiB: for starting CPUs.
    pub low: u64,
    pub free: u64,
}

/// Counts it all. The parts are read one after the other: no snapshot while others allocate.
pub fn usage() -> Memory {
    let (usable, kernel, firmware) = frames::map_bytes();
    let (total, used) = frames::counts();
    let (heap, heap_given) = heap::usage();
    let stacks = pages::STACKS.pages() as u64 * FRAME;
    let stack_tables = pages::STACKS.tables() as u64 * FRAME;
    let reserves = frames::reserved() as u64 * FRAME;
    let cpu_stacks = gdt::stack_bytes() as u64;
    let known = stacks + stack_tables + heap as u64 + cpu_stacks + reserves;
    let (total, used) = (total as u64 * FRAME, used as u64 * FRAME);
    Memory {
        usable,
        kernel,
        firmware,
        stacks,
        stack_tables,
        heap: heap as u64,
        heap_given: heap_given as u64,
        heap_in_use: heap::in_use() as u64,
        cpu_stacks,
        reserves,
        tables: used.saturating_sub(known),
        low: usable.saturating_sub(total),
        free: total.saturating_sub(used),
    }
}

/// Takes the memory of a block of the heap that is in use: it keeps its addresses. What was in it
/// is lost. `false`: it has no pages of its own, being of 8 KiB or less, and keeps its memory.
/// Now and then this interrupts every CPU.
///
/// # Safety
/// The kernel's heap has given the block, for that layout, and nobody has freed it. Nobody looks
/// into it, or writes there, before [`commit`] has succeeded. It may be freed without that.
pub unsafe fn decommit(block: NonNull<u8>, layout: Layout) -> bool {
    // SAFETY: the caller's promise.
    unsafe { heap::decommit(block, layout) }
}

/// Gives it memory again; nobody knows what is in it. `false`: there is none.
pub fn commit(block: NonNull<u8>, layout: Layout) -> bool {
    reclaim::until(|| heap::commit(block, layout).then_some(())).is_some()
}

/// The machine's locks by name, with the number of acquisitions, and of those that had to spin.
/// `executive::census::locks` tells the same of the executive's.
pub fn locks() -> [(&'static str, (u64, u64)); 5] {
    [
        ("stacks", stacks::lock_stats()),
        ("heap", heap::lock_stats()),
        ("page tables", paging::lock_stats()),
        ("frames", frames::lock_stats()),
        ("output", serial::lock_stats()),
    ]
}
