//! A goroutine that stays on its CPU. Go: `runtime.LockOSThread`; here there are no threads, so it
//! is the CPU that is locked.

use core::marker::PhantomData;
use executive_core::percpu::{self, Pin};
use executive_core::wait::may_park;
use executive_core::{procs, yield_now};

/// While this guard lives its goroutine runs on one CPU, and on no other. It may park; others run
/// on that CPU too. Dropping the guard lets the goroutine go anywhere again. Go: `UnlockOSThread`.
///
/// ```
/// # hosted::run(|| {
/// let here = executive::lock_to_cpu(0);
/// drop(here); // anywhere again
/// # });
/// ```
#[doc(alias = "UnlockOSThread")]
pub struct CpuLock {
    before: Option<usize>,
    _not_send: PhantomData<*const ()>,
}

/// The calling goroutine moves to CPU `cpu`, by yielding, and stays there while the guard lives. If
/// the goroutine has such a guard already, that one counts again after this one is dropped. Panics
/// unless `cpu` is less than [`num_cpus`]. A CPU that is switched off ([`set_procs`]) runs
/// goroutines that are locked to it, and no others.
///
/// ```
/// # hosted::run(|| {
/// let here = executive::lock_to_cpu(0);
/// assert_eq!(executive::percpu::cpu(), 0);
/// drop(here); // anywhere again
/// # });
/// ```
pub fn lock_to_cpu(cpu: usize) -> CpuLock {
    assert!(cpu < procs::cpus(), "lock_to_cpu: no CPU {cpu}");
    may_park();
    let before = procs::lock_to(Some(cpu));
    while percpu::cpu() != cpu {
        yield_now(); // from here it goes to that CPU's inbox
    }
    CpuLock { before, _not_send: PhantomData }
}

/// As [`lock_to_cpu`], for the CPU on which the goroutine runs now. Never yields.
/// Go: `LockOSThread`.
///
/// ```
/// # hosted::run(|| {
/// let _here = executive::affinity::lock_to_this_cpu();
/// let cpu = executive::percpu::cpu(); // stays true
/// # });
/// ```
#[doc(alias("LockOSThread", "runtime.LockOSThread"))]
pub fn lock_to_this_cpu() -> CpuLock {
    let _pin = Pin::new();
    CpuLock { before: procs::lock_to(Some(percpu::cpu())), _not_send: PhantomData }
}

/// How many CPUs run goroutines now: of all [`num_cpus`], those with the lowest numbers.
/// Go: `GOMAXPROCS(0)`.
///
/// ```
/// # hosted::run(|| {
/// let workers: Vec<_> = (0..executive::affinity::cpus()).map(|_| executive::go(|| ())).collect();
/// workers.into_iter().for_each(|worker| worker.join());
/// # });
/// ```
#[doc(alias = "GOMAXPROCS")]
pub fn cpus() -> usize {
    procs::procs()
}

/// How many CPUs there are, including those that are switched off. They are numbered from 0 without
/// holes, and their number never changes. Go: `NumCPU`.
///
/// ```
/// # hosted::run(|| {
/// use std::sync::atomic::AtomicU64;
/// let counts: Vec<_> = (0..executive::affinity::num_cpus()).map(|_| AtomicU64::new(0)).collect();
/// let here = &counts[executive::percpu::cpu()];
/// # });
/// ```
#[doc(alias = "NumCPU")]
pub fn num_cpus() -> usize {
    procs::cpus()
}

/// From now on `n` CPUs run goroutines, or all CPUs if there are fewer. Returns how many did so
/// before. With 0 it changes nothing and returns how many do so now. Go: `GOMAXPROCS`.
///
/// CPUs from `n` on are switched off: each hands its goroutines over at its next point of
/// preemption, and sleeps until `n` grows. So such a CPU may still run when this returns. (Go stops
/// the world.) Goroutines that are locked to it go on there: the CPU wakes for them, runs nothing
/// else, and is not one of the `n`. (In Go they keep their threads, and share the `n`.)
///
/// Yields if the calling goroutine's own CPU is switched off and the goroutine is not locked to it.
///
/// ```
/// # hosted::run(|| {
/// use executive::affinity::{cpus, set_procs};
/// let before = set_procs(1); // one goroutine at a time
/// assert_eq!(cpus(), 1);
/// set_procs(before);
/// # });
/// ```
#[doc(alias = "GOMAXPROCS")]
pub fn set_procs(n: usize) -> usize {
    if n == 0 {
        return cpus();
    }
    let before = procs::set_procs(n);
    leave_if_off();
    before
}

/// A goroutine that is not locked leaves a CPU that is switched off.
fn leave_if_off() {
    if procs::should_leave() {
        yield_now();
    }
}

impl Drop for CpuLock {
    /// Yields only to move back to the CPU of an earlier guard, or away from a CPU that is switched
    /// off.
    fn drop(&mut self) {
        procs::lock_to(self.before);
        while self.before.is_some_and(|cpu| percpu::cpu() != cpu) {
            yield_now();
        }
        leave_if_off();
    }
}
