//! A P's timers: a heap by deadline that its owner fills and that idle CPUs can run from.
//!
//! **Rule:** a timer is in at most one heap, whose lock guards everything in it; only `cpu`, which
//! tells whose heap that is, may be read without it. A timer fires under that lock, so whoever
//! removes it and is told "not there" knows that firing is over: a timer may live on a parked
//! goroutine's stack. What fires must be short, and may take locks of a higher rank. After a
//! one-shot timer has fired, its owner alone touches it.
//!
//! A four-way heap as in Go (time.go): half the levels of a two-way one, and a node's children
//! share a line. Rejected: Go's lazy deletion. Each timer knows its place, so removal costs what
//! insertion does, and no dead timer keeps a wakeup alive.
#![allow(unsafe_code)] // Intrusive: timers belong to their owners, and the heap points at them.

use crate::ground::atomic::{AtomicU32, AtomicU64, Ordering, with_new};
use crate::ground::machine::NEVER;
use crate::ground::param::TIMERS_BATCH;
use crate::tools::lock::{CountedLock, Rank};
use alloc::vec::Vec;
use core::cell::Cell;
use core::ptr::NonNull;

const OUT: usize = usize::MAX;

/// What to do when it is time; `Some(deadline)` puts the timer back for then. Runs under the heap's
/// lock, on any CPU, on g0 or pinned.
pub type Fire = unsafe fn(timer: *const Timer, now: u64) -> Option<u64>;

/// Something that happens at a time, once or again and again. Go: `timer`.
pub struct Timer {
    /// The CPU in whose heap it is or was last.
    cpu: AtomicU32,
    index: Cell<usize>,
    fire: Fire,
    /// For `fire`.
    pub arg: Cell<*const ()>,
}

// SAFETY: everything but reads of `cpu` is under the heap's lock (the rule above).
unsafe impl Sync for Timer {}
// SAFETY: as above.
unsafe impl Send for Timer {}

impl Timer {
    /// A timer that is in no heap yet.
    ///
    /// # Safety
    /// `fire` is sound to call with this timer, on any CPU, for as long as the timer is in a heap.
    pub unsafe fn new(fire: Fire, arg: *const ()) -> Self {
        Timer { cpu: AtomicU32::new(0), index: Cell::new(OUT), fire, arg: Cell::new(arg) }
    }
    /// In whose heap to look for it.
    pub fn cpu(&self) -> usize {
        // Relaxed: its owner adds and removes it; `remove` finds under the lock that it was moved.
        self.cpu.load(Ordering::Relaxed) as usize
    }
}

#[derive(Clone, Copy)]
struct Entry {
    when: u64,
    timer: NonNull<Timer>,
}
// SAFETY: as for `Timer`.
unsafe impl Send for Entry {}

with_new! {
pub struct Timers {
    heap: CountedLock<Vec<Entry>> = CountedLock::counted(Rank::Timers, Vec::new()),
    /// The earliest deadline, or NEVER, for those without the lock. Written under it.
    next: AtomicU64 = AtomicU64::new(NEVER),
}
}

impl Timers {
    /// The earliest deadline (ns), or NEVER. Anyone may ask.
    #[inline]
    pub fn next(&self) -> u64 {
        // Acquire: partner of `publish`: no timer means that firing is seen (`Idle::is_dead`).
        self.next.load(Ordering::Acquire)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.heap.lock().len()
    }

    pub fn stats(&self) -> (u64, u64) {
        self.heap.stats()
    }

    /// Bytes that the heap keeps: enough for as many entries as there ever were at once.
    pub fn bytes(&self) -> usize {
        self.heap.lock().capacity() * size_of::<Entry>()
    }

    /// Adds `timer` for `when` to this heap, which is CPU `cpu`'s. That CPU looks at it before it
    /// sleeps; if it sleeps or runs something, the caller tells it. A time that no clock will reach
    /// counts all the same: somebody waits for it.
    ///
    /// # Safety
    /// The timer is in no heap, and stays where it is until it fired or was removed.
    #[doc(alias = "addtimer")]
    pub unsafe fn add(&self, cpu: usize, timer: &Timer, when: u64) {
        let mut heap = self.heap.lock();
        timer.cpu.store(cpu as u32, Ordering::Relaxed);
        insert(&mut heap, timer, when);
        self.publish(&heap);
    }

