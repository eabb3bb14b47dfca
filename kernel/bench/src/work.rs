//! Three well-known programs that are all goroutines and no work.

use crate::{FEW, Host, repeat, seconds};
use core::time::Duration;
use executive::chan::{Receiver, Sender};
use executive::{chan, go, time};

/// The 2000th prime: a chain of 2000 filters, unbuffered.
pub fn sieve2000(host: &Host) {
    repeat(host, "sieve2000", "s", FEW, || {
        let mut stop = None;
        let took = seconds(|| {
            let (tx, mut rx) = chan::<u32>(0);
            go(move || {
                let mut n = 2;
                while tx.send(n).is_ok() {
                    n += 1;
                }
            });
            let mut last = 0;
            for _ in 0..2000 {
                let Some(prime) = rx.recv() else { return };
                last = prime;
                let (out, next) = chan::<u32>(0);
                let numbers = core::mem::replace(&mut rx, next);
                go(move || filter(prime, numbers, out));
            }
            assert_eq!(last, 17389);
            stop = Some(rx);
        });
        // The chain ends from this end upwards, and not on the clock of the next round.
        drop(stop);
        time::sleep(Duration::from_millis(100));
        took
    });
}

fn filter(prime: u32, numbers: Receiver<u32>, out: Sender<u32>) {
    while let Some(n) = numbers.recv() {
        if !n.is_multiple_of(prime) && out.send(n).is_err() {
            return;
        }
    }
}

/// fib(30) with a goroutine per call: 1.3 million of them.
pub fn fib30(host: &Host) {
    repeat(host, "fib30", "s", FEW, || seconds(|| assert_eq!(go(|| fib(30)).join(), 832_040)));
}

fn fib(n: u32) -> u32 {
    if n < 2 {
        return n;
    }
    let a = go(move || fib(n - 1));
    let b = go(move || fib(n - 2));
    a.join() + b.join()
}

/// A tree of goroutines, ten children each, whose million leaves are summed.
pub fn skynet1m(host: &Host) {
    repeat(host, "skynet1m", "s", FEW, || {
        seconds(|| {
            let (tx, rx) = chan(0);
            go(move || skynet(tx, 0, 1_000_000));
            assert_eq!(rx.recv(), Some(499_999_500_000));
        })
    });
}

fn skynet(parent: Sender<u64>, number: u64, size: u64) {
    if size == 1 {
        let _ = parent.send(number);
        return;
    }
    let (tx, rx) = chan(0);
    for i in 0..10 {
        let tx = tx.clone();
        let child = size / 10;
        go(move || skynet(tx, number + i * child, child));
    }
    let sum = (0..10).filter_map(|_| rx.recv()).sum();
    let _ = parent.send(sum);
}
