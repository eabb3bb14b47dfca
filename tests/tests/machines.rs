//! Other machines than the one that boot/src/qemu.rs describes: other disks, fewer devices, odd
//! firmware. tests/machines.sh has the long list.

use tests::{Boot, boots};

/// QEMU's device by which a kernel ends it with a status.
const EXIT: &[&str] = &["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"];

/// A PC with this board and these devices, and a way to tell its status.
fn machine(args: &[&str]) -> Boot {
    boots().bare().smp(2).qemu(&["-cpu", "max", "-vga", "std"]).qemu(EXIT).qemu(args)
}

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
    boots_from(&["-device", "ide-hd,drive=image"]);
}
