//! A planted fault: a server that now and then forgets to answer, so that whoever has asked waits
//! for ever. Find it as docs/debugging.md does: `./qemu-run.sh --smp 2 --net --example lost_reply`,
//! then a browser at `localhost:8080/debug/`.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::time::Duration;
use executive::chan::{Receiver, Sender};
use executive::{Builder, chan, time};

kernel::entry!(main);

/// A question, and where the answer goes.
struct Question(u64, Sender<u64>);

/// Answers questions. (What it does not know it keeps for later, and forgets.)
fn answer(questions: &Receiver<Question>) {
    let mut later = Vec::new();
    for question in questions.iter() {
        match question {
            Question(n, _) if n % 10 == 3 => later.push(question),
            Question(n, to) => _ = to.send(n * n),
        }
    }
}

fn ask(n: u64, questions: &Sender<Question>) -> Option<u64> {
    let (tx, rx) = chan(0);
    questions.send(Question(n, tx)).ok()?;
    rx.recv()
}

fn main() {
    drivers::start();
    let stack = drivers::network::up("10.0.2.15/24", "10.0.2.2").expect("a network card");

    let (tx, rx) = chan(0);
    drop(Builder::new().name("server").spawn(move || answer(&rx)).expect("memory"));
    let clients = move || {
        for n in 0..=u64::MAX {
            let tx = tx.clone();
            let client = move || ask(n, &tx);
            drop(Builder::new().name("client").spawn(client).expect("memory"));
            time::sleep(Duration::from_millis(20));
        }
    };
    drop(Builder::new().name("clients").spawn(clients).expect("memory"));

    let listener = stack.listen("0.0.0.0:80").expect("port 80 is free");
    kernel::println!("a server answers, and /debug/ is served on port 80");
    diagnostics::heap::set_mem_profile_rate(diagnostics::heap::MEM_PROFILE_RATE);
    http::Server::new(diagnostics::handler::serve).serve(listener);
}
