//! The concurrent prime sieve (McIlroy; Go's front page had it for years): a goroutine for each
//! prime, and between neighbours a channel. Every number walks down the chain until a prime divides
//! it.

use core::mem;
use executive::{Builder, SpawnError, chan, chan::Receiver};

/// The `n`-th prime; the first is 2. If memory runs out the chain ends, and the error is returned.
///
/// # Panics
/// If `n` is 0.
pub fn sieve(n: usize) -> Result<u64, SpawnError> {
    assert!(n > 0, "primes are counted from 1");
    let mut numbers = from_two()?;
    for _ in 1..n {
        let prime = next(&numbers);
        // The chain grows at our end: what we read so far goes through a filter from now on.
        let (tx, filtered) = chan(0);
        let rx = mem::replace(&mut numbers, filtered);
        start("filter", move || rx.iter().filter(|i| i % prime != 0).all(|i| tx.send(i).is_ok()))?;
    }
    Ok(next(&numbers))
    // `numbers` is dropped: the last filter's send fails, so it ends and drops its receiver, and so
    // on up to the source.
}

/// 2, 3, 4, ... until nobody listens.
fn from_two() -> Result<Receiver<u64>, SpawnError> {
    let (tx, numbers) = chan(0);
    start("numbers", move || (2..).all(|i| tx.send(i).is_ok()))?;
    Ok(numbers)
}

fn next(numbers: &Receiver<u64>) -> u64 {
    numbers.recv().expect("the source never ends by itself")
}

fn start(name: &'static str, f: impl FnOnce() -> bool + Send + 'static) -> Result<(), SpawnError> {
    Builder::new().name(name).spawn(f).map(drop) // dropping the handle lets it go on by itself
}
