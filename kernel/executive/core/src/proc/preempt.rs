//! Taking the CPU from a goroutine that does not give it: slices, due timers, and where it is safe.
//!
//! **Rule (IRQ-CLEAN):** the tick handler takes no lock, allocates nothing and pushes nothing on a
//! goroutine's stack. It rewrites the interrupted context so that the goroutine itself, on its own
//! stack, saves its registers and yields. Pinned code, g0, and the switch's section are not
//! preempted; there the handler leaves a mark, which the unpin or the next switch honours.
//!
//! There is a tick only when somebody waits: at the end of a slice under contention, at the
//! deadline of this P's first timer, or when another CPU kicks.

use super::park::may_park;
use super::schedule::schedule_slow;
use super::wake::{anyone_waits, hand_over, kick_hogs, new_slice, put_last, wakep};
use crate::ground::machine::{self, Interrupted, NEVER};
use crate::ground::param::{RETRY_MOST_NS, RETRY_NS, TIMER_SLACK_NS};
use crate::nouns::g::{BY_POLICY, G, Status, getg, on_g0, tell};
use crate::nouns::m::{CpuState, m, p};
use crate::nouns::sched::SCHED;
use crate::switch::{self, OnG0};
use crate::tools::percpu;
use crate::tools::trace::Event;
use core::sync::atomic::Ordering::Relaxed;

/// A timer that `tick_at` set, or another CPU's `kick`, interrupted this CPU. Called by the
/// machine's handler, with interrupts off, on a stack of its own; on return the CPU goes on at
/// `at.pc`. On a machine that cannot preempt, and ignores what is written there, the goroutine
/// yields at its next unpin.
pub fn on_tick(at: &mut Interrupted) {
    let (m, p) = (m(), p());
    let now = machine::now();
    p.stats.ticks.bump();
    tell(Event::Tick, None, 0);
    m.tick_is_gone();
    if !matches!(m.state(), CpuState::Running | CpuState::Searching) {
        return; // it ends the wait, and whoever stops waiting looks at everything
    }

    let due = p.timers.next();
    let others_wait = anyone_waits(m);
    let mut yields = due <= now || m.has_readied() || !p.arrivals.is_empty() || m.is_off();
    if m.slice_end.load(Relaxed) <= now {
        // The same goroutine, or the same slice handed on through runnext, as when it began?
        if others_wait && m.slice_tick.get() == p.schedtick.get() {
            m.slice_over.set(true);
            yields = true;
        }
        m.slice_end.store(NEVER, Relaxed);
    }
    if others_wait && m.slice_end.load(Relaxed) == NEVER {
        new_slice();
    }
    if due > now {
        m.tick_by(due.saturating_add(TIMER_SLACK_NS));
    } else {
        wakep(); // an idle CPU can run our timers sooner than we
    }
    m.tick_by(m.slice_end.load(Relaxed));
    if yields && !preempt(at) {
        // The next unpin honours the mark. But g0 may have checked its queues before this work
        // arrived, and run a goroutine that never pins: so another tick comes. Each comes later
        // than the one before, or a CPU that is slow enough would execute nothing but ticks.
        let retry = m.retry.get().max(RETRY_NS);
        m.tick_by(now + retry);
        m.retry.set((2 * retry).min(RETRY_MOST_NS));
    } else {
        m.retry.set(0);
    }
}

/// A page of a stack was needed where this CPU stood, and few are left: the CPU calls
/// [`machine::refill`] on g0, soon. Called by the machine's page-fault handler, which cannot get
/// memory back itself, with interrupts off; on return the CPU goes on at `at.pc`.
pub fn on_low_memory(at: &mut Interrupted) {
    p().low_memory.store(true, Relaxed);
    preempt(at);
}

/// Makes the interrupted goroutine yield: at once (`true`) if it may be preempted, or at its unpin.
fn preempt(at: &mut Interrupted) -> bool {
    percpu::want_preempt();
    if on_g0() || percpu::pins() != 0 || switch::contains(at.pc) {
        return false;
    }
    let g = getg();
    g.preempt_pc.set(at.pc);
    at.pc = switch::ASYNC_PREEMPT as usize;
    true
}

/// What a preempted goroutine does, its registers saved: it yields, if that is still wanted.
pub extern "C" fn preempt_yield() {
    if percpu::preempt() {
        gopreempt();
    }
}

/// The last unpin finds that a preemption came meanwhile; or it is a foreign thread's.
#[cold]
#[cfg_attr(any(miri, test), allow(dead_code))] // the stand-in for percpu calls nobody
pub(crate) fn preempted() {
    if percpu::pins() != 0 {
        return;
    }
    if !on_g0() {
        gopreempt();
    } else if percpu::is_foreign() {
        percpu::pin();
        hand_over(m()); // what this thread has readied, and freed g's
        percpu::unpin_quietly();
    }
}

/// Gives the CPU to others. The goroutine goes to the global queue, to be shared evenly.
#[doc(alias("gopreempt_m", "goschedImpl"))]
#[cold]
fn gopreempt() {
    struct Preempt;
    impl OnG0 for Preempt {
        fn run(self, g: &'static G) -> ! {
            let m = m();
            m.p.stats.preemptions.bump();
            tell(Event::Preempt, Some(g), 0);
            g.set_status(Status::Running, Status::Runnable, "preempt: goroutine is not running");
            percpu::calm();
            if g.locked_to.load(Relaxed) < BY_POLICY {
                put_last(m, g);
            } else {
                SCHED.put(g);
                wakep();
                kick_hogs();
            }
            schedule_slow(m)
        }
    }
    may_park().leave(Preempt);
}
