//! The concurrent prime sieve (kernel/demos/src/sieve.rs) as a kernel of its own: `./qemu-run.sh
//! --example sieve --run 500`.
#![no_std]
#![no_main]

use kernel::println;

kernel::entry!(main);

fn main() {
    let n = kernel::command_line().parse().unwrap_or(100);
    println!("prime {n} is {}", demos::sieve(n).expect("memory"));
}
