//! What the scheduler claims, shown on the bare machine. The claims are the console's commands of
//! the same names: each counts, and fails if the count is wrong.

use std::io::Write;
use tests::{Socket, boots, until_all_halt};

#[test]
fn a_ready_goroutine_wakes_a_halted_cpu_without_any_tick() {
    boots().smp(2).run("ipi-wake 20; cpus").ok();
}

#[test]
fn a_ready_goroutine_wakes_one_of_three_halted_cpus() {
    boots().smp(4).run("ipi-wake 20; cpus").ok();
}

#[test]
fn a_kernel_with_nothing_to_do_does_nothing() {
    boots().run("skynet 1000; idle 2").ok();
}

/// All goroutines sleep, and no interrupt is waited for: but a sleep's end comes at some time.
#[test]
fn a_sleep_until_the_end_of_time_is_no_deadlock() {
    for cpus in [1, 2, 4] {
        let monitor = Socket::new("sleep");
        let mut console = boots().smp(cpus).qemu(&["-monitor", &monitor.place()]).console();
        console.types("scenario sleepers::sleep\r");
        console.until("\nsleepers::sleep\n");
        let mut monitor = monitor.connect();
        // The last CPU that goes to sleep is the one that would find a deadlock, and end the run.
        until_all_halt(&mut monitor, cpus);
        writeln!(monitor, "nmi").expect("QEMU listens");
        let report = console.until("\ngoroutines:\n");
        assert!(
            report.contains("non-maskable interrupt") && !report.contains("deadlock"),
            "{report}"
        );
        console.until("(command) [sleep, ");
        console.ends(2);
    }
}

#[test]
fn whom_a_timer_wakes_is_not_interrupted() {
    // Where the clock is the number of instructions no host holds a CPU back.
    boots().smp(2).icount().run("idle").within_secs(120).says("a slice after each: 0 ticks").ok();
}

#[test]
fn under_stress_nothing_is_lost() {
    boots().run("stress 5").within_secs(120).ok();
}

#[test]
fn under_stress_on_8_cpus_nothing_is_lost() {
    boots().smp(8).run("stress 5").within_secs(240).ok();
}

#[test]
fn goroutines_are_reused_not_leaked() {
    // 200 times 1000 goroutines do not fit into 64 MiB unless dead ones are used again.
    let again = "skynet 1000; ".repeat(200);
    boots().mem("64M").run(&again).says("is 499500").within_secs(120).ok();
}

#[test]
fn hogs_share_their_cpus() {
    boots().smp(2).run("hogs 4 5").says("of a fair share").within_secs(60).ok();
}

#[test]
fn a_million_goroutines_hardly_touch_the_scheduler_s_lock() {
    boots()
        .smp(4)
        .mem("2G")
        .run("skynet 1000000; locks 20000")
        .says("is 499999500000")
        .within_secs(240)
        .ok();
}
