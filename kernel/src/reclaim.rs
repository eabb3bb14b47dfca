//! When memory is short: getting back what is kept and not needed, before anyone is told that there is none.
//!
//! Whoever finds no frame for a stack, for the heap or for a page table comes here, holding none of this crate's locks ([`until`], and the program's
//! allocator). In this order, as far as it takes:
//!
//! 1. Free g's give their stacks back (`executive::reclaim`), and free stacks their memory ([`stacks::strip`]).
//! 2. So do the heap's large blocks that are free ([`large::strip`]).
//! 3. Goroutines that are off their CPUs lose the pages below their stack pointers (`trim`).
//!
//! Each time only so many, so that nobody waits long; who needs more comes again. What cannot come here is the page-fault handler. It has a margin of frames of
//! its own (frames.rs), and when it has to touch that, it asks that the CPU come here as soon as it can ([`refill`]).
//!
//! The one rule: one CPU at a time; who had to wait tries again before it reclaims, since what it wanted is probably there.
#![allow(unsafe_code)] // The program's allocator; pages of stacks that others own.

use crate::heap::Heap;
use crate::pages::{self, PAGE, Taken, committed, is_present};
use crate::{clock, frames, hold, large, stacks};
use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicU64, Ordering};
use executive::lock::{Lock, Rank};
use executive::reclaim::{Resting, give_back, resting};

/// Free stacks that are taken at a time: 4 MiB, if they have a page each.
const FREE_STACKS: usize = 1024;
/// Pages of the heap's that are taken at a time.
const FREE_PAGES: usize = 1024;
/// Goroutines that are trimmed at a time, while no other CPU runs: so that this takes a millisecond at the most.
const GOROUTINES: usize = 256;

struct Reclaim {
    /// Until then (ns) goroutines to trim are not looked for: it was done in vain, and takes time for each goroutine there is.
    rest_until: u64,
    /// Where the last search for goroutines to trim ended.
    last: Option<Resting>,
    /// Those it found.
    found: [Option<Resting>; GOROUTINES],
}

static RECLAIM: Lock<Reclaim> =
    Lock::new(Rank::Reclaim, Reclaim { rest_until: 0, last: None, found: [None; GOROUTINES] });

/// How many times something was got back. Written under the lock; who reads it before an attempt that fails knows whether to try again first.
static TIMES: AtomicU64 = AtomicU64::new(0);
/// Pages got back so far: free stacks', the heap's, and parked goroutines'. Written under the lock.
static STRIPPED: AtomicU64 = AtomicU64::new(0);
static FREED: AtomicU64 = AtomicU64::new(0);
static TRIMMED: AtomicU64 = AtomicU64::new(0);

/// Tries, and reclaims and tries again, until it succeeds or there is nothing more to be had.
#[inline]
pub fn until<T>(attempt: impl Fn() -> Option<T>) -> Option<T> {
    attempt().or_else(|| until_slowly(attempt))
}

#[cold]
fn until_slowly<T>(attempt: impl Fn() -> Option<T>) -> Option<T> {
    loop {
        let before = TIMES.load(Ordering::Acquire);
        let result = attempt();
        if result.is_some() || !more_since(before) {
            return result;
        }
    }
}

/// Whether memory was got back, by this call or by another since `before`.
fn more_since(before: u64) -> bool {
    let mut reclaim = RECLAIM.lock();
    if TIMES.load(Ordering::Relaxed) != before {
        return true;
    }
    let some = free_stacks();
    if some {
        reclaim.rest_until = 0; // others have ended, and others yet may have parked
    }
    let some = some || free_heap() || reclaim.trim_unless_in_vain();
    if some {
        TIMES.store(before + 1, Ordering::Release);
    }
    some
}

/// The page-fault handlers' margin was touched: gets enough back for it, and for a few new stacks.
pub fn refill() {
    while frames::are_few() && more_since(TIMES.load(Ordering::Acquire)) {}
}

/// Gets the memory of all that is free back, so that what is in use can be seen. Stacks of busy CPUs come later.
pub fn all_free() {
    let _one = RECLAIM.lock();
    while free_stacks() || free_heap() {}
}

fn free_stacks() -> bool {
    // Those that are free already, before goroutines lose theirs.
    let mut pages = stacks::strip(FREE_STACKS);
    if pages == 0 && give_back(FREE_STACKS) > 0 {
        pages = stacks::strip(FREE_STACKS);
    }
    got_back(&STRIPPED, pages)
}

