//! Physical frames: 4 KiB pieces of RAM, by physical address.
//!
//! Fresh memory is taken by moving a cursor through the bootloader's memory map, so that start-up
//! touches none of it. Freed frames form a list, threaded through the frames themselves: each holds
//! the address of the next, written through the physical window. Both ways take a few instructions.
//! Rejected: a bitmap, which must be searched, and sized for memory that may not be there.
//!
//! Most frames come from a small per-CPU reserve of zeroed frames, which needs no lock and is
//! filled in batches. The page-fault handler uses it too, and may have interrupted its CPU
//! anywhere, also in this file. So every word of a reserve is changed by one instruction. And a CPU
//! that is about to take the lock marks itself first (`Cpu::busy`): its page-fault handler then
//! leaves the lock alone and uses up the reserve, which is far more than the stack that the code in
//! this file can touch. Rejected: the executive's lock. Releasing it may yield, which a handler
//! cannot.
//!
//! **Rule:** a frame has one owner, from [`alloc()`] to [`free`]. The lowest megabyte is kept apart
//! for code that starts in real mode ([`take_low_frame`]).
#![allow(unsafe_code)] // The free list lives in the free frames.

use crate::param::{FOR_FAULTS, LOW_MEMORY, MARGIN, RESERVE, SOME_STACKS, STACKS_LEAVE};
use crate::window::phys_to_virt;
use bootloader_api::info::{MemoryRegion, MemoryRegionKind};
use core::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst, compiler_fence,
};
use executive::param::MAX_CPUS;
use executive::percpu::{Pin, cpu};
use spin::mutex::{SpinMutex, SpinMutexGuard};

/// Bytes in a frame.
pub const FRAME: u64 = 4096;

struct Frames {
    /// The firmware's map, as the bootloader left it.
    map: &'static [MemoryRegion],
    /// The region the cursor is in, and the next fresh frame in it.
    region: usize,
    cursor: u64,
    /// The first given-back frame; 0 is none (page 0 is never ours).
    free: u64,
    /// The next frame below 1 MiB that may be given out.
    low: u64,
}

static FRAMES: SpinMutex<Frames> =
    SpinMutex::new(Frames { map: &[], region: 0, cursor: 0, free: 0, low: FRAME });

/// What belongs to one CPU. That CPU alone touches it, pinned or in its page-fault handler.
#[repr(align(64))]
struct Cpu {
    /// This CPU holds the lock or is about to take it. Only its own page-fault handler reads this.
    busy: AtomicBool,
    /// Zeroed frames; 0 is an empty place.
    reserve: [AtomicU64; RESERVE],
}

static CPUS: [Cpu; MAX_CPUS] = [const {
    Cpu { busy: AtomicBool::new(false), reserve: [const { AtomicU64::new(0) }; RESERVE] }
}; MAX_CPUS];

/// Frames of usable RAM from 1 MiB on, and how many of them are given out (reserves included).
static TOTAL: AtomicUsize = AtomicUsize::new(0);
static USED: AtomicUsize = AtomicUsize::new(0);

/// Takes over the memory map.
pub fn init(map: &'static [MemoryRegion]) {
    let frames = |(start, end)| ((end - start) / FRAME) as usize;
    TOTAL.store(map.iter().filter_map(usable).map(frames).sum(), Relaxed);
    FRAMES.lock().map = map;
}

/// The firmware's memory map, as the bootloader left it.
pub fn map() -> &'static [MemoryRegion] {
    let _pin = Pin::new();
    locked(|frames| frames.map)
}

/// The whole frames of a region from 1 MiB on, if any. The firmware's borders need not be
/// page-aligned.
fn usable(region: &MemoryRegion) -> Option<(u64, u64)> {
    let start = region.start.max(LOW_MEMORY).next_multiple_of(FRAME);
    let end = region.end / FRAME * FRAME;
    (region.kind == MemoryRegionKind::Usable && start < end).then_some((start, end))
}

impl Frames {
    fn take(&mut self) -> Option<u64> {
        if self.free != 0 {
            let frame = self.free;
            // SAFETY: the frame is free, so its first word is our link, which only the lock's
            // holder touches.
            self.free = unsafe { phys_to_virt(frame).cast::<u64>().read() };
            return Some(frame);
        }
        while let Some(region) = self.map.get(self.region) {
            if let Some((start, end)) = usable(region) {
                let frame = self.cursor.max(start);
                if frame < end {
                    self.cursor = frame + FRAME;
                    return Some(frame);
                }
            }
            self.region += 1;
            self.cursor = 0;
        }
        None
    }

