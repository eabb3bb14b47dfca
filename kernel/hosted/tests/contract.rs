//! Does this Linux process keep the machine contract? Runs itself again for what ends a process.

use executive::machine;
use executive::param::STACK_BYTES;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use threads::missing;

mod threads;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("questions") => on_cpu_0(2, questions),
        Some("die-in-the-guard") => on_cpu_0(1, || {
            contract::touch_guard();
            machine::exit(0) // it didn't fault
        }),
        Some("die-in-the-guard-of-a-goroutine") => hosted::run_with(1, || {
            contract::touch_guard();
            machine::exit(0)
        }),
        Some("a-cpu-does-not-come") => {
            missing(2);
            hosted::run_with(4, the_others_have_its_number)
        }
        Some("print") => on_cpu_0(2, || machine::exit(contract::print_at_once().is_err() as i32)),
        Some("write-and-exit-7") => on_cpu_0(1, || {
            machine::write(b"written by the hook\n");
            machine::exit(7)
        }),
        _ => {}
    }
    // First what goroutines need, then what runs goroutines.
    if !me("questions").status().expect("a test can run itself").success() {
        std::process::exit(1)
    }
    let (status, said) = again("die-in-the-guard");
    tell(
        "alloc_stack: the page below faults",
        status == Some(2) && said.contains("SIGSEGV"),
        &said,
    );
    let (status, said) = again("die-in-the-guard-of-a-goroutine");
    tell(
        "a fault is told with the goroutine",
        status == Some(2) && said.contains("goroutine 1"),
        &said,
    );
    let (status, said) = again("a-cpu-does-not-come");
    let reported = said.contains("CPU 2 did not start");
    tell(
        "start_cpu: the number of one that did not come is the next one's",
        status == Some(0) && reported,
        &said,
    );
    let print = me("print").output().expect("a test can run itself");
    let printed = contract::printed(&String::from_utf8_lossy(&print.stdout));
    tell(
        "print: gets out, in one piece",
        print.status.success() && printed.is_ok(),
        printed.err().unwrap_or_default(),
    );
    let (status, said) = again("write-and-exit-7");
    tell("write: gets out", said.contains("written by the hook\n"), &said);
    tell("exit: ends the run with its code", status == Some(7), &said);

    std::process::exit(wrong())
}

/// On CPU 0 of two, without goroutines.
fn questions() -> ! {
    tell(
        "cpus: as many as were asked for",
        machine::cpus() == 2,
        "or half of the questions is left out",
    );
    tell("free_stack: the memory is gone at once", is_gone_when_free(), "it stays");
    contract::run(&[], &mut |question, verdict| {
        let verdict = verdict.expect("no hook is left to its default");
        tell(question, verdict.is_ok(), verdict.err().unwrap_or_default());
    });
    machine::exit(wrong())
}

/// Linux takes memory back when it is told to; the contract allows later. Is a stack that was
/// written to the end as small as a new one when it has come back?
fn is_gone_when_free() -> bool {
    let stack = machine::alloc_stack(STACK_BYTES).expect("one stack fits");
    let small = machine::stack_committed(stack);
    for page in (stack.lo..stack.hi).step_by(4096) {
        // SAFETY: within a stack that is ours and runs nothing.
        unsafe { std::ptr::with_exposed_provenance_mut::<u8>(page).write_volatile(1) };
    }
    let grew = machine::stack_committed(stack) > small;
    // SAFETY: nothing runs on it, and it is not used again.
    unsafe { machine::free_stack(stack) };
    let again = machine::alloc_stack(STACK_BYTES).expect("the one that was given back");
    grew && again == stack && machine::stack_committed(again) == small
}

/// As goroutine 1: of four CPUs three have come.
fn the_others_have_its_number() {
    assert_eq!(executive::affinity::cpus(), 3);
    for cpu in 0..3 {
        let _here = executive::lock_to_cpu(cpu);
        assert_eq!(executive::percpu::cpu(), cpu);
    }
}

fn on_cpu_0(cpus: usize, body: fn() -> !) {
    hosted::boot(hosted::Config { cpus: Some(cpus) });
    body()
}

/// How many questions were answered wrongly.
static WRONG: AtomicUsize = AtomicUsize::new(0);

fn wrong() -> i32 {
    (WRONG.load(Relaxed) != 0) as i32
}

fn tell(question: &str, holds: bool, words: &str) {
    println!("{} {question}", if holds { "ok  " } else { "FAIL" });
    if !holds {
        println!("     {words}");
        WRONG.fetch_add(1, Relaxed);
    }
}

/// Runs this program with an argument; its status and what it said on standard error.
fn again(how: &str) -> (Option<i32>, String) {
    let output = me(how).output().expect("a test can run itself");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// This program with an argument.
fn me(how: &str) -> Command {
    let mut me = Command::new(std::env::current_exe().expect("a test knows where it is"));
    me.arg(how);
    me
}
