//! For machines, reports and the contract's questions: what they need of the inside, and nothing
//! else does. Not stable: it changes with the core.
//!
//! Whatever could break a promise is `unsafe` here; the rest only tells, and what it tells is whole
//! (SEEN-WHOLE) and may be stale.
#![allow(unsafe_code)] // Goroutines made and moved by hand, for the contract.

pub use crate::ground::chaos;
pub use crate::nouns::g::{G, Seen, curg, on_g0};
pub use crate::nouns::p::Stats;
pub use crate::proc::boot::set_up;
pub use crate::proc::procs::cpus;
pub use crate::switch::{left_at, systemstack};

use crate::ground::machine::{self, Stack};
use crate::nouns::g::Status;
use crate::nouns::m::{CpuState, m, m_of, p, p_of};
use crate::nouns::sched::SCHED;
use crate::tools::percpu::{self, Pin};
use alloc::boxed::Box;
use core::sync::atomic::Ordering::Relaxed;

// --- goroutines

/// Every g that was ever made, newest first; it may be nobody's. Takes no lock.
pub fn all_gs() -> impl Iterator<Item = &'static G> {
    SCHED.all()
}

/// Those that come after this one; all, if it is none.
pub fn gs_after(g: Option<&'static G>) -> impl Iterator<Item = &'static G> {
    SCHED.all_after(g)
}

/// How many of them there are.
pub fn gs_made() -> usize {
    SCHED.allgs_len.load(Relaxed)
}

/// G's on everyone's lists of free ones. (Each P has some more.)
pub fn gs_free() -> usize {
    SCHED.gfree.len() + SCHED.gfree_bare.len()
}

/// Goroutines that have not ended.
pub fn goroutines() -> u64 {
    SCHED.goroutines()
}

/// Bytes of all stacks, free ones too.
pub fn stack_bytes() -> usize {
    SCHED.stack_bytes.load(Relaxed)
}

/// Where a debugger finds the newest g: an address of an address.
pub const ALLGS: *const () = SCHED.allgs.as_ptr();

// --- CPUs

/// What a CPU does.
pub fn state_of(cpu: usize) -> CpuState {
    m_of(cpu).state()
}

/// What a CPU has done so far.
pub fn stats_of(cpu: usize) -> &'static Stats {
    &p_of(cpu).stats
}

/// Goroutines queued on a CPU.
pub fn queued_on(cpu: usize) -> usize {
    p_of(cpu).runq_len()
}

/// The goroutine that a CPU ran a moment ago.
pub fn curg_of(cpu: usize) -> Option<&'static G> {
    // SAFETY: `curg` is a g or null, and g's are never freed.
    unsafe { percpu::peek_curg(cpu).cast::<G>().as_ref() }
}

/// Bytes that a P keeps for timers. Takes its lock.
pub fn timers_bytes(cpu: usize) -> usize {
    p_of(cpu).timers.bytes()
}

/// Acquisitions and contended acquisitions of the scheduler's locks, by name.
pub fn locks() -> impl Iterator<Item = (&'static str, (u64, u64))> {
    let timers = (0..SCHED.cpus()).fold((0, 0), |(a, c), cpu| {
        let (a1, c1) = p_of(cpu).timers.stats();
        (a + a1, c + c1)
    });
    SCHED.lock_stats().into_iter().chain([("p.timers", timers)])
}

/// From here to the end of the run the caller is neither preempted nor moved.
pub fn pin_for_good() {
    percpu::pin();
}

/// Whether the caller's thread is no CPU.
pub fn is_foreign() -> bool {
    percpu::is_foreign()
}

// --- the contract's questions, and the faults that tests provoke

/// Calls `ask` as a goroutine, on the caller's stack, while CPU 0 schedules alone.
///
/// # Safety
/// On CPU 0, set up and on g0, where no goroutine was ever started; `g0_stack` is nobody's.
pub unsafe fn as_goroutine<R>(g0_stack: Stack, ask: fn() -> R) -> R {
    let g0 = crate::nouns::g::getg();
    g0.sched_sp.store(g0_stack.hi, Relaxed);
    SCHED.set_cpus(1);
    SCHED.main_started.store(true, Relaxed);
    let me: &'static G = Box::leak(Box::new(G::new()));
    me.set_status(Status::Idle, Status::Running, "kit: new g is not Idle");
    m().set_state(CpuState::Running); // a tick on a CPU that is off ends a wait, and no more
    percpu::set_curg(me.as_ptr().cast());
    percpu::set_g(me.as_ptr().cast());

    let answer = ask();

    percpu::set_g(g0.as_ptr().cast());
    percpu::set_curg(core::ptr::null());
    m().set_state(CpuState::Offline);
    percpu::calm();
    m().slice_end.store(machine::NEVER, Relaxed);
    m().tick_is_gone();
    machine::tick_at(machine::NEVER);
    answer
}

/// A runnable goroutine that is in no queue: [`put`] it back, or it never runs again.
#[must_use = "it is in no queue"]
pub struct TakenOff(&'static G);

/// Takes goroutine `id` off this CPU's ring or the global queue. `None`: it is in neither.
pub fn take_off(id: u64) -> Option<TakenOff> {
    let _pin = Pin::new();
    let (mut all, mut taken) = (SCHED.get_batch(usize::MAX), None);
    while let Some(g) = p().runq().get_from_ring() {
        all.push_back(g);
    }
    while let Some(g) = all.pop_front() {
        if g.id() == id { taken = Some(TakenOff(g)) } else { SCHED.put(g) }
    }
    taken
}

/// Puts it into the global queue.
pub fn put(taken: TakenOff) {
    SCHED.put(taken.0);
}

/// So many pins at once.
///
/// # Safety
/// The run ends with what the caller does next.
pub unsafe fn pin_times(n: u64) {
    percpu::pin_times(n);
}

/// The CPU says that it runs nobody.
///
/// # Safety
/// As for [`pin_times`].
pub unsafe fn forget_curg() {
    percpu::set_curg(core::ptr::null());
}
