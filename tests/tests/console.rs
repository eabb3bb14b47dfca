//! The console, with somebody at it.

use std::time::Duration;
use tests::boots;

#[test]
fn a_typed_command_is_done_and_exit_powers_off() {
    let mut console = boots().console();
    assert!(console.does("sieve 100").contains("541"));
    assert!(console.does("help").contains("skynet"));
    console.ends_with("exit 5", 5);
}

#[test]
fn a_mistyped_character_can_be_taken_back() {
    let mut console = boots().console();
    assert!(console.does("sieve 10x\x7f0").contains("541"));
    console.ends_with("exit", 0);
}

#[test]
fn the_last_line_comes_back_with_the_up_key() {
    let mut console = boots().console();
    assert!(console.does("sieve 100").contains("541"));
    assert!(console.does("\x1b[A").contains("541"));
    console.ends_with("exit", 0);
}

#[test]
fn ctrl_c_reaches_the_guest_and_ends_nothing() {
    let mut console = boots().console();
    console.types("\x03");
    console.until("^C");
    console.until("> ");
    assert!(console.does("sieve 100").contains("541"));
    console.ends_with("exit", 0);
}

#[test]
fn a_failed_command_does_not_end_the_console() {
    let mut console = boots().console();
    assert!(console.does("sive 100").contains("sieve"));
    assert!(console.does("sieve 100").contains("541"));
    console.ends_with("exit", 0);
}

/// Nothing spins and nothing ticks: 4 idle CPUs together need less than a tenth of one of the host's.
#[test]
fn a_parked_kernel_leaves_the_host_idle() {
    let mut console = boots().console();
    console.does("spawn 100");
    let load = console.host_load(Duration::from_secs(4));
    assert!(load < 0.10, "{load} of a CPU");
    console.ends_with("exit", 0);
}
