//! The queue of waiters.
use super::{Random, Story, leak, rounds, std};
use crate::nouns::g::G;
use crate::nouns::waitq::{Parked, WaitQ, Waiter, claim, prepare};
use core::ptr::null_mut;
use std::collections::VecDeque;
use std::vec::Vec;

fn g() -> &'static G {
    leak(G::new())
}

/// Two queues, and plain deques of numbers beside them. Waiters have numbers: the even ones belong
/// in queue 0 and the odd ones in queue 1. The first `PLAIN` are goroutines of their own; each two
/// of the others are one goroutine's, which is in a select.
struct Mix {
    queues: [WaitQ; 2],
    /// Never more or fewer, so they stay where they are.
    waiters: Vec<Waiter>,
    model: [VecDeque<usize>; 2],
    /// Whose select is still to be won.
    open: [bool; SELECTS],
}

const PLAIN: usize = 8;
const SELECTS: usize = 4;

/// The select that a waiter belongs to.
fn select_of(waiter: usize) -> Option<usize> {
    Some(waiter.checked_sub(PLAIN)? / 2)
}

impl Mix {
    fn new() -> Self {
        let plain = (0..PLAIN).map(|_| Waiter::new(g(), null_mut()));
        let pair = |g| [(); 2].map(|_| Waiter::of_select(g, null_mut()));
        let selects = (0..SELECTS).flat_map(|_| pair(g()));
        let mut mix = Mix {
            queues: [WaitQ::new(), WaitQ::new()],
            waiters: plain.chain(selects).collect(),
            model: Default::default(),
            open: [false; SELECTS],
        };
        (0..SELECTS).for_each(|select| mix.begin(select));
        mix
    }
    fn begin(&mut self, select: usize) {
        let g = self.waiters[PLAIN + 2 * select].g;
        prepare(g);
        assert!(Parked(g).open().is_none(), "nobody could claim it yet");
        self.open[select] = true;
    }
    fn number(&self, waiter: Option<&Waiter>) -> Option<usize> {
        let waiter = waiter?;
        let at = self.waiters.iter().position(|ours| core::ptr::eq(ours, waiter));
        Some(at.expect("one of our waiters"))
    }
    /// Takes off the first that can be had; those of selects that were won elsewhere go with it.
    fn first_of_model(&mut self, queue: usize) -> Option<usize> {
        loop {
            let waiter = self.model[queue].pop_front()?;
            if select_of(waiter).is_none_or(|select| core::mem::take(&mut self.open[select])) {
                return Some(waiter);
            }
        }
    }

    fn step(&mut self, random: &mut Random, story: &mut Story) {
        let (waiter, select) = (random.below(self.waiters.len()), random.below(SELECTS));
        let queue = waiter % 2;
        let there = self.model[queue].iter().position(|&other| other == waiter);
        match (random.below(6), there) {
            (0, None) => {
                story.step(format_args!("waiter {waiter} comes: queue {queue}, at the end"));
                // SAFETY: it stays where it is; not queued.
                unsafe { self.queues[queue].enqueue(&self.waiters[waiter]) };
                self.model[queue].push_back(waiter);
            }
            (1, None) => {
                story.step(format_args!("waiter {waiter} comes: queue {queue}, at the front"));
                // SAFETY: as above.
                unsafe { self.queues[queue].enqueue_front(&self.waiters[waiter]) };
                self.model[queue].push_front(waiter);
            }
            (2, there) => {
                story.step(format_args!("waiter {waiter} is removed, if it is in queue {queue}"));
                let removed = self.queues[queue].remove(&self.waiters[waiter]);
                assert_eq!(removed, there.is_some(), "was waiter {waiter} there?");
                there.map(|at| self.model[queue].remove(at));
            }
            (3, _) => {
                let arms = [PLAIN + 2 * select, PLAIN + 2 * select + 1];
                if arms.iter().all(|arm| !self.model[arm % 2].contains(arm)) {
                    story.step(format_args!("a select begins, of waiters {arms:?}"));
                    self.begin(select);
                } else {
                    story.step(format_args!("the select of waiters {arms:?} is won elsewhere"));
                    let open = core::mem::take(&mut self.open[select]);
                    assert_eq!(claim(self.waiters[arms[0]].g), open, "was it still to be won?");
                }
            }
            _ => {
                story.step(format_args!("dequeue from queue {queue}"));
                let first = self.number(self.queues[queue].dequeue());
                assert_eq!(first, self.first_of_model(queue), "which waiter is dequeued?");
            }
        }
        for queue in 0..2 {
            let first = self.number(self.queues[queue].first());
            let expected = self.model[queue].front().copied();
            assert_eq!(first, expected, "which waiter is first in queue {queue} now?");
        }
    }
}

/// The later seeds take more steps, so that the first that fails tells a short story.
#[test]
fn any_mix_of_operations_is_as_a_deque() {
    for seed in 0..rounds(300) as u64 {
        let (mut mix, mut story, mut random) = (Mix::new(), Story::new(seed), Random::new(seed));
        for _ in 0..3 + seed {
            mix.step(&mut random, &mut story);
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
