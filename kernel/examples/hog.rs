//! A planted fault: all is well, but for one goroutine that takes a whole CPU. Find it as
//! docs/debugging.md does: `./qemu-run.sh --smp 2 --net --example hog`, then a browser at
//! `localhost:8080/debug/`.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::hint::black_box;
use core::time::Duration;
use executive::{Builder, time};

kernel::entry!(main);

/// Whether a list has a number twice. (It compares each with each.)
#[inline(never)]
fn has_double(list: &[u64]) -> bool {
    list.iter().enumerate().any(|(at, one)| list[..at].contains(black_box(one)))
}

fn check_again_and_again() {
    let list: Vec<u64> = (0..5000).map(|n| n * n).collect();
    while !has_double(&list) {}
}

fn main() {
    drivers::start();
    let stack = drivers::network::up("10.0.2.15/24", "10.0.2.2").expect("a network card");

    for name in ["first", "second", "third"] {
        let well = || loop {
            black_box(has_double(&[1, 2, 3]));
            time::sleep(Duration::from_millis(5));
        };
        drop(Builder::new().name(name).spawn(well).expect("memory"));
    }
    drop(Builder::new().name("checker").spawn(check_again_and_again).expect("memory"));

    let listener = stack.listen("0.0.0.0:80").expect("port 80 is free");
    kernel::println!("four goroutines run, and /debug/ is served on port 80");
    diagnostics::heap::set_mem_profile_rate(diagnostics::heap::MEM_PROFILE_RATE);
    http::Server::new(diagnostics::handler::serve).serve(listener);
}
