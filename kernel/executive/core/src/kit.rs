//! For machines, reports and the contract's questions: what they need of the inside, and nothing
//! else does. Not stable: it changes with the core.
//!
//! Whatever could break a promise is `unsafe` here; what the rest tells is whole (SEEN-WHOLE), and
//! may be stale. A policy is given to `SCHED`.
#![allow(unsafe_code)] // Goroutines made and moved by hand, for the contract.

pub use crate::ground::chaos;
pub use crate::nouns::g::{G, Seen, curg, on_g0};
pub use crate::nouns::m::{M, MS, m_of, p_of};
pub use crate::nouns::p::{P, Stats};
pub use crate::nouns::runq::{Linked, List, Runq};
pub use crate::nouns::sched::{Policy, SCHED, Sched};
pub use crate::proc::boot::set_up;
pub use crate::switch::{contains as in_switch, goexit, left_at, own_frame, systemstack};
pub use crate::tools::percpu::{PerCpu, is_foreign, pin as pin_for_good, pin_times};

use crate::ground::machine::{self, Stack};
use crate::nouns::g::Status;
use crate::nouns::m::{CpuState, m, p};
use crate::tools::percpu::{self, Pin};
use alloc::boxed::Box;
use core::ptr::from_ref;
use core::sync::atomic::Ordering::Relaxed;

/// Where nobody is preempted. A machine tells `on_tick` this for such places of its own.
pub const NEVER_PREEMPTED: *const () = crate::switch::ASYNC_PREEMPT;

// --- the contract's questions, and the faults that tests provoke

/// Calls `ask` as a goroutine, on the caller's stack, while CPU 0 schedules alone.
///
/// # Safety
/// On CPU 0, set up and on g0, where no goroutine was ever started; `g0_stack` is nobody's.
pub unsafe fn as_goroutine<R>(g0_stack: Stack, ask: fn() -> R) -> R {
    let g0 = crate::nouns::g::getg();
    g0.sched_sp.store(g0_stack.hi, Relaxed);
    SCHED.set_cpus(1);
    SCHED.born_next.store(true, Relaxed);
    let me: &'static G = Box::leak(Box::new(G::new()));
    me.set_status(Status::Idle, Status::Running, "kit: new g is not Idle");
    m().set_state(CpuState::Running); // a tick on a CPU that is off ends a wait, and no more
    percpu::set_curg(from_ref(me).cast());
    percpu::set_g(from_ref(me).cast());

    let answer = ask();

    percpu::set_g(from_ref(g0).cast());
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

/// The CPU says that it runs nobody.
///
/// # Safety
/// The run ends with what the caller does next.
pub unsafe fn forget_curg() {
    percpu::set_curg(core::ptr::null());
}