    fn take_run(&mut self, bytes: u64) -> Option<u64> {
        const REACH: u64 = 1 << 32;
        while let Some(region) = self.map.get(self.region) {
            if let Some((start, end)) = usable(region) {
                let at = self.cursor.max(start);
                if at + bytes <= end.min(REACH) {
                    self.cursor = at + bytes;
                    return Some(at);
                }
                if at >= REACH || end - at >= bytes {
                    return None;
                }
                // Too short a rest: single frames.
                for frame in (at..end).step_by(FRAME as usize) {
                    // SAFETY: fresh memory, which the window maps.
                    unsafe { phys_to_virt(frame).cast::<u64>().write(self.free) };
                    self.free = frame;
                }
            }
            self.region += 1;
            self.cursor = 0;
        }
        None
    }

    /// Fills the empty places of a reserve with zeroed frames, while more than `keep` are left in
    /// all.
    fn fill(&mut self, reserve: &[AtomicU64; RESERVE], keep: usize) {
        for place in reserve {
            if USED.load(Relaxed) + keep >= TOTAL.load(Relaxed) {
                return;
            }
            // A page fault between this load and the store can only empty more places: it never
            // fills one while its CPU is busy. So nothing is overwritten.
            if place.load(Relaxed) == 0 {
                let Some(frame) = self.take() else { return };
                USED.fetch_add(1, Relaxed);
                zero(frame);
                place.store(frame, Relaxed);
            }
        }
    }
}

/// How often the lock was taken, and how often someone had to spin for it. Written by its holder.
static ACQUIRED: AtomicU64 = AtomicU64::new(0);
static CONTENDED: AtomicU64 = AtomicU64::new(0);

fn lock() -> SpinMutexGuard<'static, Frames> {
    let (guard, contended) = match FRAMES.try_lock() {
        Some(guard) => (guard, 0),
        None => (FRAMES.lock(), 1),
    };
    ACQUIRED.store(ACQUIRED.load(Relaxed) + 1, Relaxed);
    CONTENDED.store(CONTENDED.load(Relaxed) + contended, Relaxed);
    guard
}

