//! The queue of waiters.
use super::{Random, leak, rounds, std};
use crate::g::G;
use crate::waitq::{WaitQ, Waiter, claim};
use core::ptr::null_mut;
use std::boxed::Box;
use std::collections::VecDeque;
use std::vec::Vec;

fn g() -> &'static G {
    leak(G::new())
}

#[test]
fn any_mix_of_operations_is_as_a_deque() {
    for seed in 0..rounds(300) as u64 {
        let mut random = Random::new(seed);
        let queue = WaitQ::new();
        let waiters: Vec<_> = (0..16).map(|_| Box::new(Waiter::new(g(), null_mut()))).collect();
        let mut model: VecDeque<usize> = VecDeque::new();
        for _ in 0..200 {
            let id = random.below(waiters.len());
            let there = model.iter().position(|&other| other == id);
            match (random.below(4), there) {
                // SAFETY: boxed; not queued.
                (0, None) => {
                    unsafe { queue.enqueue(&waiters[id]) };
                    model.push_back(id);
                }
                // SAFETY: as above.
                (1, None) => {
                    unsafe { queue.enqueue_front(&waiters[id]) };
                    model.push_front(id);
                }
                (2, there) => {
                    assert_eq!(queue.remove(&waiters[id]), there.is_some(), "seed {seed}");
                    there.map(|at| model.remove(at));
                }
                _ => {
                    let first = queue.dequeue().map(core::ptr::from_ref);
                    let expected = model.pop_front().map(|id| core::ptr::from_ref(&*waiters[id]));
                    assert_eq!(first, expected, "seed {seed}");
                }
            }
            assert_eq!(queue.is_empty(), model.is_empty(), "seed {seed}");
        }
    }
}

#[test]
fn a_select_that_was_won_elsewhere_is_passed_over() {
    let (queue, selecting, plain) = (WaitQ::new(), g(), g());
    let (mine, behind) = (Waiter::of_select(selecting, null_mut()), Waiter::new(plain, null_mut()));
    // SAFETY: both stay until the end of the test, and are taken off.
    unsafe {
        queue.enqueue(&mine);
        queue.enqueue(&behind);
    }
    assert!(claim(selecting), "elsewhere");
    assert!(core::ptr::eq(queue.dequeue().expect("the one behind").g, plain));
    assert!(queue.is_empty() && !queue.remove(&mine));
}

#[test]
fn a_select_is_claimed_by_the_first() {
    let (queues, selecting) = ([WaitQ::new(), WaitQ::new()], g());
    let waiters = [(); 2].map(|_| Waiter::of_select(selecting, null_mut()));
    for (queue, waiter) in queues.iter().zip(&waiters) {
        // SAFETY: they stay until the end of the test, and are taken off.
        unsafe { queue.enqueue(waiter) };
    }
    assert!(queues[1].dequeue().is_some_and(|w| core::ptr::eq(w, &waiters[1])));
    assert!(queues[0].dequeue().is_none());
    assert!(!claim(selecting));
}
