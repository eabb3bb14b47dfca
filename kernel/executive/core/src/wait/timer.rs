//! Timers: each is in the heap of the P on which it was started, and that CPU's hardware timer is
//! set to the heap's earliest deadline. (A foreign thread's is in P 0's: no tick comes on that
//! thread.)
//!
//! **Rule:** a timer's firing runs under its heap's lock (timers.rs), so [`stop_timer`] returns
//! when it is over: until then, and no longer, the timer and what it names must be there.
#![allow(unsafe_code)] // Timers on stacks.

use crate::ground::param::TIMER_SLACK_NS;
use crate::nouns::m::m;
use crate::nouns::p::{p, p_of};
use crate::nouns::timers::Timer;
use crate::proc::wake::look;
use crate::tools::percpu;

/// Puts a timer into this P's heap and sees that it is looked at in time.
///
/// # Safety
/// As for `Timers::add`, but the caller need not be pinned.
pub unsafe fn start_timer(timer: &Timer, when: u64) {
    percpu::pin();
    if percpu::is_foreign() {
        // SAFETY: the caller's promise.
        unsafe { p_of(0).timers.add(0, timer, when) };
        look(0); // and it sleeps no longer than until then
        return percpu::unpin();
    }
    let p = p();
    // SAFETY: the caller's promise.
    unsafe { p.timers.add(percpu::cpu(), timer, when) };
    m().tick_by(p.timers.next().saturating_add(TIMER_SLACK_NS));
    percpu::unpin();
}

/// Takes a timer back; `false`: it has fired, or was never started.
pub fn stop_timer(timer: &Timer) -> bool {
    loop {
        let cpu = timer.cpu();
        if let Some(removed) = p_of(cpu).timers.remove(cpu, timer) {
            return removed;
        }
    }
}
