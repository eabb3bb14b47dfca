//! Devices and their drivers (package `drivers`): random numbers and disks, on both boards and both
//! firmwares; and devices that fail, stop, and go away.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tests::{Boot, Slots, Socket, boots, until_all_halt};

const BLOCK: usize = 512;

/// A file that is a disk of so many blocks. Dropped, it is removed.
struct File(PathBuf);

impl File {
    /// `name` is this test's own.
    fn new(name: &str, blocks: usize) -> File {
        let file = std::env::temp_dir().join(format!("executive-{}.{name}", std::process::id()));
        fs::write(&file, vec![0; blocks * BLOCK]).expect("a file can be written");
        File(file)
    }
    fn path(&self) -> &Path {
        &self.0
    }
    /// A drive called `name`, for a device of the test's own.
    fn drive(&self, name: &str, options: &str) -> String {
        format!("if=none,id={name},format=raw,file={}{options}", self.0.display())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A machine with a disk, and a virtio device for random numbers which the CPU does not have.
fn machine(board: &str, disk: &File, device: &str) -> Boot {
    with(boots().bare(), board, disk, device)
}

fn with(machine: Boot, board: &str, disk: &File, device: &str) -> Boot {
    machine
        .qemu(&["-machine", board, "-cpu", "max,rdrand=off", "-vga", "std"])
        .qemu(&["-device", "ide-hd,drive=image,bootindex=0"])
        .qemu(&["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
        .qemu(&["-device", "virtio-rng-pci"])
        .qemu(&["-drive", &disk.drive("disk", "")])
        .qemu(&["-device", &format!("virtio-blk-pci,drive=disk{device}")])
}

/// What `disk-overwrite` writes (kernel/shell/src/commands/devices.rs).
fn pattern(blocks: usize) -> Vec<u8> {
    let words = 0..(blocks * BLOCK / 8) as u64;
    words.flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect()
}

/// Goroutines overwrite the disk, under stress, and the host finds what they have written.
fn writes_the_disk(name: &str, interrupt: &str, machine: impl Fn(&File) -> Boot) {
    const BLOCKS: usize = 4001; // the last run is shorter
    let disk = File::new(name, BLOCKS);
    let said = machine(&disk)
        .run("disks; beside-stress disk-overwrite 0 20; disk-read 0 4000; random 32; random 32")
        .says("4001 blocks of 512 bytes")
        .says("4001 blocks written, read and found the same, by 20 goroutines")
        .says("rounds of stress beside it")
        .ok();
    assert!(said.text.contains(interrupt), "not by {interrupt}\n{said}");
    let found = fs::read(disk.path()).expect("it is there");
    assert!(found == pattern(BLOCKS), "the host finds other bytes than were written");
}

/// q35's configuration space is in memory, pc's behind two ports.
#[test]
fn all_functions_are_listed_also_behind_bridges() {
    let (port, bridge) =
        (["-device", "pcie-root-port,id=b"], ["-device", "pci-bridge,id=b,chassis_nr=1"]);
    for (boot, board, behind, through) in [
        (boots().smp(1), "q35", port, "PCI, through memory:"),
        (boots().uefi().smp(4), "q35", port, "PCI, through memory:"),
        (boots().smp(4), "pc", bridge, "PCI, through ports:"),
        (boots().uefi().smp(1), "pc", bridge, "PCI, through ports:"),
    ] {
        let said = boot.qemu(&["-machine", board]).qemu(&behind).qemu(&["-device", "edu,bus=b"]);
        let said = said.run("lspci; report").says("HostBridge").says(through).ok();
        let edu = said.text.lines().find(|line| line.contains("1234:11e8")).expect("it is listed");
        assert!(!edu.starts_with("00:"), "it is on the bus behind the bridge\n{said}");
    }
}

#[test]
fn goroutines_write_a_disk_on_q35() {
    writes_the_disk("q35-1", "MSI-X", |disk| machine("q35", disk, "").smp(1));
    writes_the_disk("q35-4", "MSI-X", |disk| machine("q35", disk, "").smp(4).uefi());
}

#[test]
fn goroutines_write_a_disk_on_pc() {
    writes_the_disk("pc-1", "MSI-X", |disk| machine("pc", disk, "").smp(1).uefi());
    writes_the_disk("pc-4", "MSI-X", |disk| machine("pc", disk, "").smp(4));
}

/// The firmware's code leads q35's pins to inputs that no function's line register names.
#[test]
fn a_disk_without_messages_interrupts_by_its_pin() {
    let pin = ",vectors=0";
    writes_the_disk("pin-q35", "pin at input 2", |disk| machine("q35", disk, pin).smp(2));
    writes_the_disk("pin-pc", "pin at input 1", |disk| machine("pc", disk, pin).smp(2).uefi());
}

/// Behind two bridges, of which the firmware's code does not know.
#[test]
fn a_pin_behind_bridges_interrupts() {
    let bridges = ["-device", "pci-bridge,id=a,chassis_nr=1,addr=5"];
    let inner = ["-device", "pci-bridge,id=b,chassis_nr=2,addr=3,bus=a"];
    let device = ",vectors=0,bus=b,addr=6";
    for (name, board, input) in [("q35", "q35", "pin at input 2"), ("pc", "pc", "pin at input 1")] {
        writes_the_disk(&format!("bridge-{name}"), input, |disk| {
            let machine = boots().bare().qemu(&bridges).qemu(&inner);
            with(machine, board, disk, device).smp(1)
        });
    }
}

/// Code that does not end, by itself or for the crate that runs it, and code that wants more memory
/// than there is: it is told of, and the pin is taken to lead where the firmware has written.
#[test]
fn damaged_code_of_the_firmware_is_told_of_and_the_rest_goes_on() {
    let disk = File::new("code", 64);
    for (n, cpus, code) in [
        (0, 2, &[0xa2, 2, 1][..]), // While (One) {}
        // Name (X, Package (1) { Add () }): an operation without its operands.
        (1, 1, b"\x08X___\x12\x03\x01\x72"),
        (2, 4, b"\x08X___\x12\x03\x01\x72"),
        // Name (X, Buffer (0x7fffffffffff) {})
        (3, 2, b"\x08X___\x11\x0a\x0e\xff\xff\xff\xff\xff\x7f\0\0"),
    ] {
        let table = File::new(&format!("code-{n}"), 0);
        fs::write(table.path(), code).expect("a file can be written");
        let table = format!("sig=SSDT,data={}", table.path().display());
        machine("q35", &disk, ",vectors=0")
            .smp(cpus)
            .qemu(&["-acpitable", &table])
            .run("disk-overwrite 0 20; disks; sieve 100; crash deadlock")
            .says("AML: the firmware's code ")
            .says("; pins are taken to lead where the firmware has written")
            .says("64 blocks written, read and found the same, by 20 goroutines")
            .says("pin at input 1")
            .says("prime 100 is 541")
            .says("all goroutines are asleep - deadlock!")
            .dies(2);
    }
}

/// The option as a person gives it.
#[test]
fn a_disk_holds_what_its_file_does() {
    let disk = File::new("option", 64);
    let mut bytes = vec![0; 64 * BLOCK];
    bytes[63 * BLOCK..][..5].copy_from_slice(b"hello");
    fs::write(disk.path(), bytes).expect("a file can be written");
    boots().disk(disk.path()).run("disk-read 0 63").says("\n68656c6c6f000000").ok();
    boots().disk(disk.path()).run("disk-read 0 64").says("the device ends before that").dies(1);
}

#[test]
fn random_numbers_come_from_the_device_if_the_cpu_has_none() {
    let disk = File::new("random", 8);
    let said = machine("q35", &disk, "")
        .smp(1)
        .run("random 32; random 32; random 10000")
        .says("32 bytes from virtio-rng")
        .says("32 bytes from virtio-rng")
        .says("10000 bytes from virtio-rng")
        .ok();
    let lines = said
        .text
        .lines()
        .filter(|line| line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let mut lines: Vec<_> = lines.collect();
    let all = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert!(all > 300 && lines.len() == all, "two lines are the same\n{said}");
    boots().smp(1).run("random").says("16 bytes from the CPU").ok();
    boots().smp(1).qemu(&["-cpu", "max,rdrand=off"]).run("random").says("the clock's jitter").ok();
}

#[test]
fn a_device_older_than_virtio_1_is_told_of() {
    let disk = File::new("old", 8);
    machine("pc", &disk, ",disable-modern=on,disable-legacy=off")
        .smp(1)
        .run("disk-read 0 0")
        .says("cannot be used: the device is older than virtio 1")
        .says("there are 0 disks")
        .dies(1);
}

/// Block 100 cannot be read or written.
#[test]
fn an_error_of_the_disk_is_told_and_the_rest_goes_on() {
    let disk = File::new("errors", 200);
    let bad = format!(
        "driver=blkdebug,node-name=bad,image.driver=file,image.filename={},\
         inject-error.0.event=none,inject-error.0.sector=100,inject-error.0.errno=5",
        disk.path().display()
    );
    boots()
        .smp(2)
        .qemu(&["-blockdev", &bad])
        .qemu(&["-device", "virtio-blk-pci,drive=bad,rerror=report,werror=report"])
        .run("disk-read 0 99; disk-read 0 100; disk-overwrite 0 5; disk-read 0 101; sieve 100")
        .says("disk-read: the device reports an I/O error")
        .says("1 of 5 goroutines failed; blocks 80 to 120: the device reports an I/O error")
        .says("is 541")
        .dies(1);
}

/// One disk answers nothing, one answers late, and one is well.
#[test]
fn a_disk_that_does_not_answer_is_given_up_and_the_rest_goes_on() {
    let [well, late, never] = ["well", "late", "never"].map(|name| File::new(name, 400));
    boots()
        .smp(2)
        .disk(well.path())
        .qemu(&["-drive", &late.drive("late", ",throttling.iops-total=2")])
        .qemu(&["-device", "virtio-blk-pci,drive=late"])
        .qemu(&["-drive", &never.drive("never", ",throttling.bps-total=1")])
        .qemu(&["-device", "virtio-blk-pci,drive=never"])
        .run(
            "disk-patience 1 1; disk-patience 2 1; disk-overwrite 2 100; disk-overwrite 1 10; \
             disk-overwrite 0 10; disk-patience 1 60; disk-read 1 0; disks",
        )
        .says("10 of 100 goroutines failed; blocks 0 to 40: the device has not answered within 1s")
        .says("the device has not answered within 1s")
        .says("400 blocks written, read and found the same, by 10 goroutines")
        .says("\n0000000000000000") // of block 0: its number
        .dies(1);
}

/// The host takes the file away while goroutines use the disk.
#[test]
fn a_disk_that_is_taken_away_is_told_of_and_the_rest_goes_on() {
    let disk = File::new("away", 40_000);
    let monitor = Socket::new("away-monitor");
    let mut console =
        boots().smp(2).disk(disk.path()).qemu(&["-monitor", &monitor.place()]).console();
    let mut keys = monitor.connect();
    console.types("disk-bench 0 3\r");
    console.until("blk_seq_1,");
    writeln!(keys, "drive_del disk0").expect("QEMU listens");
    console.until("disk-bench: the device ");
    console.until("> ");
    assert!(console.does("sieve 100").contains("is 541"));
    console.ends_with("exit", 0);
}

/// Waits until everybody waits for devices, and pulls this one out.
fn pulls_out(monitor: &mut UnixStream, slots: Slots, slot: u8) {
    until_all_halt(monitor, 2);
    for line in slots.eject(slot) {
        writeln!(monitor, "{line}").expect("QEMU listens");
    }
}

/// A disk and a source of random numbers are pulled out while goroutines wait for them: the device
/// has done nothing for those by then, nor would it within the hour. A directory of the host is
/// pulled out before somebody asks: QEMU 7.2 dies of requests to it that are under way.
#[test]
fn devices_that_are_pulled_out_are_told_of_and_the_rest_goes_on() {
    const GONE: &str = "is not used any more: the device is not there any more";
    let (disk, monitor) = (File::new("out", 4000), Socket::new("out-monitor"));
    let share = std::env::temp_dir().join(format!("executive-{}.out-share", std::process::id()));
    fs::create_dir_all(&share).expect("a directory can be made");
    fs::write(share.join("long"), vec![1; 100_000]).expect("a file can be written");
    let shared = format!("local,id=s,security_model=none,path={}", share.display());
    let mut console = boots()
        .bare()
        .smp(2)
        .qemu(&["-machine", "pc", "-cpu", "max,rdrand=off", "-vga", "std"])
        .qemu(&["-device", "ide-hd,drive=image,bootindex=0", "-monitor", &monitor.place()])
        .qemu(&["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
        .qemu(&["-drive", &disk.drive("disk", "")])
        .qemu(&["-device", "virtio-blk-pci,drive=disk,addr=0x10"])
        .qemu(&["-device", "virtio-rng-pci,max-bytes=1,period=3600000,addr=0x11"])
        .qemu(&["-fsdev", &shared, "-device", "virtio-9p-pci,fsdev=s,mount_tag=s,addr=0x12"])
        .console();
    let mut keys = monitor.connect();
    writeln!(keys, "block_set_io_throttle disk 1 0 0 0 0 0").expect("QEMU listens");
    let gone = |slot| format!("virtio: 00:{slot:02x}.0 {GONE}");
    for (slot, command, answer) in [
        (0x10, "disk-overwrite 0 20", "20 of 20 goroutines failed; blocks 0 to 40: the device is"),
        (0x11, "random 32", "32 bytes from the clock's jitter"),
    ] {
        console.types(&format!("{command}\r"));
        console.until("\n");
        pulls_out(&mut keys, Slots::PC, slot);
        console.until(&gone(slot));
        console.until(answer);
        console.until("> ");
    }
    pulls_out(&mut keys, Slots::PC, 0x12);
    console.types("cat /s/long\r");
    console.until(&gone(0x12));
    console.until("/s/long: the device has failed");
    console.until("> ");
    // Who comes later is told at once.
    assert!(console.does("disk-read 0 0").contains("the device is not there any more"));
    assert!(console.does("ls /s").contains("the device has failed"));
    assert!(console.does("random 32").contains("jitter"));
    assert!(!console.does("lspci").contains("1af4:"));
    assert!(console.does("sieve 100").contains("is 541"));
    console.ends_with("exit", 0);
    let _ = fs::remove_dir_all(share);
}

/// The same where configuration space is in memory.
#[test]
fn a_disk_that_is_pulled_out_of_a_port_is_told_of() {
    let (disk, monitor) = (File::new("port", 400), Socket::new("port-monitor"));
    let mut console = boots()
        .smp(2)
        .qemu(&["-device", "pcie-root-port,id=p", "-monitor", &monitor.place()])
        .qemu(&["-drive", &disk.drive("disk", "")])
        .qemu(&["-device", "virtio-blk-pci,drive=disk,bus=p"])
        .console();
    let mut keys = monitor.connect();
    writeln!(keys, "block_set_io_throttle disk 1 0 0 0 0 0").expect("QEMU listens");
    console.types("disk-overwrite 0 10\r");
    console.until("\n");
    pulls_out(&mut keys, Slots::Q35, 0);
    console.until("01:00.0 is not used any more: the device is not there any more");
    console.until("10 of 10 goroutines failed; blocks 0 to 40: the device is not there any more");
    console.until("> ");
    assert!(console.does("sieve 100").contains("is 541"));
    console.ends_with("exit", 0);
}

#[test]
fn with_all_drivers_a_deadlock_is_still_one() {
    let disk = File::new("deadlock", 8);
    machine("q35", &disk, "")
        .smp(2)
        .run("disk-read 0 0; random; crash deadlock")
        .says("all goroutines are asleep - deadlock")
        .dies(2);
}
