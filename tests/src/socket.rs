//! Where QEMU listens beside the serial line, for its monitor or a debugger: [`Socket`].
//! And what a test wants of the monitor: [`until_all_halt`], [`Slots`].

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// The name of a socket that QEMU makes. Dropped, it is removed.
pub struct Socket(PathBuf);

impl Socket {
    /// `name` is this test's own within its process.
    pub fn new(name: &str) -> Socket {
        Socket(std::env::temp_dir().join(format!("executive-{}.{name}", std::process::id())))
    }
    /// As QEMU's `-monitor` and `-gdb` take it.
    pub fn place(&self) -> String {
        format!("unix:{},server=on,wait=off", self.0.display())
    }
    /// As gdb's `target remote` takes it.
    pub fn path(&self) -> &str {
        self.0.to_str().expect("a temporary folder's name is text")
    }
    /// The machine runs already.
    pub fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.0).expect("QEMU listens")
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The PCI slots of one of QEMU's boards: those of the first bus out of which devices can be
/// pulled.
/// The firmware's AML lets a device out by two registers, when the system has let it go (QEMU,
/// docs/specs/acpi_pci_hotplug.rst). Nobody asks the system here.
#[derive(Clone, Copy)]
pub struct Slots(u16);

impl Slots {
    pub const PC: Slots = Slots(0xae00);
    /// The first PCI Express port has one slot, 0.
    pub const Q35: Slots = Slots(0x0cc0);

    /// What to tell the monitor to pull out what is in this slot.
    pub fn eject(self, slot: u8) -> [String; 2] {
        const EJECT: u16 = 0x08;
        const SELECT_BUS: u16 = 0x10;
        let Slots(at) = self;
        [
            format!("o /w {:#x} 0", at + SELECT_BUS),
            format!("o /w {:#x} {:#x}", at + EJECT, 1 << slot),
        ]
    }
}

/// Waits until each of so many CPUs stands in a `hlt`, as the machine's monitor tells.
pub fn until_all_halt(monitor: &mut UnixStream, cpus: usize) {
    let mut buffer = [0; 4096];
    loop {
        writeln!(monitor, "info registers -a").expect("QEMU listens");
        let mut said = String::new();
        let told = |said: &str, halted: &str| said.matches(halted).count();
        while told(&said, "HLT=0") + told(&said, "HLT=1") < cpus {
            let n = monitor.read(&mut buffer).expect("QEMU answers");
            assert!(n > 0, "the machine has ended");
            said += &String::from_utf8_lossy(&buffer[..n]);
        }
        if told(&said, "HLT=1") == cpus {
            return;
        }
    }
}
