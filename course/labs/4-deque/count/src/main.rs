//! What a deque costs in instructions.
#![cfg_attr(target_os = "none", no_std, no_main)]

use core::hint::black_box;
use deque::stealing::{Deque, Steal};

counting::table!(&[("push and pop", push_and_pop), ("push and steal", push_and_steal)]);

// Called by pointer, so that each is counted as it is, whatever stands around it.

fn push_and_pop(times: u32) {
    let (push, pop): (fn(&Deque, u32) -> _, fn(&Deque) -> _) = black_box((Deque::push, Deque::pop));
    let deque = Deque::new();
    for i in 0..times {
        assert_eq!((push(&deque, i), pop(&deque)), (Ok(()), Some(i)));
    }
}

fn push_and_steal(times: u32) {
    let (push, steal): (fn(&Deque, u32) -> _, fn(&Deque) -> _) =
        black_box((Deque::push, Deque::steal));
    let deque = Deque::new();
    for i in 0..times {
        assert_eq!((push(&deque, i), steal(&deque)), (Ok(()), Steal::Item(i)));
    }
}
