//! Other packages' collections, run in the kernel.

use super::{Args, Outcome};
use kernel::{frames, println};

/// Runs rows of the race (package `bench`).
pub fn bench(args: &Args) -> Outcome {
    let host = bench::Host {
        emit: |row| println!("{row}"),
        memory: || frames::counts().1 as u64 * frames::FRAME,
        preemption_point: || {}, // every instruction is one
        slowness: 10,            // an emulator's
    };
    if bench::run(args.words, &host) { Ok(()) } else { Err("no such row".into()) }
}

pub fn scenario(_: &Args) -> Outcome {
    Err("there are none yet".into())
}
