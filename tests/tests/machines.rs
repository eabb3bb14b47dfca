//! Other machines than the one that boot/src/qemu.rs describes: other disks, fewer devices, odd
//! firmware. tests/machines.sh has the long list.

use std::io::Write;
use tests::{Boot, Socket, boots};

/// QEMU's device by which a kernel ends it with a status.
const EXIT: &[&str] = &["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"];

/// A PC with this board and these devices, and a way to tell its status.
fn machine(args: &[&str]) -> Boot {
    boots().bare().smp(2).qemu(&["-cpu", "max", "-vga", "std"]).qemu(EXIT).qemu(args)
}

const SATA: &[&str] = &["-device", "ide-hd,drive=image"];

/// The image, put into the machine by these devices.
fn boots_from(disk: &[&str]) {
    for uefi in [false, true] {
        let machine = machine(&["-machine", "q35"]).qemu(disk).run("sieve 100").says("is 541");
        if uefi { machine.uefi() } else { machine }.ok();
    }
}

#[test]
fn both_firmwares_boot_the_image_from_a_usb_stick() {
    boots_from(&["-device", "qemu-xhci", "-device", "usb-storage,drive=image"]);
}

#[test]
fn both_firmwares_boot_the_image_from_nvme() {
    boots_from(&["-device", "nvme,drive=image,serial=1"]);
}

#[test]
fn both_firmwares_boot_the_image_from_virtio() {
    boots_from(&["-device", "virtio-blk-pci,drive=image"]);
}

#[test]
fn both_firmwares_boot_the_image_from_sata() {
    boots_from(SATA);
}

#[test]
fn a_machine_without_any_clock_says_so_and_stops() {
    let bare = ["-machine", "pc,hpet=off,pit=off,acpi=off"];
    let said = machine(&bare).smp(1).qemu(SATA).run("sieve 100").says("has no clock").dies(2);
    assert!(!said.text.contains("is 541"), "{said}");
}

#[test]
fn a_machine_with_one_clock_alone_keeps_time_by_it() {
    for (board, clock) in
        [("pc,hpet=off,pit=off", "the PM timer says"), ("pc,hpet=off,acpi=off", "the PIT says")]
    {
        machine(&["-machine", board])
            .smp(1)
            .qemu(SATA)
            .run("sieve 100")
            .says(clock)
            .says("is 541")
            .ok();
    }
}

/// A command line that came some other way than by `--run`, which refuses such ones itself.
fn refuses(name: &str, line: &[u8], why: &str) {
    let file = std::env::temp_dir().join(format!("executive-{}.{name}", std::process::id()));
    std::fs::write(&file, line).expect("a file can be written");
    let item = format!("name=opt/executive/cmdline,file={}", file.display());
    let said = boots().smp(1).qemu(&["-fw_cfg", &item]).says(why).dies(1);
    std::fs::remove_file(&file).expect("it was there");
    assert!(!said.text.contains("is 541"), "nothing of it is run\n{said}");
}

#[test]
fn a_command_line_that_is_too_long_is_refused() {
    // Cut after 4096 bytes, it would end in `exit 4`.
    let line = format!("sieve 100;{}exit 42", " ".repeat(4097 - 17));
    refuses("long", line.as_bytes(), "the command line has 4097 bytes, more than 4096");
}

#[test]
fn a_command_line_that_is_not_text_is_refused() {
    refuses("bytes", b"sieve 100; \xff", "the command line is not UTF-8, from byte 11 on");
}

/// A machine that has no other way to end than to be switched off: a reset starts it again.
fn to_be_switched_off(board: &str) -> Boot {
    boots()
        .bare()
        .smp(2)
        .qemu(&["-machine", board, "-cpu", "max", "-vga", "std", "-action", "reboot=reset"])
        .qemu(SATA)
}

/// What the boot tool says of a machine that ended without a status.
const SWITCHED_OFF: i32 = 125;

