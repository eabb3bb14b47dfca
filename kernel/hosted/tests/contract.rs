//! Does this Linux process keep the machine contract? Runs itself again for what ends a process.

use executive::{contract, machine};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("die-in-the-guard") => on_cpu_0(1, || {
            contract::touch_guard();
            machine::exit(0) // it didn't fault
        }),
        Some("die-in-the-guard-of-a-goroutine") => hosted::run_with(1, || {
            contract::touch_guard();
            machine::exit(0)
        }),
        Some("write-and-exit-7") => on_cpu_0(1, || {
            machine::write(b"written by the hook\n");
            machine::exit(7)
        }),
        _ => {}
    }
    let (status, said) = again("die-in-the-guard");
    tell("alloc_stack: the page below faults", status == Some(2) && said.contains("SIGSEGV"), &said);
    let (status, said) = again("die-in-the-guard-of-a-goroutine");
    tell("a fault is told with the goroutine", status == Some(2) && said.contains("goroutine 1"), &said);
    let (status, said) = again("write-and-exit-7");
    tell("write: gets out", said.contains("written by the hook\n"), &said);
    tell("exit: ends the run with its code", status == Some(7), &said);

    on_cpu_0(2, || {
        contract::run(&mut |question, verdict| {
            tell(question, verdict.is_ok(), verdict.err().unwrap_or_default());
        });
        machine::exit((WRONG.load(Relaxed) != 0) as i32)
    })
}

fn on_cpu_0(cpus: usize, body: fn() -> !) {
    hosted::boot(hosted::Config { cpus: Some(cpus) });
    body()
}

/// How many questions were answered wrongly.
static WRONG: AtomicUsize = AtomicUsize::new(0);

fn tell(question: &str, holds: bool, words: &str) {
    println!("{} {question}", if holds { "ok  " } else { "FAIL" });
    if !holds {
        println!("     {words}");
        WRONG.fetch_add(1, Relaxed);
    }
}

/// Runs this program with an argument; its status and what it said on standard error.
fn again(how: &str) -> (Option<i32>, String) {
    let me = std::env::current_exe().expect("a test knows where it is");
    let output = Command::new(me).arg(how).output().expect("a test can run itself");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}
