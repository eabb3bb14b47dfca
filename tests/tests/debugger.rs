//! Does kernel/executive/gdb.py show a kernel's goroutines, and leave the machine as it was? Asks a
//! real gdb; without one it is skipped. All that gdb.py can do is asked of Linux processes
//! (kernel/hosted/tests/debugger.rs).

use std::process::{Command, Stdio};
use tests::{Socket, boots, kernel, until_all_halt};

/// Where kernel/src/layout.rs has the bootloader load the kernel.
const KERNEL_AT: &str = "0xffffffff80000000";
/// Runs `bt` where the goroutine stands that reads the keyboard.
const BACKTRACE: &str = "python gdb.execute('goroutine %d bt' % \
                         next(g.id for g in Map().gs() if g.name == 'keyboard'))";
/// Stands between answers.
const NEXT: &str = "--- next ---\n";

fn gdb() -> Command {
    let mut gdb = Command::new("timeout");
    gdb.args(["-k", "5", "50", "gdb", "--batch", "--nx"]).stdin(Stdio::null());
    gdb
}

#[test]
fn gdb_shows_goroutines_and_leaves_the_machine_as_it_was() {
    if !gdb().arg("--version").output().expect("timeout is there").status.success() {
        println!("skipped: no gdb here");
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../kernel/executive/gdb.py");
    for cpus in [1, 2, 4] {
        let (debugger, monitor) = (Socket::new("gdb"), Socket::new("gdb-monitor"));
        let listen = ["-gdb", &debugger.place(), "-monitor", &monitor.place()];
        let mut console = boots().smp(cpus).qemu(&listen).console();
        until_all_halt(&mut monitor.connect(), cpus); // so main and the keyboard's goroutine wait

        let mut gdb = gdb();
        gdb.args(["-ex", &format!("add-symbol-file {} -o {KERNEL_AT}", kernel().display())]);
        gdb.args(["-ex", &format!("source {script}")]);
        gdb.args(["-ex", &format!("target remote {}", debugger.path())]);
        for command in ["goroutines", BACKTRACE, "goroutines"] {
            gdb.args(["-ex", &format!("echo {NEXT}"), "-ex", command]);
        }
        let asked = gdb.args(["-ex", "detach"]).output().expect("timeout is there");
        let (said, errors) =
            (String::from_utf8_lossy(&asked.stdout), String::from_utf8_lossy(&asked.stderr));
        let [_, list, backtrace, list_again] = said.split(NEXT).collect::<Vec<_>>()[..] else {
            panic!("three answers are wanted\n{said}{errors}");
        };
        let line = list
            .lines()
            .find(|line| line.contains("(keyboard) started at kernel/shell/src/keyboard.rs:"));
        assert!(line.is_some_and(|line| line.contains(" waiting [IRQ wait] ")), "{list}{errors}");
        assert!(list.contains(" (main) started at "), "{list}{errors}");
        let frames: Vec<_> = backtrace.lines().collect();
        assert!(
            frames.iter().any(|frame| frame.contains("::keyboard::read ")),
            "{backtrace}{errors}"
        );
        assert!(
            frames.last().is_some_and(|frame| frame.contains("::switch::goexit ")),
            "{backtrace}{errors}"
        );
        assert!(!backtrace.contains("::schedule"), "these are a CPU's\n{backtrace}");
        assert!(list_again.starts_with(list), "{list}\n{list_again}{errors}");

        assert!(console.does("sieve 100").contains("is 541"));
        console.ends_with("exit", 0);
    }
}
