//! The demos (package `demos`), as commands.

use super::{Args, Outcome, words};
use alloc::format;
use alloc::string::String;
use demos::mandelbrot::{Picture, has_lanes};
use kernel::{print, println};

pub fn sieve(args: &Args) -> Outcome {
    let n = args.number(0, 1, 1..=10_000)?;
    let prime = demos::sieve(n as usize).map_err(words)?;
    println!("prime {n} is {prime}");
    Ok(())
}

pub fn skynet(args: &Args) -> Outcome {
    let n = args.number(0, 1, 1..=10_000_000)?;
    let sum = demos::skynet(n).map_err(words)?;
    println!("the sum of 0..{n} is {sum}");
    right(sum, n * (n - 1) / 2)
}

pub fn pingpong(args: &Args) -> Outcome {
    let n = args.number(0, 1, 1..=10_000_000)?;
    let begin = executive::machine::now();
    let hits = demos::pingpong(n);
    let each = (executive::machine::now() - begin) / n;
    println!("{hits} hits in {n} rounds, {each} ns a round");
    right(hits, 2 * n)
}

pub fn pipeline(args: &Args) -> Outcome {
    let n = args.number(0, 1, 1..=1_000_000)?;
    let sum = demos::pipeline(n, 4);
    println!("the sum of the first {n} squares is {sum}");
    right(sum, n * (n + 1) * (2 * n + 1) / 6)
}

/// The widest picture that is drawn, in letters.
const WIDEST: usize = 160;

pub fn mandelbrot(args: &Args) -> Outcome {
    let number = |n, default| args.number(n, default, 1..=10_000).map(|n| n as usize);
    let (width, height) = (number(0, 79)?, number(1, 24)?);
    let picture = Picture { width, height, most: number(2, 1000)? as u32 };
    let timed = |lanes| {
        let begin = executive::machine::now();
        let points = demos::mandelbrot::mandelbrot(picture, lanes);
        (points, (executive::machine::now() - begin) / (width * height) as u64)
    };
    let (points, each) = timed(false);
    let (again, each_of_four) = timed(true);
    if width <= WIDEST {
        for row in points.chunks(width) {
            let letter = |&steps: &u32| match (steps + 1).ilog2().min(7) as usize {
                _ if steps == picture.most => '@',
                n => [' ', '.', ':', '-', '=', '+', '*', '#'][n],
            };
            println!("{}", row.iter().map(letter).collect::<String>());
        }
    }
    let lanes = if has_lanes() { "in 4 lanes" } else { "without lanes, which this CPU lacks," };
    println!("{each} ns a point in f64, {each_of_four} {lanes}");
    if points == again { Ok(()) } else { Err("the lanes have computed another picture".into()) }
}

pub fn spawn(args: &Args) -> Outcome {
    let n = args.number(0, 1, 1..=10_000_000)? as usize;
    let counts = demos::spawn(n).map_err(words)?;
    print!("{n} goroutines parked and were woken. On each CPU:");
    counts.iter().for_each(|count| print!(" {count}"));
    println!();
    right(counts.iter().sum::<usize>() as u64, n as u64)
}

fn right(is: u64, should_be: u64) -> Outcome {
    if is == should_be { Ok(()) } else { Err(format!("wrong: it should be {should_be}")) }
}

/// Prints lines; each tells its number, so that one sees whether all have come.
pub fn lines(args: &Args) -> Outcome {
    let n = args.number(0, 1, 1..=1_000_000)?;
    for number in 1..=n {
        if args.stopped() {
            break;
        }
        line(number);
    }
    Ok(())
}

/// A line with a number. Each begins elsewhere in the text, so that no letter stands below itself.
pub fn line(number: u64) {
    const TEXT: &str = "The quick brown fox jumps over the lazy dog, and the dog sleeps on. ";
    let (end, begin) = TEXT.split_at(number as usize % TEXT.len());
    println!("{number:>7}: {begin}{end}");
}
