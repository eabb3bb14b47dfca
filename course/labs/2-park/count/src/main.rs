//! What it costs to meet, in instructions.
#![cfg_attr(target_os = "none", no_std, no_main)]

use executive::{go, yield_now};
use meeting::meet::{Exchanger, Gate};

counting::table!(&[("park and ready", park_and_ready), ("two swap", two_swap)]);

/// One waits at the gate, the other opens it: with both switches.
fn park_and_ready(times: u32) {
    static GATE: Gate = Gate::new();
    let waits = go(move || (0..times).for_each(|_| GATE.pass()));
    for _ in 0..times {
        yield_now();
        GATE.open();
        GATE.shut();
    }
    waits.join();
}

fn two_swap(times: u32) {
    static AT: Exchanger<u32> = Exchanger::new();
    let swaps = move |_| (0..times).for_each(|n| assert_eq!(AT.swap(n), n));
    let other = go(move || swaps(()));
    swaps(());
    other.join();
}
