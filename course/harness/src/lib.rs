//! Asks one claim of a lab, in a process of its own: `PROGRAM CLAIM`.
//!
//! **Rule:** the claim holds if its function returns; then the last line is `holds TOKEN`, with the
//! token that the grader gave to this process. A student's code that ends the process, whatever
//! its status and last words, has not answered.
#![deny(unsafe_code)] // allowed for the environment, before there is a second thread

use std::io::Write;
use std::sync::OnceLock;

/// A claim: its name in the manifest, and the question.
pub type Claim = (&'static str, fn());

static ASKED: OnceLock<(fn(), String)> = OnceLock::new();

fn ask() {
    let (claim, token) = ASKED.get().expect("set before");
    claim();
    println!("holds {token}");
    std::io::stdout().flush().expect("a line can be printed");
}

/// The `main` of a lab's claims: asks the one that the command line names. Without a name it tells
/// which there are.
pub fn answer(claims: &[Claim]) {
    let Some(name) = std::env::args().nth(1) else {
        claims.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    let Some((_, claim)) = claims.iter().find(|(known, _)| *known == name) else {
        eprintln!("no claim is called '{name}'");
        std::process::exit(2);
    };
    let token = std::env::var("COURSE_TOKEN").unwrap_or_default();
    #[allow(unsafe_code)]
    // SAFETY: this is the only thread.
    unsafe {
        std::env::remove_var("COURSE_TOKEN")
    };
    assert!(ASKED.set((*claim, token)).is_ok());
    run();
}

/// As goroutine 1, on as many CPUs as `EXECUTIVE_CPUS` says.
#[cfg(not(loom))]
fn run() {
    hosted::run(ask)
}

/// A model checks itself ([`in_every_order`]).
#[cfg(loom)]
fn run() {
    ask()
}

/// Runs a model in every order of its threads' steps, with at most 3 switches that no thread asked
/// for, and with every old value that its orderings let a thread read.
#[cfg(loom)]
pub fn in_every_order(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.max_branches = 20_000;
    let model = std::sync::Arc::new(model);
    for swapped in [false, true] {
        let model = model.clone();
        SWAPPED.set(swapped);
        builder.check(move || model());
    }
}

#[cfg(loom)]
std::thread_local! {
    static SWAPPED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Two threads at once; gives the sum of what they return. Each model is run once with either of
/// them started first: what loom tries depends on that.
#[cfg(loom)]
pub fn race(
    a: impl FnOnce() -> u32 + Send + 'static,
    b: impl FnOnce() -> u32 + Send + 'static,
) -> u32 {
    let (first, second) = if SWAPPED.get() {
        let first = loom::thread::spawn(b);
        (first, loom::thread::spawn(a))
    } else {
        let first = loom::thread::spawn(a);
        (first, loom::thread::spawn(b))
    };
    first.join().unwrap() + second.join().unwrap()
}
