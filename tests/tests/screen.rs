//! A machine with nothing but a screen and a keyboard. (What the screen shows is read by the
//! kernel's own font: tests/src/screen.rs.)

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use tests::{Boot, boots};

/// Somebody types two commands and reads the answers.
fn can_be_talked_to(machine: Boot, name: &str) {
    let mut screen = machine.smp(2).screen(name);
    screen.until("`help` lists the commands");
    screen.types("help\r");
    screen.until("the N-th prime, by a chain of N goroutines");
    screen.types("sieve 500\r");
    screen.until("prime 500 is 3571");
    // Line editing: the last line comes back, and is changed within.
    screen.press("up");
    screen.until("prime 500 is 3571\n> sieve 500\n");
    ["backspace", "x", "left", "delete", "ret"].iter().for_each(|key| screen.press(key));
    screen.until("prime 50 is 229");
}

#[test]
fn from_bios_a_person_types_and_reads_the_answer() {
    can_be_talked_to(boots(), "screen-bios");
}

#[test]
fn from_uefi_a_person_types_and_reads_the_answer() {
    can_be_talked_to(boots().uefi(), "screen-uefi");
}

#[test]
fn on_a_large_screen_letters_are_large() {
    let vga =
        ["-vga", "none", "-device", "VGA,vgamem_mb=64,xres=3840,yres=2160,refresh_rate=30000"];
    let mut screen = boots().uefi().smp(2).qemu(&vga).screen("screen-4k");
    let seen = screen.until("`help` lists the commands");
    assert_eq!(screen.size(), (3840, 2160), "{seen}");
    screen.types("sieve 100\r");
    screen.until("prime 100 is 541");
}

#[test]
fn ctrl_c_stops_a_command_and_the_layout_is_asked_for() {
    let mut screen = boots().smp(1).screen("screen-keys");
    screen.until("`help` lists the commands");
    screen.types("lines 1000000\r");
    screen.until("the lazy dog"); // any of the lines: most scroll past
    screen.press("ctrl-c");
    screen.until("^C\n");
    screen.types("layout de\r");
    screen.until("\nde\n");
    ["y", "z", "ret"].iter().for_each(|key| screen.press(key)); // they have changed places
    screen.until("zy: no such command");
}

#[test]
fn on_a_small_screen_all_of_it_is_used() {
    let vga = ["-vga", "none", "-device", "VGA,xres=800,yres=600"];
    let mut screen = boots().uefi().smp(1).qemu(&vga).screen("screen-small");
    screen.until("800x600 pixels of 32 bits, 100x37 characters");
    screen.types("help\r");
    // Longer than a row, and the list is longer than the screen.
    let seen = screen.until("the arrow keys bring earlier lines back.");
    assert!(!seen.contains("800x600"), "it scrolls\n{seen}");
    assert!(seen.contains("\ning\n"), "a long line goes on in the next row\n{seen}");
}

/// UEFI gives no framebuffer: everything is as it was before there were screens.
#[test]
fn without_a_screen_the_serial_line_does() {
    let said = boots().uefi().smp(1).qemu(&["-vga", "none"]).run("sieve 100").says("is 541").ok();
    assert!(!said.text.contains("screen:"), "{said}");
}

#[test]
fn without_a_keyboard_the_serial_line_does() {
    let machine = boots().smp(1).qemu(&["-machine", "q35,i8042=off"]);
    let mut console = machine.console();
    assert!(console.does("sieve 100").contains("is 541"));
    console.ends_with("exit", 0);
}

#[test]
fn without_keyboard_and_serial_line_the_screen_says_so() {
    let machine = boots().smp(1).qemu(&["-machine", "q35,i8042=off"]);
    let mut screen = machine.screen("screen-nobody");
    let seen = screen.until("`help` lists the commands");
    assert!(seen.contains("keyboard: no PS/2"), "{seen}");
    assert!(seen.contains("nobody can type"), "{seen}");
}

