//! Where each CPU stands, told at a steady rate by its timer's interrupt: for CPU profiles.
//!
//! A CPU is sampled each time that it has been busy for a period; while it sleeps no time passes.
//! So a sample stands for one period of work on its CPU, however often the CPU goes to sleep. When
//! it is taken within its period is left to chance: slices are as long as Go's period, and in step
//! with them one would only see goroutines that come and go.
//!
//! A CPU has one timer, and the scheduler uses it. So a machine passes what the scheduler asks
//! through [`tick_at`], which arms the timer for whatever comes first, and calls [`interrupted`]
//! and [`goes_on`] around `on_tick`, and [`has_slept`] after a wait. An interrupt that comes for a
//! sample alone is to the scheduler what a kick is: it asks anew for what it needs. While nothing
//! is sampled each of these costs one load.
//!
//! Code that keeps interrupts off keeps the timer's off, too. Where the machine can interrupt it
//! nevertheless, by an NMI ([`insist_by`]), a CPU that is two periods behind is asked by another:
//! by each that takes a sample, and by whoever has begun to sample ([`watch`]). On one CPU there is
//! nobody who could.
//!
//! **Rule:** a CPU's words are used by that CPU: pinned, on g0, or in its handlers, which may come
//! between any two instructions of the others. So who arms the timer looks again afterwards. Others
//! read `next` alone. An NMI may come while the timer's handler takes a sample: then it takes none
//! (`taking`). It follows a chain of frames only where the machine says that memory is there, for
//! it must not fault: the end of a fault would let in the next NMI, on the stack of this one.

use super::{census::busy_ns, crash};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::*, compiler_fence};
use executive_core::kit::{self, G, curg, p_of};
use executive_core::machine::{self, Interrupted, NEVER};
use executive_core::param::MAX_CPUS;
use executive_core::percpu::{Pin, cpu};
use spin::Once;

/// Busy time (ns) from one sample of a CPU to the next; 0: nothing is sampled.
static PERIOD: AtomicU64 = AtomicU64::new(0);
static SAMPLER: Once<fn(&Sample<'_>)> = Once::new();
/// Somebody samples.
static TAKEN: AtomicBool = AtomicBool::new(false);

struct Cpu {
    /// The period of the next sample begins when it has been busy for so long (ns).
    next: AtomicU64,
    /// What the scheduler has asked for last.
    asked: AtomicU64,
    /// A sample is being taken.
    taking: AtomicBool,
}
static CPUS: [Cpu; MAX_CPUS] = [const {
    Cpu { next: AtomicU64::new(0), asked: AtomicU64::new(NEVER), taking: AtomicBool::new(false) }
}; MAX_CPUS];

struct Insists {
    ask: fn(usize),
    is_there: fn(usize) -> bool,
}
static INSISTS: Once<Insists> = Once::new();

/// A CPU, interrupted.
pub struct Sample<'a> {
    /// Its number.
    pub cpu: usize,
    /// The goroutine that it runs, or on whose behalf it is on g0; 0: none.
    pub goid: u64,
    at: &'a Interrupted,
    is_there: fn(usize) -> bool,
}

impl Sample<'_> {
    /// Tells where it stands, then the calls that led there, innermost first, on the goroutine's
    /// own stack. Of g0 it tells only where it stands. `tell` returns whether a frame counts
    /// against the limit of those that a report lists.
    pub fn frames(&self, tell: impl FnMut(usize) -> bool) {
        crash::frames_at(self.at, self.is_there, tell);
    }
}

/// Tells the calls that led here, innermost first: on the goroutine's own stack, or on this CPU's
/// g0; nothing on a thread that is no CPU. `tell` is as in [`Sample::frames`].
pub fn here(tell: impl FnMut(usize) -> bool) {
    crash::own_frames(tell);
}

