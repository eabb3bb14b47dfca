//! A goroutine that stays on its CPU. Go: `runtime.LockOSThread`; with threads out of the picture, what is left of it is the CPU.

use core::marker::PhantomData;
use executive_core::{percpu, procs, yield_now};

/// While it lives its goroutine runs on one CPU, and on no other. It may park; others run on that CPU too.
/// Dropping it lets the goroutine go anywhere again. Go: `UnlockOSThread`.
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

/// The calling goroutine moves to CPU `cpu` and stays there while the guard lives. Parks to get
/// there. Within another such guard's life, that one counts again afterwards. Panics if there is no
/// such CPU: they are numbered from 0 to [`num_cpus`]. One that is switched off ([`set_procs`])
/// runs goroutines that are locked to it, and no others.
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
    let before = procs::lock_to(Some(cpu));
    while percpu::cpu() != cpu {
        yield_now(); // from here it goes to that CPU's inbox
    }
    CpuLock { before, _not_send: PhantomData }
}

/// As [`lock_to_cpu`], for the CPU that the goroutine runs on now. Never parks. Go: `LockOSThread`.
///
/// ```
/// # hosted::run(|| {
/// let _here = executive::affinity::lock_to_this_cpu();
/// let cpu = executive::percpu::cpu(); // stays true
/// # });
/// ```
#[doc(alias("LockOSThread", "runtime.LockOSThread"))]
pub fn lock_to_this_cpu() -> CpuLock {
    CpuLock { before: procs::lock_to_this(), _not_send: PhantomData }
}

/// How many CPUs run goroutines now: the first so many of [`num_cpus`]. Go: `GOMAXPROCS(0)`.
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

/// How many CPUs there are, those that are switched off included; they are numbered from 0 without
/// holes, and there never are more or fewer. Go: `NumCPU`.
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

/// From now on `n` CPUs run goroutines, or all there are, if those are fewer; returns how many did.
/// With 0 it changes nothing and returns how many do. Go: `GOMAXPROCS`.
///
/// CPUs from `n` on are switched off: each hands over what it has at the next point of preemption,
/// and sleeps until `n` grows. So when this returns they may not be done yet (Go stops the world
/// for it). Goroutines that are locked to such a CPU go on there: it wakes for them and runs nobody
/// else, beside the `n`. (In Go they keep their threads, and share the `n`.)
///
/// Yields if the calling goroutine's own CPU is switched off and it is not locked to it.
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

/// A goroutine that is not locked does not go on where only those run that are.
fn leave_if_off() {
    if procs::should_leave() {
        yield_now();
    }
}

impl Drop for CpuLock {
    /// Parks only to move back to the CPU of the guard before, or away from
    /// one that is switched off.
    fn drop(&mut self) {
        procs::lock_to(self.before);
        while self.before.is_some_and(|cpu| percpu::cpu() != cpu) {
            yield_now();
        }
        leave_if_off();
    }
}
