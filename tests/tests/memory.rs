//! When memory is short: what free goroutines and parked ones do not need comes back, nobody loses
//! what it uses, and who asks for too much is told so.

use tests::{Boot, Transcript, boots};

const REFUSED: &str = "out of memory for a goroutine's stack";

/// The number before `what` in what `mem` tells.
fn told(said: &Transcript, what: &str) -> u64 {
    let number =
        said.text.lines().find_map(|line| line.trim().strip_suffix(what)?.trim().parse().ok());
    number.unwrap_or_else(|| panic!("`mem` does not tell\n{said}"))
}

/// The first asks for more than there is; all others need what it leaves in free stacks.
fn comes_back(machine: Boot) {
    machine
        .mem("512M")
        .within_secs(120)
        .run("spawn 200000; skynet 100000; heap 350; spawn 10000; skynet 10000; mem")
        .says(REFUSED)
        .says("the sum of 0..100000 is 4999950000")
        .says("350 MiB of the heap were written and read")
        .says("10000 goroutines parked and were woken")
        .says("the sum of 0..10000 is 49995000")
        .never_says("panic")
        .dies(1); // for the first command's sake
}

#[test]
fn on_one_cpu_free_stacks_come_back() {
    comes_back(boots().smp(1));
}

#[test]
fn on_2_cpus_free_stacks_come_back() {
    comes_back(boots().smp(2));
}

#[test]
fn on_4_cpus_free_stacks_come_back() {
    comes_back(boots().smp(4));
}

/// What a large part of the heap has left serves stacks, what these leave the heap, and so on.
fn goes_to_and_fro(machine: Boot) {
    let said = machine
        .mem("512M")
        .within_secs(120)
        .run("heap 400; spawn 80000; heap 400; spawn 80000; heap 400; mem")
        .says("80000 goroutines parked and were woken")
        .says("400 MiB of the heap were written and read")
        .ok();
    // Twice what 80,000 stacks need and the first 400 MiB have not left.
    assert!(told(&said, "KiB from what was free of the heap") > 400_000, "{said}");
}

#[test]
fn on_one_cpu_the_heap_s_memory_comes_back() {
    goes_to_and_fro(boots().smp(1));
}

#[test]
fn on_4_cpus_the_heap_s_memory_comes_back() {
    goes_to_and_fro(boots().smp(4));
}

/// Do blocks of the heap and stacks get each other's memory while both want all of it, and does
/// each keep what is in it?
fn all_get_some(machine: Boot) {
    machine
        .mem("128M")
        .within_secs(120)
        .run("churn 5; heap 80; spawn 10000; heap 80")
        .says("blocks held what was written")
        .ok();
}

#[test]
fn on_one_cpu_blocks_and_stacks_compete() {
    all_get_some(boots().smp(1));
}

#[test]
fn on_4_cpus_blocks_and_stacks_compete() {
    all_get_some(boots().smp(4));
}

/// 10,000 stacks of 20 KiB and 400 MiB of the heap are more than there is, unless what lies below
/// parked goroutines is taken, while others run.
fn parked_ones_give(machine: Boot) {
    let said =
        machine.mem("512M").within_secs(120).run("divers 10000 400; mem; divers 10000 100").ok();
    assert!(told(&said, "KiB from below parked goroutines") > 0, "{said}");
}

#[test]
fn on_one_cpu_parked_goroutines_give_what_they_do_not_use() {
    parked_ones_give(boots().smp(1));
}

#[test]
fn on_4_cpus_parked_goroutines_give_what_they_do_not_use() {
    parked_ones_give(boots().smp(4));
}

#[test]
fn with_all_memory_in_use_commands_are_answered_and_spawns_refused() {
    boots()
        .smp(1) // another CPU might keep a free stack for a moment
        .mem("128M")
        .run("full gs 3; full mem; full spawn 1; skynet 1000")
        .says(REFUSED)
        .says(" @ ")
        .says("KiB of RAM are ours")
        .says("full: out of memory")
        .says("is 499500")
        .dies(1);
}

#[test]
fn with_all_memory_in_use_the_console_answers() {
    let mut console = boots().mem("128M").console();
    assert!(console.does("full cpus").contains("wakes-sent"));
    assert!(console.does("spawn 1000000").contains(REFUSED));
    assert!(console.does("skynet 1000").contains("is 499500"));
    console.ends_with("exit", 0);
}

#[test]
fn go_says_how_many_goroutines_there_are_when_there_is_no_memory_for_one_more() {
    boots()
        .smp(1)
        .mem("128M")
        .run("full crash go")
        .says("panic: go: out of memory")
        .says("bytes of stack")
        .dies(2);
}

#[test]
fn how_deep_a_stack_was_is_told_after_its_goroutine_has_ended() {
    let said = boots().run("gs; divers 20 1; stacks").says("stack 4 of 64 KiB").ok();
    let line = said
        .text
        .lines()
        .find(|line| line.contains("pressure.rs"))
        .unwrap_or_else(|| panic!("{said}"));
    let columns: Vec<_> = line.split_whitespace().map(str::parse::<u64>).collect();
    let [Ok(0), Ok(0), Ok(0), Ok(deepest), ..] = columns[..] else { panic!("{line}\n{said}") };
    assert!((16..=64).contains(&deepest), "{line}\n{said}");
}
