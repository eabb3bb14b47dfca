//! The heap: `Box`, `Vec` and the executive's own nouns.
//!
//! It has three levels. Each is asked only when the one before is empty or full:
//!
//! 1. This CPU's two chains of free blocks per size class: no lock, a few instructions.
//! 2. The class's list of whole chains, under a lock of its own, which is taken once per chain.
//! 3. `linked_list_allocator` over a range of addresses that grows by mapping fresh frames.
//!
//! Larger blocks have pages of their own (large.rs).
//!
//! A block may be freed on any CPU: it joins that CPU's chain, and goes back to the class with a
//! whole chain. A CPU has two chains, so that an alloc and a free at the border of one do not take
//! the lock each time.
//!
//! **Rule:** chains are touched pinned; nothing here runs in a handler (IRQ-CLEAN).
#![allow(unsafe_code)] // An allocator hands out raw memory.

use crate::pages::{self, PAGE};
use crate::param::GROWTH;
use crate::{frames, large, layout, paging};
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};
use executive::lock::{CountedLock, Rank};
use executive::param::MAX_CPUS;
use executive::percpu::{Pin, cpu};

/// Block sizes: at most a quarter is wasted. Chunks are aligned to the largest size, so a block is
/// aligned to the largest power of two that divides its size: all to 16, those of 192 bytes to 64.
const SIZES: [usize; 32] = [
    16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024,
    1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192,
];
const LARGEST: usize = 8192;

/// What a class takes from the backing heap at a time. Aligned to the largest block.
const CHUNK: usize = 32 * 1024;

/// Blocks in a chain: about 4 KiB of small ones, but at least 4, so that the lock is not taken at
/// every step.
const fn chain_length(class: usize) -> usize {
    match 4096 / SIZES[class] {
        0..4 => 4,
        n @ 4..64 => n,
        _ => 64,
    }
}

/// The class for a layout; `None`: large.rs serves the block.
const fn class_of(layout: Layout) -> Option<usize> {
    // An alignment is a power of two, which the compiler does not see: it would divide by it.
    let below = layout.align() - 1;
    let size = (layout.size() + below) & !below;
    if size > LARGEST || layout.align() > LARGEST {
        return None;
    }
    let mut class = smallest(size);
    while SIZES[class] & below != 0 {
        class += 1; // the last size of each doubling is a power of two
    }
    Some(class)
}

/// The first class of this size or more.
const fn smallest(size: usize) -> usize {
    if size <= 128 {
        return if size == 0 { 0 } else { (size - 1) / 16 };
    }
    // Four classes a doubling: 129..=256 are classes 8..=11, and so on.
    let doubling = (size - 1).ilog2() as usize; // 7 for 129..=256
    let quarter = ((size - 1) >> (doubling - 2)) - 4;
    8 + (doubling - 7) * 4 + quarter
}

const _: () = {
    let mut size = 1;
    while size <= LARGEST {
        let class = smallest(size);
        assert!(
            SIZES[class] >= size && (class == 0 || SIZES[class - 1] < size),
            "class_of and SIZES disagree"
        );
        size += 1;
    }
};

/// A free block. The second word is used in the first block of a chain only.
#[repr(C)]
struct Block {
    next: *mut Block,
    next_chain: *mut Block,
}

/// Free blocks linked by `next`.
#[derive(Clone, Copy)]
struct Chain {
    first: *mut Block,
    length: usize,
}

impl Chain {
    const EMPTY: Chain = Chain { first: ptr::null_mut(), length: 0 };

    fn pop(&mut self) -> Option<NonNull<Block>> {
        let block = NonNull::new(self.first)?;
        // SAFETY: a free block of ours, so its words are links.
        self.first = unsafe { block.as_ref().next };
        self.length -= 1;
        Some(block)
    }

    /// # Safety
    /// `block` is free, and of the chain's class.
    unsafe fn push(&mut self, block: *mut Block) {
        // SAFETY: the caller's promise; every class has room for two words.
        unsafe { (*block).next = self.first };
        self.first = block;
        self.length += 1;
    }
}

/// A CPU's free blocks of one class.
struct Cache {
    active: Chain,
    /// Empty, or a whole chain.
    spare: Chain,
    /// Blocks given out on this CPU minus those freed on it; the sum over all CPUs is the number in
    /// use. Written by this CPU, read by all.
    given: AtomicIsize,
}

impl Cache {
    const fn new() -> Self {
        Cache { active: Chain::EMPTY, spare: Chain::EMPTY, given: AtomicIsize::new(0) }
    }

    fn count(&self, change: isize) {
        self.given.store(self.given.load(Relaxed) + change, Relaxed);
    }
}

#[repr(align(64))]
struct Caches(UnsafeCell<[Cache; SIZES.len()]>);
// SAFETY: PINNED: element n of `CACHES` is touched by CPU n only, pinned.
unsafe impl Sync for Caches {}

