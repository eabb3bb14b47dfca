//! The Mandelbrot set: a goroutine for each row, in floating point.
//!
//! Whether the CPU has vectors of four numbers is asked when it runs. They live in registers that
//! nobody saves at a switch, and a preempted goroutine has them on its stack (VECTOR-CLEAN).

mod point;

use alloc::vec::Vec;
use executive::go;
pub use point::{Picture, has_lanes, row};

/// For each point, row by row, the steps after which it leaves. `lanes`: four at a time, if the CPU
/// can do that.
pub fn mandelbrot(picture: Picture, lanes: bool) -> Vec<u32> {
    let rows: Vec<_> = (0..picture.height)
        .map(|n| go(move || row(&picture, n, lanes).collect::<Vec<_>>()))
        .collect();
    rows.into_iter().flat_map(|row| row.join()).collect()
}