    /// Removes it from this heap, which is CPU `cpu`'s; `false`: it has fired, or was never added.
    /// `None`: it was moved to another heap meanwhile.
    #[doc(alias = "deltimer")]
    pub fn remove(&self, cpu: usize, timer: &Timer) -> Option<bool> {
        let mut heap = self.heap.lock();
        if timer.cpu() != cpu {
            return None;
        }
        let at = timer.index.get();
        if at == OUT {
            return Some(false);
        }
        remove_at(&mut heap, at);
        self.publish(&heap);
        Some(true)
    }

    /// Moves all to `other`, which is CPU `cpu`'s, under both locks: each is always here or there.
    /// All move theirs to the same one, which moves none: so no two wait for each other.
    #[doc(alias = "timers.take")]
    pub fn move_to(&self, other: &Timers, cpu: usize) {
        let mut from = self.heap.lock();
        let mut to = other.heap.lock();
        for entry in from.drain(..) {
            // SAFETY: in the heap, so alive.
            unsafe { entry.timer.as_ref() }.cpu.store(cpu as u32, Ordering::Relaxed);
            push(&mut to, entry);
        }
        other.publish(&to);
        self.publish(&from);
    }

    /// Fires what is due, by deadlines; tells how many. By the owner, or by an idle CPU that helps.
    #[doc(alias = "runtimer")]
    pub fn run(&self, now: u64) -> usize {
        let mut fired = 0;
        while self.next() <= now {
            let Some(mut heap) = self.heap.try_lock() else { return fired }; // another is at it
            for _ in 0..TIMERS_BATCH {
                let Some(&Entry { when, timer }) = heap.first() else { break };
                if when > now {
                    break;
                }
                remove_at(&mut heap, 0);
                fired += 1;
                // SAFETY: it was in the heap, so it is alive; after `fire` only if it comes back.
                unsafe {
                    let fire = timer.as_ref().fire;
                    if let Some(again) = fire(timer.as_ptr(), now) {
                        insert(&mut heap, timer.as_ref(), again);
                    }
                }
            }
            self.publish(&heap);
        }
        fired
    }

    fn publish(&self, heap: &[Entry]) {
        // Release: partner of the Acquire in `next`.
        self.next.store(heap.first().map_or(NEVER, |e| e.when), Ordering::Release);
    }
}

/// NEVER means "no timer", so the last time there is stands one before it.
fn insert(heap: &mut Vec<Entry>, timer: &Timer, when: u64) {
    push(heap, Entry { when: when.min(NEVER - 1), timer: NonNull::from(timer) });
}

fn push(heap: &mut Vec<Entry>, entry: Entry) {
    heap.push(entry);
    let at = heap.len() - 1;
    sift_up(heap, at);
}

fn place(heap: &mut [Entry], at: usize, entry: Entry) {
    heap[at] = entry;
    // SAFETY: what is in the heap is alive; its index is guarded by the lock, which is held.
    unsafe { entry.timer.as_ref() }.index.set(at);
}

fn sift_up(heap: &mut [Entry], mut at: usize) {
    let entry = heap[at];
    while at > 0 {
        let parent = (at - 1) / 4;
        if heap[parent].when <= entry.when {
            break;
        }
        place(heap, at, heap[parent]);
        at = parent;
    }
    place(heap, at, entry);
}

fn sift_down(heap: &mut [Entry], mut at: usize) {
    let entry = heap[at];
    loop {
        let children = 4 * at + 1..(4 * at + 5).min(heap.len());
        let Some(least) = children.min_by_key(|&c| heap[c].when) else { break };
        if entry.when <= heap[least].when {
            break;
        }
        place(heap, at, heap[least]);
        at = least;
    }
    place(heap, at, entry);
}

fn remove_at(heap: &mut Vec<Entry>, at: usize) {
    // SAFETY: as in `place`.
    unsafe { heap[at].timer.as_ref() }.index.set(OUT);
    heap.swap_remove(at);
    if at < heap.len() {
        sift_up(heap, at);
        let moved = heap[at];
        // SAFETY: as in `place`.
        let now_at = unsafe { moved.timer.as_ref() }.index.get();
        sift_down(heap, now_at);
    }
}
