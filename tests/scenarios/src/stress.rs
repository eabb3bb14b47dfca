//! Everything at once, for as long as one likes: senders, receivers, closers, selecters, deadlines
//! and cancellations at random, with sums that prove that nothing was lost and nothing came twice.

use crate::help::{MS, Random};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use core::time::Duration;
use executive::cancel::Token;
use executive::chan::{Receiver, Sender};
use executive::sync::Mutex;
use executive::time::Instant;
use executive::{chan, scope, select, yield_now};

scenarios! { stress:

fn everything_at_once_for_a_moment() {
    stress(Duration::from_millis(300));
}
}

/// What went in and what came out: number and sum of the values.
#[derive(Default)]
struct Ledger {
    sent: AtomicU64,
    sent_sum: AtomicU64,
    received: AtomicU64,
    received_sum: AtomicU64,
}
impl Ledger {
    fn sent(&self, value: u64) {
        self.sent.fetch_add(1, SeqCst);
        self.sent_sum.fetch_add(value, SeqCst);
    }
    fn received(&self, value: u64) {
        self.received.fetch_add(1, SeqCst);
        self.received_sum.fetch_add(value, SeqCst);
    }
}

/// Runs rounds of random traffic until `how_long` has passed, and panics if a value was lost or
/// came twice. Gives the number of values.
pub fn stress(how_long: Duration) -> u64 {
    let (begin, mut round, mut total) = (Instant::now(), 0, 0);
    while begin.elapsed() < how_long {
        round += 1;
        total += one_round(round);
    }
    total
}

fn one_round(seed: u64) -> u64 {
    let mut random = Random::new(seed);
    let ledger = Arc::new(Ledger::default());
    let (txs, rxs): (Vec<_>, Vec<_>) =
        (0..4).map(|_| chan::<u64>(random.below(4) as usize)).unzip();
    let stop = Token::new();
    let turn = Mutex::new(0u64);
    scope(|s| {
        let senders: Vec<_> = (0..6)
            .map(|n| {
                let (txs, ledger, seed) = (txs.clone(), ledger.clone(), random.below(u64::MAX) | 1);
                let turn = &turn;
                s.go(move || send_some(n, &txs, &ledger, turn, Random(seed)))
            })
            .collect();
        for _ in 0..5 {
            let (rxs, ledger, stop, seed) =
                (rxs.clone(), ledger.clone(), stop.child(), random.below(u64::MAX) | 1);
            s.go(move || receive_until(&rxs, &ledger, &stop, Random(seed)));
        }
        // A closer: one channel is closed under everybody's hands. Its senders get their values
        // back and go elsewhere.
        if random.below(3) == 0 {
            let (tx, pause) = (txs[0].clone(), random.below(50));
            s.go(move || {
                (0..pause).for_each(|_| yield_now());
                tx.close();
            });
        }
        senders.into_iter().for_each(|h| h.join());
        drop(txs);
        // All that was sent is in a buffer or was received. Receivers go when every channel is
        // closed and drained.
        stop.cancel();
    });
    for rx in &rxs {
        rx.try_iter().for_each(|v| ledger.received(v));
    }
    assert_eq!(
        ledger.sent.load(SeqCst),
        ledger.received.load(SeqCst),
        "round {seed}: number of values"
    );
    assert_eq!(
        ledger.sent_sum.load(SeqCst),
        ledger.received_sum.load(SeqCst),
        "round {seed}: their sum"
    );
    assert_eq!(*turn.lock(), ledger.sent.load(SeqCst), "round {seed}: the count under the mutex");
    ledger.sent.load(SeqCst)
}

fn send_some(n: u64, txs: &[Sender<u64>], ledger: &Ledger, turn: &Mutex<u64>, mut random: Random) {
    for i in 0..60 {
        let mut value = (n << 32) | i;
        // Until someone takes it: a closed channel gives it back, a deadline may pass.
        let mut at = random.below(4) as usize;
        loop {
            let (a, b) = (&txs[at], &txs[(at + 1) % 4]);
            at = random.below(4) as usize;
            let sent = match random.below(4) {
                0 => a.send(value).map_err(|e| value = e.0).is_ok(),
                1 => a.try_send(value).map_err(|e| value = e.into_inner()).is_ok(),
                2 => a.send_timeout(value, MS / 20).map_err(|e| value = e.into_inner()).is_ok(),
                _ => select! {
                    send(a, value) -> r => r.is_ok(),
                    send(b, value) -> r => r.is_ok(),
                    after(MS / 10) => false,
                },
            };
            if sent {
                break;
            }
            yield_now();
        }
        ledger.sent(value);
        *turn.lock() += 1;
    }
}

fn receive_until(rxs: &[Receiver<u64>], ledger: &Ledger, stop: &Token, mut random: Random) {
    let mut open: Vec<Option<&Receiver<u64>>> = rxs.iter().map(Some).collect();
    loop {
        let at = random.below(4) as usize;
        let (got, from) = match random.below(3) {
            0 => {
                let Some(rx) = open[at] else { continue };
                match rx.recv_timeout(MS / 20) {
                    Ok(v) => (Some(v), at),
                    Err(_) if stop.is_cancelled() => return,
                    Err(_) => continue,
                }
            }
            1 => select! {
                recv(open[0]) -> v => (v, 0),
                recv(open[1]) -> v => (v, 1),
                recv(open[2]) -> v => (v, 2),
                recv(open[3]) -> v => (v, 3),
                done(stop) => return,
            },
            _ => select! {
                recv(open[at]) -> v => (v, at),
                recv(open[(at + 2) % 4]) -> v => (v, (at + 2) % 4),
                after(MS / 10) => continue,
                done(stop) => return,
            },
        };
        match got {
            Some(value) => ledger.received(value),
            None => open[from] = None, // closed and drained
        }
    }
}