static CACHES: [Caches; MAX_CPUS] =
    [const { Caches(UnsafeCell::new([const { Cache::new() }; SIZES.len()])) }; MAX_CPUS];

/// What all CPUs share of a class.
struct Shared {
    /// Whole chains, linked by `next_chain`.
    chains: *mut Block,
    /// The part of the newest chunk that was never given out.
    fresh: usize,
    fresh_end: usize,
}
// SAFETY: the pointers lead to free blocks, which belong to the holder of the lock around this.
unsafe impl Send for Shared {}

static SHARED: [CountedLock<Shared>; SIZES.len()] = [const {
    CountedLock::counted(Rank::Heap, Shared { chains: ptr::null_mut(), fresh: 0, fresh_end: 0 })
}; SIZES.len()];

/// The backing heap and how far its range is mapped.
struct Backing {
    heap: linked_list_allocator::Heap,
    end: u64,
}

static BACKING: CountedLock<Backing> = CountedLock::counted(
    Rank::Heap,
    Backing { heap: linked_list_allocator::Heap::empty(), end: layout::HEAP },
);

/// Bytes mapped for the backing heap, and bytes of them that it has given out, for reports.
static MAPPED: AtomicUsize = AtomicUsize::new(0);
static GIVEN: AtomicUsize = AtomicUsize::new(0);
/// Bytes in use of blocks that are larger than the largest class, if they have their memory.
static LARGE: AtomicUsize = AtomicUsize::new(0);

impl Backing {
    fn alloc(&mut self, layout: Layout) -> *mut u8 {
        let block = self.heap.allocate_first_fit(layout).or_else(|()| {
            let needed = layout.size() + layout.align() + 64;
            // Try even if neither mapped as much as it should: together with the free end of the
            // heap it may do.
            let _ = self.grow(needed.max(GROWTH)) || self.grow(needed);
            self.heap.allocate_first_fit(layout)
        });
        GIVEN.store(self.heap.used(), Relaxed);
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    /// Maps at least `bytes` more. `false`: it could not, though it may have mapped some.
    fn grow(&mut self, bytes: usize) -> bool {
        let wanted = self.end + (bytes as u64).next_multiple_of(frames::FRAME);
        if wanted > layout::HEAP_END {
            return false;
        }
        let start = self.end;
        let end = paging::map_fresh(start, wanted);
        let got = (end - start) as usize;
        if got > 0 {
            // SAFETY: `[start, end)` was just mapped, follows what the heap has, and is nobody
            // else's.
            unsafe {
                if start == layout::HEAP {
                    self.heap.init(start as *mut u8, got);
                } else {
                    self.heap.extend(got);
                }
            }
            self.end = end;
            MAPPED.fetch_add(got, Relaxed);
        }
        end == wanted
    }
}

/// A chain of free blocks for a CPU that has none. Empty: out of memory.
#[cold]
fn refill(class: usize) -> Chain {
    let mut shared = SHARED[class].lock();
    if let Some(first) = NonNull::new(shared.chains) {
        // SAFETY: the first block of a whole, free chain.
        shared.chains = unsafe { first.as_ref().next_chain };
        return Chain { first: first.as_ptr(), length: chain_length(class) };
    }
    let size = SIZES[class];
    let mut chain = Chain::EMPTY;
    while chain.length < chain_length(class) {
        if shared.fresh + size > shared.fresh_end {
            let layout = Layout::from_size_align(CHUNK, LARGEST).expect("constants");
            let chunk = BACKING.lock().alloc(layout) as usize;
            if chunk == 0 {
                break; // what was cut so far is still good
            }
            (shared.fresh, shared.fresh_end) = (chunk, chunk + CHUNK);
        }
        // SAFETY: cut from a chunk of ours, never given out, big enough.
        unsafe { chain.push(shared.fresh as *mut Block) };
        shared.fresh += size;
    }
    chain
}

/// Takes back a CPU's surplus chain.
#[cold]
fn take_back(class: usize, chain: Chain) {
    let mut shared = SHARED[class].lock();
    // SAFETY: the chain is free and whole; its first block's second word is ours.
    unsafe { (*chain.first).next_chain = shared.chains };
    shared.chains = chain.first;
}

/// The heap, without reclaiming: it fails when memory is short. (reclaim.rs makes it the
/// program's.)
pub struct Heap;

// SAFETY: blocks come from disjoint pieces of the range and have one owner; `class_of` is the same
// at both ends.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class_of(layout) else {
            let block = large::alloc(layout);
            if !block.is_null() {
                LARGE.fetch_add(layout.size(), Relaxed);
            }
            return block;
        };
        let _pin = Pin::new();
        // SAFETY: PINNED: this CPU's own, and no reference outlives the pin.
        let cache = unsafe { &mut (*CACHES[cpu()].0.get())[class] };
        if cache.active.length == 0 {
            cache.active = core::mem::replace(&mut cache.spare, Chain::EMPTY);
            if cache.active.length == 0 {
                cache.active = refill(class);
            }
        }
        let Some(block) = cache.active.pop() else { return ptr::null_mut() };
        cache.count(1);
        block.as_ptr().cast()
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(class) = class_of(layout) else {
            // SAFETY: not null.
            let block = unsafe { NonNull::new_unchecked(block) };
            if large::is_backed(block, layout.size()) {
                LARGE.fetch_sub(layout.size(), Relaxed);
            }
            // SAFETY: the caller got it from `alloc`, which took it from large.rs for this layout.
            unsafe { large::free(block, layout) };
            return;
        };
        let _pin = Pin::new();
        // SAFETY: as in `alloc`.
        let cache = unsafe { &mut (*CACHES[cpu()].0.get())[class] };
        if cache.active.length == chain_length(class) {
            let full = core::mem::replace(&mut cache.active, Chain::EMPTY);
            let old = core::mem::replace(&mut cache.spare, full);
            if old.length != 0 {
                take_back(class, old);
            }
        }
        // SAFETY: the caller's block of this class, free from here on.
        unsafe { cache.active.push(block.cast()) };
        cache.count(-1);
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `new_size`, rounded up to the alignment, does not
        // overflow.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        let class = class_of(layout);
        if class.is_some() && class == class_of(new) {
            return block; // it fits where it is
        }
        // SAFETY: as `GlobalAlloc` says; both are valid for the smaller size and do not overlap.
        unsafe {
            let to = self.alloc(new);
            if !to.is_null() {
                ptr::copy_nonoverlapping(block, to, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            to
        }
    }
}

