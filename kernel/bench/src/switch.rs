//! A goroutine gives the CPU to the next: the whole way through the scheduler and its queue.

use crate::{Host, REPEATS, ns_per, repeat};
use alloc::vec::Vec;
use executive::{go, yield_now};

pub fn yield2(host: &Host) {
    yields(host, "yield2", 2, 500_000 / host.slowness);
}

pub fn yield100(host: &Host) {
    yields(host, "yield100", 100, 20_000 / host.slowness);
}

/// Nanoseconds per switch among `goroutines` that each yield `rounds` times.
fn yields(host: &Host, name: &'static str, goroutines: usize, rounds: usize) {
    repeat(host, name, "ns", REPEATS, || {
        ns_per(goroutines * rounds, || {
            let all: Vec<_> = (0..goroutines)
                .map(|_| {
                    go(move || {
                        for _ in 0..rounds {
                            yield_now();
                        }
                    })
                })
                .collect();
            for g in all {
                g.join();
            }
        })
    });
}
