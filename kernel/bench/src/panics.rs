//! What a panic costs that somebody recovers, and what it costs to be ready for one.

use crate::{Host, REPEATS, ns_per, repeat};
use core::hint::black_box;
use executive::go;
use executive::recover::{isolated, recover};

/// Microseconds per panic that unwinds ten frames, each with a destructor, and is recovered.
pub fn ten_frames(host: &Host) {
    let times = 10_000 / host.slowness;
    repeat(host, "recover_10_frames", "us", REPEATS, || {
        let mut dropped = 0;
        let ns = ns_per(times, || {
            for _ in 0..times {
                assert!(recover(|| descend(10, &mut dropped)).is_err());
            }
        });
        assert_eq!(dropped, 10 * times);
        ns / 1e3
    });
}

/// Panics so many frames further down.
#[inline(never)]
fn descend(frames: usize, dropped: &mut usize) {
    struct Counts<'a>(&'a mut usize);
    impl Drop for Counts<'_> {
        fn drop(&mut self) {
            *self.0 += 1;
        }
    }
    if black_box(frames) == 0 {
        panic!("the tenth frame");
    }
    let counts = Counts(dropped);
    descend(frames - 1, counts.0);
}

/// Nanoseconds per goroutine whose panics are its result: born, ended, joined, and none came.
pub fn isolated_one(host: &Host) {
    let times = 300_000 / host.slowness;
    repeat(host, "spawn_isolated_1", "ns", REPEATS, || {
        ns_per(times, || {
            for i in 0..times {
                let joined = go(isolated(move || i)).join();
                assert_eq!(joined.ok(), Some(i));
            }
        })
    });
}
