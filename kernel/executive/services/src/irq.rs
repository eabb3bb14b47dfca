//! Interrupts, as goroutines see them: wait for one.
//!
//! **Rule (IRQ-CLEAN):** the handler's side, [`Line::raise`], is a few atomics. It takes the
//! waiting goroutine out of the line's word, claims it, and hands it over to the CPU, which runs it
//! next. Everything else is done in `find_runnable`.
//!
//! A goroutine may wait for other things at the same time (select.rs): meeting.rs tells how.

pub(crate) mod lineword;
pub mod masks;
pub(crate) mod meeting;

use self::lineword::Wait;
use self::meeting::Meeting;
use core::fmt;
use core::ptr::from_ref;
use executive_core::g::{G, WaitReason};
use executive_core::percpu;
use executive_core::wait::{Claim, Parked, claim_as, may_park, outside, park, prepare};

/// An interrupt line: where a handler meets the goroutine that waits for it. A machine or a driver
/// has lines of its own, in statics or leaked, as many as it likes.
///
/// ```
/// # hosted::run(|| {
/// use executive::irq::{Irq, Line};
/// static RECEIVED: Line = Line::new();
/// static SENT: Line = Line::new();
///
/// executive::go(|| RECEIVED.raise()); // as the device's handler does
/// executive::select! {
///     irq(Irq::of(&RECEIVED)) => { /* look at the device */ }
///     irq(Irq::of(&SENT)) => unreachable!(),
/// }
/// # });
/// ```
pub struct Line(Meeting<G>);

/// How many lines have numbers.
pub const LINES: usize = 256;

static NUMBERED: [Line; LINES] = [const { Line::new() }; LINES];

/// An interrupt came on the line of this number: [`Line::raise`]. Panics unless `line` is less than
/// [`LINES`].
///
/// ```
/// # hosted::run(|| {
/// let line = executive::irq::Irq::new(5);
/// executive::on_irq(5); // the handler
/// line.wait(); // it has come
/// # });
/// ```
pub fn on_irq(line: usize) {
    NUMBERED[line].raise();
}

impl Line {
    /// A line on which no interrupt has come.
    #[expect(clippy::new_without_default, reason = "const is what it is for")]
    pub const fn new() -> Self {
        Line(Meeting::new())
    }

    /// An interrupt came on this line. Called by the machine's or the driver's handler, with
    /// interrupts off, or by anyone else; never parks, takes no lock, and allocates nothing. Lost
    /// if one is pending on the line already, as in hardware: whoever waits must look at the
    /// device, not count.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::irq::{Irq, Line};
    /// let line: &'static Line = Box::leak(Box::new(Line::new()));
    /// line.raise();
    /// line.raise();
    /// Irq::of(line).wait(); // it has come, once
    /// # });
    /// ```
    pub fn raise(&'static self) {
        // The caller may also be a goroutine (`put_back`).
        outside::pinned(|| {
            self.0.interrupt(|g| {
                if g.is_system() {
                    outside::expected().expect(); // what it did not do while it only waited
                }
                match claim_as(g, self.mark()) {
                    Claim::Parked(parked) => {
                        outside::ready(parked);
                        true
                    }
                    claim => {
                        outside::expected().expect_no_more();
                        matches!(claim, Claim::Early)
                    }
                }
            });
        });
    }

    /// What `g.param` is when the line's interrupt has claimed it.
    fn mark(&'static self) -> *mut () {
        from_ref(self).cast_mut().cast()
    }
}

impl fmt::Debug for Line {
    /// By its number, or where it lies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = from_ref(self).addr().wrapping_sub(NUMBERED.as_ptr().addr());
        let number = bytes / size_of::<Line>();
        if number < LINES { write!(f, "{number}") } else { write!(f, "{self:p}") }
    }
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
pub struct Irq(&'static Line);

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
        Irq(&NUMBERED[line])
    }

    /// A line of the caller's own.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::irq::{Irq, Line};
    /// static LINE: Line = Line::new();
    /// static ARRIVED: Irq = Irq::of(&LINE);
    /// LINE.raise();
    /// ARRIVED.wait();
    /// # });
    /// ```
    pub const fn of(line: &'static Line) -> Self {
        Irq(line)
    }

    /// Parks until an interrupt came on the line since the last `wait`. Panics if another goroutine
    /// waits on it. In a select: `irq(line)`; if several arms name one line, each is equally likely
    /// to get the interrupt.
    ///
    /// While it waits sleeping CPUs are no deadlock, unless it is a system goroutine
    /// ([`Builder::system`](executive_core::join::Builder::system)).
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

    /// Whether both are one line.
    pub(crate) fn is(&self, other: &Irq) -> bool {
        core::ptr::eq(self.0, other.0)
    }

    /// Takes the pending interrupt; `false`: there is none.
    pub(crate) fn take(&self) -> bool {
        self.0.0.take()
    }

    /// `me`, which is prepared, waits from here on; perhaps it did so already, in another arm.
    /// `false`: an interrupt was pending, and is taken.
    pub(crate) fn enlist(&self, me: &'static G) -> bool {
        // Counted first. Otherwise CPUs that sleep, with nothing else to wake them, could take it
        // for a deadlock. (A system goroutine's wait is no reason not to: SYSTEM-G.)
        if !me.is_system() {
            outside::expected().expect();
        }
        let wait = self.0.0.wait(me);
        if wait != Wait::Waits && !me.is_system() {
            outside::expected().expect_no_more();
        }
        assert!(wait != Wait::Taken, "two goroutines wait on interrupt line {:?}", self.0);
        wait != Wait::Came
    }

    /// `me` does not wait any more. When this returns no handler will touch it.
    pub(crate) fn leave(&self, me: &'static G) {
        if self.0.0.leave(me) && !me.is_system() {
            outside::expected().expect_no_more();
        }
    }

    /// What `g.param` is when this line won. Valid after `leave`.
    pub(crate) fn mark(&self) -> *mut () {
        self.0.mark()
    }

    /// Makes an interrupt pending again that was taken for an arm which is not chosen.
    pub(crate) fn put_back(&self) {
        self.0.raise();
    }
}
