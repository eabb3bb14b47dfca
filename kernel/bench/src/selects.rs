//! A select of four receives: one is ready, and none is.

use crate::{Host, REPEATS, ns_per, repeat};
use executive::{chan, go, select};

/// Nanoseconds per value: sent into one of four buffers, and received by a select of all four.
pub fn ready(host: &Host) {
    let times = 2_000_000 / host.slowness;
    repeat(host, "select4_ready", "ns", REPEATS, || {
        let [(_a, ra), (_b, rb), (c, rc), (_d, rd)] = core::array::from_fn(|_| chan::<usize>(1));
        ns_per(times, || {
            for i in 0..times {
                let _ = c.send(i);
                select! {
                    recv(ra) -> _ => {}
                    recv(rb) -> _ => {}
                    recv(rc) -> _ => {}
                    recv(rd) -> _ => {}
                }
            }
        })
    });
}

/// Nanoseconds per value that comes over one of four unbuffered channels, in turn, to a select of
/// all four.
pub fn block(host: &Host) {
    let times = 200_000 / host.slowness;
    repeat(host, "select4_block", "ns", REPEATS, || {
        let [(a, ra), (b, rb), (c, rc), (d, rd)] = core::array::from_fn(|_| chan::<usize>(0));
        let all = [a, b, c, d];
        let sender = go(move || {
            for i in 0..times {
                let _ = all[i % 4].send(i);
            }
            all // closed when we have stopped looking
        });
        let ns = ns_per(times, || {
            for _ in 0..times {
                select! {
                    recv(ra) -> _ => {}
                    recv(rb) -> _ => {}
                    recv(rc) -> _ => {}
                    recv(rd) -> _ => {}
                }
            }
        });
        sender.join();
        ns
    });
}
