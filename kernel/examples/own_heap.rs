//! A kernel with its own allocator, the spin-locked heap of many a small kernel (`--features
//! own-heap`).
//!
//! With a bare spin lock a goroutine could be preempted while it holds it, so the heap is `Pinned`.
//! On the command line: `ask` puts the machine contract's questions; with `unpinned` the heap is
//! not pinned (the questions find that, and without them the machine hangs).
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use executive::go;
use executive::lock::Pinned;
use executive::time::{Duration, sleep};
use kernel::bootloader_api::{BootInfo, entry_point};
use kernel::println;
use kernel::x86_64::instructions::interrupts;
use linked_list_allocator::LockedHeap;

/// With a switch, to see the wrong kind too. Without one it is `static HEAP: Pinned<LockedHeap>`.
struct Heap(Pinned<LockedHeap>);

static UNPINNED: AtomicBool = AtomicBool::new(false);

// SAFETY: both ways lead to the same heap, which keeps the promises.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match UNPINNED.load(Relaxed) {
            // SAFETY: the caller's promise, passed on.
            false => unsafe { self.0.alloc(layout) },
            // SAFETY: as above.
            true => unsafe { self.0.0.alloc(layout) },
        }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match UNPINNED.load(Relaxed) {
            // SAFETY: as above.
            false => unsafe { self.0.dealloc(block, layout) },
            // SAFETY: as above.
            true => unsafe { self.0.0.dealloc(block, layout) },
        }
    }
}

#[global_allocator]
static HEAP: Heap = Heap(Pinned(LockedHeap::empty()));

const MEMORY: usize = 8 << 20;

entry_point!(start, config = &kernel::start::BOOT);

fn start(info: &'static mut BootInfo) -> ! {
    static mut BYTES: [u8; MEMORY] = [0; MEMORY];
    // SAFETY: once, and nobody else has these bytes.
    unsafe { HEAP.0.0.lock().init((&raw mut BYTES).cast(), MEMORY) };
    kernel::start::bring_up(info); // GS first; then it allocates
    interrupts::enable();
    let how = kernel::command_line();
    UNPINNED.store(how.contains("unpinned"), Relaxed);
    if how.contains("ask") { ask() } else { executive::start(main) }
}

fn ask() -> ! {
    let wrong = contract::run(&[], &mut |question, verdict| {
        println!("{}", contract::Line(question, verdict))
    });
    executive::machine::exit((wrong > 0) as i32)
}

const GOROUTINES: usize = 200;
const ROUNDS: usize = 50;

/// Everybody allocates: goroutines, which are preempted meanwhile, and the scheduler, pinned and on
/// g0 (places in the array of timers for those who sleep, g's for those who are born).
fn main() {
    let all_rounds = |n| (0..ROUNDS).map(|round| work(n, round)).sum::<usize>();
    let all: Vec<_> = (0..GOROUTINES).map(|n| go(move || all_rounds(n))).collect();
    let sum: usize = all.into_iter().map(|each| each.join()).sum();
    assert_eq!(sum, GOROUTINES * ROUNDS * (0..100).sum::<usize>());
    let cpus = executive::affinity::cpus();
    println!("{GOROUTINES} goroutines have allocated, slept and had children on {cpus} CPUs");
}

fn work(n: usize, round: usize) -> usize {
    let boxes: Vec<_> = (0..100usize).map(Box::new).collect();
    match (n + round) % 4 {
        0 => sleep(Duration::from_micros((n * 7 % 300) as u64)),
        1 => return go(move || boxes.iter().map(|n| **n).sum()).join(),
        _ => {}
    }
    boxes.iter().map(|n| **n).sum()
}
