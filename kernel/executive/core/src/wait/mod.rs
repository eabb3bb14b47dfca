//! The waist: how a goroutine waits, and how it is woken. Services are made of this alone, and so
//! may be a primitive of your own.
//!
//! Most primitives need only `Monitor` (in `executive-services`), and no `unsafe`: barriers,
//! semaphores, wait groups and condition variables are made of it, and so are a latch and a fair
//! lock in tests/outside. Channels and selects, which hand values over and wait for several things
//! at once, are made of the parts below it:
//!
//! - [`may_park`] gives the [`Parking`] that parking takes, or panics on a thread that is no CPU.
//!   Call it first, before anything is changed that a panic would leave behind.
//!   [`may_park_holding`] does the same while a lock is held.
//! - [`park`] and [`park_unlock`] take a goroutine off its CPU; [`Parked::ready`] readies it.
//! - [`WaitQ`] is a queue of [`Waiter`]s, which lie on the stacks of parked goroutines.
//! - [`prepare`], [`Parked::open`], [`claim_as`]: of several wakers, one *claims* the goroutine.
//! - [`start_timer`], [`stop_timer`]: being woken by time.
//! - [`outside`]: wakes by interrupt handlers and by foreign threads.
#![allow(unsafe_code)] // Timers that others own, and the word that one protocol owns.

pub mod outside;

pub use crate::nouns::timers::{Fire, Timer};
pub use crate::nouns::waitq::{
    Claim, Parked, WaitQ, Waiter, claim_as, claim_without_lock, prepare, succeed, woken,
};
pub use crate::proc::park::{cannot_park, may_park, may_park_holding, park, park_unlock};
pub use crate::proc::wake::unlock_ready;
pub use crate::switch::Parking;

use crate::ground::atomic::AtomicU64;
use crate::ground::param::TIMER_SLACK_NS;
use crate::nouns::g::{G, getg, on_g0};
use crate::nouns::m::{m, p, p_of};
use crate::nouns::sched::SCHED;
use crate::proc::wake::look;
use crate::tools::percpu;

/// Which of several wakers woke the caller: [`claim_as`]'s mark, or the [`Waiter`] taken off.
#[inline]
pub fn winner() -> *mut () {
    getg().param.get()
}

/// A fast random number.
#[doc(alias("cheaprand", "fastrand"))]
#[inline]
pub fn random() -> u32 {
    percpu::pin();
    let random = m().random();
    percpu::unpin();
    random
}

/// Whether it pays to spin until another goroutine is done: nobody else waits for this CPU, and
/// that goroutine may run on another one. Go: `sync_runtime_canSpin`.
#[doc(alias = "sync_runtime_canSpin")]
pub fn can_spin() -> bool {
    percpu::pin();
    let alone = !p().runq().has_work();
    percpu::unpin();
    let resting = SCHED.idle.idle_count().wrapping_add(SCHED.idle.searching());
    alone && SCHED.procs.get() as u32 > resting.wrapping_add(1)
}

/// Whether the caller may park: it is a goroutine, and holds no spin lock and no pin.
#[inline]
pub fn can_park() -> bool {
    percpu::pins() == 0 && !on_g0()
}

// --- timers: each is in the heap of the P on which it was started (a foreign thread's, on which no
// tick comes, in P 0's), and that CPU's hardware timer is set to the heap's earliest deadline.

/// Starts a timer: it fires at `when` (ns of the machine's clock), or a little later.
///
/// # Safety
/// As for `Timers::add`, but the caller need not be pinned.
pub unsafe fn start_timer(timer: &Timer, when: u64) {
    percpu::pin();
    if percpu::is_foreign() {
        // SAFETY: the caller's promise.
        unsafe { p_of(0).timers.add(0, timer, when) };
        look(0); // so that CPU 0 sleeps no longer than until then
        return percpu::unpin();
    }
    let p = p();
    // SAFETY: the caller's promise.
    unsafe { p.timers.add(percpu::cpu(), timer, when) };
    m().tick_by(p.timers.next().saturating_add(TIMER_SLACK_NS));
    percpu::unpin();
}

/// Stops a timer. `false`: it has fired, or was never started. Waits for a firing under way, which
/// has the heap's lock: until this returns the timer, and what it names, must exist.
pub fn stop_timer(timer: &Timer) -> bool {
    loop {
        let cpu = timer.cpu();
        if let Some(removed) = p_of(cpu).timers.remove(cpu, timer) {
            return removed;
        }
    }
}

/// The word in which a goroutine meets the wakers of its future.
///
/// # Safety
/// Only the protocol of futures' wakers (services' wakeword.rs) uses the word.
pub unsafe fn word_of(g: &'static G) -> &'static AtomicU64 {
    &g.future
}
