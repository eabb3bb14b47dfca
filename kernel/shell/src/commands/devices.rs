//! Devices, as a person uses them (package `drivers`).

use super::{Args, Outcome};
use alloc::vec;
use drivers::random;
use kernel::{print, println};

/// Shown in hexadecimal, 32 in a line.
fn dump(bytes: &[u8]) {
    for line in bytes.chunks(32) {
        line.iter().for_each(|byte| print!("{byte:02x}"));
        println!();
    }
}

pub fn random(args: &Args) -> Outcome {
    let mut bytes = vec![0; args.number(0, 16, 1..=65536)? as usize];
    let source = random::fill(&mut bytes);
    dump(&bytes);
    println!("{} bytes from {source}", bytes.len());
    Ok(())
}
