//! A deque: its **owner** pushes and pops at the bottom, **thieves** steal at the top. So the owner
//! gets what it pushed last, which is still in its cache, and a thief what was pushed first.
//!
//! `top` and `bottom` count for ever and wrap around; the item with number n lies in slot n % SIZE.
//! There are `bottom - top` items.
//!
//! **Rule:** only the owner writes `bottom` and the slots. (Yours: who may write `top`, and how?)

use crate::SIZE;
#[allow(unused_imports)]
use crate::atomic::{AtomicU32, Ordering, fence};

/// See the head of this file.
pub struct Deque {
    top: AtomicU32,
    bottom: AtomicU32,
    slots: [AtomicU32; SIZE as usize],
}

/// What a thief got.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Steal {
    /// This item, which is the thief's now.
    Item(u32),
    /// There was none.
    Empty,
    /// Somebody else was faster; it may pay to try again.
    Retry,
}

impl Deque {
    /// An empty deque.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Deque {
            top: AtomicU32::new(0),
            bottom: AtomicU32::new(0),
            slots: core::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// Puts an item at the bottom; gives it back if the deque is full. For the owner alone.
    pub fn push(&self, item: u32) -> Result<(), u32> {
        let _ = (&self.top, &self.bottom, &self.slots);
        todo!("push {item}")
    }

    /// Takes the item that was pushed last. For the owner alone.
    pub fn pop(&self) -> Option<u32> {
        todo!()
    }

    /// Takes the item that was pushed first. For anybody.
    pub fn steal(&self) -> Steal {
        todo!()
    }
}
