//! The Mandelbrot set by threads of Linux and by goroutines, in the same process: what each takes.
use demos::mandelbrot::{Picture, mandelbrot, row};
use std::time::{Duration, Instant};

const PICTURE: Picture = Picture { width: 800, height: 600, most: 1000 };

fn main() {
    for lanes in [false, true] {
        let (plain, expected) = best(|| by_threads(lanes));
        println!("threads, {}: {plain:?}", kind(lanes));
        PLAIN.lock().unwrap().push((lanes, plain, expected));
    }
    hosted::run(|| {
        for (lanes, plain, expected) in PLAIN.lock().unwrap().drain(..) {
            let (took, points) = best(|| mandelbrot(PICTURE, lanes));
            assert_eq!(points, expected);
            let ratio = took.as_secs_f64() / plain.as_secs_f64();
            println!("goroutines, {}: {took:?}, {ratio:.2} times", kind(lanes));
        }
    });
}

type Plain = (bool, Duration, Vec<u32>);
static PLAIN: std::sync::Mutex<Vec<Plain>> = std::sync::Mutex::new(Vec::new());

fn kind(lanes: bool) -> &'static str {
    if lanes { "4 lanes" } else { "f64" }
}

/// The best of five: a busy machine only adds.
fn best(run: impl Fn() -> Vec<u32>) -> (Duration, Vec<u32>) {
    let timed = || {
        let begin = Instant::now();
        let points = run();
        (begin.elapsed(), points)
    };
    (0..5).map(|_| timed()).min_by_key(|(took, _)| *took).expect("five")
}

/// A thread for each CPU, each with every so many rows.
fn by_threads(lanes: bool) -> Vec<u32> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let of_thread =
        |t| (t..PICTURE.height).step_by(threads).map(move |n| (n, row(&PICTURE, n, lanes)));
    let mut rows: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads)
            .map(|t| {
                scope.spawn(move || {
                    of_thread(t).map(|(n, row)| (n, row.collect::<Vec<_>>())).collect::<Vec<_>>()
                })
            })
            .collect();
        all.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    rows.sort();
    rows.into_iter().flat_map(|(_, row)| row).collect()
}
