//! `count OPERATION N`: does one operation N times on one CPU and nothing else, for counting instructions.
//!
//! tests/bench/instructions.sh runs it twice under callgrind, with N and 3 N, and divides the difference: what start-up
//! costs drops out, and the answer repeats to within a percent however busy the host is.

use executive::{chan, go, yield_now};

fn main() {
    hosted::run_with(1, || {
        let mut args = std::env::args().skip(1);
        let operation = args.next().unwrap_or_default();
        let n: usize = args.next().and_then(|n| n.parse().ok()).expect("usage: count OPERATION N");
        match operation.as_str() {
            "nothing" => {}
            "switch" => switches(n),
            "spawn_exit_join" => (0..n).for_each(|_| go(|| ()).join()),
            "chan_round_trip" => round_trips(n),
            "chan_buffered" => buffered(n),
            _ => panic!("no such operation: {operation}"),
        }
    })
}

/// `n` switches: two goroutines that yield to each other.
fn switches(n: usize) {
    let half = move || (0..n / 2).for_each(|_| yield_now());
    let (a, b) = (go(half), go(half));
    a.join();
    b.join();
}

/// `n` times there and back.
fn round_trips(n: usize) {
    let (ping, pings) = chan::<usize>(0);
    let (pong, pongs) = chan::<usize>(0);
    go(move || pings.iter().for_each(|x| pong.send(x).expect("main receives")));
    for i in 0..n {
        ping.send(i).expect("the other receives");
        pongs.recv();
    }
}

/// `n` items through a buffer of 128.
fn buffered(n: usize) {
    let (tx, rx) = chan::<usize>(128);
    go(move || (0..n).for_each(|i| tx.send(i).expect("main receives")));
    assert_eq!(rx.iter().count(), n);
}
