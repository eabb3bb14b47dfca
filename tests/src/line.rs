//! A machine's serial line that somebody reads slowly: [`SlowLine`].
#![allow(unsafe_code)] // Calls to Linux that std does not have.

use crate::socket::{Socket, until_all_halt};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The least that Linux gives a pipe: a page.
const PIPE: i32 = 4096;

/// A line on which nobody reads until it takes nothing more and the machine has come to rest: every
/// goroutine waits for it, and its CPUs halt. Then all that comes is read, at once.
pub struct SlowLine {
    /// Of QEMU's two pipes, without their ends `.in` and `.out`.
    path: PathBuf,
    out: File,
    monitor: Socket,
}

impl SlowLine {
    /// `name` is this test's own within its process.
    pub fn new(name: &str) -> SlowLine {
        let file = format!("executive-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(file);
        for end in ["in", "out"] {
            let end = path.with_extension(end);
            let _ = fs::remove_file(&end);
            assert!(Command::new("mkfifo").arg(&end).status().expect("mkfifo is there").success());
        }
        let mut options = File::options();
        options.read(true).custom_flags(libc::O_NONBLOCK); // QEMU has not opened it yet
        let out = options.open(path.with_extension("out")).expect("the pipe can be opened");
        // SAFETY: plain calls with a file that is open.
        let size = unsafe { libc::fcntl(out.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE) };
        assert_eq!(size, PIPE, "the pipe has the size that was asked for");
        SlowLine { path, out, monitor: Socket::new(&format!("{name}-monitor")) }
    }

    /// QEMU's arguments for it, and for a monitor.
    pub fn args(&self) -> [String; 4] {
        let line = format!("pipe:{}", self.path.display());
        ["-serial".into(), line, "-monitor".into(), self.monitor.place()]
    }

    /// Waits until a machine with so many CPUs halts before the full line, and reads until it has
    /// ended. Panics if it never halts so.
    pub fn read(self, cpus: usize) -> JoinHandle<String> {
        thread::spawn(move || {
            let waiting = || {
                let mut bytes: i32 = 0;
                // SAFETY: it writes one number.
                let done =
                    unsafe { libc::ioctl(self.out.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
                assert_eq!(done, 0, "Linux tells how much is in a pipe");
                bytes
            };
            while waiting() < PIPE {
                thread::sleep(Duration::from_millis(1));
            }
            until_all_halt(&mut self.monitor.connect(), cpus);
            // SAFETY: as above. From here on reading waits for more.
            assert_eq!(unsafe { libc::fcntl(self.out.as_raw_fd(), libc::F_SETFL, 0) }, 0);
            let mut said = Vec::new();
            (&self.out).read_to_end(&mut said).expect("the pipe can be read");
            String::from_utf8_lossy(&said).replace('\r', "")
        })
    }
}

impl Drop for SlowLine {
    fn drop(&mut self) {
        for end in ["in", "out"] {
            let _ = fs::remove_file(self.path.with_extension(end));
        }
    }
}
