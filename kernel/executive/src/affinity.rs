//! A goroutine that stays on its CPU. Go: `runtime.LockOSThread`; with threads out of the picture, what is left of it is the CPU.

use crate::g::{ANY_CPU, getg};
use crate::percpu;
use crate::proc::park::yield_now;
use crate::sched::SCHED;
use core::marker::PhantomData;
use core::sync::atomic::Ordering::Relaxed;

/// While it lives its goroutine runs on one CPU, and on no other. It may park; others run on that CPU too.
///
/// ```no_run
/// let here = executive::lock_to_cpu(0);
/// drop(here); // anywhere again
/// ```
pub struct CpuLock {
    before: u32,
    _not_send: PhantomData<*const ()>,
}

/// The calling goroutine moves to CPU `cpu` and stays there while the guard lives. Parks to get there. Within another such guard's life, that one counts again
/// afterwards. Panics if there is no such CPU.
///
/// ```no_run
/// let here = executive::lock_to_cpu(0);
/// assert_eq!(executive::percpu::cpu(), 0);
/// drop(here); // anywhere again
/// ```
pub fn lock_to_cpu(cpu: usize) -> CpuLock {
    assert!(cpu < SCHED.cpus(), "lock_to_cpu: no CPU {cpu}");
    let before = getg().locked_to.swap(cpu as u32, Relaxed);
    while percpu::cpu() != cpu {
        yield_now(); // from here it goes to that CPU's inbox
    }
    CpuLock { before, _not_send: PhantomData }
}

/// As [`lock_to_cpu`], for the CPU that the goroutine runs on now. Never parks. Go: `LockOSThread`.
///
/// ```no_run
/// let _here = executive::affinity::lock_to_this_cpu();
/// let cpu = executive::percpu::cpu(); // stays true
/// ```
pub fn lock_to_this_cpu() -> CpuLock {
    let _pin = percpu::Pin::new();
    let before = getg().locked_to.swap(percpu::cpu() as u32, Relaxed);
    CpuLock { before, _not_send: PhantomData }
}

/// How many CPUs run goroutines; they are numbered from 0. Go: `GOMAXPROCS(0)`.
///
/// ```no_run
/// for cpu in 0..executive::affinity::cpus() {
///     executive::go(move || drop(executive::lock_to_cpu(cpu)));
/// }
/// ```
pub fn cpus() -> usize {
    SCHED.cpus()
}

impl Drop for CpuLock {
    /// Go: `UnlockOSThread`. Parks only to move back to the CPU of the guard before.
    fn drop(&mut self) {
        getg().locked_to.store(self.before, Relaxed);
        while self.before != ANY_CPU && percpu::cpu() != self.before as usize {
            yield_now();
        }
    }
}
