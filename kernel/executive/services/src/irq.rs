//! Interrupts, as goroutines see them: wait for one.
//!
//! **Rule (IRQ-CLEAN):** the handler's side, [`on_irq`], is a few atomics. It takes the waiting
//! goroutine out of the line's word, claims it, puts it on the injection stack, and wakes an idle
//! CPU. Everything else is done by the CPU that next runs `find_runnable`.
//!
//! A goroutine may wait for other things at the same time (select.rs): meeting.rs tells how.

pub(crate) mod line;
pub(crate) mod meeting;

use self::line::Wait;
use self::meeting::Meeting;
use executive_core::g::{G, WaitReason};
use executive_core::percpu;
use executive_core::wait::{Claim, Parked, claim_as, may_park, outside, park, prepare};

/// How many lines there are.
pub const LINES: usize = 64;

static MEETINGS: [Meeting<G>; LINES] = [const { Meeting::new() }; LINES];

/// An interrupt came on `line`. Called by the machine's handler, with interrupts off. Lost if one
/// is pending on the line already, as in hardware: whoever waits must look at the device, not
/// count. Panics unless `line` is less than [`LINES`].
///
/// ```
/// # hosted::run(|| {
/// let line = executive::irq::Irq::new(5);
/// executive::on_irq(5); // the handler
/// line.wait(); // it has come
/// # });
/// ```
pub fn on_irq(line: usize) {
    // The caller may also be a goroutine (`put_back`).
    outside::pinned(|| {
        MEETINGS[line].interrupt(|g| match claim_as(g, mark(line)) {
            Claim::Parked(parked) => {
                outside::ready(parked);
                true
            }
            claim => {
                outside::expect_no_more();
                matches!(claim, Claim::Early)
            }
        });
    });
}

/// What `g.param` is when the line's interrupt has claimed it.
fn mark(line: usize) -> *mut () {
    core::ptr::from_ref(&MEETINGS[line]).cast_mut().cast()
}

/// A line to wait on. One goroutine at a time may wait on a line.
///
/// ```
/// # hosted::run(|| {
/// use executive::{irq::Irq, select};
/// static KEYBOARD: Irq = Irq::new(1);
/// executive::go(|| executive::on_irq(1)); // as the machine's handler does
/// select! {
///     irq(KEYBOARD) => { /* read it */ }
///     after(core::time::Duration::from_secs(60)) => panic!("nobody types"),
/// }
/// # });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Irq(usize);

impl Irq {
    /// The line with this number. Panics unless `line` is less than [`LINES`].
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::irq::{Irq, LINES};
    /// const LAST: Irq = Irq::new(LINES - 1);
    /// # });
    /// ```
    pub const fn new(line: usize) -> Self {
        assert!(line < LINES);
        Irq(line)
    }

    /// Parks until an interrupt came on the line since the last `wait`. Panics if another goroutine
    /// waits on it. In a select: `irq(line)`; if several arms name one line, each is equally likely
    /// to get the interrupt.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let line = executive::irq::Irq::new(1);
    /// executive::go(|| executive::on_irq(1)); // as the machine's handler does
    /// line.wait();
    /// # });
    /// ```
    pub fn wait(&self) {
        if self.take() {
            return percpu::point();
        }
        let parking = may_park();
        let me = parking.g();
        prepare(me);
        if self.enlist(me) {
            park(parking, WaitReason::Irq, Parked::open);
            self.leave(me);
        }
    }

    /// The line's bit in a set of lines.
    pub(crate) fn bit(&self) -> u64 {
        const { assert!(LINES <= u64::BITS as usize) };
        1 << self.0
    }

    /// Takes the pending interrupt; `false`: there is none.
    pub(crate) fn take(&self) -> bool {
        MEETINGS[self.0].take()
    }

    /// `me`, which is prepared, waits from here on. `false`: an interrupt was pending, and is
    /// taken.
    pub(crate) fn enlist(&self, me: &'static G) -> bool {
        // Counted first. Otherwise CPUs that sleep, with nothing else to wake them, could take it
        // for a deadlock.
        outside::expect();
        let wait = MEETINGS[self.0].wait(me);
        if wait != Wait::Waits {
            outside::expect_no_more();
        }
        assert!(wait != Wait::Taken, "two goroutines wait on interrupt line {}", self.0);
        wait == Wait::Waits
    }

    /// `me` does not wait any more. When this returns no handler will touch it.
    pub(crate) fn leave(&self, me: &'static G) {
        if MEETINGS[self.0].leave(me) {
            outside::expect_no_more();
        }
    }

    /// What `g.param` is when this line won. Valid after `leave`.
    pub(crate) fn mark(&self) -> *mut () {
        mark(self.0)
    }

    /// Makes an interrupt pending again that was taken for an arm which is not chosen.
    pub(crate) fn put_back(&self) {
        on_irq(self.0);
    }
}
