//! Free things: each P has some of its own, and what is too many goes to everyone's list, a batch at a time. Go: `gFree`.
//!
//! **Rule (PINNED):** the P's half is its owner's; everyone's is its lock's. What is free is in exactly one of them.

use crate::ground::atomic::{AtomicUsize, Ordering, const_fn};
use crate::ground::param::{GFREE_KEEP, GFREE_MAX};
use crate::nouns::runq::{Linked, List, following, ptr};
use crate::tools::lock::{CountedLock, Rank};
use core::cell::Cell;
use core::ptr::null_mut;

/// Everyone's.
pub struct Everyone<T: Linked + 'static> {
    list: CountedLock<List<T>>,
    /// How many there are, for who asks without the lock: while goroutines only become more there are none, and none look.
    len: AtomicUsize,
}

impl<T: Linked> Everyone<T> {
    const_fn! {
        pub fn new() -> Self {
            Everyone { list: CountedLock::counted(Rank::Sched, List::new()), len: AtomicUsize::new(0) }
        }
    }

    /// Takes up to `most`.
    pub fn take(&self, most: usize) -> List<T> {
        // Relaxed: a hint; the lock orders what counts. Who misses some makes a new one.
        if self.is_empty() {
            return List::new();
        }
        let mut list = self.list.lock();
        let batch = list.take(most);
        self.len.store(list.len(), Ordering::Relaxed);
        batch
    }

    /// In front of what is there: the next batch to be taken is then the one whose stacks are warmest.
    pub fn give(&self, mut batch: List<T>) {
        if batch.is_empty() {
            return;
        }
        let mut list = self.list.lock();
        batch.append(core::mem::replace(&mut *list, List::new()));
        *list = batch;
        self.len.store(list.len(), Ordering::Relaxed);
    }

    /// How many there are: a hint.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    pub fn stats(&self) -> (u64, u64) {
        self.list.stats()
    }
}

/// A P's own: a stack, threaded through the free things themselves.
pub struct FreeList<T: Linked + 'static> {
    first: Cell<Option<&'static T>>,
    len: Cell<usize>,
}

impl<T: Linked> FreeList<T> {
    pub const fn new() -> Self {
        FreeList { first: Cell::new(None), len: Cell::new(0) }
    }

    /// The one that was freed last, with a warm stack; a batch of `everyone`'s is taken if there is none here. Go: `gfget`.
    pub fn get(&self, everyone: &Everyone<T>) -> Option<&'static T> {
        self.get_own().or_else(|| {
            let batch = everyone.take(GFREE_KEEP);
            self.len.set(batch.len());
            self.first.set(batch.first());
            self.get_own()
        })
    }

    /// The one that was freed last here, if there is one.
    #[inline(always)]
    pub fn get_own(&self) -> Option<&'static T> {
        let t = self.first.get()?;
        let next = following(t);
        self.first.set(next);
        self.len.set(self.len.get() - 1);
        if let Some(next) = next {
            next.soon(); // who starts one goroutine often starts another
        }
        Some(t)
    }

    /// Takes all there are.
    pub fn take_all(&self) -> List<T> {
        let mut all = List::new();
        while let Some(t) = self.get_own() {
            all.push_back(t);
        }
        all
    }

    /// Frees one; the surplus goes to `everyone`, each after `part` has taken from it what it shall not keep. Go: `gfput`.
    #[inline(always)]
    pub fn put(&self, t: &'static T, everyone: &Everyone<T>, part: impl Fn(&T)) {
        self.put_own(t);
        if self.len.get() >= GFREE_MAX {
            self.put_slow(everyone, part);
        }
    }

    /// Frees one, or puts it back, whether there are too many or not.
    #[inline(always)]
    pub fn put_own(&self, t: &'static T) {
        // Relaxed: the owner's, until `everyone`'s lock hands it over.
        t.link().store(self.first.get().map_or(null_mut(), ptr), Ordering::Relaxed);
        self.first.set(Some(t));
        self.len.set(self.len.get() + 1);
    }

    #[cold]
    fn put_slow(&self, everyone: &Everyone<T>, part: impl Fn(&T)) {
        let mut surplus = List::new();
        while surplus.len() < GFREE_MAX - GFREE_KEEP
            && let Some(t) = self.get_own()
        {
            part(t);
            surplus.push_back(t);
        }
        everyone.give(surplus);
    }
}
