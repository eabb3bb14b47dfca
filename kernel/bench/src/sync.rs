//! Locks, conditions and semaphores.

use crate::{Host, REPEATS, ns_per, repeat};
use alloc::vec::Vec;
use core::hint::black_box;
use executive::sync::{Condvar, Mutex, Semaphore};
use executive::{go, scope, yield_now};

/// Nanoseconds per lock and unlock that nobody else wants.
pub fn mutex_free(host: &Host) {
    let times = 10_000_000 / host.slowness;
    repeat(host, "mutex_free", "ns", REPEATS, || {
        let mutex = Mutex::new(());
        let mut n = 0;
        let ns = ns_per(times, || {
            for _ in 0..times {
                let _held = mutex.lock();
                n += 1;
            }
        });
        assert_eq!(black_box(n), times);
        ns
    });
}

/// Nanoseconds per turn of eight goroutines that want one lock all the time.
pub fn mutex_8g(host: &Host) {
    eight(host, "mutex_8g", false)
}

/// As [`mutex_8g`], and each holds it over a yield.
pub fn mutex_8g_yield(host: &Host) {
    eight(host, "mutex_8g_yield", true)
}

fn eight(host: &Host, name: &'static str, yields: bool) {
    let times = if yields { 20_000 } else { 200_000 } / host.slowness;
    repeat(host, name, "ns", REPEATS, || {
        let mutex = Mutex::new(0);
        let ns = ns_per(8 * times, || {
            let mutex = &mutex;
            scope(|s| {
                let all: Vec<_> = (0..8)
                    .map(|_| {
                        s.go(move || {
                            for _ in 0..times {
                                let mut count = mutex.lock();
                                *count += 1;
                                if yields {
                                    yield_now();
                                }
                            }
                        })
                    })
                    .collect();
                all.into_iter().for_each(|h| h.join());
            })
        });
        assert_eq!(mutex.into_inner(), 8 * times);
        ns
    });
}

/// Nanoseconds per round trip of two goroutines that wait for each other's signal.
pub fn cond_rt(host: &Host) {
    let rounds = 300_000 / host.slowness;
    repeat(host, "cond_rt", "ns", REPEATS, || {
        let (turn, conds) = (Mutex::new(0), [Condvar::new(), Condvar::new()]);
        ns_per(rounds, || {
            scope(|s| {
                for me in 0..2 {
                    let (turn, conds) = (&turn, &conds);
                    s.go(move || {
                        let mut guard = turn.lock();
                        for _ in 0..rounds {
                            while *guard != me {
                                guard = conds[me].wait(guard);
                            }
                            *guard = 1 - me;
                            conds[1 - me].notify_one();
                        }
                    });
                }
            })
        })
    });
}

/// Nanoseconds per round trip over two semaphores.
pub fn sema_rt(host: &Host) {
    static PING: Semaphore = Semaphore::new(0);
    static PONG: Semaphore = Semaphore::new(0);
    let rounds = 300_000 / host.slowness;
    repeat(host, "sema_rt", "ns", REPEATS, || {
        let echo = go(move || {
            for _ in 0..rounds {
                PING.acquire();
                PONG.release();
            }
        });
        let ns = ns_per(rounds, || {
            for _ in 0..rounds {
                PING.release();
                PONG.acquire();
            }
        });
        echo.join();
        ns
    });
}