/// From here on each CPU is sampled whenever it has been busy for another `period_ns`. `sampler` is
/// called in the timer's handler, or in that of an NMI, one at a time on each CPU: it takes no
/// lock, allocates nothing, and does not fault. Each `start` must give the same function. `false`:
/// somebody samples already.
pub fn start(period_ns: u64, sampler: fn(&Sample<'_>)) -> bool {
    if TAKEN.swap(true, AcqRel) {
        return false;
    }
    SAMPLER.call_once(|| sampler);
    let (cpus, now) = (0..kit::SCHED.cpus(), machine::now());
    for cpu in cpus.clone() {
        CPUS[cpu].next.store(busy_ns(cpu, now) + period_ns, Relaxed);
    }
    PERIOD.store(period_ns.max(1), Release); // partner: the Acquire in `interrupted`
    cpus.for_each(|cpu| machine::kick(cpu)); // each arms its timer in the handler
    true
}

/// No CPU is sampled any more, but for those that are in the handler. By whoever has started.
pub fn stop() {
    PERIOD.store(0, Relaxed);
    TAKEN.store(false, Release);
}

/// When the sample of a period is due that begins then: a hash decides.
fn due(next: u64, period: u64) -> u64 {
    next + (next.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % period // Fibonacci hashing
}

/// For a machine's `tick_at`: arms this CPU's timer by `arm` for what the scheduler asks, or for
/// the next sample.
#[inline]
pub fn tick_at(deadline: u64, arm: impl Fn(u64)) {
    if PERIOD.load(Relaxed) == 0 {
        return arm(deadline);
    }
    CPUS[cpu()].asked.store(deadline, Relaxed);
    arm_for_both(arm);
}

/// For a machine's handler of its timer and of kicks, before `on_tick`: takes a sample if one is
/// due.
#[inline]
pub fn interrupted(at: &Interrupted) {
    let period = PERIOD.load(Acquire);
    if period != 0 {
        take(at, period);
    }
}

#[cold]
fn take(at: &Interrupted, period: u64) {
    if let Some(this) = CPUS.get(cpu()) {
        this.asked.store(NEVER, Relaxed); // `on_tick` asks anew
        take_one(at, period, |_| true);
        watch_others();
    }
}

fn take_one(at: &Interrupted, period: u64, is_there: fn(usize) -> bool) {
    let me = cpu();
    let (Some(this), Some(sampler)) = (CPUS.get(me), SAMPLER.get()) else { return };
    if this.taking.load(Relaxed) {
        return; // this is an NMI in the midst of what follows
    }
    this.taking.store(true, Relaxed);
    compiler_fence(SeqCst); // partner: an NMI on this CPU
    let next = this.next.load(Relaxed);
    if busy_ns(me, machine::now()) >= due(next, period) {
        this.next.store(next + period, Relaxed); // so the rate stays if an interrupt comes late
        let goid = curg().map_or(0, G::id);
        sampler(&Sample { cpu: me, goid, at, is_there });
    }
    compiler_fence(SeqCst);
    this.taking.store(false, Relaxed);
}

/// For a machine that can interrupt a CPU whose interrupts are off: `ask(cpu)`, which may be called
/// in a handler, makes that CPU call [`answers`] soon. `is_there`: whether memory is at an address
/// on a stack; it takes no lock and does not fault.
pub fn insist_by(ask: fn(usize), is_there: fn(usize) -> bool) {
    INSISTS.call_once(|| Insists { ask, is_there });
}

/// Whether it is of use to [`watch`].
pub fn insists() -> bool {
    INSISTS.get().is_some() && kit::SCHED.cpus() > 1
}

/// Asks each other CPU that is busy, and two periods behind with its samples, where it stands.
/// While nothing is sampled it does nothing. In a goroutine.
pub fn watch() {
    let _pin = Pin::new();
    watch_others();
}

/// The same, pinned or in a handler.
fn watch_others() {
    let (Some(insists), period) = (INSISTS.get(), PERIOD.load(Acquire)) else { return };
    if period == 0 {
        return;
    }
    let now = machine::now();
    let is_behind = |cpu: usize| {
        let next = CPUS[cpu].next.load(Relaxed);
        !sleeps_now(cpu) && busy_ns(cpu, now) >= next + 2 * period
    };
    let others = (0..kit::SCHED.cpus()).filter(|&other| other != cpu());
    others.filter(|&other| is_behind(other)).for_each(|other| (insists.ask)(other));
}

/// For a machine's handler of what `ask` sends: takes a sample if one is due. `false`: the CPU
/// sleeps, or is about to, or has just been woken.
pub fn answers(at: &Interrupted) -> bool {
    if sleeps_now(cpu()) {
        return false;
    }
    let period = PERIOD.load(Acquire);
    if period != 0
        && let Some(insists) = INSISTS.get()
    {
        take_one(at, period, insists.is_there);
    }
    true
}

fn sleeps_now(cpu: usize) -> bool {
    p_of(cpu).stats.idle_ns.get().cast_signed() < 0
}

/// For the same handler after `on_tick`: arms the timer for the next sample, if CPUs are sampled.
/// An idle CPU gets no interrupt for it.
#[inline]
pub fn goes_on(arm: impl Fn(u64)) {
    if PERIOD.load(Relaxed) != 0 && !sleeps_now(cpu()) {
        arm_for_both(arm);
    }
}

/// For a machine's `wait`, before it sleeps, if that leaves the timer as it is: no sample is due.
#[inline]
pub fn sleeps(arm: impl Fn(u64)) {
    if PERIOD.load(Relaxed) != 0 {
        arm(NEVER);
    }
}

/// For a machine's `wait`, when it has slept: arms the timer for the next sample.
#[inline]
pub fn has_slept(arm: impl Fn(u64)) {
    if PERIOD.load(Relaxed) != 0 {
        arm_for_both(arm);
    }
}

#[cold]
fn arm_for_both(arm: impl Fn(u64)) {
    let me = cpu();
    let (Some(this), period) = (CPUS.get(me), PERIOD.load(Relaxed).max(1)) else { return };
    loop {
        let wanted = || (this.asked.load(Relaxed), this.next.load(Relaxed));
        let (asked, next) = wanted();
        let now = machine::now();
        arm(asked.min(now + due(next, period).saturating_sub(busy_ns(me, now))));
        if (asked, next) == wanted() {
            return;
        }
    }
}
