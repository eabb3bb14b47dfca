//! The concurrent prime sieve: a goroutine per prime. Prints the n-th prime (default 500).
use executive::{Builder, chan, go};

fn main() {
    hosted::run(|| {
        let n: usize = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(500);
        let (tx, mut rx) = chan::<u64>(0);
        go(move || (2..).take_while(|&i| tx.send(i).is_ok()).for_each(drop));
        let mut prime = 2;
        for _ in 0..n {
            prime = rx.recv().unwrap();
            let (tx, next) = chan::<u64>(0);
            let from = core::mem::replace(&mut rx, next);
            Builder::new()
                .name("filter")
                .spawn(move || {
                    while let Some(i) = from.recv() {
                        if i % prime != 0 && tx.send(i).is_err() {
                            break;
                        }
                    }
                })
                .unwrap();
        }
        println!("{prime}");
    })
}
