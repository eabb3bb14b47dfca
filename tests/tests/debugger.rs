//! Does kernel/executive/gdb.py show a kernel's goroutines, and leave the machine as it was? Asks a
//! real gdb; without one it is skipped. All that gdb.py can do is asked of Linux processes
//! (kernel/hosted/tests/debugger.rs).

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use tests::{Socket, boots, kernel, until_all_halt};

/// Where kernel/src/layout.rs has the bootloader load the kernel.
const KERNEL_AT: &str = "0xffffffff80000000";
/// Stands between answers.
const NEXT: &str = "--- next ---\n";

fn gdb() -> Command {
    let mut gdb = Command::new("timeout");
    gdb.args(["-k", "5", "50", "gdb", "--batch", "--nx"]).stdin(Stdio::null());
    gdb
}

fn is_here() -> bool {
    let here = gdb().arg("--version").output().expect("timeout is there").status.success();
    if !here {
        println!("skipped: no gdb here");
    }
    here
}

/// A gdb at this machine, that will do these commands, with [`NEXT`] before each, and detach.
fn at(machine: &Socket, commands: &[&str]) -> Command {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../kernel/executive/gdb.py");
    let mut gdb = gdb();
    gdb.args(["-ex", &format!("add-symbol-file {} -o {KERNEL_AT}", kernel().display())]);
    gdb.args(["-ex", &format!("source {script}")]);
    gdb.args(["-ex", &format!("target remote {}", machine.path())]);
    for command in commands {
        gdb.args(["-ex", &format!("echo {NEXT}"), "-ex", command]);
    }
    gdb.args(["-ex", "detach"]);
    gdb
}

/// What it answers to each command.
fn ask<const N: usize>(machine: &Socket, commands: [&str; N]) -> [String; N] {
    let asked = at(machine, &commands).output().expect("timeout is there");
    let (said, errors) =
        (String::from_utf8_lossy(&asked.stdout), String::from_utf8_lossy(&asked.stderr));
    let mut answers = said.split(NEXT).skip(1).map(String::from);
    std::array::from_fn(|_| answers.next().unwrap_or_else(|| panic!("no answer\n{said}{errors}")))
}

/// Runs `bt` where the goroutine of this name stands.
fn backtrace_of(name: &str) -> String {
    format!(
        "python gdb.execute('goroutine %d bt' % \
         next(g.id for g in Map().gs() if g.name == '{name}'))"
    )
}

/// What was said of goroutine `who` in the answer to `goroutine all bt`.
fn of<'a>(everyone: &'a str, who: &str) -> &'a str {
    let (_, rest) = everyone.split_once(who).unwrap_or_else(|| panic!("no {who}\n{everyone}"));
    rest.split_once("\n\n").map_or(rest, |(one, _)| one)
}

#[test]
fn gdb_shows_goroutines_and_leaves_the_machine_as_it_was() {
    if !is_here() {
        return;
    }
    for cpus in [1, 2, 4] {
        let (debugger, monitor) = (Socket::new("gdb"), Socket::new("gdb-monitor"));
        let listen = ["-gdb", &debugger.place(), "-monitor", &monitor.place()];
        let mut console = boots().smp(cpus).qemu(&listen).console();
        until_all_halt(&mut monitor.connect(), cpus); // so main and the keyboard's goroutine wait

        let backtrace = backtrace_of("keyboard");
        let commands =
            ["info goroutines", &backtrace, "info m", "info p", "info runq", "info goroutines"];
        let [list, backtrace, ms, ps, queues, list_again] = ask(&debugger, commands);
        let line = list
            .lines()
            .find(|line| line.contains("(keyboard) started at kernel/shell/src/keyboard.rs:"));
        assert!(line.is_some_and(|line| line.contains(" waiting [IRQ wait] ")), "{list}");
        assert!(list.contains(" (main) started at "), "{list}");
        let frames: Vec<_> = backtrace.lines().collect();
        assert!(
            frames.iter().any(|frame| frame.contains("::keyboard::read ")
                && frame.contains(" at kernel/shell/src/keyboard.rs:")),
            "{backtrace}"
        );
        assert!(frames.last().is_some_and(|frame| frame.contains("::goexit ")), "{backtrace}");
        assert!(!backtrace.contains("::schedule"), "these are a CPU's\n{backtrace}");
        // `Pc::wait`, or what the core calls it by, if that is all that is left.
        let rests = |line: &str| line.contains(" idle, ") || line.contains(" napping, ");
        let halts =
            |line: &str| rests(line) && line.contains(", on g0, thread ") && line.contains("wait");
        assert_eq!(ms.lines().filter(|line| halts(line)).count(), cpus, "{ms}");
        assert_eq!(ps.lines().count(), cpus + 1, "{ps}");
        assert!(queues.starts_with("p 0: ring empty\n"), "{queues}");
        assert!(queues.contains("on their way: nobody"), "{queues}");
        assert!(list_again.starts_with(&list), "{list}\n{list_again}");

        assert!(console.does("sieve 100").contains("is 541"));
        console.ends_with("exit", 0);
    }
}

