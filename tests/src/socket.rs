//! Where QEMU listens beside the serial line, for its monitor or a debugger: [`Socket`].

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
