//! Tunable numbers.
use crate::ground::param::*;

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
