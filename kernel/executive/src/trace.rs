//! What happened lately, CPU by CPU: a ring of events for each, written while tracing is on, and printed in the form that trace viewers read.
//!
//! **Rule:** a ring is written by its own CPU, pinned or on g0, and read by anyone; an event is two words, so a reader may see a torn one at the
//! place that is being overwritten, and nowhere else. While tracing is off an event costs one load and a branch that is not taken.
//!
//! The form is Chrome's trace events (JSON), which Perfetto and chrome://tracing open: one row a CPU, one slice a run of a goroutine. Go's own
//! tracer has a format of its own and a tool to go with it; we have neither.

use crate::machine;
use crate::param::{MAX_CPUS, TRACE_EVENTS};
use crate::percpu;
use alloc::boxed::Box;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use spin::Once;

/// What can happen to a goroutine, or to a CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Event {
    /// It was created.
    Go = 1,
    /// It runs from here on.
    Run = 2,
    /// It parks.
    Park = 3,
    /// It lets others run.
    Yield = 4,
    /// Its slice is over.
    Preempt = 5,
    /// It ended.
    End = 6,
    /// It was made runnable.
    Ready = 7,
    /// It was stolen from another CPU.
    Steal = 8,
    /// The CPU sleeps.
    Halt = 9,
    /// The CPU wakes.
    Wake = 10,
}

struct Ring {
    next: AtomicUsize,
    events: Box<[[AtomicU64; 2]]>,
}

static ON: AtomicBool = AtomicBool::new(false);
static RINGS: [Once<Box<Ring>>; MAX_CPUS] = [const { Once::new() }; MAX_CPUS];

/// Begins to record, from nothing. Allocates a ring per CPU the first time.
pub fn start() {
    ON.store(false, Relaxed);
    for ring in &RINGS[..machine::cpus().min(MAX_CPUS)] {
        ring.call_once(|| {
            let events = (0..TRACE_EVENTS).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect();
            Box::new(Ring { next: AtomicUsize::new(0), events })
        })
        .next
        .store(0, Relaxed);
    }
    ON.store(true, Release); // partner: the Acquire in `write`
}

/// Ends recording; what was recorded stays.
pub fn stop() {
    ON.store(false, Relaxed);
}

/// Records an event of goroutine `goid` (0: of the CPU itself). Pinned or on g0.
#[inline(always)]
pub(crate) fn record(event: Event, goid: impl FnOnce() -> u64) {
    if ON.load(Relaxed) {
        write(event, goid());
    }
}

/// The same, in the hottest places: gives back what the caller goes on with, so that it need not save a register for a call that is seldom made.
#[inline(always)]
pub(crate) fn record_keeping<K>(event: Event, keep: K, goid: impl FnOnce() -> u64) -> K {
    #[cold]
    #[inline(never)]
    fn write_keeping<K>(event: Event, keep: K, goid: impl FnOnce() -> u64) -> K {
        write(event, goid());
        keep
    }
    if ON.load(Relaxed) { write_keeping(event, keep, goid) } else { keep }
}

#[cold]
fn write(event: Event, goid: u64) {
    if !ON.load(Acquire) {
        return;
    }
    let Some(ring) = RINGS[percpu::cpu()].get() else { return };
    let n = ring.next.load(Relaxed);
    let [when, what] = &ring.events[n % TRACE_EVENTS];
    when.store(machine::now(), Relaxed);
    what.store((event as u64) << 56 | goid, Relaxed);
    ring.next.store(n + 1, Release); // partner: the Acquire in `dump`
}

/// Writes what was recorded as a JSON object of Chrome trace events. Times are microseconds.
pub fn dump(out: &mut dyn Write) -> fmt::Result {
    let mut comma = "";
    write!(out, "{{\"traceEvents\":[")?;
    for (cpu, ring) in RINGS.iter().enumerate() {
        let Some(ring) = ring.get() else { continue };
        let next = ring.next.load(Acquire);
        let mut running: Option<(u64, u64)> = None;
        for n in next.saturating_sub(TRACE_EVENTS)..next {
            let [when, what] = &ring.events[n % TRACE_EVENTS];
            let (when, what) = (when.load(Relaxed), what.load(Relaxed));
            let (event, goid) = (what >> 56, what & ((1 << 56) - 1));
            let name = match event as u8 {
                2 => {
                    running = Some((goid, when));
                    continue;
                }
                1 => "go",
                3 => "park",
                4 => "yield",
                5 => "preempt",
                6 => "end",
                7 => "ready",
                8 => "steal",
                9 => "halt",
                _ => "wake",
            };
            // What takes the goroutine off its CPU ends a slice; the rest are instants.
            match running {
                Some((g, since)) if (3..=6).contains(&event) => {
                    running = None;
                    write!(
                        out,
                        "{comma}\n{{\"name\":\"goroutine {g}\",\"ph\":\"X\",\"ts\":{},\"dur\":{},\"pid\":0,\"tid\":{cpu},\"args\":{{\"until\":\"{name}\"}}}}",
                        Micros(since),
                        Micros(when.saturating_sub(since)),
                    )?;
                }
                _ => write!(
                    out,
                    "{comma}\n{{\"name\":\"{name} {goid}\",\"ph\":\"i\",\"s\":\"t\",\"ts\":{},\"pid\":0,\"tid\":{cpu}}}",
                    Micros(when),
                )?,
            }
            comma = ",";
        }
    }
    writeln!(out, "\n]}}")
}

struct Micros(u64);
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}
