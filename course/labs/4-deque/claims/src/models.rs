//! Models: a ring of two, an owner and a thief or two, in every order of their steps. At the end
//! the owner takes what is left: each item was run once, by whomever.

use super::{Deque, SIZE, Steal};
use harness::{in_every_order, race};
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;

pub const CLAIMS: &[harness::Claim] = &[
    ("the_last_item_goes_to_one", the_last_item_goes_to_one),
    ("a_thief_sees_what_was_made", a_thief_sees_what_was_made),
    ("two_items_are_shared", two_items_are_shared),
    ("two_thieves_share", two_thieves_share),
    ("a_slot_is_used_again", a_slot_is_used_again),
];

/// Stands for goroutines: what the owner wrote before it pushed one must be seen by whoever runs
/// it, and each runs once. loom fails the model if an access did not happen after all earlier ones.
struct Items(Vec<UnsafeCell<u32>>);

// SAFETY: loom checks every access.
unsafe impl Sync for Items {}
// SAFETY: as above.
unsafe impl Send for Items {}

impl Items {
    fn new(n: usize) -> Self {
        Items((0..n).map(|_| UnsafeCell::new(0)).collect())
    }
    fn touch(&self, item: u32) {
        // SAFETY: loom checks it.
        self.0[item as usize].with_mut(|runs| unsafe { *runs += 1 });
    }
    fn touched(&self, item: u32) -> u32 {
        // SAFETY: loom checks it.
        self.0[item as usize].with(|runs| unsafe { *runs })
    }
}

struct Both {
    deque: Deque,
    items: Items,
}

impl Both {
    /// Three handles of one.
    fn shared(n: usize) -> [Arc<Self>; 3] {
        let both = Arc::new(Both { deque: Deque::new(), items: Items::new(n) });
        [both.clone(), both.clone(), both]
    }
    fn push(&self, item: u32) {
        self.items.touch(item);
        assert_eq!(self.deque.push(item), Ok(()), "there is room");
    }
    fn pop(&self) -> u32 {
        self.deque.pop().map_or(0, |item| {
            self.items.touch(item);
            1
        })
    }
    fn steal(&self) -> u32 {
        match self.deque.steal() {
            Steal::Item(item) => {
                self.items.touch(item);
                1
            }
            _ => 0,
        }
    }
    /// All have been run, by whomever; each once, besides the push.
    fn all(&self, run: u32, items: u32) {
        let mut run = run;
        while self.pop() == 1 {
            run += 1;
        }
        assert_eq!(run, items, "how many items were run");
        (0..items).for_each(|item| assert_eq!(self.items.touched(item), 2, "of item {item}"));
    }
}

/// The owner pops while a thief steals: one of them gets it.
fn the_last_item_goes_to_one() {
    in_every_order(|| {
        let [both, owner, thief] = Both::shared(1);
        both.push(0);
        let run = race(move || owner.pop(), move || thief.steal());
        both.all(run, 1);
    });
}

/// The thief may be there before the item is.
fn a_thief_sees_what_was_made() {
    in_every_order(|| {
        let [both, owner, thief] = Both::shared(2);
        let push = move || {
            owner.push(0);
            owner.push(1);
            0
        };
        let run = race(push, move || thief.steal());
        both.all(run, 2);
    });
}

/// The owner pops twice while a thief steals twice.
fn two_items_are_shared() {
    in_every_order(|| {
        let [both, owner, thief] = Both::shared(2);
        both.push(0);
        both.push(1);
        let run = race(move || owner.pop() + owner.pop(), move || thief.steal() + thief.steal());
        both.all(run, 2);
    });
}

fn two_thieves_share() {
    in_every_order(|| {
        let [both, thief, another] = Both::shared(2);
        both.push(0);
        both.push(1);
        let thief = thread::spawn(move || thief.steal());
        let another = thread::spawn(move || another.steal());
        let popped = both.pop();
        both.all(popped + thief.join().unwrap() + another.join().unwrap(), 2);
    });
}

/// The ring is full when the thief comes; the owner uses the slot that it frees.
fn a_slot_is_used_again() {
    in_every_order(|| {
        let [both, owner, thief] = Both::shared(SIZE as usize + 1);
        (0..SIZE).for_each(|item| both.push(item));
        let push = move || {
            owner.items.touch(SIZE);
            match owner.deque.push(SIZE) {
                Ok(()) => 0,
                Err(back) => {
                    owner.items.touch(back);
                    1
                }
            }
        };
        let run = race(push, move || thief.steal());
        both.all(run, SIZE + 1);
    });
}
