//! Free things: each P has some of its own, and what is too many goes to everyone's list, a batch at a time. Go: `gFree`.
//!
//! **Rule (PINNED):** the P's half is its owner's; everyone's is its lock's. What is free is in exactly one of them.

use crate::lock::Lock;
use crate::param::{GFREE_KEEP, GFREE_MAX};
use crate::runq::{Linked, List};
use core::cell::RefCell;

/// A P's own.
pub struct FreeList<T: Linked + 'static>(RefCell<List<T>>);

impl<T: Linked> FreeList<T> {
    pub const fn new() -> Self {
        FreeList(RefCell::new(List::new()))
    }

    /// The one that was freed last, with a warm stack; a batch of `everyone`'s is fetched if there is none here. Go: `gfget`.
    #[inline]
    pub fn get(&self, everyone: &Lock<List<T>>) -> Option<&'static T> {
        let mut mine = self.0.borrow_mut();
        if mine.is_empty() {
            *mine = everyone.lock().take(GFREE_KEEP);
        }
        let t = mine.pop_front();
        if let Some(next) = mine.first() {
            next.soon(); // who starts one goroutine often starts another
        }
        t
    }

    /// Frees one; the surplus goes to `everyone`, each after `part` has taken from it what it shall not keep. Go: `gfput`.
    #[inline]
    pub fn put(&self, t: &'static T, everyone: &Lock<List<T>>, part: impl Fn(&T)) {
        let mut mine = self.0.borrow_mut();
        mine.push_front(t);
        if mine.len() >= GFREE_MAX {
            let mut surplus = List::new();
            while let Some(t) = if surplus.len() < GFREE_MAX - GFREE_KEEP { mine.pop_front() } else { None } {
                part(t);
                surplus.push_back(t);
            }
            // In front of what is there: the next batch to be fetched is then the one whose stacks are warmest.
            let mut everyone = everyone.lock();
            surplus.append(core::mem::take(&mut *everyone));
            *everyone = surplus;
        }
    }
}

impl<T: Linked> Default for FreeList<T> {
    fn default() -> Self {
        Self::new()
    }
}
