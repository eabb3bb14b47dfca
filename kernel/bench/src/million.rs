//! A great many at once: a million that wait, a hundred thousand timers.

use crate::{FEW, Host, emit, emit_quantiles, ns_per, seconds};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use core::time::Duration;
use executive::machine::now;
use executive::{chan, go, time, yield_now};

const MILLION: usize = 1_000_000;

/// A million goroutines park on one channel; then it is closed and they all end.
pub fn blocked(host: &Host) {
    let (mut spawn, mut wake) = (Vec::new(), Vec::new());
    let before = (host.memory)();
    let mut bytes = 0.0;
    for round in 0..=FEW {
        let started = Arc::new(AtomicUsize::new(0));
        let (gate_open, gate) = chan::<()>(0);
        let (done, all_done) = chan::<()>(0);
        let spawn_time = seconds(|| {
            for _ in 0..MILLION {
                let (gate, done, started) = (gate.clone(), done.clone(), started.clone());
                go(move || {
                    started.fetch_add(1, Relaxed);
                    gate.recv();
                    drop(done);
                });
            }
            while started.load(Relaxed) < MILLION {
                yield_now();
            }
        });
        if round == 0 {
            // The first time, from a state where nothing was committed.
            bytes = ((host.memory)() - before) as f64 / MILLION as f64;
        }
        drop(done);
        let wake_time = seconds(|| {
            drop(gate_open);
            all_done.recv(); // `None` when the last `done` is gone
        });
        if round > 0 {
            spawn.push(spawn_time);
            wake.push(wake_time);
        }
    }
    emit(host, "blocked1m_spawn", "s", spawn);
    emit(host, "blocked1m_bytes", "bytes", alloc::vec![bytes]);
    emit(host, "blocked1m_wake", "s", wake);
}

/// A million goroutines park, one after the other: what the first thousand or so cost, each until
/// it is parked, and the last thousand. Once: a second time they would find what the first has
/// left.
pub fn spawns(host: &Host) {
    let started = Arc::new(AtomicUsize::new(0));
    let (gate_open, gate) = chan::<()>(0);
    let (done, all_done) = chan::<()>(0);
    let park_up_to = |n: usize| {
        for _ in started.load(Relaxed)..n {
            let (gate, done, started) = (gate.clone(), done.clone(), started.clone());
            go(move || {
                started.fetch_add(1, Relaxed);
                gate.recv();
                drop(done);
            });
            yield_now(); // to it: it parks
        }
        while started.load(Relaxed) < n {
            yield_now();
        }
    };
    park_up_to(500);
    let early = ns_per(1000, || park_up_to(1500));
    park_up_to(MILLION - 1000);
    let late = ns_per(1000, || park_up_to(MILLION));
    drop((gate_open, done));
    all_done.recv();
    emit(host, "spawn_1000th", "ns", alloc::vec![early]);
    emit(host, "spawn_1000000th", "ns", alloc::vec![late]);
}

/// A hundred thousand goroutines sleep for up to a second each.
pub fn timers(host: &Host) {
    const TIMERS: usize = 100_000;
    let late: Arc<[AtomicU64]> = (0..TIMERS).map(|_| AtomicU64::new(0)).collect();
    let mut total = Vec::new();
    for round in 0..=FEW {
        let (done, all_done) = chan::<()>(0);
        let took = seconds(|| {
            for i in 0..TIMERS {
                let (done, late) = (done.clone(), late.clone());
                go(move || {
                    // Spread over a second in an order that is none.
                    let ns = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % 1_000_000_000;
                    let due = now() + ns;
                    time::sleep(Duration::from_nanos(ns));
                    late[i].store(now().saturating_sub(due), Relaxed);
                    drop(done);
                });
            }
            drop(done);
            all_done.recv();
        });
        if round > 0 {
            total.push(took);
        }
    }
    emit(host, "timer100k_total", "s", total);
    let late = late.iter().map(|ns| ns.load(Relaxed) as f64 / 1000.0).collect();
    let rows =
        [("timer100k_late_p50", 50), ("timer100k_late_p99", 99), ("timer100k_late_max", 100)];
    emit_quantiles(host, "us", late, &rows);
}
