//! Interrupts, as goroutines see them: wait for one.
//!
//! **Rule (IRQ-CLEAN):** the handler's side, [`on_irq`], is a few atomics: it takes the waiting goroutine out of the line's word, claims it, puts it on the injection
//! stack, and wakes an idle CPU. Everything else is done by whoever runs `find_runnable` next.
//!
//! A goroutine that waits here may wait for other things too (select.rs), and be woken by one of them while a handler has just taken it out of the word: before it
//! goes on it waits until no handler of the line is at work, so that none claims it for a later wait.

use crate::atomic::{AtomicU32, Ordering, relax};
use crate::g::{G, WaitReason, getg};
use crate::line::{Line, Wait};
use crate::proc::{park::park, wake::wakep};
use crate::sched::SCHED;
use crate::waitq::{self, Claim, claim_without_lock};

/// Lines there are.
pub const LINES: usize = 64;

struct Meeting {
    line: Line<G>,
    /// Handlers at work between taking a goroutine out and being done with it.
    handlers: AtomicU32,
}

static MEETINGS: [Meeting; LINES] = [const { Meeting { line: Line::new(), handlers: AtomicU32::new(0) } }; LINES];

/// An interrupt came on `line`. Called by the machine's handler, with interrupts off. Lost if a line has one pending already, as in hardware: the
/// waiter must look at its device, not count. Panics unless `line` is less than [`LINES`].
pub fn on_irq(line: usize) {
    let meeting = &MEETINGS[line];
    // Before the word is changed, so that who finds it changed waits for us. Partner: the load in `leave`.
    meeting.handlers.fetch_add(1, Ordering::AcqRel);
    while let Some(g) = meeting.line.raise() {
        match claim_without_lock(g) {
            Claim::Parked => {
                g.param.set(mark(line));
                SCHED.injected.hand_over(g);
                wakep();
                crate::percpu::set_preempt(true);
                break;
            }
            Claim::Early => {
                g.param.set(mark(line));
                SCHED.injected.expect_no_more();
                break;
            }
            // It has something else to do: raise again, for whoever comes next.
            Claim::Lost => SCHED.injected.expect_no_more(),
        }
    }
    meeting.handlers.fetch_sub(1, Ordering::Release);
}

/// What `g.param` is when the line's interrupt has claimed it.
fn mark(line: usize) -> *mut () {
    core::ptr::from_ref(&MEETINGS[line]).cast_mut().cast()
}

/// A line to wait on. One goroutine may wait on a line at a time.
#[derive(Clone, Copy, Debug)]
pub struct Irq(usize);

impl Irq {
    /// Panics unless `line` is less than [`LINES`].
    pub const fn new(line: usize) -> Self {
        assert!(line < LINES);
        Irq(line)
    }

    /// Parks until an interrupt came on the line since the last `wait`. Panics if another goroutine waits on it. In a select: `irq(line)`.
    ///
    /// ```no_run
    /// let line = executive::irq::Irq::new(1);
    /// executive::go(|| executive::on_irq(1)); // as the machine's handler does
    /// line.wait();
    /// ```
    pub fn wait(&self) {
        if self.take() {
            return;
        }
        let me = getg();
        waitq::prepare(me);
        if self.enlist(me) {
            park(WaitReason::Irq, waitq::open);
            self.leave(me);
        }
    }

    /// Whether one was pending; it is no more.
    pub(crate) fn take(&self) -> bool {
        MEETINGS[self.0].line.take()
    }

    /// `me`, which is prepared, waits from here on; `false`: one was pending, and is no more.
    pub(crate) fn enlist(&self, me: &'static G) -> bool {
        // Counted first: with nothing else to wake them sleeping CPUs would be taken for a deadlock.
        SCHED.injected.expect();
        let wait = MEETINGS[self.0].line.wait(me);
        if wait != Wait::Waits {
            SCHED.injected.expect_no_more();
        }
        assert!(wait != Wait::Taken, "two goroutines wait on interrupt line {}", self.0);
        wait == Wait::Waits
    }

    /// `me` waits no more. When this returns no handler will touch it.
    pub(crate) fn leave(&self, me: &'static G) {
        let meeting = &MEETINGS[self.0];
        if meeting.line.leave(me) {
            SCHED.injected.expect_no_more();
            return;
        }
        // Acquire: partner of the handler's fetch_sub.
        while meeting.handlers.load(Ordering::Acquire) != 0 {
            relax();
        }
    }

    /// What `g.param` is when this line won; to be asked after `leave`.
    pub(crate) fn mark(&self) -> *mut () {
        mark(self.0)
    }

    /// An interrupt that was taken for an arm that is not chosen is there for the next to wait.
    pub(crate) fn put_back(&self) {
        on_irq(self.0);
    }
}
