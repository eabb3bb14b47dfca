//! How soon: from a send to its receipt on a CPU that was idle, and a ticker's turn when every CPU
//! is hogged.

use crate::{Host, Interrupt, emit_quantiles};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use executive::machine::{cpus, now};
use executive::{chan, go, time};

/// Microseconds from send to receipt. The sender keeps its own CPU busy, so the receiver must run
/// on another, which has had time to fall asleep. Nothing to measure on one CPU.
pub fn wake(host: &Host) {
    if cpus() < 2 {
        return;
    }
    let samples = 1000;
    let (tx, rx) = chan::<u64>(0);
    // What the receiver measured; 0: nothing yet. Release and Acquire make a pair.
    let latency = Arc::new(AtomicU64::new(0));
    let measured = latency.clone();
    let receiver = go(move || {
        while let Some(sent) = rx.recv() {
            measured.store((now() - sent).max(1), Ordering::Release);
        }
    });
    let mut values = Vec::with_capacity(samples);
    for _ in 0..samples {
        time::sleep(Duration::from_millis(1)); // the receiver parks
        busy_until(now() + 300_000); // the other CPU gives up its search for work
        latency.store(0, Ordering::Relaxed);
        let _ = tx.send(now());
        while latency.load(Ordering::Acquire) == 0 {
            core::hint::spin_loop();
            // Should it have been queued here after all, it must get its turn; the sample shows it.
            (host.preemption_point)();
        }
        values.push(latency.load(Ordering::Relaxed) as f64 / 1000.0);
    }
    drop(tx);
    receiver.join();
    emit_quantiles(host, "us", values, &[("wake_p50", 50), ("wake_p99", 99)]);
}

/// Microseconds from a device's interrupt to the first instruction of the goroutine that waits for
/// it. With several CPUs, the device interrupts one that has fallen asleep: the one on which the
/// goroutine has waited before. With one, whatever that runs.
pub fn irq(host: &Host) {
    let Some(Interrupt { send, wait }) = (host.interrupt)() else { return };
    let samples = 1000;
    // When the interrupt was sent; 0: it is over. And what the goroutine measured; 0: nothing yet.
    // Release and Acquire make pairs.
    let cells = Arc::new([AtomicU64::new(1), AtomicU64::new(0)]);
    let theirs = cells.clone();
    let waiter = go(move || {
        let [sent, latency] = &*theirs;
        loop {
            wait();
            let came = now();
            match sent.load(Ordering::Acquire) {
                0 => return,
                sent => latency.store(came.saturating_sub(sent).max(1), Ordering::Release),
            }
        }
    });
    let [sent, latency] = &*cells;
    let mut values = Vec::with_capacity(samples);
    for _ in 0..samples {
        time::sleep(Duration::from_millis(1)); // the goroutine parks
        busy_until(now() + 300_000); // the other CPUs give up their search for work
        latency.store(0, Ordering::Relaxed);
        sent.store(now(), Ordering::Release);
        send();
        while latency.load(Ordering::Acquire) == 0 {
            core::hint::spin_loop();
            (host.preemption_point)();
        }
        values.push(latency.load(Ordering::Relaxed) as f64 / 1000.0);
    }
    sent.store(0, Ordering::Release);
    send();
    waiter.join();
    emit_quantiles(host, "us", values, &[("irq_p50", 50), ("irq_p99", 99)]);
}

/// Microseconds that a ticker of 20 ms runs late while every CPU is hogged by two goroutines that
/// never block.
pub fn fair(host: &Host) {
    let stop = Arc::new(AtomicBool::new(false));
    let point = host.preemption_point;
    let hogs: Vec<_> = (0..2 * cpus())
        .map(|_| {
            let stop = stop.clone();
            go(move || {
                while !stop.load(Ordering::Relaxed) {
                    for i in 0..1000 {
                        black_box(i);
                    }
                    point();
                }
            })
        })
        .collect();
    let mut values = Vec::new();
    for _ in 0..200 {
        let due = now() + 20_000_000;
        time::sleep(Duration::from_millis(20));
        values.push((now() - due) as f64 / 1000.0);
    }
    stop.store(true, Ordering::Relaxed);
    for hog in hogs {
        hog.join();
    }
    emit_quantiles(host, "us", values, &[("fair_p50", 50), ("fair_p99", 99), ("fair_max", 100)]);
}

fn busy_until(deadline: u64) {
    while now() < deadline {
        core::hint::spin_loop();
    }
}
