//! The concurrent prime sieve (McIlroy; Go's front page had it for years): a goroutine for each prime, and between
//! neighbours a channel. Every number walks down the chain until a prime divides it.

use core::mem;
use executive::{Builder, chan, chan::Receiver};

/// The `n`-th prime; the first is 2.
///
/// # Panics
/// If `n` is 0.
pub fn sieve(n: usize) -> u64 {
    assert!(n > 0, "primes are counted from 1");
    let mut numbers = from_two();
    for _ in 1..n {
        let prime = next(&numbers);
        // The chain grows at our end: what we read so far goes through a filter from now on.
        let (tx, filtered) = chan(0);
        let rx = mem::replace(&mut numbers, filtered);
        start("filter", move || rx.iter().filter(|i| i % prime != 0).all(|i| tx.send(i).is_ok()));
    }
    next(&numbers)
    // `numbers` is dropped: the last filter's send fails, so it ends and drops its receiver, and so on up to the source.
}

/// 2, 3, 4, ... until nobody listens.
fn from_two() -> Receiver<u64> {
    let (tx, numbers) = chan(0);
    start("numbers", move || (2..).all(|i| tx.send(i).is_ok()));
    numbers
}

fn next(numbers: &Receiver<u64>) -> u64 {
    numbers.recv().expect("the source never ends by itself")
}

fn start(name: &'static str, f: impl FnOnce() -> bool + Send + 'static) {
    drop(Builder::new().name(name).spawn(f).expect("memory for a goroutine"));
}
