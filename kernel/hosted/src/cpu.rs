//! CPUs as threads: how many there are, which thread is which, and GS.
//!
//! **Rule:** a thread is a CPU from the moment its number is in its thread-local, and the number is
//! set after GS. A signal handler that finds no number does nothing with the executive: this is
//! another thread of the program, or one of ours in its first microseconds.
//!
//! Rejected: pinning threads to processors. Linux moves threads to where there is room, which on a
//! shared machine is worth more than a warm cache.
#![allow(unsafe_code)] // system calls and the GS base

use crate::stack;
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use executive::param::MAX_CPUS;
use std::sync::mpsc;
use std::time::Duration;

/// How many CPUs; 0 until [`init`].
static CPUS: AtomicUsize = AtomicUsize::new(0);

/// Whether this Linux lets programs write GS base by an instruction.
static FSGSBASE: AtomicBool = AtomicBool::new(false);

/// What others need to know of a CPU. A cache line each, because `asleep` is written at every
/// sleep.
#[repr(align(64))]
pub struct Cpu {
    /// The thread's id, for signals; 0 while it does not run. The thread sets it when it is ready
    /// for signals (Release); senders read it (Acquire).
    pub tid: AtomicI32,
    /// The CPU is in a futex wait, or on its way there (sleep.rs).
    pub asleep: AtomicBool,
}

static TABLE: [Cpu; MAX_CPUS] =
    [const { Cpu { tid: AtomicI32::new(0), asleep: AtomicBool::new(false) } }; MAX_CPUS];

thread_local! {
    /// This thread's CPU number.
    static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
}

pub fn table(cpu: usize) -> &'static Cpu {
    &TABLE[cpu]
}

pub fn count() -> usize {
    CPUS.load(Ordering::Relaxed)
}

/// Which CPU this thread is, if any.
///
/// Never inlined, and opaque to the optimiser: a goroutine may come back from a switch on another
/// thread, so a thread-local's address must not outlive one call (GS-CURRENT says the same of GS).
#[inline(never)]
pub fn this() -> Option<usize> {
    // SAFETY: does nothing; a volatile asm, it keeps calls of this function from being merged.
    unsafe { core::arch::asm!("", options(nostack, preserves_flags)) }
    NUMBER.get()
}

/// [`this`], on a thread known to be a CPU.
pub fn this_cpu() -> usize {
    this().expect("hosted: called on a thread that is no CPU")
}

/// Decides how many CPUs there are.
pub fn init(cpus: Option<usize>) {
    let n = cpus.or_else(from_environment).unwrap_or_else(|| {
        // What `taskset` and containers set: the affinity mask, and a cgroup's quota.
        std::thread::available_parallelism().map_or(1, |n| n.get()).min(MAX_CPUS)
    });
    assert!((1..=MAX_CPUS).contains(&n), "hosted: {n} CPUs: must be 1 to {MAX_CPUS}");
    assert!(CPUS.swap(n, Ordering::Relaxed) == 0, "hosted: run called twice");
    // SAFETY: reads this process's auxiliary vector.
    let hwcap2 = unsafe { libc::getauxval(libc::AT_HWCAP2) };
    FSGSBASE.store(hwcap2 & 2 != 0, Ordering::Relaxed); // HWCAP2_FSGSBASE, Linux 5.9
}

fn from_environment() -> Option<usize> {
    let value = std::env::var("EXECUTIVE_CPUS").ok()?;
    let n = value.trim().parse();
    Some(n.unwrap_or_else(|_| panic!("EXECUTIVE_CPUS={value}: not a number")))
}

/// Makes the calling thread CPU `cpu`: from here on it has a GS base, takes ticks, and counts as
/// running.
pub fn become_cpu(cpu: usize, block: *const ()) {
    assert!(this().is_none(), "hosted: this thread is a CPU already");
    set_gs_base(block);
    stack::for_signals();
    NUMBER.set(Some(cpu));
    // SAFETY: asks for this thread's id.
    let tid = unsafe { libc::gettid() };
    // Partner: the Acquire loads in `tick::send`.
    table(cpu).tid.store(tid, Ordering::Release);
}

pub fn set_gs_base(block: *const ()) {
    if FSGSBASE.load(Ordering::Relaxed) {
        // SAFETY: HWCAP2 said that the instruction is enabled (Intel SDM vol. 2, WRGSBASE); nothing
        // else in a Linux process uses GS.
        unsafe { core::arch::asm!("wrgsbase {}", in(reg) block, options(nostack, preserves_flags)) }
        return;
    }
    const ARCH_SET_GS: libc::c_int = 0x1001; // asm/prctl.h
    // SAFETY: sets this thread's GS base, which nothing else in a Linux process uses.
    let r = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, block) };
    assert!(r == 0, "hosted: arch_prctl(ARCH_SET_GS): {}", std::io::Error::last_os_error());
}

/// A CPU other than the boot CPU: a thread. Waits until it runs.
pub fn start(cpu: usize, block: *const (), entry: extern "C" fn() -> !) -> bool {
    let block = block as usize; // raw pointers are not Send; this one belongs to the new thread
    let (up, is_up) = mpsc::channel();
    let thread = std::thread::Builder::new().name(format!("cpu{cpu}")).stack_size(G0_STACK_BYTES);
    let spawned = thread.spawn(move || {
        become_cpu(cpu, block as *const ());
        let _ = up.send(());
        drop(up);
        entry()
    });
    match spawned {
        Err(error) => {
            eprintln!("hosted: CPU {cpu} did not start: {error}");
            false
        }
        // The thread exists, so Linux will run it; the limit is for the day when that is wrong. The
        // thread could still run after it, so the process ends.
        Ok(_) => is_up.recv_timeout(Duration::from_secs(30)).map_or_else(
            |_| {
                eprintln!("hosted: CPU {cpu} did not run within 30 s");
                std::process::abort()
            },
            |()| true,
        ),
    }
}

/// The stack of g0 on CPUs 1 and up; CPU 0 uses the main thread's. It is generous, because what is
/// not touched costs nothing.
const G0_STACK_BYTES: usize = 512 * 1024;