/// Runs `f` with the lock, this CPU being marked busy, so that its page-fault handler does not take
/// the lock too. Pinned.
fn locked<T>(f: impl FnOnce(SpinMutexGuard<'_, Frames>) -> T) -> T {
    let busy = &CPUS[cpu()].busy;
    // The only observer is a handler on this CPU, so keeping the compiler from reordering is
    // enough.
    busy.store(true, Relaxed);
    compiler_fence(SeqCst);
    let result = f(lock());
    compiler_fence(SeqCst);
    busy.store(false, Relaxed);
    result
}

/// Takes a frame out of this CPU's reserve, from place `from` on. Pinned, or in its page-fault
/// handler.
fn take_reserved(from: usize) -> Option<u64> {
    let full = |place: &AtomicU64| match place.swap(0, Relaxed) {
        0 => None,
        frame => Some(frame),
    };
    // From the far end: places are filled from the near one.
    CPUS[cpu()].reserve[from..].iter().rev().find_map(full)
}

/// A frame of zeroes, without a lock in the common case. `None`: out of memory.
pub fn alloc() -> Option<u64> {
    let _pin = Pin::new();
    take_reserved(FOR_FAULTS).or_else(|| {
        locked(|mut frames| frames.fill(&CPUS[cpu()].reserve, MARGIN));
        take_reserved(FOR_FAULTS)
    })
}

/// [`alloc()`] for a new stack's first page and its tables, which are refused sooner.
pub fn alloc_for_new_stack() -> Option<u64> {
    if are_few() { None } else { alloc() }
}

/// Bytes that the heap's blocks of more than 8 KiB leave to others: enough for some new stacks,
/// without which not even a command can be run.
pub fn left_to_others() -> usize {
    (total_bytes() / 64).max((STACKS_LEAVE - MARGIN + SOME_STACKS) * FRAME as usize)
}

/// Whether [`alloc()`] can give `bytes` and `keep` more, not counting the CPUs' reserves.
pub fn has(bytes: usize, keep: usize) -> bool {
    let available =
        TOTAL.load(Relaxed).saturating_sub(USED.load(Relaxed) + MARGIN) * FRAME as usize;
    bytes.saturating_add(keep) <= available
}

/// Whether the page-fault handlers' margin is touched.
pub fn are_low() -> bool {
    USED.load(Relaxed) + MARGIN > TOTAL.load(Relaxed)
}

/// Whether new stacks are refused.
pub fn are_few() -> bool {
    USED.load(Relaxed) + STACKS_LEAVE >= TOTAL.load(Relaxed)
}

/// Whether this CPU holds the lock or is about to take it. For its own interrupt handlers.
pub fn is_busy_here() -> bool {
    CPUS[cpu()].busy.load(Relaxed)
}

/// [`alloc()`] for the page-fault handler: it needs nothing that the interrupted code could hold.
pub fn alloc_in_fault() -> Option<u64> {
    let here = &CPUS[cpu()];
    let frame = take_reserved(0);
    // Fill up at half, so that the reserve is never low when this CPU becomes `busy`. If another
    // CPU holds the lock it will release it, because its handlers never wait for a lock of their
    // own CPU.
    let low = here.reserve[RESERVE / 2].load(Relaxed) == 0;
    if low && !here.busy.load(Relaxed) {
        lock().fill(&here.reserve, 0);
    }
    frame.or_else(|| take_reserved(0))
}

/// Puts a frame that was not needed after all back into this CPU's reserve, if a place is empty:
/// one is, unless this CPU has filled it since. Pinned, or in a page-fault handler.
pub fn put_reserved(frame: u64) {
    let reserve = &CPUS[cpu()].reserve;
    for place in reserve {
        if place.compare_exchange(0, frame, Relaxed, Relaxed).is_ok() {
            return;
        }
    }
    // No place: 4 KiB are lost. It takes a race of two CPUs for one page, and a fill in between.
}

/// Gives a frame back.
///
/// # Safety
/// It came from this allocator, and nothing maps or uses it any more, nor is it in any CPU's TLB.
pub unsafe fn free(frame: u64) {
    let _pin = Pin::new();
    locked(|mut frames| {
        // SAFETY: the caller gives us the frame; the window maps it.
        unsafe { phys_to_virt(frame).cast::<u64>().write(frames.free) };
        frames.free = frame;
        USED.fetch_sub(1, Relaxed);
    });
}

/// Fills a frame of the caller's with zeroes.
fn zero(frame: u64) {
    // SAFETY: the window maps it; the caller owns it.
    unsafe { phys_to_virt(frame).write_bytes(0, FRAME as usize) };
}

/// A frame below 1 MiB that the firmware left usable and nobody else was given, for code that a CPU
/// starts on in real mode. Page 0 is never given out. It cannot be freed.
pub fn take_low_frame() -> Option<u64> {
    let _pin = Pin::new();
    locked(|mut frames| {
        let low = frames.low;
        let start = |r: &MemoryRegion| r.start.max(low).next_multiple_of(FRAME);
        let fits = |r: &&MemoryRegion| {
            r.kind == MemoryRegionKind::Usable && start(r) + FRAME <= r.end.min(LOW_MEMORY)
        };
        let frame = frames.map.iter().find(fits).map(start)?;
        frames.low = frame + FRAME;
        Some(frame)
    })
}

/// `bytes` of contiguous memory below 4 GiB that nobody has used yet, in whole frames. They are the
/// caller's for good. `None`: there is none left.
pub fn take_run(bytes: usize) -> Option<u64> {
    let _pin = Pin::new();
    let frames = bytes.div_ceil(FRAME as usize);
    locked(|mut all| {
        if !has(bytes, 0) {
            return None;
        }
        let run = all.take_run(frames as u64 * FRAME)?;
        USED.fetch_add(frames, Relaxed);
        Some(run)
    })
}

/// Frames in the CPUs' reserves: given out, and not in use.
pub fn reserved() -> usize {
    CPUS.iter().flat_map(|cpu| &cpu.reserve).filter(|place| place.load(Relaxed) != 0).count()
}

/// Bytes of the machine's memory map: usable, taken by the bootloader and the kernel image, and
/// taken by the firmware.
pub fn map_bytes() -> (u64, u64, u64) {
    let _pin = Pin::new();
    let map = locked(|frames| frames.map);
    let sum = |kind: fn(MemoryRegionKind) -> bool| {
        map.iter().filter(|r| kind(r.kind)).map(|r| r.end - r.start).sum()
    };
    (
        sum(|k| k == MemoryRegionKind::Usable),
        sum(|k| k == MemoryRegionKind::Bootloader),
        sum(|k| !matches!(k, MemoryRegionKind::Usable | MemoryRegionKind::Bootloader)),
    )
}

/// Bytes of usable RAM at and above 1 MiB.
pub fn total_bytes() -> usize {
    TOTAL.load(Relaxed) * FRAME as usize
}

/// How many frames of usable RAM there are from 1 MiB on, and how many are given out, reserves
/// included.
pub fn counts() -> (usize, usize) {
    (TOTAL.load(Relaxed), USED.load(Relaxed))
}

/// How often the lock was taken, and how often a CPU had to spin for it.
pub fn lock_stats() -> (u64, u64) {
    (ACQUIRED.load(Relaxed), CONTENDED.load(Relaxed))
}
