//! What happened lately, CPU by CPU: a ring of events for each, written while tracing is on, and
//! printed in the form that trace viewers read.
//!
//! The form is Chrome's trace events (JSON), which Perfetto and chrome://tracing open, with a row
//! for each CPU. What lasts is a slice: a goroutine's run, and a CPU's halt from [`Event::Halt`] to
//! [`Event::Wake`]. An arrow leads from where a goroutine was readied to where it ran. Others make
//! other forms of what [`recorded`] tells: `diagnostics` that of Go.
//!
//! **Rule:** a ring is written by its own CPU, pinned or on g0, and read by anyone. An event is
//! three words, so a reader may see a torn one at the place that is being overwritten, which is
//! left out.

use super::waits::{self, Told};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::panic::Location;
use executive_core::atomic::{AtomicRef, AtomicU8, AtomicU64, AtomicUsize, Ordering::*, fence};
use executive_core::g::{G, WaitReason};
use executive_core::kit::curg;
use executive_core::machine;
use executive_core::param::{MAX_CPUS, TRACE_EVENTS};
use executive_core::percpu::cpu;
use executive_core::trace;
use spin::Once;

pub use executive_core::trace::Event;

/// All events in the order of their numbers, and as traces print them.
const EVENTS: [(Event, &str); 10] = {
    use Event::*;
    [
        (Go, "go"),
        (Run, "run"),
        (Park, "park"),
        (Yield, "yield"),
        (Preempt, "preempt"),
        (End, "end"),
        (Ready, "ready"),
        (Steal, "steal"),
        (Halt, "halt"),
        (Wake, "wake"),
    ]
};

fn name(event: Event) -> &'static str {
    EVENTS[event as usize - 1].1
}

/// What one CPU has recorded.
struct Ring {
    next: AtomicUsize,
    slots: Box<[Slot]>,
}

struct Slot {
    when: AtomicU64,
    /// The event in the uppermost 8 bits, then as many for why it waits, then the goroutine.
    what: AtomicU64,
    /// Where a goroutine that runs was started.
    started_at: AtomicRef<Location<'static>>,
}
const EVENT: u32 = 56;
const REASON: u32 = 48;

/// One event.
#[derive(Clone, Copy, Debug)]
pub struct Recorded {
    /// Of this CPU.
    pub cpu: usize,
    /// When (ns).
    pub when: u64,
    /// What has happened.
    pub event: Event,
    /// To this goroutine; 0: to the CPU.
    pub goid: u64,
    /// Why it parks, if it does.
    pub reason: WaitReason,
    /// Where it was started, if it begins to run.
    pub started_at: Option<&'static Location<'static>>,
}

/// When recording began, and when it ended (ns).
static SPAN: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
static RINGS: [Once<Box<Ring>>; MAX_CPUS] = [const { Once::new() }; MAX_CPUS];

/// Who gets events: [`RING`], [`WAITS`].
static WANTED: AtomicU8 = AtomicU8::new(0);
const RING: u8 = 1;
const WAITS: u8 = 2;

fn want(who: u8) {
    WANTED.fetch_or(who, SeqCst); // partner: the fence in `want_no_more`
    trace::start(record);
}

/// The core tells events until nobody wants any.
fn want_no_more(who: u8) {
    if WANTED.fetch_and(!who, Relaxed) & !who == 0 {
        trace::stop();
        fence(SeqCst); // partner: `want`, which starts after this stop, or is seen here
        if WANTED.load(Relaxed) != 0 {
            trace::start(record);
        }
    }
}

/// From here on the ends of waits, and how long goroutines were runnable, are told to `tell`:
/// pinned or on g0, so it takes no lock and allocates nothing. Waits that have begun already are
/// not told. Each call gives the same function. Allocates a table the first time. The events of
/// [`start`] are not touched.
pub fn start_waits(tell: fn(&Told)) {
    waits::begin(tell);
    want(WAITS);
}

/// They are told no more, except for those under way on other CPUs.
pub fn stop_waits() {
    want_no_more(WAITS);
}

