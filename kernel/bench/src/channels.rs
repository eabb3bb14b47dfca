//! Values handed from goroutine to goroutine.

use crate::{Host, REPEATS, ns_per, repeat};
use executive::chan::{Receiver, Sender};
use executive::{chan, go};

/// Nanoseconds per round trip over two unbuffered channels.
pub fn unbuffered(host: &Host) {
    let rounds = 300_000 / host.slowness;
    repeat(host, "chan_unbuf_rt", "ns", REPEATS, || {
        let (ping, pings) = chan::<usize>(0);
        let (pong, pongs) = chan::<usize>(0);
        let echo = go(move || echo(pings, pong));
        let ns = ns_per(rounds, || {
            for i in 0..rounds {
                ping.send(i).expect("the echo receives");
                assert_eq!(pongs.recv(), Some(i));
            }
        });
        drop(ping);
        echo.join();
        ns
    });
}

/// Sends back what comes.
fn echo(pings: Receiver<usize>, pong: Sender<usize>) {
    while let Some(x) = pings.recv() {
        pong.send(x).expect("who sends waits for it");
    }
}

/// Nanoseconds per item through a buffer of 128.
pub fn buffered(host: &Host) {
    let items = 2_000_000 / host.slowness;
    repeat(host, "chan_buf128", "ns", REPEATS, || {
        ns_per(items, || {
            let (tx, rx) = chan::<usize>(128);
            go(move || {
                for i in 0..items {
                    let _ = tx.send(i);
                }
            });
            let mut n = 0;
            while rx.recv().is_some() {
                n += 1;
            }
            assert_eq!(n, items);
        })
    });
}
