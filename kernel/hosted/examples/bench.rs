//! `cargo run --release -p hosted --example bench -- [NAME...] [--cpus N]`: what the executive's
//! operations cost here.
//!
//! Prints `name,value,unit,min,max,n` lines, `value` being the median. NAME may be the beginning of
//! several. The same rows are measured in the kernel by its console's `bench`, and in Go by
//! tests/bench.

use std::sync::OnceLock;

static WANTED: OnceLock<Vec<String>> = OnceLock::new();

fn main() {
    let mut cpus = None;
    let mut wanted = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--cpus" => match args.next().and_then(|n| n.parse().ok()) {
                Some(n) => cpus = Some(n),
                None => usage("--cpus wants a number"),
            },
            "--list" => return bench::names().for_each(|name| println!("{name}")),
            "--help" => usage("bench [NAME...] [--cpus N] | --list"),
            _ if arg.starts_with('-') => usage(&format!("unknown option {arg}")),
            _ => wanted.push(arg),
        }
    }
    WANTED.set(wanted).expect("main runs once");
    hosted::run_config(hosted::Config { cpus }, race)
}

fn race() {
    let wanted: Vec<&str> = WANTED.get().into_iter().flatten().map(String::as_str).collect();
    let host = bench::Host {
        emit: |row| println!("{row}"),
        memory,
        // A pin taken and dropped: the cheapest thing that looks whether a preemption has come.
        preemption_point: || drop(executive::percpu::Pin::new()),
        interrupt: || None,
        slowness: 1,
    };
    if !bench::run(&wanted, &host) {
        eprintln!("bench: no such row; --list names them");
        std::process::exit(1);
    }
}

fn usage(words: &str) -> ! {
    eprintln!("{words}");
    std::process::exit(1)
}

/// Resident pages and page tables, in bytes.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |name| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    1024 * (kib("VmRSS:") + kib("VmPTE:"))
}
