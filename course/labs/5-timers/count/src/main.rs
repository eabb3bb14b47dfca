//! What a timer wheel costs in instructions, while 50 others are set that are due much later.
#![cfg_attr(target_os = "none", no_std, no_main)]

use core::hint::black_box;
use timers::wheel::Wheel;

counting::table!(&[("set and cancel", set_and_cancel), ("set and expire", set_and_expire)]);

const TICK: u64 = 1000;

fn wheel() -> Wheel<u32, 64, 100> {
    let mut wheel = Wheel::new(TICK);
    (0..50).for_each(|n| assert!(wheel.start((1 << 40) + u64::from(n) * TICK, n).is_ok()));
    wheel
}

fn set_and_cancel(times: u32) {
    let mut wheel = wheel();
    for n in 0..times {
        let wheel = black_box(&mut wheel);
        let timer = wheel.start(u64::from(n) * TICK, n).expect("there is room");
        assert_eq!(wheel.stop(timer), Some(n));
    }
}

/// Each at the next tick.
fn set_and_expire(times: u32) {
    let mut wheel = wheel();
    for n in 0..times {
        let (wheel, due, mut fired) = (black_box(&mut wheel), u64::from(n + 1) * TICK, None);
        assert!(wheel.start(due, n).is_ok());
        wheel.advance(due, |n| fired = Some(n));
        assert_eq!(fired, Some(n));
    }
}
