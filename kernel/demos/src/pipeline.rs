//! A pipeline: numbers go in at one end, several goroutines square them side by side, one adds up
//! what comes out.

use executive::{chan, go};

/// The sum of the squares of `1..=n`, made by so many workers.
pub fn pipeline(n: u64, workers: usize) -> u64 {
    let (tx, numbers) = chan(0);
    go(move || (1..=n).all(|i| tx.send(i).is_ok())); // and closes it, by dropping the only sender

    let (tx, squares) = chan(16);
    for _ in 0..workers {
        let (numbers, tx) = (numbers.clone(), tx.clone());
        go(move || numbers.iter().all(|i| tx.send(i * i).is_ok()));
    }
    drop(tx); // the workers' are left: the last to end closes `squares`

    squares.iter().sum()
}
