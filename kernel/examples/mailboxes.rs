//! A planted fault: two goroutines write to each other's mailbox until both are full, and a third
//! waits for an answer of either. Find it as docs/debugging.md does: `./qemu-run.sh --smp 2
//! --net --example mailboxes`, then a browser at `localhost:8080/debug/`.
#![no_std]
#![no_main]

extern crate alloc;

use core::time::Duration;
use executive::chan::{Receiver, Sender};
use executive::{Builder, chan, select, time};

kernel::entry!(main);

/// Answers each letter. (By two: when both mailboxes are full, nobody looks into his own.)
fn write_to(peer: Sender<u64>, mailbox: Receiver<u64>, answers: Sender<u64>) {
    // All ends stay here: so it is known who could still help whom.
    let (peer, mailbox, answers) = (peer.owned(), mailbox.owned(), answers.owned());
    for n in 0..=u64::MAX {
        peer.send(n).expect("the other receives");
        peer.send(n).expect("the other receives");
        let letter = mailbox.recv().expect("the other sends");
        answers.send(letter).expect("the auditor receives");
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
    let ((answer, of_orders), (reply, of_stock), (bell, rings)) = (chan(0), chan(0), chan::<()>(0));
    start("orders", move || {
        let _bell = bell.owned();
        write_to(to_stock, orders, answer)
    });
    start("stock", move || write_to(to_orders, stock, reply));
    start("auditor", move || {
        loop {
            let letter = select! {
                recv(of_orders) -> letter => letter,
                recv(of_stock) -> letter => letter,
            };
            kernel::println!("letter {letter:?}");
        }
    });

    // These three are well. Nobody rings, but the guard does not wait for ever; one sleeps, and the
    // last waits for that one.
    start("guard", move || {
        select! {
            recv(rings) -> _ => {}
            after(Duration::from_secs(3600)) => {}
        }
    });
    let (tx, rx) = chan(0);
    start("clock", move || {
        let tx = tx.owned();
        while tx.send(()).is_ok() {
            time::sleep(Duration::from_millis(10));
        }
    });
    start("listener", move || rx.owned().iter().for_each(drop));

    let listener = stack.listen("0.0.0.0:80").expect("port 80 is free");
    kernel::println!("six goroutines run, and /debug/ is served on port 80");
    diagnostics::heap::set_mem_profile_rate(diagnostics::heap::MEM_PROFILE_RATE);
    http::Server::new(diagnostics::handler::serve).serve(listener);
}
