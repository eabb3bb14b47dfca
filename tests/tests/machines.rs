//! Other machines than the one that boot/src/qemu.rs describes: other disks, fewer devices, odd
//! firmware. tests/machines.sh has the long list.

use tests::{Boot, boots};

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
        let machine = machine(&["-machine", "q35"]).qemu(disk).run("sieve 100").says("541");
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
    assert!(!said.text.contains("541"), "{said}");
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
            .says("541")
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
    assert!(!said.text.contains("541"), "nothing of it is run\n{said}");
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