/// Begins to record, from nothing. Allocates a ring per CPU the first time.
pub fn start() {
    want_no_more(RING);
    for ring in &RINGS[..machine::cpus().min(MAX_CPUS)] {
        ring.call_once(|| {
            let slot = || Slot {
                when: AtomicU64::new(0),
                what: AtomicU64::new(0),
                started_at: AtomicRef::new(),
            };
            let slots = (0..TRACE_EVENTS).map(|_| slot()).collect();
            Box::new(Ring { next: AtomicUsize::new(0), slots })
        })
        .next
        .store(0, Relaxed);
    }
    SPAN[0].store(machine::now(), Relaxed);
    want(RING);
}

/// Ends recording; what was recorded stays.
pub fn stop() {
    want_no_more(RING);
    SPAN[1].store(machine::now(), Relaxed);
}

fn record(event: Event, goid: u64) {
    let wanted = WANTED.load(Relaxed);
    if wanted & WAITS != 0 {
        waits::event(event, goid);
    }
    if wanted & RING != 0 {
        enter(event, goid);
    }
}

fn enter(event: Event, goid: u64) {
    let Some(ring) = RINGS.get(cpu()).and_then(Once::get) else { return }; // a foreign thread's
    let n = ring.next.load(Relaxed);
    let slot = &ring.slots[n % TRACE_EVENTS];
    slot.when.store(machine::now(), Relaxed);
    let mut what = (event as u64) << EVENT | goid;
    match event {
        Event::Run => {
            slot.started_at.store(curg().and_then(G::seen).map(|g| g.started_at), Relaxed);
        }
        Event::Park => what |= curg().map_or(0, |g| g.wait_reason() as u64) << REASON,
        _ => {}
    }
    slot.what.store(what, Relaxed);
    ring.next.store(n + 1, Release); // partner: the Acquire in `events`
}

/// The rings of those CPUs that have one, with their numbers.
fn rings() -> impl Iterator<Item = (usize, &'static Ring)> {
    RINGS.iter().enumerate().filter_map(|(cpu, ring)| Some((cpu, &**ring.get()?)))
}

impl Ring {
    /// The events that are there. The oldest place is left out once the ring has gone round: its
    /// CPU may be writing there.
    fn events(&self, cpu: usize) -> impl Iterator<Item = Recorded> {
        let next = self.next.load(Acquire);
        (next.saturating_sub(TRACE_EVENTS - 1)..next).filter_map(move |n| {
            let slot = &self.slots[n % TRACE_EVENTS];
            let (when, what) = (slot.when.load(Relaxed), slot.what.load(Relaxed));
            let &(event, _) = EVENTS.get((what >> EVENT).checked_sub(1)? as usize)?;
            let reason = (what >> REASON) as u8 as usize;
            let reason = if reason < WaitReason::COUNT { reason as u8 } else { 0 };
            Some(Recorded {
                cpu,
                when,
                event,
                goid: what & ((1 << REASON) - 1),
                reason: WaitReason::from_u8(reason),
                started_at: slot.started_at.load(Relaxed).filter(|_| event == Event::Run),
            })
        })
    }

    /// The time before which it has not everything any more.
    fn lost_until(&self) -> Option<u64> {
        let lost = self.next.load(Acquire) >= TRACE_EVENTS;
        lost.then(|| self.events(0).next()).flatten().map(|first| first.when)
    }
}

/// From when to when there is everything, and whether a ring has lost what was before.
fn span() -> (u64, u64, bool) {
    let [started, to] = SPAN.each_ref().map(|time| time.load(Relaxed));
    let from = rings().filter_map(|(_, ring)| ring.lost_until()).fold(started, u64::max);
    (from, to, from > started)
}

/// What was recorded, in the order of its times; from when to when (ns). Cut as [`dump`] cuts it.
pub fn recorded() -> (Vec<Recorded>, u64, u64) {
    let (from, to, _) = span();
    let mut all: Vec<Recorded> = rings().flat_map(|(cpu, ring)| ring.events(cpu)).collect();
    all.retain(|one| (from..=to).contains(&one.when));
    all.sort_by_key(|one| one.when); // stable: a CPU's events stay in their order
    (all, from, to)
}

