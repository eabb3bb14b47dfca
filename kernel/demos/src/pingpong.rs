//! Two goroutines and two channels: the ball goes to and fro, and each adds one.

use executive::{chan, go};

/// Plays so many rounds; returns how often the ball was hit, which is twice as much.
pub fn pingpong(rounds: u64) -> u64 {
    let (ping, court) = chan::<u64>(0);
    let (pong, back) = chan::<u64>(0);
    go(move || court.iter().all(|hits| pong.send(hits + 1).is_ok()));
    (0..rounds).fold(0, |hits, _| {
        ping.send(hits + 1).expect("the other plays");
        back.recv().expect("the other plays")
    })
}
