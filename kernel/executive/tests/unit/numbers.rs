//! Tunable numbers, and the orders made of random ones.
use super::{Random, rounds, std};
use crate::param::*;
use crate::proc::schedule::random_order;
use std::vec::Vec;

#[test]
fn numbers_hold_what_the_code_assumes() {
    assert!(RUNQ_SIZE.is_power_of_two(), "positions wrap at 2^32");
    assert!(MAX_CPUS.is_multiple_of(64), "idle bits come in words");
    const { assert!(GFREE_KEEP > 0 && GFREE_KEEP < GFREE_MAX) };
    const { assert!(STEAL_ROUNDS > 0, "the last round looks at runnext and timers") };
    let tick = GLOBAL_QUEUE_EVERY_TICKS;
    assert!((2..tick).all(|n| !tick.is_multiple_of(n)), "a prime falls in step with no loop");
    assert!(STACK_BYTES.is_multiple_of(4096));
}

#[test]
fn a_random_order_has_everyone_once() {
    let mut random = Random::new(1);
    for n in 1..=70 {
        for _ in 0..rounds(200) {
            let mut order: Vec<_> = random_order(n, random.next() as u32).collect();
            order.sort();
            assert_eq!(order, (0..n).collect::<Vec<_>>());
        }
    }
}

#[test]
fn anyone_may_be_first() {
    let mut random = Random::new(2);
    let mut first = [0; 5];
    for _ in 0..1000 {
        first[random_order(5, random.next() as u32).next().unwrap()] += 1;
    }
    assert!(first.iter().all(|&times| times > 100), "{first:?}");
}