#[test]
fn gdb_shows_a_kernel_that_has_crashed() {
    if !is_here() {
        return;
    }
    for cpus in [1, 4] {
        let debugger = Socket::new("gdb-crash");
        let listen = ["-gdb", &debugger.place(), "-no-shutdown"];
        let mut console = boots().smp(cpus).qemu(&listen).console();
        console.types("crash fault\r");
        console.until("\nhalted");
        let [list, everyone, ms] =
            ask(&debugger, ["info goroutines", "goroutine all bt", "info m"]);
        let died = |line: &str| line.contains(" running on CPU ") && line.contains(" (command) ");
        assert!(list.lines().any(died), "{list}");
        let command = of(&everyone, " (command) [running]:");
        let frame = command.lines().find(|frame| frame.contains("::commands::crash::"));
        assert!(
            frame.is_some_and(|frame| frame.contains(" at kernel/shell/src/commands/crash.rs:")),
            "{everyone}"
        );
        assert!(command.trim_end().ends_with("::switch::goexit ()"), "{command}");
        assert!(
            of(&everyone, " (keyboard) [IRQ wait]:").contains("::keyboard::read "),
            "{everyone}"
        );
        assert_eq!(ms.lines().filter(|line| line.contains(", thread ")).count(), cpus, "{ms}");
    }
}

#[test]
fn gdb_shows_who_is_preempted() {
    if !is_here() {
        return;
    }
    let script = concat!("source ", env!("CARGO_MANIFEST_DIR"), "/tests/debugger.py");
    let debugger = Socket::new("gdb-preempts");
    let mut console = boots().smp(1).qemu(&["-gdb", &debugger.place()]).console();
    let steps = "python step_through_a_preemption()";
    let mut gdb = at(&debugger, &[script, steps, "goroutine all bt", "info runq"]);
    let mut gdb = gdb.stdout(Stdio::piped()).spawn().expect("timeout is there");
    let mut out = BufReader::new(gdb.stdout.take().expect("a pipe"));
    let mut said = String::new();
    while said.matches(NEXT).count() < 2 && out.read_line(&mut said).expect("readable") > 0 {}
    console.types("hogs 2 1 1000000\r");
    out.read_to_string(&mut said).expect("readable");
    assert!(gdb.wait().expect("it was started").success(), "{said}");
    let answers: Vec<_> = said.split(NEXT).collect();
    let [_, _, steps, everyone, queues] = answers[..] else { panic!("{said}") };
    assert!(steps.contains("told ") && !steps.contains("FAIL"), "{said}");
    // The first hog gave its CPU to the second, which stands where that did.
    for status in [" [runnable]:", " [running]:"] {
        let hog = of(everyone, status);
        assert!(hog.contains("::async_preempt ") && hog.contains("::proofs::hogs::"), "{everyone}");
        assert!(hog.lines().any(|frame| frame.contains("::switch::goexit ")), "{everyone}");
    }
    // It is in the ring if its slice was over; in the global queue if a timer's goroutine was due.
    let runnable = everyone.split_once(" [runnable]:").expect("asked above").0;
    let number = runnable.rsplit_once("goroutine ").expect("its line begins so").1;
    let number = number.split(' ').next().expect("there is a first");
    let words = queues.split(|c: char| !c.is_ascii_digit());
    assert!(queues.starts_with("p 0:") && words.into_iter().any(|n| n == number), "{queues}");
    console.until("a fair share\n");
    console.until("> ");
    console.ends_with("exit", 0);
}
