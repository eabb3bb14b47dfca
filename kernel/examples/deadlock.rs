//! A planted fault: of five goroutines two lock each other out. A third waits for one of them to
//! end, and two work on. Find it as docs/debugging.md does: `./qemu-run.sh --smp 2 --net --example
//! deadlock`, then a browser at `localhost:8080/debug/`.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::sync::Arc;
use core::time::Duration;
use executive::sync::{Barrier, Mutex};
use executive::{Builder, time};

kernel::entry!(main);

/// Moves money from one account to the other. (It takes both locks in the order of its words: two
/// that move it to and fro wait for each other.)
fn transfer(from: &Mutex<i64>, to: &Mutex<i64>, both_have_one: &Barrier) {
    let mut from = from.lock();
    both_have_one.wait();
    let mut to = to.lock();
    *from -= 1;
    *to += 1;
}

fn main() {
    drivers::start();
    let stack = drivers::network::up("10.0.2.15/24", "10.0.2.2").expect("a network card");

    let accounts = Arc::new([Mutex::new(100), Mutex::new(100)]);
    let both_have_one = Arc::new(Barrier::new(2));
    let start = |name, from: usize, to: usize| {
        let (accounts, both_have_one) = (accounts.clone(), both_have_one.clone());
        let transfer = move || transfer(&accounts[from], &accounts[to], &both_have_one);
        Builder::new().name(name).spawn(transfer).expect("memory")
    };
    drop(start("to savings", 0, 1));
    let transfer = start("to current", 1, 0);
    let tell = move || {
        transfer.join();
        kernel::println!("the money is there");
    };
    drop(Builder::new().name("teller").spawn(tell).expect("memory"));

    // These two are well. (One waits for a lock whose holder sleeps.)
    let log = Arc::new(Mutex::new(0u64));
    for name in ["first", "second"] {
        let log = log.clone();
        let work = move || loop {
            let mut lines = log.lock();
            time::sleep(Duration::from_millis(10));
            *lines += 1;
        };
        drop(Builder::new().name(name).spawn(work).expect("memory"));
    }

    let listener = stack.listen("0.0.0.0:80").expect("port 80 is free");
    kernel::println!("five goroutines run, and /debug/ is served on port 80");
    diagnostics::heap::set_mem_profile_rate(diagnostics::heap::MEM_PROFILE_RATE);
    http::Server::new(diagnostics::handler::serve).serve(listener);
}
