//! Kernels that must die: with the right words, the CPU, the goroutine and a backtrace with names, soon, and with a
//! failing status.

use std::time::Duration;
use tests::boots;

/// `crash KIND` says `words` and all that a crash report has to tell, within 5 seconds.
fn dies_saying(kind: &str, words: &str) {
    let said =
        boots().run(&format!("sieve 10; crash {kind}; sieve 100")).says("29").says(words).never_says("541").dies(2);
    let took = said.end_after("29");
    assert!(took < Duration::from_secs(5), "took {took:?}\n{said}");
    for told in ["CPU", "goroutine", "kernel::"] {
        let (_, report) = said.text.split_once(words).expect("looked at above");
        let line = said.text.lines().find(|line| line.contains(words)).expect("looked at above");
        assert!(report.contains(told) || line.contains(told), "no {told} in the report\n{said}");
    }
}

#[test]
fn a_panic_tells_its_words() {
    dies_saying("panic", "panic: ");
}

#[test]
fn a_wild_access_is_a_page_fault_at_an_address() {
    dies_saying("fault", "page fault at ");
}

#[test]
fn a_stack_overflow_names_the_goroutine() {
    dies_saying("overflow", "stack overflow in goroutine ");
}

#[test]
fn when_nothing_can_run_again_it_is_a_deadlock() {
    dies_saying("deadlock", "all goroutines are asleep - deadlock!");
}

#[test]
fn mcall_on_g0_throws() {
    dies_saying("throw-mcall", "fatal error: mcall: ");
}

#[test]
fn systemstack_from_a_wrong_g_throws() {
    dies_saying("throw-systemstack", "fatal error: systemstack: ");
}

#[test]
fn a_kernel_dies_alike_after_uefi() {
    boots().uefi().run("crash overflow").says("stack overflow in goroutine ").dies(2);
}

#[test]
fn a_failing_command_is_a_failing_status() {
    boots().run("sieve frog").dies(1);
}

#[test]
fn a_typo_is_answered_with_the_commands() {
    let said = boots().run("sive 10").says("sieve").says("skynet").dies(1);
    assert!(!said.text.contains("29"), "{said}");
}

#[test]
fn exit_gives_its_code() {
    boots().run("exit 7; sieve 10").never_says("29").dies(7);
}
