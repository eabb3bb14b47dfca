//! The console, with somebody at it.

use std::io::Write;
use std::time::Duration;
use tests::{Socket, boots};

#[test]
fn a_typed_command_is_done_and_exit_powers_off() {
    let mut console = boots().console();
    assert!(console.does("sieve 100").contains("is 541"));
    assert!(console.does("help").contains("skynet"));
    console.ends_with("exit 5", 5);
}

#[test]
fn a_mistyped_character_can_be_taken_back() {
    let mut console = boots().console();
    assert!(console.does("sieve 10x\x7f0").contains("is 541"));
    console.ends_with("exit", 0);
}

#[test]
fn the_last_line_comes_back_with_the_up_key() {
    let mut console = boots().console();
    assert!(console.does("sieve 100").contains("is 541"));
    assert!(console.does("\x1b[A").contains("is 541"));
    console.ends_with("exit", 0);
}

#[test]
fn ctrl_c_reaches_the_guest_and_ends_nothing() {
    let mut console = boots().console();
    console.types("\x03");
    console.until("^C");
    console.until("> ");
    assert!(console.does("sieve 100").contains("is 541"));
    console.ends_with("exit", 0);
}

#[test]
fn a_failed_command_does_not_end_the_console() {
    let mut console = boots().console();
    assert!(console.does("sive 100").contains("sieve"));
    assert!(console.does("sieve 100").contains("is 541"));
    console.ends_with("exit", 0);
}

/// Nothing spins and nothing ticks: 4 idle CPUs together need less than a tenth of one of the
/// host's.
#[test]
fn a_parked_kernel_leaves_the_host_idle() {
    let mut console = boots().console();
    console.does("spawn 100");
    let load = console.host_load(Duration::from_secs(4));
    assert!(load < 0.10, "{load} of a CPU");
    console.ends_with("exit", 0);
}

/// The N-th prime for each of these, as a typist would ask for them; and the answers, in that
/// order.
fn questions(lines: usize) -> (String, Vec<String>) {
    const PRIMES: [u64; 10] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29];
    let n = |line: usize| line * 7 % 10;
    let typed = (0..lines).map(|line| format!("sieve {}\n", n(line) + 1)).collect();
    let answers =
        (0..lines).map(|line| format!("prime {} is {}", n(line) + 1, PRIMES[n(line)])).collect();
    (typed, answers)
}

fn answers(said: &tests::Transcript) -> Vec<String> {
    said.text.lines().filter(|line| line.starts_with("prime ")).map(String::from).collect()
}

/// What the kernel can't take yet stays in the port, and holds the sender back.
#[test]
fn everything_typed_ahead_is_answered_in_order() {
    for cpus in [1, 2, 4] {
        for lines in [200, 2000] {
            let (typed, wanted) = questions(lines);
            let said = boots().smp(cpus).within_secs(120).typed(typed).ok();
            assert!(
                answers(&said) == wanted,
                "{} of {lines} answers on {cpus} CPUs\n{said}",
                answers(&said).len()
            );
        }
    }
}

/// More than the console keeps for later, the ring and the port together can hold.
#[test]
fn what_is_typed_while_a_command_runs_is_answered_after_it() {
    for cpus in [1, 2, 4] {
        let (typed, wanted) = questions(3000);
        let said =
            boots().smp(cpus).within_secs(120).typed(format!("hogs 8 2 100000\n{typed}")).ok();
        assert!(
            answers(&said) == wanted,
            "{} answers on {cpus} CPUs\n{said}",
            answers(&said).len()
        );
        assert!(said.text.contains("hog 7: "), "{said}");
    }
}

#[test]
fn an_input_that_ends_within_a_line_ends_with_that_line() {
    boots().typed("sieve 10\nsieve 100").says("is 29").says("is 541").ok();
    // Within an escape sequence, and within a character, too.
    boots().typed("sieve 100\x1b[").says("is 541").ok();
    boots().typed(b"sieve 100\xc3").says("a number from 1 to 10000 is needed, not").dies(1);
    boots().typed("").ok();
}

#[test]
fn the_end_of_the_input_is_a_success_only_if_every_line_was() {
    boots()
        .typed("sieve 10\nsive 10\nsieve 100\n")
        .says("is 29")
        .says("commands:")
        .says("is 541")
        .dies(1);
    boots().typed("sieve 10\nexit 7\nsieve 100\n").says("is 29").never_says("is 541").dies(7);
}

#[test]
fn a_line_that_is_too_long_is_not_done_in_part() {
    let long = |n: usize| format!("sieve 10{}", " ".repeat(n - "sieve 10".len()));
    let said = boots().typed(format!("{}\n{}\nsieve 100\n", long(1000), long(1001))).dies(1);
    assert_eq!(answers(&said), ["prime 10 is 29", "prime 100 is 541"], "{said}");
    assert!(said.text.contains("a line has at most 1000 bytes"), "{said}");
    boots()
        .typed(format!("{}0\nsieve 100\n", long(100_000)))
        .never_says("is 29")
        .says("is 541")
        .dies(1);
}

/// What the port itself drops is told, and is a failure. Here QEMU's monitor puts more into the
/// port than it can hold, by the port's own loop from its output to its input, while the machine
/// stands still.
#[test]
fn bytes_that_the_port_drops_are_told() {
    let monitor = Socket::new("drops");
    let mut console = boots().qemu(&["-monitor", &monitor.place()]).console();
    console.does("sieve 10");
    let mut monitor = monitor.connect();
    let mut say = |line: String| writeln!(monitor, "{line}").expect("QEMU listens");
    say("stop".into());
    say("o/b 0x3fc 0x1b".into()); // MCR: DTR, RTS, OUT2, loop
    (0..20).for_each(|_| say("o/b 0x3f8 0x20".into()));
    say("o/b 0x3fc 0x0b".into());
    say("cont".into());
    console.until("    "); // those that it could hold
    console.types("\r");
    console.until("the serial port has dropped bytes");
    console.until("> ");
    console.ends_with("\x04", 1);
}
