//! The Mandelbrot set by goroutines of a Linux process: what a point takes.
//!
//!     cargo run --release -p hosted --example mandelbrot [WIDTH HEIGHT STEPS]
use demos::mandelbrot::{Picture, mandelbrot};
use std::time::Instant;

fn main() {
    hosted::run(|| {
        let arguments: Vec<usize> =
            std::env::args().skip(1).flat_map(|word| word.parse()).collect();
        let (width, height, most) = match arguments[..] {
            [width, height, most] => (width, height, most as u32),
            _ => (800, 600, 1000),
        };
        let [f64, lanes] = [false, true].map(|lanes| {
            let begin = Instant::now();
            mandelbrot(Picture { width, height, most }, lanes);
            begin.elapsed().as_nanos() / (width * height) as u128
        });
        println!("{f64} ns a point in f64, {lanes} in 4 lanes");
    });
}
