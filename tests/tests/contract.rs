//! The PC keeps the machine's contract (executive/src/machine.rs), hook by hook:
//! kernel/examples/contract.rs asks it. The same questions are put to the Linux machine in
//! kernel/hosted/tests.

use tests::{Boot, boots};

fn keeps_it(machine: Boot, last: &'static str) {
    machine.example("contract").says(last).never_says("BROKEN").ok();
}

/// The last of the questions for one CPU, and of all: a machine with one CPU too few is not asked
/// the rest.
const ONE: &str = "ok      the allocator: its holder is not preempted";
const ALL: &str = "ok      freeze_others: the other CPU stands still";

#[test]
fn on_one_cpu() {
    keeps_it(boots().smp(1), ONE);
}

#[test]
fn on_four_cpus() {
    keeps_it(boots(), ALL);
}

#[test]
fn on_four_cpus_after_uefi() {
    keeps_it(boots().uefi(), ALL);
}

#[test]
fn a_program_s_own_heap_keeps_it_if_it_is_pinned() {
    boots().example("own_heap").run("ask").says(ALL).never_says("BROKEN").ok();
}

#[test]
fn a_heap_whose_holder_can_be_preempted_is_found() {
    const FOUND: &str =
        "BROKEN  the allocator: its holder is not preempted: who was preempted in it";
    boots().smp(1).example("own_heap").run("ask unpinned").says(FOUND).dies(1);
}

#[test]
fn what_two_cpus_print_comes_out_in_one_piece() {
    for cpus in [2, 4] {
        let said = boots().smp(cpus).example("contract").run("print").ok();
        assert_eq!(contract::printed(&said.text), Ok(()), "{said}");
    }
}

#[test]
fn below_a_stack_nothing_can_be_written() {
    boots().example("contract").run("touch-guard").says("page fault at ").dies(2);
}
