//! Goroutines' stacks, and those of signal handlers: slots cut from large mappings, each with a
//! guard page at its low end.
//!
//! A slot is a power of two, guard included, so a stack of 60 KiB lies in 64 KiB. Slots of one size
//! are cut from regions of at least 64 MiB. Free ones are linked through their topmost words, so
//! that alloc and free are O(1).
//!
//! The guards are the difficulty. Linux allows a process 65,530 mappings (vm.max_map_count), and a
//! page that is protected by `mprotect` splits a mapping in two, so that there could be no more
//! than 32,000 stacks. Since Linux 6.13 there are guard pages in the page table alone
//! (MADV_GUARD_INSTALL): a region stays one mapping, and a million stacks take a thousand of them.
//! Older ones get `mprotect`, and `alloc_stack` returns `None` when Linux refuses that: a stack
//! without a guard would break the contract silently. (`sysctl vm.max_map_count` raises the limit.)
//!
//! Rejected: one `mmap` per stack (a mapping each), and no guards beyond some number of stacks (see
//! above).
#![allow(unsafe_code)] // mappings, and the free list that lives in them

use core::sync::atomic::{AtomicBool, Ordering};
use executive::machine::Stack;
use executive::reclaim::give_back;
use std::sync::Mutex;

pub const PAGE: usize = 4096;
const GUARD: usize = PAGE;
const SMALLEST_SLOT: usize = 4 * PAGE;
/// Classes: 16 KiB, 32 KiB, ... 128 MiB (a stack of 64 MiB and its guard).
const CLASSES: usize = 14;
const REGION: usize = 64 << 20;

/// Whether guards in the page table work; true until one is refused.
static LIGHT_GUARDS: AtomicBool = AtomicBool::new(true);

/// The slots of one size.
struct Class {
    /// The top (`hi`) of the first free stack. The word at `hi - 8` holds the next one's; 0 ends
    /// the list.
    free: usize,
    /// The rest of the newest region, not cut yet.
    next: usize,
    end: usize,
}

static TABLE: [Mutex<Class>; CLASSES] =
    [const { Mutex::new(Class { free: 0, next: 0, end: 0 }) }; CLASSES];

/// The class for stacks of `size` bytes, and its slot size.
fn class(size: usize) -> Option<(usize, usize)> {
    let slot = size.checked_add(GUARD)?.checked_next_power_of_two()?.max(SMALLEST_SLOT);
    let class = (slot / SMALLEST_SLOT).trailing_zeros() as usize;
    (class < CLASSES).then_some((class, slot))
}

pub fn alloc(size: usize) -> Option<Stack> {
    let (class, slot) = class(size)?;
    cut(class, slot).or_else(|| if give_back(usize::MAX) > 0 { cut(class, slot) } else { None })
}

/// A stack of the class, whose slots have this size.
fn cut(class: usize, slot: usize) -> Option<Stack> {
    let mut class = TABLE[class].lock().unwrap();
    let hi = class.free;
    if hi != 0 {
        // SAFETY: a free slot is ours, and its topmost word holds the link (see `free`).
        class.free = unsafe { link(hi).read() };
        return Some(Stack { lo: hi - slot + GUARD, hi });
    }
    if class.next == class.end {
        let region = map_region(REGION.max(slot))?;
        (class.next, class.end) = (region, region + REGION.max(slot));
    }
    if !guard(class.next) {
        return None;
    }
    let lo = class.next;
    class.next += slot;
    drop(class);
    let hi = lo + slot;
    // SAFETY: the slot's topmost word, mapped, ours. Commits the page, as `alloc_stack` promises.
    unsafe { link(hi).write_volatile(0) };
    Some(Stack { lo: lo + GUARD, hi })
}

/// Gives the calling thread a stack for its signal handlers. It is never given back: CPU threads do
/// not end. The one that std makes is too small for a crash report.
pub fn for_signals() {
    /// A signal frame takes up to 11 KiB of it (AVX-512, AMX); printing a report a few KiB.
    const BYTES: usize = 124 * 1024;
    let stack = alloc(BYTES).expect("hosted: no memory for a signal stack");
    let new = libc::stack_t { ss_sp: stack.lo as _, ss_flags: 0, ss_size: stack.size() };
    // SAFETY: memory that nothing else uses, for as long as the thread lives.
    let r = unsafe { libc::sigaltstack(&new, core::ptr::null_mut()) };
    assert!(r == 0, "hosted: sigaltstack: {}", std::io::Error::last_os_error());
}

/// # Safety
/// As [`executive::machine::Machine::free_stack`].
pub unsafe fn free(stack: Stack) {
    // SAFETY: within one of our mappings, and the caller has given up its contents.
    unsafe { libc::madvise(stack.lo as _, stack.size() - PAGE, libc::MADV_DONTNEED) };
    let (class, slot) = class(stack.size()).expect("free_stack: no stack of ours");
    debug_assert!(stack.size() + GUARD == slot);
    let mut class = TABLE[class].lock().unwrap();
    // SAFETY: nobody uses the stack any more, so its topmost word may hold the link.
    unsafe { link(stack.hi).write(class.free) };
    class.free = stack.hi;
}

fn link(hi: usize) -> *mut usize {
    core::ptr::without_provenance_mut::<usize>(hi - size_of::<usize>())
}

/// Maps addresses without memory. NORESERVE, so that a thousand regions pass Linux's overcommit
/// check.
fn map_region(bytes: usize) -> Option<usize> {
    // SAFETY: a new anonymous mapping at an address that Linux chooses.
    let region = unsafe {
        libc::mmap(
            core::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if region == libc::MAP_FAILED {
        return None;
    }
    // A huge page would commit 32 stacks at the first touch of one.
    // SAFETY: advice about the new mapping.
    unsafe { libc::madvise(region, bytes, libc::MADV_NOHUGEPAGE) };
    Some(region as usize)
}

/// Makes the page at `at` fault.
fn guard(at: usize) -> bool {
    const MADV_GUARD_INSTALL: libc::c_int = 102; // asm-generic/mman-common.h, Linux 6.13
    if LIGHT_GUARDS.load(Ordering::Relaxed) {
        // SAFETY: a page of a new slot, which nobody uses.
        if unsafe { libc::madvise(at as _, GUARD, MADV_GUARD_INSTALL) } == 0 {
            return true;
        }
        LIGHT_GUARDS.store(false, Ordering::Relaxed);
    }
    // SAFETY: as above.
    unsafe { libc::mprotect(at as _, GUARD, libc::PROT_NONE) == 0 }
}

/// Bytes of the stack that are backed by memory, as Linux tells.
pub fn committed(stack: Stack) -> usize {
    let mut pages = [0u8; 256];
    let mut total = 0;
    let mut at = stack.lo;
    while at < stack.hi {
        let n = ((stack.hi - at) / PAGE).min(pages.len());
        // SAFETY: writes `n` bytes of `pages`; the range is a mapping of ours.
        if unsafe { libc::mincore(at as _, n * PAGE, pages.as_mut_ptr()) } != 0 {
            return 0;
        }
        total += pages[..n].iter().filter(|&&p| p & 1 != 0).count() * PAGE;
        at += n * PAGE;
    }
    total
}