#[test]
fn exit_switches_the_machine_off() {
    for board in ["q35", "pc"] {
        to_be_switched_off(board).run("sieve 100; exit 3").says("is 541").dies(SWITCHED_OFF);
    }
    to_be_switched_off("q35").uefi().run("sieve 100").says("is 541").dies(SWITCHED_OFF);
}

#[test]
fn after_a_crash_the_machine_stays_on() {
    to_be_switched_off("q35").within_secs(10).run("crash panic").says("panic").dies(124);
}

#[test]
fn the_power_button_switches_the_machine_off() {
    for uefi in [false, true] {
        let monitor = Socket::new(if uefi { "button-uefi" } else { "button" });
        let machine = to_be_switched_off("q35").qemu(&["-monitor", &monitor.place()]);
        let mut console = if uefi { machine.uefi() } else { machine }.console();
        let mut keys = monitor.connect(); // open until the machine has ended
        writeln!(keys, "system_powerdown").expect("QEMU listens");
        console.until("the power button was pressed");
        console.ends(SWITCHED_OFF);
    }
}

/// Who has no serial line reads it too. (The machine stays on here when it is switched off.)
#[test]
fn the_power_button_s_words_are_on_the_screen() {
    let mut screen = to_be_switched_off("q35").screen("button-screen");
    screen.until("`help` lists the commands");
    screen.asks("system_powerdown");
    screen.until("the power button was pressed");
}

/// By the register that the tables name, by the keyboard controller, and by a triple fault.
#[test]
fn reboot_starts_the_machine_again() {
    const READY: &str = "`exit` powers off.";
    let boards = ["q35", "pc", "pc,i8042=off"].map(to_be_switched_off);
    let uefi = to_be_switched_off("q35").uefi().within_secs(120);
    for machine in boards.into_iter().chain([uefi]) {
        let mut console = machine.console();
        console.types("reboot\r");
        console.until(READY);
        console.until("> ");
        console.ends_with("exit", SWITCHED_OFF);
    }
}

#[test]
fn the_date_is_that_of_the_machines_clock() {
    // The new year comes while it runs, or has come.
    let said =
        boots().qemu(&["-rtc", "base=2027-12-31T23:59:58,clock=vm"]).run("idle 2; date").ok();
    assert!(said.text.contains("2028-01-01 00:00:"), "{said}");
}

/// What somebody who does not have the machine asks for.
#[test]
fn report_tells_all_about_the_machine() {
    let said = machine(&["-machine", "q35", "-m", "256M"])
        .qemu(SATA)
        .run("report")
        .says("memory: ")
        .says("CPUs: xAPIC, APIC ids 0-1\n")
        .says("clock: the TSC at ")
        .says("cpuid 00000000: ")
        .says("cpu 1: its TSC is ")
        .says("CPUs had other MTRRs than cpu 0") // QEMU's INIT forgets them
        .says("APIC at 0x")
        .says("I/O APIC at 0xfec00000, from GSI 0 on")
        .says("IsaOverride { irq: 9, gsi: 9, active_low: false, level: true }")
        .says("HPET Some(fed00000), PM timer Some(608)")
        .says("memory map:")
        .says("Usable")
        .ok();
    assert!(said.text.lines().all(|line| line.len() < 400), "{said}");
}

/// The BIOS writes text to the serial line, too, if the board has no graphics.
#[test]
fn a_cpu_that_will_not_do_is_told_of() {
    for (cpu, words) in [("max,-nx", "NX is off"), ("qemu32", "This CPU has no 64-bit mode")] {
        boots().smp(1).qemu(&["-machine", "graphics=off", "-cpu", cpu]).started(words);
    }
}

/// A few of the machines of docs/machines.md; the script has them all.
#[test]
fn the_cheap_machines_do_what_they_should() {
    let _slot = tests::slot();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let (boot, kernel) = tests::boot_and_kernel();
    let done = std::process::Command::new(root.join("tests/machines.sh"))
        .arg("--cheap")
        .env("BOOT", boot)
        .env("KERNEL", kernel)
        .output()
        .expect("the script starts");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("10 machines, 0 did not"), "{said}");
}
