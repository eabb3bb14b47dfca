//! Interrupts, as goroutines see them: wait for one.
//!
//! **Rule (IRQ-CLEAN):** the handler's side, [`on_irq`], is a few atomics: it takes the waiting goroutine out of the line's word, puts it on the injection stack, and
//! wakes an idle CPU. Everything else is done by whoever runs `find_runnable` next.
#![allow(unsafe_code)] // A goroutine in a word.

use crate::atomic::{AtomicPtr, Ordering};
use crate::fatal::throw;
use crate::g::{G, WaitReason};
use crate::proc::{park::park, wake::wakep};
use crate::sched::SCHED;
use core::ptr::null_mut;

/// Lines there are.
pub const LINES: usize = 64;

/// A line's word: null, PENDING, or the goroutine that waits.
static LINE: [AtomicPtr<G>; LINES] = [const { AtomicPtr::new(null_mut()) }; LINES];
const PENDING: *mut G = 1 as *mut G;

/// An interrupt came on `line`. Called by the machine's handler, with interrupts off. Lost if a line has one pending already, as in hardware: the
/// waiter must look at its device, not count.
pub fn on_irq(line: usize) {
    // AcqRel: partner of the exchanges in `wait`. What the handler took from its device before is seen by the goroutine.
    let was = LINE[line].fetch_update(Ordering::AcqRel, Ordering::Acquire, |was| {
        Some(if was.is_null() || was == PENDING { PENDING } else { null_mut() })
    });
    if let Ok(was) = was
        && was != PENDING
        // SAFETY: not a mark, so the goroutine that `wait` put there, parked.
        && let Some(g) = unsafe { G::from_ptr(was) }
    {
        SCHED.irq_waiters.fetch_sub(1, Ordering::Relaxed);
        SCHED.inject(g);
        wakep();
        crate::percpu::set_preempt(true);
    }
}

/// A line to wait on. One goroutine may wait on a line at a time.
pub struct Irq(usize);

impl Irq {
    /// Panics unless `line` is less than [`LINES`].
    pub const fn new(line: usize) -> Self {
        assert!(line < LINES);
        Irq(line)
    }

    /// Parks until an interrupt came on the line since the last `wait`. Throws if another goroutine waits on it.
    pub fn wait(&self) {
        let word = &LINE[self.0];
        if word.compare_exchange(PENDING, null_mut(), Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return;
        }
        park(WaitReason::Irq, |g| {
            // Counted first: with nothing else to wake them sleeping CPUs would be taken for a deadlock.
            SCHED.irq_waiters.fetch_add(1, Ordering::Relaxed);
            match word.compare_exchange(null_mut(), g.as_ptr(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => true,
                Err(PENDING) => {
                    SCHED.irq_waiters.fetch_sub(1, Ordering::Relaxed);
                    word.store(null_mut(), Ordering::Relaxed);
                    false
                }
                Err(_) => throw("irq: two goroutines wait on one line"),
            }
        });
    }
}
