//! Where QEMU listens beside the serial line, for its monitor or a debugger: [`Socket`].
//! And what a test wants the monitor to tell: [`until_all_halt`].

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
