//! The PC keeps the machine's contract (executive/src/machine.rs), hook by hook: kernel/examples/contract.rs asks it.
//! The same questions are put to the Linux machine in kernel/hosted/tests.

use tests::{Boot, boots};

fn keeps_it(machine: Boot) {
    machine.example("contract").says("ok").never_says("BROKEN").ok();
}

#[test]
fn on_one_cpu() {
    keeps_it(boots().smp(1));
}

#[test]
fn on_four_cpus() {
    keeps_it(boots());
}

#[test]
fn on_four_cpus_after_uefi() {
    keeps_it(boots().uefi());
}

#[test]
fn below_a_stack_nothing_can_be_written() {
    boots().example("contract").run("touch-guard").says("page fault at ").dies(2);
}