/// The serial port's interrupt comes, again and again, though there is no port: it is routed to
/// nobody. (QEMU's device for tests sets any interrupt line. A handler that was called would not
/// hang either, for it takes no more bytes than it has room for: both were taken away together to
/// see CPU 0 spin in it.)
#[test]
fn an_interrupt_of_a_port_that_is_not_there_stops_nothing() {
    let machine = boots().smp(1).qemu(&["-machine", "pc", "-device", "pc-testdev"]);
    let mut screen = machine.screen("screen-irq4");
    screen.until("`help` lists the commands");
    let wires = screen.asks("info pic");
    let wire = wires.lines().find(|line| line.trim_start().starts_with("pin 4 "));
    assert!(wire.is_some_and(|wire| wire.contains("masked")), "{wires}");
    for level in ["1", "0", "1"] {
        screen.asks(&format!("o /b 0x2004 {level}"));
    }
    screen.types("sieve 100\r");
    screen.until("prime 100 is 541");
}

/// Somebody has the serial line and does not read it: 2,000 lines are more than a pipe holds. They
/// cost one wait, not one each. Who reads again is told what is missing, and gets what comes then.
#[test]
fn a_serial_line_that_nobody_reads_is_given_up_until_somebody_does() {
    let line = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("stalled");
    let ends = ["in", "out"].map(|end| line.with_extension(end)); // as QEMU wants them named
    for end in &ends {
        let _ = fs::remove_file(end);
        assert!(Command::new("mkfifo").arg(end).status().expect("mkfifo is there").success());
    }
    let serial = format!("pipe:{}", line.display());
    let mut screen = boots().smp(2).qemu(&["-serial", &serial]).screen("screen-stalled");
    screen.until("`help` lists the commands");
    screen.types("lines 2000\r");
    screen.until("   2000: ");

    // QEMU holds both ends of both pipes open, so the lines never end by themselves.
    let mut reader = BufReader::new(File::open(&ends[1]).expect("the pipe can be opened"));
    let (send, lines) = channel();
    thread::spawn(move || {
        // As bytes: what is missing may begin or end within a letter.
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    // What the pipe held comes first. Then the port is empty, and the next echo finds it so.
    let told = |line: String| line.ends_with(" bytes are missing: nobody read]\r\n");
    let mut typed = String::from("> ");
    while !lines.try_iter().any(told) {
        screen.press("x");
        typed.push('x');
        screen.until(&typed); // a keyboard that is not read drops keys
    }
    screen.press("ctrl-c");
    screen.types("7\r");
    while !lines.recv().expect("QEMU runs").contains("7: no such command") {}
}

/// What is printed right before the end is drawn, though no goroutine runs any more.
#[test]
fn the_last_words_of_a_kernel_are_seen() {
    let mut screen = boots().example("hello").smp(2).screen("screen-hello");
    screen.until("hello from goroutine 1 on 2 CPUs");
}

/// A command that ends in a report, of which the screen shows the first page: who, what, where.
fn dies_showing(command: &str, name: &str, words: &[&str]) {
    let mut screen = boots().smp(2).screen(name);
    screen.until("`help` lists the commands");
    screen.types(command);
    screen.press("ret");
    let seen = screen.until(words.last().expect("some words"));
    let mut rest = seen.as_str();
    for word in words {
        let found = rest.split_once(word);
        rest = found.unwrap_or_else(|| panic!("no {word:?} (in this order):\n{seen}")).1;
    }
    assert!(!seen.contains("`help` lists"), "the report is drawn over the rest\n{seen}");
}

#[test]
fn a_panic_is_read_on_the_screen() {
    let words =
        ["panic: as you wish", "goroutine ", "commands::crash::crash", "CPUs:", "goroutines:"];
    dies_showing("crash panic", "screen-panic", &words);
}

#[test]
fn a_stack_overflow_is_read_on_the_screen() {
    let words = [
        "fatal error: stack overflow in goroutine ",
        "commands::crash::overflow",
        " more of this frame",
        "commands::crash::crash",
        "CPUs:",
        "goroutines:",
    ];
    dies_showing("crash overflow", "screen-overflow", &words);
}

#[test]
fn a_deadlock_is_read_on_the_screen() {
    let words =
        ["fatal error: all goroutines are asleep - deadlock!", "goroutines:", "chan receive"];
    dies_showing("crash deadlock", "screen-deadlock", &words);
}
