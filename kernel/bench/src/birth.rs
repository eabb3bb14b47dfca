//! A goroutine is born, does nothing, ends, and somebody knows.

use crate::{Host, REPEATS, ns_per, repeat};
use alloc::vec::Vec;
use executive::go;

/// One at a time.
pub fn one(host: &Host) {
    let times = 300_000 / host.slowness;
    repeat(host, "spawn_join_1", "ns", REPEATS, || {
        ns_per(times, || {
            for _ in 0..times {
                go(|| ()).join();
            }
        })
    });
}

/// Ten thousand, then all are joined.
pub fn ten_thousand(host: &Host) {
    let rounds = (50 / host.slowness).max(2);
    let mut handles = Vec::with_capacity(10_000);
    repeat(host, "spawn_join_10k", "ns", REPEATS, || {
        ns_per(rounds * 10_000, || {
            for _ in 0..rounds {
                handles.extend((0..10_000).map(|_| go(|| ())));
                for g in handles.drain(..) {
                    g.join();
                }
            }
        })
    });
}
