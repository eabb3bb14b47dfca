//! Does what a goroutine prints come out whole, on standard output, and in order?

use std::process::Command;

/// What a process of its own runs.
fn print() {
    let handles: Vec<_> = (0..4)
        .map(|n| {
            executive::go(move || {
                for line in 0..200 {
                    executive::println!("goroutine {n} line {line} {}", "x".repeat(100));
                    executive::yield_now();
                }
            })
        })
        .collect();
    handles.into_iter().for_each(|h| h.join());
    executive::println!();
    executive::print!("no line feed: {:?}", "\u{e9}");
}

fn main() {
    if std::env::var_os("PRINTS").is_some() {
        hosted::run_with(4, print);
    }
    let this = std::env::current_exe().expect("a test knows where it is");
    let out = Command::new(this).env("PRINTS", "1").output().expect("it can be run");
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    let said = String::from_utf8(out.stdout).expect("text");
    for n in 0..4 {
        let (own, x) = (format!("goroutine {n} "), "x".repeat(100));
        let lines = said.lines().filter(|line| line.starts_with(&own));
        assert!(lines.eq((0..200).map(|line| format!("{own}line {line} {x}"))), "{said}");
    }
    assert_eq!(said.lines().count(), 802, "{said}");
    assert!(said.ends_with("\n\nno line feed: \"\u{e9}\""), "{said}");
    println!("test result: ok. 1 passed; 0 failed;");
}
