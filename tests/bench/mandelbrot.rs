//! The Mandelbrot set in plain Rust, by a thread for each CPU: the same function as the
//! goroutines', and that function with floating point in software. Prints the nanoseconds that a
//! point takes. For tests/bench/mandelbrot.sh, which compiles it twice.
#![cfg_attr(feature = "soft", no_std)]

#[path = "../../kernel/demos/src/mandelbrot/point.rs"]
mod point;
use point::{Picture, row};

#[cfg(feature = "soft")]
mod soft {
    use super::{Picture, row};

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }

    #[unsafe(no_mangle)]
    extern "C" fn soft_row(width: usize, height: usize, most: u32, n: usize, out: *mut u32) {
        let picture = Picture { width, height, most };
        // SAFETY: the caller has room for a row.
        row(&picture, n, false)
            .enumerate()
            .for_each(|(at, steps)| unsafe { out.add(at).write(steps) });
    }
}

#[cfg(not(feature = "soft"))]
mod plain {
    use super::{Picture, row};

    unsafe extern "C" {
        safe fn soft_row(width: usize, height: usize, most: u32, n: usize, out: *mut u32);
    }

    fn soft(picture: &Picture, n: usize) -> Vec<u32> {
        let mut steps = vec![0; picture.width];
        soft_row(picture.width, picture.height, picture.most, n, steps.as_mut_ptr());
        steps
    }

    pub fn measure(picture: Picture) {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let by_threads = |of: &(dyn Fn(usize) -> Vec<u32> + Sync)| {
            let begin = std::time::Instant::now();
            let mut rows = std::thread::scope(|scope| {
                let of_thread =
                    |t| (t..picture.height).step_by(threads).map(|n| (n, of(n))).collect();
                let all: Vec<_> = (0..threads).map(|t| scope.spawn(move || of_thread(t))).collect();
                all.into_iter()
                    .flat_map(|thread| -> Vec<_> { thread.join().unwrap() })
                    .collect::<Vec<_>>()
            });
            rows.sort();
            (begin.elapsed().as_nanos() / (picture.width * picture.height) as u128, rows)
        };
        let (f64, points) = by_threads(&|n| row(&picture, n, false).collect());
        let (lanes, same) = by_threads(&|n| row(&picture, n, true).collect());
        assert!(points == same);
        let (software, same) = by_threads(&|n| soft(&picture, n));
        assert!(points == same);
        println!("threads: {f64} ns a point in f64, {lanes} in 4 lanes, {software} in software");
    }
}

/// Also as `/init` of a Linux guest.
#[cfg(not(feature = "soft"))]
fn main() {
    let arguments: Vec<usize> =
        std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let &[width, height, most] = &arguments[..] else { panic!("WIDTH HEIGHT STEPS") };
    plain::measure(Picture { width, height, most: most as u32 });
}
