//! Kernels that must die: with the right words, the CPU, the goroutine and a backtrace with names,
//! soon, and with a failing status.

use std::time::Duration;
use tests::boots;

/// `crash KIND` says `words` and all that a crash report has to tell, within 5 seconds.
fn dies_saying(kind: &str, words: &str) {
    let said = boots()
        .run(&format!("sieve 10; crash {kind}; sieve 100"))
        .says("is 29")
        .says(words)
        .never_says("is 541")
        .dies(2);
    let took = said.end_after("is 29");
    assert!(took < Duration::from_secs(5), "took {took:?}\n{said}");
    let (_, report) = said.text.split_once(words).expect("looked at above");
    // Who died: a goroutine, or a CPU that found nobody left to run.
    let is_who = |line: &&str| line.starts_with("g") && line.contains(" CPU ");
    let heading = report.lines().find(is_who);
    assert!(heading.is_some(), "no goroutine, or no CPU, in the report\n{said}");
    let frames = report
        .lines()
        .skip_while(|line| Some(*line) != heading)
        .skip(1)
        .take_while(|line| !line.is_empty());
    let frames: Vec<_> = frames.collect();
    let named = |frame: &&str| frame.trim_start().starts_with("0x") && frame.contains("::");
    assert!(frames.iter().any(named), "no function's name in the backtrace\n{said}");
}

#[test]
fn a_panic_tells_its_words() {
    dies_saying("panic", "panic: ");
}

/// CPU 0 wakes the other, again and again, and each time that one goes back to sleep.
#[test]
fn a_crash_tells_what_happened_last_on_each_cpu() {
    let said = boots().smp(2).run("ipi-wake 20; crash panic").dies(2);
    let (_, events) = said.text.split_once("last events, the latest first:").expect("it says so");
    for cpu in [0, 1] {
        let (_, its) = events.split_once(&format!("CPU {cpu}:\n")).expect("it tells of each CPU");
        let its: Vec<&str> = its.lines().take_while(|line| line.contains(" ms ago: ")).collect();
        let age = |line: &&str| line.split_whitespace().next().and_then(|ms| ms.parse().ok());
        let ages: Vec<f64> = its.iter().filter_map(age).collect();
        assert!(ages.is_sorted() && (1..=32).contains(&ages.len()), "CPU {cpu}\n{said}");
        assert_eq!(ages.len(), its.len(), "{said}");
    }
    for event in ["halt", "wake, by another CPU"] {
        assert!(events.contains(&format!(" ms ago: {event}")), "{event}\n{said}");
    }
}

/// UNWIND-CLEAN: what a handler has interrupted is not unwound.
#[test]
fn a_panic_in_a_handler_is_not_recovered() {
    boots()
        .run("crash handler")
        .says("panic: in a handler")
        .says("cannot be recovered: it was raised in a handler")
        .says("1 (main) [running on CPU")
        .dies(2);
}

/// (On Linux std aborts there.)
#[test]
fn a_panic_of_a_panic_s_message_is_not_recovered() {
    boots()
        .run("scenario recover_of_a_message_that_panics")
        .says("panic: from within a message")
        .says("cannot be recovered: it was raised by a panic's message")
        .dies(2);
}

#[test]
fn a_wild_access_is_a_page_fault_at_an_address() {
    dies_saying("fault", "page fault at ");
}

/// The first frame of the backtrace: its function, and its file and line.
fn first_frame(report: &str) -> (&str, &str) {
    let (_, frames) = report.split_once(" [running on CPU ").expect("a goroutine died");
    let frame = frames.lines().nth(1).unwrap_or_else(|| panic!("no frame\n{report}"));
    frame.split_once(" at ").unwrap_or_else(|| panic!("no line\n{report}"))
}

#[test]
fn a_panic_s_frames_begin_with_the_line_that_panicked() {
    let said = boots().run("crash panic").says("panic: as you wish").dies(2);
    let (function, line) = first_frame(&said.text);
    assert!(function.contains("commands::crash::crash+"), "{said}");
    // The panic itself knows its column, too.
    assert!(said.text.contains(&format!("\n\tat {line}:")), "{line}\n{said}");
    assert!(line.starts_with("kernel/shell/src/commands/crash.rs:"), "{said}");
}

#[test]
fn a_fault_names_its_line() {
    let source = include_str!("../../kernel/shell/src/commands/crash.rs");
    let at = source.lines().position(|line| line.contains("NOWHERE as *const u64).read_volatile"));
    let at = at.expect("it is there") + 1;
    let said = boots().run("crash fault").says("page fault at ").dies(2);
    let (_, line) = first_frame(&said.text);
    assert_eq!(line, format!("kernel/shell/src/commands/crash.rs:{at}"), "{said}");
}

