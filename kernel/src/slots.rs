//! Lists of free slots (equal pieces of addresses): those with memory, and those without.
//!
//! A slot is known by its key, the address of a word. The page of that word is the first of the
//! slot's pages to be mapped, and the last to go. While it is there, the slot is *warm*, and the
//! word is its link in the list of warm slots. A free slot without memory is *bare*: its link, in
//! the list of bare slots, is in the page-table entry that the page has left.
#![allow(unsafe_code)] // Lists that live in free slots.

use crate::pages::{Owner, PAGE, Taken, is_present, link, set_link};
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use executive::lock::{CountedLock, Rank};

/// Keys of the first warm and the first bare slot; 0 is none.
pub struct Lists {
    warm: usize,
    bare: usize,
}

impl Lists {
    pub const NONE: Lists = Lists { warm: 0, bare: 0 };

    pub fn pop_warm(&mut self) -> Option<usize> {
        let key = Some(self.warm).filter(|&key| key != 0)?;
        // SAFETY: a warm slot's key is our link.
        self.warm = unsafe { (key as *const usize).read() };
        Some(key)
    }

    fn pop_bare(&mut self) -> Option<usize> {
        let key = Some(self.bare).filter(|&key| key != 0)?;
        self.bare = link(key);
        set_link(key, 0);
        Some(key)
    }

    /// # Safety
    /// The caller owns the slot and gives it up. The key's page is present; or it has a page table,
    /// and is in no TLB.
    pub unsafe fn push(&mut self, key: usize) {
        if is_present(key) {
            // SAFETY: the caller's promise.
            unsafe { (key as *mut usize).write(self.warm) };
            self.warm = key;
        } else {
            set_link(key, self.bare);
            self.bare = key;
        }
    }
}

/// The free slots of one size.
pub struct Slots {
    lists: CountedLock<Lists>,
    /// How many there are, and how many of them are bare. Written under the lock; without it they
    /// are hints.
    free: AtomicUsize,
    bare: AtomicUsize,
}

impl Slots {
    pub const fn new(rank: Rank) -> Slots {
        let lists = CountedLock::counted(rank, Lists::NONE);
        Slots { lists, free: AtomicUsize::new(0), bare: AtomicUsize::new(0) }
    }

    /// Takes a free slot, a warm one if there is one; returns its key.
    pub fn take(&self) -> Option<usize> {
        if self.counts().0 == 0 {
            return None;
        }
        let mut lists = self.lists.lock();
        let key = lists.pop_warm().or_else(|| {
            let key = lists.pop_bare()?;
            self.bare.fetch_sub(1, Relaxed);
            Some(key)
        })?;
        self.free.fetch_sub(1, Relaxed);
        Some(key)
    }

    /// # Safety
    /// As [`Lists::push`].
    pub unsafe fn put(&self, key: usize) {
        let mut lists = self.lists.lock();
        self.free.fetch_add(1, Relaxed);
        self.bare.fetch_add(!is_present(key) as usize, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { lists.push(key) };
    }

    /// How many are free, and how many of these are bare.
    pub fn counts(&self) -> (usize, usize) {
        (self.free.load(Relaxed), self.bare.load(Relaxed))
    }
}

/// How often the locks were taken, and how often someone had to spin for one.
pub fn lock_stats(sizes: &[Slots]) -> (u64, u64) {
    sizes.iter().map(|slots| slots.lists.stats()).fold((0, 0), |(a, c), (a1, c1)| (a + a1, c + c1))
}

/// Takes the memory of free slots of any size, up to `most` pages; returns how many there were.
/// Interrupts every CPU if there were any. `pages(size, key)` tells which pages a slot has, its
/// key's among them.
pub fn strip<const N: usize>(
    sizes: &[Slots; N],
    owner: &Owner,
    most: usize,
    pages: impl Fn(usize, usize) -> Range<usize>,
) -> usize {
    let (mut taken, mut count) = (Taken::NONE, 0);
    // The slots are ours until all CPUs have forgotten their pages: the next owner of one maps it
    // anew, and must not meet an old translation.
    let mut ours = [Lists::NONE; N];
    for (size, slots) in sizes.iter().enumerate() {
        while count < most {
            let Some(key) = slots.lists.lock().pop_warm() else { break };
            slots.free.fetch_sub(1, Relaxed);
            let Range { start, end } = pages(size, key);
            // From the end, because the key's page goes last.
            let start = start.max(end.saturating_sub((most - count) * PAGE));
            // SAFETY: the slot is ours, and holds nothing.
            unsafe {
                count += taken.pages(owner, start..end);
                ours[size].push(key);
            }
        }
    }
    taken.flush_and_free();
    for (slots, ours) in sizes.iter().zip(&mut ours) {
        while let Some(key) = ours.pop_warm().or_else(|| ours.pop_bare()) {
            // SAFETY: as above; what it has lost is in no TLB.
            unsafe { slots.put(key) };
        }
    }
    count
}
