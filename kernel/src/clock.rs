//! Time in nanoseconds, and one alarm per CPU. The TSC tells the time, the local APIC's timer is
//! the alarm.
//!
//! Conversions multiply and shift; the way to the time has no division.
//!
//! **Rule:** time never goes back, on one CPU or from one to another. Where the CPUs' TSCs disagree
//! ([`distrust_tsc`]), the latest time given out is kept in one shared word: slow, and right.

use crate::acpi::Platform;
use crate::apic;
use crate::calibrate::{self, Rates};
use crate::tsc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use executive::machine::NEVER;
use executive::param::MAX_CPUS;
use executive::percpu::cpu;
use executive::println;
use spin::Once;
use x86_64::instructions::interrupts;

/// How ticks become nanoseconds and back. Written by [`init`], before there is a second CPU.
struct Scale {
    /// The TSC at time 0.
    zero: AtomicU64,
    /// Nanoseconds per TSC tick, times 2^32.
    ns_per_tick: AtomicU64,
    /// TSC ticks per nanosecond, times 2^32.
    ticks_per_ns: AtomicU64,
    /// Counts of the APIC timer per nanosecond, times 2^32.
    counts_per_ns: AtomicU64,
}

static SCALE: Scale = Scale {
    zero: AtomicU64::new(0),
    ns_per_tick: AtomicU64::new(0),
    ticks_per_ns: AtomicU64::new(0),
    counts_per_ns: AtomicU64::new(0),
};

static RATES: Once<Rates> = Once::new();

/// What [`init`] has found out; `None` before.
pub fn rates() -> Option<&'static Rates> {
    RATES.get()
}

/// Set when two CPUs were seen to disagree. Relaxed loads will do, because it is set before the
/// second one runs anything.
static TSC_DISTRUSTED: AtomicBool = AtomicBool::new(false);
/// The latest time given out, once the TSC is distrusted.
static LATEST: AtomicU64 = AtomicU64::new(0);

/// Finds out how fast the counters count; time begins. On the boot CPU, interrupts off, after its
/// [`apic::init_this_cpu`]. Takes some 10 ms.
pub fn init(platform: &Platform) {
    let rates = calibrate::measure(platform);
    if rates.witness.is_none() {
        println!(
            "clock: {} says that the TSC runs at {} Hz; no other clock agrees",
            rates.source, rates.tsc_hz
        );
    }
    let per_ns = |hz: u64| ((u128::from(hz) << 32) / 1_000_000_000) as u64;
    SCALE
        .ns_per_tick
        .store(((1_000_000_000u128 << 32) / u128::from(rates.tsc_hz)) as u64, Ordering::Relaxed);
    SCALE.ticks_per_ns.store(per_ns(rates.tsc_hz), Ordering::Relaxed);
    SCALE.counts_per_ns.store(per_ns(rates.apic_timer_hz), Ordering::Relaxed);
    RATES.call_once(|| rates);
    SCALE.zero.store(tsc::read(), Ordering::Relaxed);
}

/// Nanoseconds since [`init`]; 0 before. The same clock on every CPU.
#[inline]
pub fn now_ns() -> u64 {
    let ticks = tsc::read().saturating_sub(SCALE.zero.load(Ordering::Relaxed));
    let ns = scaled(ticks, &SCALE.ns_per_tick) as u64;
    if TSC_DISTRUSTED.load(Ordering::Relaxed) {
        return LATEST.fetch_max(ns, Ordering::Relaxed).max(ns);
    }
    ns
}

/// The CPUs' TSCs disagree: from here on [`now_ns`] takes the slow way.
pub fn distrust_tsc() {
    TSC_DISTRUSTED.store(true, Ordering::Relaxed);
}

/// TSC ticks in nanoseconds. For reports.
pub fn ns_of_ticks(ticks: u64) -> u64 {
    scaled(ticks, &SCALE.ns_per_tick) as u64
}

/// When a CPU's timer interrupts it: used by that CPU alone, with interrupts off.
#[repr(align(64))]
struct Alarm {
    /// What was asked for last (ns).
    wanted: AtomicU64,
    /// What the timer was set to: it fires then or earlier. [`NEVER`] if it has fired since.
    set: AtomicU64,
}
static ALARMS: [Alarm; MAX_CPUS] =
    [const { Alarm { wanted: AtomicU64::new(NEVER), set: AtomicU64::new(NEVER) } }; MAX_CPUS];

/// A timer that fires within so long is at hand ([`arm_timer`]).
const AT_HAND_NS: u64 = 300_000;

/// Asks for one alarm on this CPU at `deadline_ns`: at once if that is past, never for [`NEVER`].
/// Replaces what was asked for before. The alarm is a [`crate::vectors::TIMER`] interrupt for which
/// [`rings`] is true.
///
/// A deadline that is later than what the timer is set to leaves the timer as it is, because to
/// set it costs more than the interrupt that comes too early, once, and sets it then. Goroutines
/// that sleep and wake move their CPU's deadline each time, mostly to a later one. But a timer that
/// would fire within 300 us is set: so a CPU that moves its deadline often, as one that answers
/// packets does at the end of each slice, is not interrupted for nothing.
///
/// With interrupts off, or pinned.
pub fn arm_timer(deadline_ns: u64) {
    // No handler between the two words and the timer, or they would not agree any more.
    interrupts::without_interrupts(|| {
        let alarm = &ALARMS[cpu()];
        alarm.wanted.store(deadline_ns, Ordering::Relaxed);
        let set = alarm.set.load(Ordering::Relaxed);
        if deadline_ns < set || (deadline_ns > set && set < now_ns() + AT_HAND_NS) {
            set_timer(alarm, deadline_ns);
        }
    });
}

/// For the handler of [`crate::vectors::TIMER`]: whether what was asked for is due. If it is not,
/// the timer is set to it.
pub fn rings() -> bool {
    let alarm = &ALARMS[cpu()];
    alarm.set.store(NEVER, Ordering::Relaxed);
    let wanted = alarm.wanted.load(Ordering::Relaxed);
    if wanted > now_ns() {
        if wanted != NEVER {
            set_timer(alarm, wanted);
        }
        return false;
    }
    alarm.wanted.store(NEVER, Ordering::Relaxed);
    true
}

/// The timer counts at most half a minute: what is later it tells early.
fn set_timer(alarm: &Alarm, deadline_ns: u64) {
    alarm.set.store(deadline_ns, Ordering::Relaxed);
    if apic::has_tsc_deadline() {
        let ticks = scaled(deadline_ns, &SCALE.ticks_per_ns).min(u64::MAX.into()) as u64;
        // Rounded up, so that it is not early. 0 would be never.
        let zero = SCALE.zero.load(Ordering::Relaxed);
        apic::timer_deadline(zero.saturating_add(ticks).saturating_add(1));
    } else {
        let counts = scaled(deadline_ns.saturating_sub(now_ns()), &SCALE.counts_per_ns) + 1;
        apic::timer_count(counts.min(u32::MAX.into()) as u32);
    }
}

/// Spins until the time is over: for device delays during start-up.
pub fn busy_wait_ns(ns: u64) {
    let begin = now_ns();
    while now_ns() - begin < ns {
        core::hint::spin_loop();
    }
}

#[inline]
fn scaled(value: u64, factor: &AtomicU64) -> u128 {
    (u128::from(value) * u128::from(factor.load(Ordering::Relaxed))) >> 32
}
