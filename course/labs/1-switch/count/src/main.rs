//! What a switch and a birth cost in instructions.
#![cfg_attr(target_os = "none", no_std, no_main)]

use executive::{go, yield_now};

counting::table!(&[("two switches", two_switches), ("birth and end", birth_and_end)]);

/// To another goroutine, and back.
fn two_switches(times: u32) {
    let yields = move || (0..times).for_each(|_| yield_now());
    let other = go(yields);
    yields();
    other.join();
}

fn birth_and_end(times: u32) {
    (0..times).for_each(|_| go(|| ()).join());
}
