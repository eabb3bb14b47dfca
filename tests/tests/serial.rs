//! The serial line holds up nobody who prints, and loses nothing.

use tests::{Boot, SlowLine, boots};

/// kernel/examples/talk.rs, with its line read at once.
fn talk(cpus: usize) -> Boot {
    boots().example("talk").smp(cpus)
}

/// The same, with its line read only when it is full and all CPUs halt. Ends with this status; what
/// was said.
fn talk_on_a_slow_line(cpus: usize, name: &str, run: &str, status: i32) -> String {
    let line = SlowLine::new(name);
    let args = line.args();
    let mut machine = talk(cpus).qemu(&args.each_ref().map(String::as_str));
    if !run.is_empty() {
        machine = machine.run(run);
    }
    let said = line.read(cpus);
    machine.dies(status);
    said.join().expect("the reader lives")
}

/// Every line of every speaker is there, whole, and after the speaker's last.
fn is_whole(said: &str) {
    let mut next = [0; 10];
    for line in said.lines().filter(|line| line.contains("speaker")) {
        let mut words = line.split_whitespace();
        let mut number = |before: &str| {
            assert_eq!(words.next(), Some(before), "{line:?}\n{said}");
            words.next().and_then(|word| word.parse::<usize>().ok()).expect(line)
        };
        let (speaker, at) = (number("speaker"), number("line"));
        assert_eq!(at, next[speaker], "{line:?}\n{said}");
        assert_eq!(words.next(), Some(&*format!("{:.>80}", 10 * at + speaker)), "{said}");
        next[speaker] += 1;
    }
    assert_eq!(next, [100; 10], "{said}");
}

#[test]
fn what_many_goroutines_print_arrives_whole_and_in_order() {
    for cpus in [1, 4] {
        is_whole(&talk(cpus).says("all have spoken").ok().text);
    }
}

/// Whoever finds no room parks, so that the CPUs halt; nobody polls; and the machine ends while the
/// ring and the line are still full.
#[test]
fn a_slow_line_makes_nobody_spin_and_nothing_is_lost_at_the_end() {
    for (cpus, name) in [(1, "slow-1"), (4, "slow-4")] {
        let said = talk_on_a_slow_line(cpus, name, "", 0);
        is_whole(&said);
        let (_, fed) = said.split_once("all have spoken: ").expect("the last line");
        assert!(!fed.starts_with("0 "), "{said}");
        assert!(fed.ends_with(" fed the port, 0 looks at it were in vain\n"), "{said}");
    }
}

/// A report begins when all that was printed before has come.
#[test]
fn a_crash_on_a_slow_line_comes_after_all_that_was_printed() {
    for (cpus, name) in [(1, "slow-crash-1"), (4, "slow-crash-4")] {
        let said = talk_on_a_slow_line(cpus, name, "crash", 2);
        is_whole(&said);
        let (_, report) = said.split_once(" were in vain\n").expect("the last line");
        assert!(report.starts_with("panic: right after the last line\n"), "{said}");
        assert!(report.contains("goroutines:"), "the report is whole\n{said}");
    }
}
