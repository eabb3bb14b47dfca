//! A spin lock that pins: while it is held the goroutine is neither preempted nor moved, and must
//! not park.
//!
//! **Rule (RANK):** locks are taken in rising rank; debug builds throw at the first one out of
//! order, long before it would deadlock. Handlers take none (IRQ-CLEAN), so interrupts stay on.
//!
//! The crate `spin` does the spinning. Without the pin a holder could be preempted, and on one CPU
//! the next goroutine would spin for its whole slice.
#![allow(unsafe_code)] // A guard's holder has what the lock protects.

use crate::ground::chaos;
use crate::tools::fatal::throw;
use crate::tools::percpu;
use core::marker::PhantomData;
use core::mem::{ManuallyDrop, forget};
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Locks in the order in which they may be taken. Several of one rank may be held together only
/// where their user has an order of its own (channels in a select: by address).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Rank {
    /// For users of the executive: taken first.
    User = 0,
    /// A P's timer heap: its callbacks take what follows.
    Timers = 4,
    /// A tree of cancellation tokens: cancelling closes channels.
    Cancel = 6,
    /// Channels.
    Chan = 8,
    /// Monitors, of which the other sync objects are made.
    Wait = 10,
    /// The machine's, while it gets memory back. Allocations may take it, its holder what follows.
    Reclaim = 12,
    /// The global run queue, the global list of free g's, a CPU's inbox.
    Sched = 16,
    /// The machine's stacks.
    Stacks = 20,
    /// The machine's heap.
    Heap = 22,
    /// The machine's page tables.
    Paging = 24,
    /// The machine's page frames.
    Frames = 26,
    /// Output: taken last, from anywhere.
    Output = 30,
}

/// A spin lock around a `T`. Blocks by spinning; throws in debug builds when taken out of rank.
#[repr(C)] // a channel then begins with its lock, which costs an instruction less
pub struct Lock<T, const COUNTS: usize = 0> {
    rank: Rank,
    /// Of a [`CountedLock`]: how often it was taken, and how often that took spinning.
    counts: [AtomicU64; COUNTS],
    inner: spin::mutex::SpinMutex<T>,
}

/// A lock that counts how often it is taken, and how often that takes spinning, for reports.
pub type CountedLock<T> = Lock<T, 2>;

/// The lock is held, and the goroutine pinned, while this lives.
pub struct LockGuard<'a, T, const COUNTS: usize = 0> {
    lock: &'a Lock<T, COUNTS>,
    _not_send: PhantomData<*const ()>,
}

impl<T> Lock<T> {
    /// A lock of this rank, free.
    pub const fn new(rank: Rank, value: T) -> Self {
        Self::free(rank, value)
    }
}

impl<T, const COUNTS: usize> Lock<T, COUNTS> {
    const fn free(rank: Rank, value: T) -> Self {
        Lock {
            rank,
            counts: [const { AtomicU64::new(0) }; COUNTS],
            inner: spin::mutex::SpinMutex::new(value),
        }
    }
    /// Where the value lies, for whoever [holds](Self::hold) the lock.
    #[inline]
    pub fn held(&self) -> *mut T {
        self.inner.as_mut_ptr()
    }

    /// Takes the lock; spins while another CPU holds it.
    #[inline]
    pub fn lock(&self) -> LockGuard<'_, T, COUNTS> {
        chaos::stall();
        percpu::pin();
        match self.inner.try_lock() {
            Some(inner) => forget(inner),
            None => self.contend(),
        }
        self.taken()
    }

    /// Takes the lock if nobody holds it.
    #[inline]
    pub fn try_lock(&self) -> Option<LockGuard<'_, T, COUNTS>> {
        percpu::pin();
        let Some(inner) = self.inner.try_lock() else {
            percpu::unpin();
            return None;
        };
        forget(inner);
        Some(self.taken())
    }

    /// Takes the lock and keeps it beyond any guard, until [`release_held`](Self::release_held):
    /// for a select, which holds one per channel.
    #[inline]
    pub fn hold(&self) {
        forget(self.lock());
    }

    /// Releases what [`hold`](Self::hold) took. `on_g0`: for who has just parked: without yielding.
    ///
    /// # Safety
    /// The caller took the lock by `hold`, and does not use the value any more.
    #[inline]
    pub unsafe fn release_held(&self, on_g0: bool) {
        let guard = LockGuard { lock: self, _not_send: PhantomData };
        if on_g0 { guard.release_on_g0() } else { drop(guard) }
    }

    #[cold]
    fn contend(&self) {
        if let [_, contended] = &self.counts[..] {
            contended.fetch_add(1, Relaxed);
        }
        forget(self.inner.lock());
    }

    #[inline]
    fn taken(&self) -> LockGuard<'_, T, COUNTS> {
        if let [acquired, _] = &self.counts[..] {
            // Only the holder counts, so load and store will do.
            acquired.store(acquired.load(Relaxed) + 1, Relaxed);
        }
        if cfg!(debug_assertions) && !percpu::rank_taken(self.rank as u32) {
            throw("lock: taken out of rank order");
        }
        LockGuard { lock: self, _not_send: PhantomData }
    }
}

impl<T> CountedLock<T> {
    /// A lock of this rank, free.
    pub const fn counted(rank: Rank, value: T) -> Self {
        Self::free(rank, value)
    }
    /// How often it was taken, and how often that took spinning. For reports.
    pub fn stats(&self) -> (u64, u64) {
        let [acquired, contended] = &self.counts;
        (acquired.load(Relaxed), contended.load(Relaxed))
    }
}

impl<T, const COUNTS: usize> LockGuard<'_, T, COUNTS> {
    /// The lock's address, by which reports name what a goroutine waits for.
    pub(crate) fn address(&self) -> usize {
        core::ptr::from_ref(self.lock).expose_provenance()
    }

    /// Releases the lock and leaves its pin to the caller.
    #[inline(always)]
    pub fn release_pinned(self) {
        ManuallyDrop::new(self).release();
    }

    /// Releases the lock on g0, for a goroutine that has just parked: so without yielding.
    #[inline(always)]
    pub(crate) fn release_on_g0(self) {
        self.release_pinned();
        percpu::unpin_quietly();
    }

    /// Releases the lock on a path that is hardly ever taken. It is a call with one argument, so
    /// that the common path keeps no register for it.
    #[cold]
    #[inline(never)]
    pub fn release_rarely(self) {}

    #[inline(always)]
    fn release(&mut self) {
        if cfg!(debug_assertions) {
            percpu::rank_released(self.lock.rank as u32);
        }
        // SAFETY: the guard holds it, and is gone after this: `drop` and `release_pinned` call it.
        unsafe { self.lock.inner.force_unlock() };
    }
}

impl<T, const COUNTS: usize> Deref for LockGuard<'_, T, COUNTS> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock.
        unsafe { &*self.lock.inner.as_mut_ptr() }
    }
}

impl<T, const COUNTS: usize> DerefMut for LockGuard<'_, T, COUNTS> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.lock.inner.as_mut_ptr() }
    }
}

impl<T, const COUNTS: usize> Drop for LockGuard<'_, T, COUNTS> {
    #[inline]
    fn drop(&mut self) {
        self.release();
        percpu::unpin();
    }
}