/// Writes what was recorded as a JSON object of Chrome trace events. Times are microseconds.
///
/// A ring that is full loses its oldest events, while a quiet CPU's ring goes far back. So all rows
/// are cut to the time that every ring still covers; `otherData` says from when to when, and
/// whether anything was cut. A slice that lasted longer begins or ends at the cut.
///
/// The first line begins with `{"displayTimeUnit"`, the last one is `]}`, and no other line is like
/// these. So `sed -n '/^{"displayTimeUnit"/,/^]}/p'` cuts the JSON out of whatever else was
/// captured.
pub fn dump(out: &mut dyn Write) -> fmt::Result {
    let (from, to, is_cut) = span();
    let cut = if is_cut { "a busy CPU has overwritten what came before" } else { "nothing" };
    write!(
        out,
        r#"{{"displayTimeUnit":"ns","otherData":{{"from_us":{},"to_us":{},"#,
        Micros(from),
        Micros(to)
    )?;
    write!(out, r#""cut":"{cut}"}},"traceEvents":["#)?;
    let mut comma = "";
    for (cpu, ring) in rings() {
        writeln!(out, "{comma}")?;
        write!(
            out,
            r#"{{"name":"thread_name","ph":"M","pid":0,"tid":{cpu},"args":{{"name":"CPU {cpu}"}}}}"#
        )?;
        comma = ",";
        dump_ring(ring, out, cpu, from, to)?;
    }
    dump_arrows(out)?;
    writeln!(out, "\n]}}")
}

/// Writes an arrow from where each goroutine was readied or started to where it ran then.
fn dump_arrows(out: &mut dyn Write) -> fmt::Result {
    let (mut readied, mut arrow) = (BTreeMap::new(), 0);
    for one in recorded().0 {
        match one.event {
            Event::Ready | Event::Go => drop(readied.insert(one.goid, one)),
            Event::Run => {
                let Some(from) = readied.remove(&one.goid) else { continue };
                arrow += 1;
                for (end, at) in [(r#""s""#, from), (r#""f","bp":"e""#, one)] {
                    writeln!(out, ",")?;
                    write!(out, r#"{{"name":"readied","cat":"readied","ph":{end},"id":{arrow},"#)?;
                    write!(out, r#""ts":{},"pid":0,"tid":{}}}"#, Micros(at.when), at.cpu)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a CPU does between two events.
#[derive(Clone, Copy)]
enum Doing {
    /// Runs this goroutine.
    Goroutine(u64),
    Halt,
}
impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doing::Goroutine(goid) => write!(f, "goroutine {goid}"),
            Doing::Halt => f.write_str("halt"),
        }
    }
}

/// Writes what happened between these times: what lasted as a slice, all else as instants.
fn dump_ring(ring: &Ring, out: &mut dyn Write, cpu: usize, from: u64, to: u64) -> fmt::Result {
    let slice = |out: &mut dyn Write, (what, since): (Doing, u64), end: u64, until: &str| {
        let (since, end) = (since.max(from), end.min(to));
        if end <= since {
            return Ok(());
        }
        writeln!(out, ",")?;
        write!(
            out,
            r#"{{"name":"{what}","ph":"X","ts":{},"dur":{},"#,
            Micros(since),
            Micros(end - since)
        )?;
        write!(out, r#""pid":0,"tid":{cpu},"args":{{"until":"{until}"}}}}"#)
    };
    let mut doing = None;
    for Recorded { when, event, goid, .. } in ring.events(cpu) {
        match (event, doing) {
            (Event::Run, _) => doing = Some((Doing::Goroutine(goid), when)),
            (Event::Halt, _) => doing = Some((Doing::Halt, when)),
            (
                Event::Park | Event::Yield | Event::Preempt | Event::End | Event::Wake,
                Some(begun),
            ) => {
                slice(out, begun, when, name(event))?;
                doing = None;
            }
            _ if when < from || when > to => {}
            _ => {
                writeln!(out, ",")?;
                write!(out, r#"{{"name":"{} {goid}","ph":"i","s":"t","#, name(event))?;
                write!(out, r#""ts":{},"pid":0,"tid":{cpu}}}"#, Micros(when))?;
            }
        }
    }
    doing.map_or(Ok(()), |begun| slice(out, begun, to, "the trace's end"))
}

struct Micros(u64);
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}
