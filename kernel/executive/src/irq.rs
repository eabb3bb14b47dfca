//! Interrupts, as goroutines see them: wait for one.
//!
//! **Rule (IRQ-CLEAN):** the handler's side, [`on_irq`], is a few atomics: it takes the waiting goroutine out of the line's word, puts it on the injection stack, and
//! wakes an idle CPU. Everything else is done by whoever runs `find_runnable` next.

use crate::fatal::throw;
use crate::g::{G, WaitReason};
use crate::line::{Line, Wait};
use crate::proc::{park::park, wake::wakep};
use crate::sched::SCHED;

/// Lines there are.
pub const LINES: usize = 64;

static LINE: [Line<G>; LINES] = [const { Line::new() }; LINES];

/// An interrupt came on `line`. Called by the machine's handler, with interrupts off. Lost if a line has one pending already, as in hardware: the
/// waiter must look at its device, not count.
pub fn on_irq(line: usize) {
    if let Some(g) = LINE[line].raise() {
        SCHED.injected.hand_over(g);
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
        let line = &LINE[self.0];
        if line.take() {
            return;
        }
        park(WaitReason::Irq, |g| {
            // Counted first: with nothing else to wake them sleeping CPUs would be taken for a deadlock.
            SCHED.injected.expect();
            match line.wait(g) {
                Wait::Waits => true,
                Wait::Came => {
                    SCHED.injected.expect_no_more();
                    false
                }
                Wait::Taken => throw("irq: two goroutines wait on one line"),
            }
        });
    }
}
