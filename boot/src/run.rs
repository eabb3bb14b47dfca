//! Starts the machine, limits its time, and reads how it ended.
//!
//! **Rule:** QEMU never outlives this tool, which ends it at the time limit. If the tool is killed,
//! the host's kernel ends QEMU.
#![allow(unsafe_code)] // Two system calls that std has no name for: prctl and kill.

use crate::image;
use crate::options::{DEFAULT_LIMIT, Options};
use crate::outcome::Outcome;
use crate::qemu::{self, Line};
use crate::ramdisk;
use crate::serial;
use anyhow::{Context, Result};
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Does what was asked. `Ok(None)`: an image was written, nothing was run.
pub fn run(o: &Options) -> Result<Option<Outcome>> {
    // QEMU tells the kernel its command line; a real machine cannot.
    let command_line = o.run.as_deref().filter(|_| o.image.is_some());
    let ramdisk = ramdisk::make(command_line, o.ramdisk.as_deref())?;
    if let Some(path) = &o.image {
        let bytes = image::write(&o.kernel, ramdisk.as_deref(), path)?;
        println!("{bytes} bytes were written to {}", path.display());
        return Ok(None);
    }
    match ramdisk {
        None => boot(o, &image::cached(&o.kernel)?).map(Some),
        ramdisk => image::make(&o.kernel, ramdisk.as_deref(), |image| boot(o, image)).map(Some),
    }
}

/// Boots the image in QEMU.
fn boot(o: &Options, image: &Path) -> Result<Outcome> {
    let person = o.run.is_none() && io::stdin().is_terminal();
    let line = if person { Line::Terminal } else { Line::Pipes };
    let limit = o.timeout.or((!person && !o.gdb).then_some(DEFAULT_LIMIT));
    if o.gdb {
        eprintln!("{}", debugger_hint(&o.kernel));
    }
    let mut command = qemu::command(o, image, line)?;
    // With commands given nobody types. Otherwise what is piped in is typed, once the console
    // reads.
    command.stdin(match line {
        Line::Terminal => Stdio::inherit(),
        Line::Pipes if o.run.is_none() => Stdio::piped(),
        Line::Pipes => Stdio::null(),
    });
    match line {
        Line::Terminal => with_terminal(|| drive(command, line, limit)),
        Line::Pipes => drive(command, line, limit),
    }
}

/// Runs QEMU to its end or to the limit.
fn drive(mut qemu: Command, line: Line, limit: Option<Duration>) -> Result<Outcome> {
    if line == Line::Pipes {
        qemu.stdout(Stdio::piped());
    }
    qemu.stderr(Stdio::piped()); // its messages, and its end: the pipe closes
    die_with_us(&mut qemu);
    let mut child = qemu.spawn().context("cannot start qemu-system-x86_64")?;

    // Wait for QEMU's end, or for an error of our input: the console would wait for its rest.
    let (ended, end) = channel::<io::Result<()>>();
    let unread = ended.clone();
    let keys = child.stdin.take();
    let out = child.stdout.take().map(|out| {
        thread::spawn(move || {
            let prompted = || {
                if let Some(keys) = keys {
                    thread::spawn(move || {
                        if let Err(error) = serial::type_in(io::stdin(), keys) {
                            let _ = unread.send(Err(error));
                        }
                    });
                }
            };
            // If the reader of our output goes away (`| head`), the machine runs on.
            let _ = serial::copy(out, io::stdout(), prompted);
        })
    });
    let errors = child.stderr.take().context("no pipe")?;
    let err = thread::spawn(move || {
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            // QEMU's message when it is ended: ours is better.
            if !line.contains("terminating on signal") {
                eprintln!("{line}");
            }
        }
        let _ = ended.send(Ok(()));
    });

    let end = match limit {
        Some(limit) => end.recv_timeout(limit),
        None => end.recv().map_err(RecvTimeoutError::from),
    };
    if !matches!(end, Ok(Ok(()))) {
        terminate(&child);
    }
    let status = child.wait()?;
    err.join().expect("the reader of QEMU's errors died");
    if let Some(out) = out {
        out.join().expect("the reader of the serial line died");
    }
    if let Ok(Err(error)) = end {
        return Err(error).context("cannot read what is to be typed");
    }
    Ok(match limit {
        Some(limit) if end.is_err() => Outcome::TimedOut(limit),
        _ => Outcome::of(status),
    })
}

/// Asks the host's kernel to end QEMU when this thread ends, so that a killed test leaves no
/// machine behind.
fn die_with_us(qemu: &mut Command) {
    #[cfg(target_os = "linux")]
    // SAFETY: between fork and exec there is one call, a system call, which is async-signal-safe.
    unsafe {
        qemu.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
}

/// Ends QEMU by SIGTERM, so that it ends in order and restores the terminal.
fn terminate(qemu: &Child) {
    // SAFETY: a system call on our own child. It has not been waited for, so its id is still its
    // own.
    unsafe { libc::kill(qemu.id() as i32, libc::SIGTERM) };
}

/// Runs `f` and then restores the terminal, whatever QEMU did to it.
fn with_terminal<T>(f: impl FnOnce() -> T) -> T {
    let saved = Command::new("stty").arg("-g").stdin(Stdio::inherit()).output().ok();
    let result = f();
    if let Some(saved) = saved.filter(|s| s.status.success()) {
        let settings = String::from_utf8_lossy(&saved.stdout);
        let _ = Command::new("stty").arg(settings.trim()).status();
    }
    result
}

/// Where kernel/src/layout.rs has the bootloader load the kernel.
const KERNEL_AT: &str = "0xffffffff80000000";

fn debugger_hint(kernel: &Path) -> String {
    let kernel = kernel.canonicalize().unwrap_or(kernel.to_owned());
    format!(
        "the machine waits for a debugger; in another terminal, here:\n  \
         gdb -ex 'add-symbol-file {} -o {KERNEL_AT}' -ex 'source kernel/executive/gdb.py' \
         -ex 'target remote :1234'\n\
         then `break kernel::start::start`, `continue`; `goroutines` lists them",
        kernel.display()
    )
}
