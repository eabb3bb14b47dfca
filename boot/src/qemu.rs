//! The machine: QEMU's command line.
//!
//! TCG, never KVM: it is on every host, and the same everywhere. `-no-reboot`: a triple fault ends QEMU. The disk
//! is a throw-away copy (`snapshot`), so that several machines can share one image.

use crate::firmware;
use crate::image::Firmware;
use crate::options::Options;
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// How the machine's serial line is tied to us.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// A person's terminal: every key goes to the guest, Ctrl-C too; Ctrl-A X ends QEMU, Ctrl-A C is its monitor.
    Terminal,
    /// Two pipes.
    Pipes,
}

pub fn command(o: &Options, image: &Path, firmware: Firmware, line: Line) -> Result<Command> {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-no-reboot"])
        // Only what the kernel drives, and the VGA that the bootloader wants: firmware tries to boot from everything else.
        .args(["-nodefaults", "-vga", "std", "-display", "none"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
        .args(["-smp", &cpus(o).to_string()])
        .args(["-m", o.mem.as_deref().unwrap_or("512M")])
        .args(["-drive", &format!("format=raw,snapshot=on,file={}", quoted(&image.display().to_string()))])
        .args(["-serial", if line == Line::Terminal { "mon:stdio" } else { "stdio" }]);
    if firmware == Firmware::Uefi {
        qemu.args(firmware::uefi()?);
    }
    if let Some(commands) = &o.run {
        qemu.args(["-fw_cfg", &format!("name=opt/executive/cmdline,string={}", quoted(commands))]);
    }
    if o.gdb {
        qemu.args(["-s", "-S"]);
    }
    qemu.args(&o.rest);
    Ok(qemu)
}

/// QEMU's option syntax: a comma in a value is written twice.
fn quoted(value: &str) -> String {
    value.replace(',', ",,")
}

/// Twice the host's CPUs shows more of the scheduler than it costs; from 5 on, TCG's threads get in each other's way.
fn cpus(o: &Options) -> usize {
    match o.smp {
        0 => std::thread::available_parallelism().map_or(4, |n| (2 * n.get()).min(4)),
        n => n,
    }
}
