//! A kernel of your own on this project's machine, in a directory of its own: `cargo run`.
#![no_std]
#![no_main]

kernel::entry!(main);

fn main() {
    let (tx, rx) = executive::chan(0);
    executive::go(move || (1..=3).for_each(|n| tx.send(n).unwrap()));
    let sum: u32 = rx.iter().sum();
    executive::println!("a kernel on {} CPUs: {sum}", executive::affinity::cpus());
}
