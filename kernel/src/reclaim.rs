//! When memory is short: gets back what is kept and not needed, before an allocation fails.
//!
//! Whoever finds no frame for a stack, for the heap or for a page table comes here, holding none of
//! this crate's locks ([`until`], and the program's allocator). These give memory back, in this
//! order, until there is some:
//!
//! 1. Free stacks lose their memory ([`stacks::strip`]); if there are none, free g's give their
//!    stacks back first (`executive::reclaim`).
//! 2. The heap's free large blocks lose their memory ([`large::strip`]).
//! 3. Goroutines that are off their CPUs lose the pages below their stack pointers (`trim`).
//!
//! Each time only some do, so that nobody waits long; an allocation that needs more comes again.
//! The page-fault handler cannot come here. It has a margin of frames of its own (frames.rs), and
//! when it has to touch that, it makes the CPU come here as soon as it can ([`refill`]).
//!
//! **Rule:** one CPU reclaims at a time. A CPU that had to wait tries its allocation again before
//! it reclaims, because there is probably memory by then.
#![allow(unsafe_code)] // The program's allocator; pages of stacks that others own.

use crate::heap::Heap;
use crate::pages::{self, PAGE, Taken, committed, is_present};
use crate::param::{PAGES_AT_A_TIME, STACKS_AT_A_TIME, TRIMMED_AT_A_TIME};
use crate::{clock, frames, hold, large, stacks};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU64, Ordering};
use executive::lock::{Heard, Lock, Rank};
use executive::reclaim::{Resting, give_back, resting};

struct Reclaim {
    /// No search for goroutines to trim before this time (ns): the last one was in vain, and a
    /// search looks at every goroutine.
    rest_until: u64,
    /// Where the last search for goroutines to trim ended.
    last: Option<Resting>,
    /// Those that it found.
    found: [Option<Resting>; TRIMMED_AT_A_TIME],
}

static RECLAIM: Lock<Reclaim> = Lock::new(
    Rank::Reclaim,
    Reclaim { rest_until: 0, last: None, found: [None; TRIMMED_AT_A_TIME] },
);

/// How often something was got back. Written under the lock. A CPU that has read it before a failed
/// attempt knows whether to try again first.
static TIMES: AtomicU64 = AtomicU64::new(0);
/// Pages got back so far: from free stacks, from the heap, and from parked goroutines. Written
/// under the lock.
static STRIPPED: AtomicU64 = AtomicU64::new(0);
static FREED: AtomicU64 = AtomicU64::new(0);
static TRIMMED: AtomicU64 = AtomicU64::new(0);

/// Tries, reclaims and tries again, until it succeeds or nothing more can be got back.
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
        reclaim.rest_until = 0; // goroutines have ended, and others may have parked
    }
    let some = some || free_heap() || reclaim.trim_unless_in_vain();
    if some {
        TIMES.store(before + 1, Ordering::Release);
    }
    some
}

/// The page-fault handlers' margin was touched: gets back enough for it, and for a few new stacks.
pub fn refill() {
    while frames::are_few() && more_since(TIMES.load(Ordering::Acquire)) {}
}

/// Gets back the memory of all that is free, so that what is in use can be seen. The free g's of
/// busy CPUs keep their stacks for now.
pub fn all_free() {
    let _one = RECLAIM.lock();
    while free_stacks() || free_heap() {}
}

fn free_stacks() -> bool {
    // Those that are free already; only then those that free g's keep.
    let mut pages = stacks::strip(STACKS_AT_A_TIME);
    if pages == 0 && give_back(STACKS_AT_A_TIME) > 0 {
        pages = stacks::strip(STACKS_AT_A_TIME);
    }
    got_back(&STRIPPED, pages)
}

fn free_heap() -> bool {
    got_back(&FREED, large::strip(PAGES_AT_A_TIME))
}

/// Adds to a total; `true` if there were any pages.
fn got_back(total: &AtomicU64, pages: usize) -> bool {
    total.store(total.load(Ordering::Relaxed) + pages as u64, Ordering::Relaxed);
    pages > 0
}

impl Reclaim {
    /// When goroutines fill the memory and thousands of calls ask for more, each would look at all
    /// goroutines, in vain and pinned. So after a search in vain there is none for ten times as
    /// long as it took.
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

    /// Takes pages that goroutines off their CPUs do not use. `true` if there were any.
    ///
    /// The search runs while everyone runs, and looks at the page that would go first. The pages
    /// are taken after a second look, while all other CPUs stand still. Then a goroutine that is
    /// off its CPU stays off it, and nobody uses what lies below its saved stack pointer. A CPU
    /// that runs it afterwards has forgotten these pages, so that it faults on them and gets new
    /// ones. `ready` and `execute` need not know.
    fn trim(&mut self) -> bool {
        /// All that were found may run at the second look. Then others are looked for, but not for
        /// ever.
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
                    // SAFETY: STACK-OWNER: the goroutine is off its CPU and stays so, because all
                    // other CPUs stand still and this one runs nothing of the executive. Below its
                    // saved stack pointer nothing is in use.
                    pages += unsafe { taken.pages(&pages::STACKS, stacks::unused(stack, sp)) };
                }
            });
            // SAFETY: each CPU flushes before it goes on (hold.rs).
            unsafe { taken.free() };
            if got_back(&TRIMMED, pages) {
                return true;
            }
        }
        false
    }

    /// Finds goroutines that have something to trim, beginning after the one that the last search
    /// ended with. Returns how many.
    fn find(&mut self) -> usize {
        let has_unused = |goroutine: &Resting| {
            let below = goroutine.stack().map(|(stack, sp)| stacks::unused(stack, sp));
            below.is_some_and(|pages| !pages.is_empty() && is_present(pages.end - PAGE))
        };
        let from_the_start = self.last.map(|_| resting(None)).into_iter().flatten();
        let mut count = 0;
        for goroutine in
            resting(self.last).chain(from_the_start).filter(has_unused).take(TRIMMED_AT_A_TIME)
        {
            self.found[count] = Some(goroutine);
            count += 1;
        }
        self.last = if count == TRIMMED_AT_A_TIME { self.found[count - 1] } else { None };
        count
    }
}

/// Pages got back since the start: from free stacks, from the heap, and from goroutines off their
/// CPUs.
pub fn counts() -> [u64; 3] {
    [&STRIPPED, &FREED, &TRIMMED].map(|n| n.load(Ordering::Relaxed))
}

/// The heap, for the whole program: it reclaims before it fails.
struct Reclaiming;

#[cfg_attr(not(feature = "own-heap"), global_allocator)]
#[cfg_attr(feature = "own-heap", expect(dead_code, reason = "the program has another"))]
static ALLOCATOR: Heard<Reclaiming> = Heard(Reclaiming);

/// As the heap's functions return it: null is none.
#[inline]
fn until_not_null(size: usize, attempt: impl Fn() -> *mut u8) -> *mut u8 {
    let block = attempt();
    if block.is_null() { reclaim_for(size, attempt) } else { block }
}

/// A request that is larger than all memory reclaims nothing.
#[cold]
fn reclaim_for(size: usize, attempt: impl Fn() -> *mut u8) -> *mut u8 {
    let block = || NonNull::new(attempt());
    let block = if size < frames::total_bytes() { until_slowly(block) } else { None };
    block.map_or(ptr::null_mut(), NonNull::as_ptr)
}

// SAFETY: all blocks come from the heap, which keeps the promises.
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
        // SAFETY: as above; if it fails, the block is unchanged.
        until_not_null(new_size, || unsafe { Heap.realloc(block, layout, new_size) })
    }
}
