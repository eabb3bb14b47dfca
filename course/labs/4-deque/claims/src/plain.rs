//! What each operation means; and many goroutines at once.

use super::{Deque, SIZE, Steal};
use executive::{go, yield_now};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

pub const CLAIMS: &[harness::Claim] = &[
    ("the_owner_has_a_stack", the_owner_has_a_stack),
    ("thieves_take_the_oldest", thieves_take_the_oldest),
    ("a_full_one_gives_back", a_full_one_gives_back),
    ("goroutines_run_each_once", goroutines_run_each_once),
];

fn the_owner_has_a_stack() {
    let deque = Deque::new();
    assert_eq!(deque.pop(), None, "of a new one");
    for round in 0..1000 {
        for item in 0..10 {
            assert_eq!(deque.push(round + item), Ok(()));
        }
        for item in (0..10).rev() {
            assert_eq!(deque.pop(), Some(round + item), "in round {round}");
        }
        assert_eq!(deque.pop(), None, "after all were popped");
        assert_eq!(deque.pop(), None, "asked again");
    }
}

/// Against a list, with random steps: each seed is another run.
fn thieves_take_the_oldest() {
    for seed in 1..=300u32 {
        let (deque, mut list) = (Deque::new(), VecDeque::new());
        let mut random = seed.wrapping_mul(0x9e37_79b9) | 1;
        for step in 0..500 {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            match random % 5 {
                0 | 1 => {
                    if deque.push(step).is_ok() {
                        list.push_back(step);
                    }
                }
                2 => assert_eq!(deque.pop(), list.pop_back(), "seed {seed}, step {step}"),
                _ => {
                    let expected = list.pop_front().map_or(Steal::Empty, Steal::Item);
                    assert_eq!(deque.steal(), expected, "seed {seed}, step {step}");
                }
            }
        }
    }
}

fn a_full_one_gives_back() {
    let deque = Deque::new();
    for round in 0..5 {
        for item in 0..SIZE {
            assert_eq!(deque.push(item), Ok(()), "{item} of {SIZE} fit, in round {round}");
        }
        assert_eq!(deque.push(1000), Err(1000));
        assert_eq!(deque.steal(), Steal::Item(0));
        assert_eq!(deque.push(1001), Ok(()));
        assert_eq!(deque.push(1002), Err(1002));
        assert_eq!(deque.pop(), Some(1001));
        for item in 1..SIZE {
            assert_eq!(deque.steal(), Steal::Item(item));
        }
        assert_eq!(deque.steal(), Steal::Empty);
    }
}

fn goroutines_run_each_once() {
    const N: usize = 50_000;
    let deque = Arc::new(Deque::new());
    let runs: Arc<Vec<AtomicU32>> = Arc::new((0..N).map(|_| AtomicU32::new(0)).collect());
    let done = Arc::new(AtomicBool::new(false));
    let thieves: Vec<_> = (0..3)
        .map(|_| {
            let (deque, runs, done) = (deque.clone(), runs.clone(), done.clone());
            go(move || {
                loop {
                    match deque.steal() {
                        Steal::Item(item) => {
                            runs[item as usize].fetch_add(1, SeqCst);
                        }
                        Steal::Retry => {}
                        Steal::Empty if done.load(SeqCst) => return,
                        Steal::Empty => yield_now(),
                    }
                }
            })
        })
        .collect();
    let run = |item: u32| {
        runs[item as usize].fetch_add(1, SeqCst);
    };
    for item in 0..N as u32 {
        if let Err(back) = deque.push(item) {
            run(back);
        }
        if item.is_multiple_of(3)
            && let Some(item) = deque.pop()
        {
            run(item);
        }
        if item.is_multiple_of(16) {
            yield_now();
        }
    }
    while let Some(item) = deque.pop() {
        run(item);
    }
    done.store(true, SeqCst);
    thieves.into_iter().for_each(|h| h.join());
    for (item, runs) in runs.iter().enumerate() {
        assert_eq!(runs.load(SeqCst), 1, "how often item {item} was run");
    }
}