fn free_heap() -> bool {
    got_back(&FREED, large::strip(FREE_PAGES))
}

/// So many pages were got back; whether there were any.
fn got_back(total: &AtomicU64, pages: usize) -> bool {
    total.store(total.load(Ordering::Relaxed) + pages as u64, Ordering::Relaxed);
    pages > 0
}

impl Reclaim {
    /// Where memory is full of goroutines, and thousands ask for more, each would look at all of them, in vain and pinned: so who looked in vain lets the others be
    /// for ten times as long as it took.
    fn trim_unless_in_vain(&mut self) -> bool {
        let begun = clock::now_ns();
        if begun < self.rest_until {
            return false;
        }
        let some = self.trim();
        if !some {
            let now = clock::now_ns();
            self.rest_until = now + 10 * (now - begun);
        }
        some
    }

    /// Takes pages that goroutines off their CPUs do not use; whether there were any.
    ///
    /// They are looked for while everyone runs, by a look at the page that would go first. They are taken while all other CPUs stand still, by a second look: then a goroutine that
    /// is off its CPU stays so, what lies below its saved stack pointer is nobody's, and whoever runs it afterwards has forgotten these pages, so that it finds
    /// them missing and gets new ones. Nothing is asked of `ready` or `execute` for that.
    fn trim(&mut self) -> bool {
        /// Those that were found may all run at the second look. Others are found then; but not for ever.
        const TRIES: usize = 8;
        for _ in 0..TRIES {
            let count = self.find();
            if count == 0 {
                return false;
            }
            let mut taken = Taken::NONE;
            let mut pages = 0;
            hold::others(|| {
                for goroutine in self.found[..count].iter().flatten() {
                    let Some((stack, sp)) = goroutine.stack() else { continue };
                    goroutine.note_depth(committed(stack));
                    // SAFETY: STACK-OWNER: it is off its CPU and stays so while others stand still, and we run nothing of the executive; below its saved
                    // stack pointer nothing is used.
                    pages += unsafe { taken.pages(&pages::STACKS, stacks::unused(stack, sp)) };
                }
            });
            // SAFETY: `hold` says that each CPU flushes before it goes on.
            unsafe { taken.free() };
            if got_back(&TRIMMED, pages) {
                return true;
            }
        }
        false
    }

    /// Finds goroutines that have something to trim: from where the last search ended, to there again. Returns how many.
    fn find(&mut self) -> usize {
        let has_unused = |goroutine: &Resting| {
            let below = goroutine.stack().map(|(stack, sp)| stacks::unused(stack, sp));
            below.is_some_and(|pages| !pages.is_empty() && is_present(pages.end - PAGE))
        };
        let from_the_start = self.last.map(|_| resting(None)).into_iter().flatten();
        let mut count = 0;
        for goroutine in resting(self.last).chain(from_the_start).filter(has_unused).take(GOROUTINES) {
            self.found[count] = Some(goroutine);
            count += 1;
        }
        self.last = if count == GOROUTINES { self.found[count - 1] } else { None };
        count
    }
}

/// Pages got back since the start: from free stacks, from the heap, and from goroutines off their CPUs.
pub fn counts() -> [u64; 3] {
    [&STRIPPED, &FREED, &TRIMMED].map(|n| n.load(Ordering::Relaxed))
}

/// The heap, for the whole program: it reclaims before it fails.
struct Reclaiming;

#[cfg_attr(not(feature = "own-heap"), global_allocator)]
#[cfg_attr(feature = "own-heap", expect(dead_code, reason = "the program has another"))]
static ALLOCATOR: Reclaiming = Reclaiming;

/// As the heap's functions return it: null is none. Nothing is given back for what is larger than all memory.
fn until_not_null(size: usize, attempt: impl Fn() -> *mut u8) -> *mut u8 {
    let block = || Some(attempt()).filter(|block| !block.is_null());
    let block = if size < frames::total_bytes() { until(block) } else { block() };
    block.unwrap_or(core::ptr::null_mut())
}

// SAFETY: all blocks are the heap's, and all promises its.
unsafe impl GlobalAlloc for Reclaiming {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        until_not_null(layout.size(), || unsafe { Heap.alloc(layout) })
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { Heap.dealloc(block, layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as above; if it fails, the block is what and where it was.
        until_not_null(new_size, || unsafe { Heap.realloc(block, layout, new_size) })
    }
}