/// A goroutine that waits is told where it has called the switch, and not what stands behind.
#[test]
fn a_parked_goroutine_names_the_line_of_its_call() {
    let source = include_str!("../../kernel/executive/core/src/switch.rs");
    let call = source.lines().position(|line| line.contains("\"call {mcall}\"")).expect("a call");
    let said = boots().run("crash deadlock").says("all goroutines are asleep").dies(2);
    let mut main = said.text.lines().skip_while(|line| !line.contains("1 (main) [chan receive"));
    let frame = main.nth(1).expect("its first frame");
    let expected = format!(" at kernel/executive/core/src/switch.rs:{call}"); // where `asm!` begins
    assert!(frame.ends_with(&expected), "{frame}\n{said}");
}

#[test]
fn a_wild_jump_names_who_jumped() {
    let words = "page fault at 0x0: executing a page that is not there";
    boots()
        .run("crash jump")
        .says(words)
        .says("0x0 ?")
        .says("commands::crash::jump")
        .says("commands::crash::crash")
        .dies(2);
}

#[test]
fn a_button_s_interrupt_tells_where_every_cpu_stands() {
    let said = boots()
        .run("crash nmi")
        .says("non-maskable interrupt (exception 2)")
        .says("\nCPUs:")
        .dies(2);
    let (_, cpus) = said.text.split_once("\nCPUs:").expect("looked at above");
    let (cpus, _) = cpus.split_once("\ngoroutines:").expect("they follow");
    let (_, ours) = cpus
        .split_once("goroutine 1 (main)\n")
        .unwrap_or_else(|| panic!("main runs nowhere\n{said}"));
    let ours = ours.split("  CPU ").next().expect("the first part"); // main may be on the last CPU
    assert!(ours.contains("commands::crash::nmi") && ours.contains("kernel::main"), "{said}");
    // One of the three others has written this; the other two stood still.
    let lines: Vec<_> = cpus.lines().collect();
    let told = lines
        .windows(2)
        .filter(|pair| pair[0].starts_with("  CPU ") && pair[1].starts_with("\t0x"))
        .count();
    assert_eq!(told, 3, "{said}");
}

#[test]
fn a_stack_overflow_names_the_goroutine() {
    dies_saying("overflow", "stack overflow in goroutine ");
}

/// A recursion's frames are counted, so that the report tells who began it.
#[test]
fn a_frame_that_repeats_is_printed_once() {
    let said = boots()
        .run("crash overflow")
        .says("stack overflow in goroutine ")
        .says("commands::crash::overflow")
        .says(" more of this frame\n")
        .says("commands::crash::crash")
        .says("\nCPUs:")
        .dies(2);
    let (_, report) = said.text.split_once("\ngoroutine ").expect("who died");
    let (frames, _) = report.split_once("\n\n").expect("they end");
    let overflows = frames.matches("commands::crash::overflow").count();
    // Where it stands, and where it calls itself.
    assert!((1..=2).contains(&overflows), "{said}");
}

#[test]
fn when_nothing_can_run_again_it_is_a_deadlock() {
    dies_saying("deadlock", "fatal error: all goroutines are asleep - deadlock!");
}

#[test]
fn a_deadlock_tells_what_every_goroutine_waits_for() {
    boots()
        .run("crash deadlock")
        .says("deadlock!")
        .says("goroutines:")
        .says("1 (main) [chan receive")
        .dies(2);
}

#[test]
fn mcall_on_g0_throws() {
    dies_saying("throw-mcall", "fatal error: mcall: ");
}

#[test]
fn a_function_that_returns_to_mcall_throws() {
    dies_saying("throw-mcall-returns", "fatal error: mcall: function returned");
}

#[test]
fn scheduling_with_a_lock_held_throws() {
    dies_saying("throw-schedule", "fatal error: schedule: holding locks");
}

#[test]
fn readying_a_goroutine_that_does_not_wait_throws() {
    dies_saying("throw-ready", "fatal error: ready: ");
}

#[test]
fn systemstack_from_a_wrong_g_throws() {
    dies_saying("throw-systemstack", "fatal error: systemstack: ");
}

#[test]
fn a_fault_shows_the_registers() {
    boots()
        .run("crash fault")
        .says("page fault at ")
        .says("rip ")
        .says("rsp ")
        .says("rbp ")
        .says("cr2 ")
        .dies(2);
}

#[test]
fn exceptions_of_floating_point_have_names() {
    dies_saying("nm", "device not available (exception 7)");
    dies_saying("mf", "x87 floating-point error (exception 16)");
    dies_saying("xm", "SIMD floating-point error (exception 19)");
}

#[test]
fn a_fault_shows_the_vector_registers() {
    let said = boots().run("crash nm").says("xmm0 ").says("xmm15 ").dies(2);
    assert!(said.text.contains("xmm3  00000000000000000123456789abcdef"), "{said}");
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
    assert!(!said.text.contains("is 29"), "{said}");
}

#[test]
fn exit_gives_its_code() {
    boots().run("exit 7; sieve 10").never_says("is 29").dies(7);
}