/// Takes the memory of a block that is in use: it keeps its addresses. What was in it is lost.
/// `false`: it is not large, and keeps its memory. Now and then this interrupts every CPU.
///
/// # Safety
/// The heap has given the block, for that layout, and nobody has freed it. Nobody looks into it, or
/// writes there, before [`commit`] has succeeded. It may be freed without that.
pub unsafe fn decommit(block: NonNull<u8>, layout: Layout) -> bool {
    // SAFETY: the caller's promise.
    let taken = large::is_ours(block) && unsafe { large::decommit(block, layout) };
    if taken {
        LARGE.fetch_sub(layout.size(), Relaxed);
    }
    taken
}

/// Backs a block again that [`decommit`] has taken the memory of. `false`: memory is short.
pub fn commit(block: NonNull<u8>, layout: Layout) -> bool {
    let has = large::back(block.addr().get(), layout.size());
    if has {
        LARGE.fetch_add(layout.size(), Relaxed);
    }
    has
}

/// Bytes in blocks that were given out and not freed; a block counts as large as its class. Exact
/// while nobody allocates.
pub fn in_use() -> usize {
    // SAFETY: `given` is atomic, and this reads nothing else of another CPU's.
    let given = |cpu: &Caches, class: usize| {
        unsafe { (&raw const (*cpu.0.get())[class].given).as_ref() }.map_or(0, |n| n.load(Relaxed))
    };
    let blocks = |class| CACHES.iter().map(|cpu| given(cpu, class)).sum::<isize>();
    let small: isize =
        SIZES.iter().enumerate().map(|(class, &size)| blocks(class) * size as isize).sum();
    small as usize + LARGE.load(Relaxed)
}

/// The size of a block for this layout.
pub const fn block_bytes(layout: Layout) -> usize {
    match class_of(layout) {
        Some(class) => SIZES[class],
        None => layout.size(),
    }
}

/// The most that can be mapped beyond what is in use while nothing is lost: two chains of each
/// class on each of `cpus`, the rest of one chunk for each class, and the rest of one growth.
pub const fn slack(cpus: usize) -> usize {
    let mut chains = 0;
    let mut class = 0;
    while class < SIZES.len() {
        chains += 2 * chain_length(class) * SIZES[class];
        class += 1;
    }
    cpus * chains + SIZES.len() * CHUNK + GROWTH
}

/// Bytes of memory that the heap has, and how many of them are given out: by the backing heap
/// (chunks count whole), and in large blocks, among them free ones that keep their memory,
/// and pages that wait for a flush.
pub fn usage() -> (usize, usize) {
    let large = (pages::HEAP.pages() + large::stale()) * PAGE;
    (MAPPED.load(Relaxed) + large, GIVEN.load(Relaxed) + large)
}

/// How often the heap's locks were taken, and how often someone had to spin for one.
pub fn lock_stats() -> (u64, u64) {
    let all = SHARED.iter().map(CountedLock::stats).chain([BACKING.stats(), large::lock_stats()]);
    all.fold((0, 0), |(a, c), (a1, c1)| (a + a1, c + c1))
}
