//! The machine: QEMU's command line.
//!
//! TCG, never KVM: every host has it, and it is the same everywhere. With `-no-reboot` a triple
//! fault ends QEMU. The disk is a throw-away copy (`snapshot`), so that several machines can share
//! one image. Other disks keep what is written to them.
//!
//! With `--bare` only that and the serial line are ours, and the person chooses the rest.
//!
//! With `--icount` the CPUs take turns in one thread of the host. The machine's clocks, its TSC
//! too, show the number of instructions executed, as nanoseconds. When all CPUs halt, time jumps to
//! the next timer. The host's time does not matter, so a run repeats.

use crate::firmware;
use crate::options::Options;
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// How the machine's serial line is connected to this tool.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// By a person's terminal: every key goes to the guest, Ctrl-C too; Ctrl-A X ends QEMU, Ctrl-A
    /// C is its monitor.
    Terminal,
    /// By two pipes.
    Pipes,
}

pub fn command(o: &Options, image: &Path, line: Line) -> Result<Command> {
    let mut qemu = Command::new("qemu-system-x86_64");
    let accel = if o.icount { "tcg,thread=single" } else { "tcg,thread=multi" };
    let image = format!("if=none,id=image,format=raw,snapshot=on,file={}", file(image));
    qemu.args(["-accel", accel, "-no-reboot", "-nodefaults", "-display", "none"])
        .args(["-smp", &cpus(o).to_string()])
        .args(["-m", o.mem.as_deref().unwrap_or("512M")])
        .args(serial(o, line));
    qemu.args(["-drive", &image]);
    if !o.bare {
        // Only devices that the kernel drives, and the VGA that the bootloader wants: the firmware
        // would try to boot from any other.
        qemu.args(["-machine", "q35", "-cpu", "max", "-vga", "std"])
            .args(["-device", "ide-hd,drive=image,bootindex=0"])
            .args(exit_device(o));
    }
    for (n, disk) in o.disks.iter().enumerate() {
        qemu.args(["-drive", &format!("if=none,id=disk{n},format=raw,file={}", file(disk))])
            .args(["-device", &format!("virtio-blk-pci,drive=disk{n}")]);
    }
    if let Some(share) = &o.share {
        // Who writes there is who runs QEMU, whatever the kernel says of owners.
        qemu.args(["-fsdev", &format!("local,id=share,security_model=none,path={}", file(share))])
            .args(["-device", "virtio-9p-pci,fsdev=share,mount_tag=share"]);
    }
    if let Some(forwards) = &o.net {
        // From this machine alone: nobody outside is to reach the kernel.
        let forwards: String = forwards
            .iter()
            .map(|(here, there)| format!(",hostfwd=tcp:127.0.0.1:{here}-:{there}"))
            .collect();
        qemu.args(["-netdev", &format!("user,id=net{forwards}")]).args(card("net", 1));
    }
    if let Some(tap) = &o.tap {
        // Linux does not let a device of several queues be opened for one.
        let queues = if has_several_queues(tap) { cpus(o).max(2) } else { 1 };
        let several = if queues > 1 { format!(",queues={queues}") } else { String::new() };
        let name = quoted(tap);
        let tap = format!("tap,id=tap,ifname={name},script=no,downscript=no,vhost=off{several}");
        qemu.args(["-netdev", &tap]).args(card("tap", queues));
    }
    if o.uefi {
        qemu.args(firmware::uefi()?);
    }
    if let Some(commands) = &o.run {
        qemu.args(["-fw_cfg", &format!("name=opt/executive/cmdline,string={}", quoted(commands))]);
    }
    if o.icount {
        qemu.args(["-icount", "shift=0,sleep=off", "-rtc", "clock=vm"]);
    }
    if o.gdb {
        qemu.args(["-s", "-S"]);
    }
    qemu.args(&o.rest);
    Ok(qemu)
}

/// A network card, from which no firmware tries to boot.
fn card(net: &str, queues: usize) -> [String; 2] {
    let several = if queues > 1 { ",mq=on" } else { "" };
    ["-device".into(), format!("virtio-net-pci,netdev={net},romfile={several}")]
}

/// Whether more than one may open the TAP device at a time (Linux: `IFF_MULTI_QUEUE`).
fn has_several_queues(tap: &str) -> bool {
    const MULTI_QUEUE: u32 = 0x100;
    let flags = std::fs::read_to_string(format!("/sys/class/net/{tap}/tun_flags"));
    let flags = flags
        .ok()
        .and_then(|text| u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok());
    flags.is_some_and(|flags| flags & MULTI_QUEUE != 0)
}

/// The device that ends QEMU with the kernel's status; none if QEMU is to stay when the machine has
/// ended, to be looked at.
fn exit_device(o: &Options) -> &'static [&'static str] {
    match o.rest.iter().any(|arg| arg == "-no-shutdown") {
        true => &[],
        false => &["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"],
    }
}

/// The serial line is ours, unless QEMU's own arguments say where it goes.
fn serial(o: &Options, line: Line) -> Vec<&'static str> {
    match line {
        _ if o.rest.iter().any(|arg| arg == "-serial") => Vec::new(),
        Line::Terminal => vec!["-serial", "mon:stdio"],
        Line::Pipes => vec!["-serial", "stdio"],
    }
}

fn file(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// QEMU's option syntax: a comma in a value is written twice.
fn quoted(value: &str) -> String {
    value.replace(',', ",,")
}

/// Twice the host's CPUs, which shows more of the scheduler. From 5 on, TCG's threads slow each
/// other down.
fn cpus(o: &Options) -> usize {
    match o.smp {
        0 => std::thread::available_parallelism().map_or(4, |n| (2 * n.get()).min(4)),
        n => n,
    }
}
