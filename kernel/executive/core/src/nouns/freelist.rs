//! Free things. Each P keeps some of its own; its surplus goes to a shared list, in batches.
//!
//! **Rule (PINNED):** the P's list belongs to its owner; the shared list is guarded by its lock.
//! What is free is in exactly one of them. Go: `gFree`.

use crate::ground::atomic::{AtomicRef, AtomicUsize, Ordering, Owned, with_new};
use crate::ground::param::{GFREE_KEEP, GFREE_MAX};
use crate::nouns::runq::{Linked, List};
use crate::tools::lock::{CountedLock, Rank};

with_new! {
/// What no P keeps for itself.
#[doc(alias = "gFree")]
pub struct Everyone<T: Linked> {
    list: CountedLock<List<T>> = CountedLock::counted(Rank::Sched, List::new()),
    /// Lets callers skip the lock; it stays 0 while the program only grows.
    len: AtomicUsize = AtomicUsize::new(0),
}
}

impl<T: Linked> Everyone<T> {
    /// Takes up to `most`.
    pub fn take(&self, most: usize) -> List<T> {
        // Relaxed: a hint; the lock orders what counts. A caller that misses some makes a new one.
        if self.is_empty() {
            return List::new();
        }
        let mut list = self.list.lock();
        let batch = list.take(most);
        self.len.store(list.len(), Ordering::Relaxed);
        batch
    }

    /// In front of what is there: the next batch taken is the one whose stacks are warmest.
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

with_new! {
/// A P's own: a stack, threaded through the free things themselves.
pub struct FreeList<T: Linked> {
    first: AtomicRef<T> = AtomicRef::new(),
    len: Owned<usize> = Owned::new(),
}
}

impl<T: Linked> FreeList<T> {
    /// The one that was freed last, with a warm stack; refills from `everyone` if there is none.
    #[doc(alias = "gfget")]
    pub fn get(&self, everyone: &Everyone<T>) -> Option<&'static T> {
        self.get_own().or_else(|| {
            let batch = everyone.take(GFREE_KEEP);
            self.len.set(batch.len());
            self.first.store(batch.first(), Ordering::Relaxed);
            self.get_own()
        })
    }

    /// The one that was freed last here, if any.
    #[inline(always)]
    pub fn get_own(&self) -> Option<&'static T> {
        let t = self.first.load(Ordering::Relaxed)?; // the owner's
        let next = t.link().load(Ordering::Relaxed);
        self.first.store(next, Ordering::Relaxed);
        self.len.set(self.len.get() - 1);
        if let Some(next) = next {
            next.soon(); // who starts one goroutine often starts another
        }
        Some(t)
    }

    pub fn take_all(&self) -> List<T> {
        let mut all = List::new();
        while let Some(t) = self.get_own() {
            all.push_back(t);
        }
        all
    }

    /// Frees one. A surplus goes to `everyone`, after `part` took from each what must not be kept.
    #[doc(alias = "gfput")]
    #[inline(always)]
    pub fn put(&self, t: &'static T, everyone: &Everyone<T>, part: impl Fn(&T)) {
        // Relaxed: the owner's, until `everyone`'s lock hands it over.
        t.link().store(self.first.load(Ordering::Relaxed), Ordering::Relaxed);
        self.first.store(Some(t), Ordering::Relaxed);
        let len = self.len.get() + 1;
        self.len.set(len);
        if len >= GFREE_MAX {
            self.put_slow(everyone, part);
        }
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
