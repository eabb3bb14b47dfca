//! A planted fault: two goroutines write to each other's mailbox until both are full, and a third
//! waits for an answer of one of them. Find it as docs/debugging.md does: `./qemu-run.sh --smp 2
//! --net --example mailboxes`, then a browser at `localhost:8080/debug/`.
#![no_std]
#![no_main]

extern crate alloc;

use core::time::Duration;
use executive::chan::{Receiver, Sender};
use executive::{Builder, chan, time};

kernel::entry!(main);

/// Answers each letter. (By two: when both mailboxes are full, nobody looks into his own.)
fn write_to(peer: Sender<u64>, mailbox: Receiver<u64>, answers: Option<Sender<u64>>) {
    // All ends stay here: so it is known who could still help whom.
    let (peer, mailbox) = (peer.owned(), mailbox.owned());
    let answers = answers.map(Sender::owned);
    for n in 0..=u64::MAX {
        peer.send(n).expect("the other receives");
        peer.send(n).expect("the other receives");
        let letter = mailbox.recv().expect("the other sends");
        if let Some(answers) = &answers {
            answers.send(letter).expect("the auditor receives");
        }
    }
}

#[track_caller]
fn start(name: &'static str, work: impl FnOnce() + Send + 'static) {
    drop(Builder::new().name(name).spawn(work).expect("memory"));
}

fn main() {
    drivers::start();
    let stack = drivers::network::up("10.0.2.15/24", "10.0.2.2").expect("a network card");

    let ((to_stock, stock), (to_orders, orders)) = (chan(1), chan(1));
    let (answers, answered) = chan(0);
    start("orders", move || write_to(to_stock, orders, Some(answers)));
    start("stock", move || write_to(to_orders, stock, None));
    start("auditor", move || answered.iter().for_each(|n| kernel::println!("letter {n}")));

    // These two are well: one sleeps, and the other waits for it.
    let (tx, rx) = chan(0);
    start("clock", move || {
        let tx = tx.owned();
        while tx.send(()).is_ok() {
            time::sleep(Duration::from_millis(10));
        }
    });
    start("listener", move || rx.owned().iter().for_each(drop));

    let listener = stack.listen("0.0.0.0:80").expect("port 80 is free");
    kernel::println!("five goroutines run, and /debug/ is served on port 80");
    diagnostics::heap::set_mem_profile_rate(diagnostics::heap::MEM_PROFILE_RATE);
    http::Server::new(diagnostics::handler::serve).serve(listener);
}
