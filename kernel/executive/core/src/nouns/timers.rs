//! A P's timers: a heap by deadline that its owner fills and that idle CPUs can run from.
//!
//! **Rule:** a timer is in at most one heap, and everything in it is that heap's lock's; `cpu`,
//! which says whose heap that is, may be read without it. It is fired under that lock, so that
//! whoever removes it and is told "not there" knows that firing is over: it may live on a parked
//! goroutine's stack. What fires may take locks of a higher rank and must be short. After a
//! one-shot timer has fired, nobody but its owner touches it.
//!
//! A four-way heap as in Go's `timers` (time.go): half the levels of a two-way one, and a node's children share a line. Go's lazy deletion was
//! left out: each timer knows its place, so removal costs what insertion does, and no dead timer keeps a wakeup alive.
#![allow(unsafe_code)] // Intrusive: timers belong to their owners, and the heap points at them.

use crate::ground::atomic::{AtomicU32, AtomicU64, Ordering, const_fn};
use crate::ground::machine::NEVER;
use crate::ground::param::TIMERS_BATCH;
use crate::tools::lock::{CountedLock, Rank};
use alloc::vec::Vec;
use core::cell::Cell;
use core::ptr::NonNull;

const OUT: usize = usize::MAX;

/// What to do when it is time; `Some(deadline)` puts the timer back for then. Runs under the heap's lock, on any CPU, on g0 or pinned.
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
    /// Whose heap to look in for it.
    pub fn cpu(&self) -> usize {
        // Relaxed: its owner adds and removes it; if it is moved, `remove` asks again under the
        // lock of the heap that it was in.
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

pub struct Timers {
    heap: CountedLock<Vec<Entry>>,
    /// The earliest deadline, or NEVER: what others may know without the lock. Written under it.
    next: AtomicU64,
}

impl Timers {
    const_fn! {
        pub fn new() -> Self {
            Timers { heap: CountedLock::counted(Rank::Timers, Vec::new()), next: AtomicU64::new(NEVER) }
        }
    }

    /// The earliest deadline (ns), or NEVER. Anyone may ask.
    #[inline]
    pub fn next(&self) -> u64 {
        // Acquire: partner of the Release in `publish`: who sees no timer sees what firing did (`Idle::is_dead`).
        self.next.load(Ordering::Acquire)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.heap.lock().len()
    }

    pub fn stats(&self) -> (u64, u64) {
        self.heap.stats()
    }

    /// Bytes that the heap keeps for entries: as many as there ever were at once.
    pub fn bytes(&self) -> usize {
        self.heap.lock().capacity() * size_of::<Entry>()
    }

    /// Adds `timer` for `when` to this heap, which is CPU `cpu`'s: that CPU looks at it before it
    /// sleeps, and if it sleeps or runs something the caller tells it. A time that no clock will
    /// reach is a time all the same: somebody waits for it. Go: `addtimer`.
    ///
    /// # Safety
    /// The timer is in no heap, and stays where it is until it fired or was removed.
    pub unsafe fn add(&self, cpu: usize, timer: &Timer, when: u64) {
        let mut heap = self.heap.lock();
        timer.cpu.store(cpu as u32, Ordering::Relaxed);
        insert(&mut heap, timer, when);
        self.publish(&heap);
    }

    /// Removes it from this heap, which is CPU `cpu`'s; `false`: it has fired, or was never added.
    /// `None`: it was moved to another heap meanwhile. Go: `deltimer`.
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

    /// Moves all there are to `other`, which is CPU `cpu`'s, under both locks: who looks for one
    /// finds it here or there. CPUs that move theirs move them to the same, which moves none: so
    /// two never wait for each other. Go: `timers.take`.
    pub fn move_to(&self, other: &Timers, cpu: usize) {
        let mut from = self.heap.lock();
        let mut to = other.heap.lock();
        for entry in from.drain(..) {
            // SAFETY: in the heap, so alive.
            unsafe { entry.timer.as_ref() }.cpu.store(cpu as u32, Ordering::Relaxed);
            let at = to.len();
            to.push(entry);
            sift_up(&mut to, at);
        }
        other.publish(&to);
        self.publish(&from);
    }

    /// Fires what is due, in order of deadlines; tells how many. By the owner, or by an idle CPU that helps. Go: `runtimer`.
    pub fn run(&self, now: u64) -> usize {
        let mut fired = 0;
        while self.next() <= now {
            let Some(mut heap) = self.heap.try_lock() else {
                return fired;
            }; // someone else is at it
            for _ in 0..TIMERS_BATCH {
                let Some(&Entry { when, timer }) = heap.first() else {
                    break;
                };
                if when > now {
                    break;
                }
                remove_at(&mut heap, 0);
                fired += 1;
                // SAFETY: the timer was in the heap, so it is alive; after `fire` it may not be, unless it comes back.
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

/// NEVER is not a time but the word for "no timer": the last time there is stands one before it.
fn insert(heap: &mut Vec<Entry>, timer: &Timer, when: u64) {
    let when = when.min(NEVER - 1);
    heap.push(Entry { when, timer: NonNull::from(timer) });
    let at = heap.len() - 1;
    sift_up(heap, at);
}

fn place(heap: &mut [Entry], at: usize, entry: Entry) {
    heap[at] = entry;
    // SAFETY: what is in the heap is alive; its index is the lock's, which is held.
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
        let Some(least) = children.min_by_key(|&c| heap[c].when) else {
            break;
        };
        if entry.when <= heap[least].when {
            break;
        }
        place(heap, at, heap[least]);
        at = least;
    }
    place(heap, at, entry);
}

fn remove_at(heap: &mut Vec<Entry>, at: usize) {
    // SAFETY: in the heap, so alive; the index is the lock's, which is held.
    unsafe { heap[at].timer.as_ref() }.index.set(OUT);
    heap.swap_remove(at);
    if at < heap.len() {
        sift_up(heap, at);
        let moved = heap[at];
        // SAFETY: as above.
        let now_at = unsafe { moved.timer.as_ref() }.index.get();
        sift_down(heap, now_at);
    }
}
