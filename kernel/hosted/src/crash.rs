//! The ways to die: a CPU fault becomes the executive's crash report, and so does a panic.
//!
//! A fault's handler runs on the thread's alternate stack, so that it can report a goroutine that
//! ran off its own stack into the guard. A panic that nobody recovers stops here and does not
//! unwind, so that the report shows the stack as it was. As in Go an `abort` is one of the faults
//! (std aborts when a panic's message panics, libc when its heap is broken), and `kill -QUIT` asks
//! for a report. All end the process with status 2.
#![allow(unsafe_code)] // signal handlers

use crate::{cpu, foreign, tick, unwind};
use core::sync::atomic::{AtomicBool, Ordering};
use std::panic::PanicHookInfo;

/// A report is being printed: from here on this process must wait for nothing.
static CRASHING: AtomicBool = AtomicBool::new(false);

pub fn init() {
    for signal in
        [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGABRT]
    {
        tick::handle(signal, on_fault);
    }
    tick::handle(libc::SIGQUIT, on_quit);
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if cpu::this().is_none() {
            return default(info); // a thread that is not a CPU, or not yet
        }
        panicked(info)
    }));
}

/// Returns if the panic is caught: std then raises it.
fn panicked(info: &PanicHookInfo) {
    let message = info.payload_as_str().unwrap_or("(a value that is no string)");
    match executive::recover::begin(format_args!("{message}"), info.location()) {
        Ok(panic) => unwind::has_begun(panic),
        Err(why) => {
            executive::crash::panicked_with(format_args!("{message}"), info.location(), why)
        }
    }
}

extern "C" fn on_fault(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel passes a siginfo_t, and for these signals si_addr is set.
    let address = unsafe { (*info).si_addr() } as usize;
    if cpu::this().is_none() {
        if signal == libc::SIGSEGV && foreign::welcome(address) {
            return; // the instruction is executed again, with GS pointing at a block
        }
        // Not the executive's fault: give it back. The instruction faults again after the return.
        // SAFETY: restores the default action.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return;
    }
    let at = tick::interrupted(context);
    match signal {
        libc::SIGSEGV | libc::SIGBUS => {
            let name = if signal == libc::SIGSEGV { "SIGSEGV" } else { "SIGBUS" };
            executive::crash::page_fault(address, format_args!("{name} at {address:#x}"), &at)
        }
        libc::SIGILL => executive::crash::fault(format_args!("invalid opcode (SIGILL)"), &at),
        libc::SIGFPE => executive::crash::fault(format_args!("arithmetic fault (SIGFPE)"), &at),
        libc::SIGABRT => executive::crash::fault(format_args!("abort (SIGABRT)"), &at),
        _ => executive::crash::fault(format_args!("breakpoint (SIGTRAP)"), &at),
    }
}

/// A person wants a report. The signal may have come to any thread; a CPU reports.
extern "C" fn on_quit(signal: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    if cpu::this().is_none() {
        return tick::send(0, signal);
    }
    executive::crash::fault(format_args!("quit (SIGQUIT)"), &tick::interrupted(context))
}

pub fn freeze_others() {
    CRASHING.store(true, Ordering::Relaxed);
    tick::freeze_others();
}

/// Straight to standard error.
pub fn write(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: writes from a slice.
        let n = unsafe { libc::write(2, bytes.as_ptr().cast(), bytes.len()) };
        if n <= 0 {
            // SAFETY: errno is this thread's.
            if n < 0 && unsafe { *libc::__errno_location() } == libc::EINTR {
                continue;
            }
            return; // nobody reads it
        }
        bytes = &bytes[n as usize..];
    }
}

/// An orderly end flushes std's output, as a return of `main` does. After a crash the process just
/// ends: this may be a signal handler, and another CPU may be frozen with any lock held.
pub fn exit(code: i32) -> ! {
    if CRASHING.load(Ordering::Relaxed) {
        // SAFETY: ends the process.
        unsafe { libc::_exit(code) }
    }
    std::process::exit(code)
}
