//! What happened lately, CPU by CPU: a ring of events for each, the flight recorder. It is always
//! on, and a crash report ends with it.
//!
//! What happens seldom is in it whole: halts, interrupts, preemptions, steals, timers, regions and
//! messages. Of what happens often (births, ends, wakes, parks) it has one in [`TRACE_ONE_IN`],
//! chosen by chance, and the run that follows a wake. From that wake to that run is what a
//! goroutine had to wait for a CPU (latency.rs), which is measured of one in so many of the
//! preempted, too. Between [`start`] and [`stop`] it has all.
//!
//! [`dump`] prints it in the form that trace viewers read, Chrome's trace events (JSON), which
//! Perfetto and chrome://tracing open, with a row for each CPU. What lasts is a slice: the run of a
//! goroutine, and a CPU's halt from [`Event::Halt`] to [`Event::Wake`]. An arrow leads from where a
//! goroutine was readied to where it ran. Counters show how many goroutines are queued. Others make
//! other forms of what [`recorded`] tells: `diagnostics` that of Go, which has stacks, too
//! ([`stacks::start_trace`](super::stacks::start_trace)).
//!
//! **Rule:** a ring is written by its own CPU, pinned, on g0, or in a handler, which may come in
//! between: so a place is taken by one instruction, and written then. Anyone reads. An event is
//! some words, so a reader may see a torn one at the place that is being overwritten, which is left
//! out.

use super::census::busy_ns;
use super::latency::Histogram;
pub use super::latency::Latencies;
use crate::param::{MAX_CPUS, TRACE_EVENTS, TRACE_ONE_IN};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt::{self, Write};
use core::panic::Location;
use executive_core::arch::cycles;
use executive_core::atomic::{AtomicRef, AtomicU8, AtomicU64, AtomicUsize, Ordering::*};
use executive_core::g::{self, G, TELL, WaitReason};
use executive_core::kit::{SCHED, curg, m_of, p_of};
use executive_core::percpu::{Pin, cpu};
use executive_core::{CpuState, machine};
use spin::Once;

pub use executive_core::trace::Event;

fn name(event: Event) -> &'static str {
    Event::ALL[event as usize].1
}

/// What one CPU has recorded.
struct Ring {
    next: AtomicUsize,
    slots: &'static [Slot; TRACE_EVENTS],
    /// For each slot: goroutines queued here (24 bits), those in the global queue (24 bits), and
    /// the stack. (In a slot of six words a traced switch would find its place by an instruction
    /// more.)
    queued: &'static [AtomicU64; TRACE_EVENTS],
    latencies: Histogram,
    /// How many goroutines handlers have woken here: its own CPU's, for [`interrupt`].
    woken: AtomicUsize,
}

/// An event. What its kind does not need is left as it was.
struct Slot {
    /// In cycles of the CPU's counter: the machine's clock takes five times as long to read.
    when: AtomicU64,
    /// The event in the uppermost 8 bits, then whether queues were counted ([`COUNTED`]), 7 bits
    /// for why it waits, then the goroutine.
    what: AtomicU64,
    number: AtomicU64,
    /// Where a goroutine was started that is born or ends.
    started_at: AtomicRef<Location<'static>>,
    /// What the user says.
    text: AtomicRef<&'static str>,
}
const GLOBAL: u32 = 24;
const STACK: u32 = 48;
const MOST_QUEUED: u64 = (1 << 24) - 1;
const EVENT: u32 = 56;
const COUNTED: u64 = 1 << 55;
const REASON: u32 = 48;
const _: () = assert!(WaitReason::COUNT <= 1 << 7);

/// How many goroutines are queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Queued {
    /// In the queue of the event's CPU, as `cpus` counts them.
    pub here: u32,
    /// In the global queue.
    pub global: u32,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub struct Recorded {
    /// Of this CPU.
    pub cpu: usize,
    /// When (ns).
    pub when: u64,
    /// What has happened.
    pub event: Event,
    /// To this goroutine, or in it; 0: to the CPU.
    pub goid: u64,
    /// Why it parks, if it does.
    pub reason: WaitReason,
    /// What for it parks ([`G::waits_for`]); which goroutine readied it; of an interrupt that woke
    /// nobody, which it was; or the event's own number.
    pub number: u64,
    /// Where it was started, if it begins to run, and that is known.
    pub started_at: Option<&'static Location<'static>>,
    /// The name of a region, or a message.
    pub text: &'static str,
    /// What was queued behind it, if that was counted: while all is recorded, at all but yields
    /// and, without stacks, what the user says.
    pub queued: Option<Queued>,
    /// The number of the calls that led to it
    /// ([`stacks::start_trace`](super::stacks::start_trace)); 0: there is none.
    pub stack: u16,
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Recorded { goid, number, .. } = *self;
        f.write_str(name(self.event))?;
        if goid != 0 {
            write!(f, " {goid}")?;
        }
        match self.event {
            Event::Ready if number != 0 => write!(f, ", by {number}"),
            Event::Park if number != 0 => write!(f, ", {} {number:#x}", self.reason.words()),
            Event::Park => write!(f, ", {}", self.reason.words()),
            Event::Wake if number != 0 => f.write_str(", by another CPU"),
            Event::Timers => write!(f, ": {number}"),
            Event::Interrupt if goid == 0 => write!(f, ", number {number:#x}, wakes nobody"),
            Event::Message => write!(f, ": {} {number}", self.text),
            Event::Begin | Event::Finish => write!(f, ": {}", self.text),
            _ => match self.started_at {
                Some(at) => write!(f, ", started at {at}"),
                None => Ok(()),
            },
        }
    }
}

static RINGS: [AtomicRef<Ring>; MAX_CPUS] = [const { AtomicRef::new() }; MAX_CPUS];
/// When the recorder was set up: cycles and ns.
static ZERO: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
/// When a trace began, and when it ended (cycles).
static SPAN: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
/// What each CPU ran when the trace began; 0: nothing.
static RAN: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];
/// For how long each CPU did not sleep while the last trace was recorded (ns).
static BUSY: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];

/// Who hears what: bits.
static MODE: AtomicU8 = AtomicU8::new(0);
/// The rings get all events.
const ALL: u8 = 1;
/// waits.rs gets all.
const WAITS: u8 = 2;
/// There is a tracer.
const HOOKED: u8 = 4;
/// What the user says is told otherwise, too: [`HOOKED`], [`STACKS`].
static SAID: AtomicU8 = AtomicU8::new(0);
/// The trace has stacks. (Not in [`MODE`]: a switch of such a trace takes the short way, too.)
const STACKS: u8 = 8;
static STACK_OF: Once<fn(Event, Option<&'static G>) -> u16> = Once::new();
static LISTENER: Once<fn(Event, u64)> = Once::new();
static TRACER: Once<fn(Event, Option<&'static G>, u64)> = Once::new();

/// In [`G::waiting_since`]: the rest is when it became runnable (cycles).
const SINCE: u64 = 1 << 62;

fn ring_of<T>(place: impl Fn() -> T) -> &'static [T; TRACE_EVENTS] {
    let places: Box<[T]> = (0..TRACE_EVENTS).map(|_| place()).collect();
    (&*Box::leak(places)).try_into().expect("as many as were made")
}

/// Makes a ring for each CPU that there may be. Before the first runs.
pub(crate) fn set_up() {
    ZERO[0].store(cycles(), Relaxed);
    ZERO[1].store(machine::now(), Relaxed);
    let slot = || Slot {
        when: AtomicU64::new(0),
        what: AtomicU64::new(0),
        number: AtomicU64::new(0),
        started_at: AtomicRef::new(),
        text: AtomicRef::new(),
    };
    for place in &RINGS[..machine::cpus().min(MAX_CPUS)] {
        let (slots, queued) = (ring_of(slot), ring_of(|| AtomicU64::new(0)));
        let (next, woken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let ring = Ring { next, slots, queued, latencies: Histogram::new(), woken };
        place.store(Some(Box::leak(Box::new(ring))), Release); // partner: the Acquire in `rings`
    }
}

/// Begins to record everything. A CPU that runs a goroutine now does so from its next interrupt on,
/// which it is sent.
pub fn start() {
    SPAN[1].store(u64::MAX, Relaxed);
    SPAN[0].store(cycles(), Relaxed);
    let now = machine::now();
    for (cpu, busy) in BUSY.iter().enumerate().take(SCHED.cpus()) {
        busy.store(busy_ns(cpu, now), Relaxed);
    }
    for (cpu, ran) in RAN.iter().enumerate().take(SCHED.cpus()) {
        let runs = if m_of(cpu).state() == CpuState::Running { m_of(cpu).curg() } else { None };
        ran.store(runs.map_or(0, G::id), Relaxed);
    }
    tell_all(ALL);
}

/// As [`start`], and each event that is no switch is told with what `stack_of` says of it. Each
/// call gives the same one. For stacks.rs.
pub(super) fn start_with(stack_of: fn(Event, Option<&'static G>) -> u16) {
    STACK_OF.call_once(|| stack_of);
    SAID.fetch_or(STACKS, Release); // partner: the Acquire in `has_stacks`
    start();
}

#[inline(always)]
fn has_stacks() -> bool {
    SAID.load(Acquire) & STACKS != 0
}

/// The number of an event's stack, if the trace has stacks; 0: it has none.
#[cold]
#[inline(never)]
fn stack(event: Event, g: Option<&'static G>) -> u64 {
    STACK_OF.get().map_or(0, |stack_of| stack_of(event, g).into())
}

/// From here on all is told, and `who` gets it.
fn tell_all(who: u8) {
    MODE.fetch_or(who, SeqCst);
    // Whoever is runnable now was not told to be. (The last bit leads to `runs_first`, where a CPU
    // hears of it that got the goroutine from a queue and no event.)
    for g in SCHED.all() {
        g.waiting_since.fetch_or(TELL | 1, Relaxed);
    }
    let _pin = Pin::new();
    (0..SCHED.cpus()).filter(|&other| other != cpu()).for_each(|other| machine::kick(other));
    g::tell(Event::Tick, None, 0); // hears that all is told
}

/// From here on `listener` gets all events, with the numbers of their goroutines. Each call gives
/// the same one. For waits.rs.
pub(super) fn listen(listener: fn(Event, u64)) {
    LISTENER.call_once(|| listener);
    tell_all(WAITS);
}

pub(super) fn listen_no_more() {
    MODE.fetch_and(!WAITS, Relaxed);
}

/// Ends it; what was recorded stays until later events overwrite it.
pub fn stop() {
    MODE.fetch_and(!ALL, Relaxed);
    SAID.fetch_and(!STACKS, Relaxed);
    SPAN[1].store(cycles(), Relaxed);
    let now = machine::now();
    for (cpu, busy) in BUSY.iter().enumerate().take(SCHED.cpus()) {
        busy.store(busy_ns(cpu, now).wrapping_sub(busy.load(Relaxed)), Relaxed);
    }
}

/// From here on `tracer` gets what the recorder gets: the event, its goroutine, and its number. It
/// is called pinned, on g0, or in a handler, and takes no lock. The first one stays.
pub fn hook(tracer: fn(Event, Option<&'static G>, u64)) {
    TRACER.call_once(|| tracer);
    MODE.fetch_or(HOOKED, Release); // partner: the Acquire in `tell_others`
    SAID.fetch_or(HOOKED, Relaxed);
}

#[cold]
fn tell_others(event: Event, g: Option<&'static G>, number: u64) {
    let mode = MODE.load(Acquire);
    if mode & WAITS != 0
        && let Some(listener) = LISTENER.get()
    {
        listener(event, g.map_or(0, G::id));
    }
    if mode & HOOKED != 0
        && let Some(tracer) = TRACER.get()
    {
        tracer(event, g, number);
    }
}

/// An event is told. Pinned, on g0, or in a handler. Returns how many of those that happen often
/// come until one is told; 0: as many as it was.
pub(super) fn event(event: Event, g: Option<&'static G>, number: u64) -> u64 {
    let mode = MODE.load(Relaxed);
    if mode & (WAITS | HOOKED) != 0 {
        tell_others(event, g, number);
    }
    let all = mode & (ALL | WAITS) != 0;
    let often = matches!(event, Event::Go | Event::Ready | Event::Park | Event::End);
    let Some(ring) = ring() else { return if often { u64::MAX } else { 0 } };
    let now = cycles();
    let waits_for_cpu = match event {
        Event::Ready | Event::Go => true,
        Event::Preempt => all || hash(now).is_multiple_of(TRACE_ONE_IN),
        _ => false,
    };
    if let (true, Some(g)) = (waits_for_cpu, g) {
        g.waiting_since.store(now | SINCE | TELL, Relaxed);
    }
    if (often || event == Event::Run) && !is_kept(mode, now) {
        return 1;
    }
    let (slot, queued) = ring.put(now, event, g.map_or(0, G::id));
    match (event, g) {
        (Event::Ready, _) => slot.number.store(curg().map_or(0, G::id), Relaxed),
        (Event::Go | Event::End, Some(g)) => {
            slot.started_at.store(g.seen().map(|seen| seen.started_at), Relaxed);
        }
        (Event::Park, Some(g)) => {
            slot.add((g.wait_reason() as u64) << REASON);
            slot.number.store(g.waits_for() as u64, Relaxed);
        }
        _ => slot.number.store(number, Relaxed),
    }
    if event == Event::Interrupt && g.is_some() {
        ring.woken.fetch_add(1, Relaxed);
    }
    if mode & ALL != 0 {
        let stack = if has_stacks() { stack(event, g) } else { 0 };
        slot.add_queued(queued, event, stack);
    }
    match all {
        true => 1,
        // A hash of the time decides: a program's own rhythm shall not be in step.
        false if often => TRACE_ONE_IN / 2 + 1 + hash(now) % TRACE_ONE_IN,
        false => 0,
    }
}

/// Runs the handler of an interrupt of a device. If that wakes nobody, this tells of an
/// [`Event::Interrupt`] of no goroutine, with `number`: the machine's vector or line. In a handler,
/// or pinned.
///
/// ```
/// # hosted::run(|| {
/// let _off = executive::percpu::Pin::new(); // as a handler
/// executive::trace::interrupt(5, || executive::on_irq(5));
/// # });
/// ```
pub fn interrupt(number: u64, handler: impl FnOnce()) {
    let woken = || ring().map(|ring| ring.woken.load(Relaxed));
    let before = woken();
    handler();
    if woken() == before {
        g::tell(Event::Interrupt, None, number);
    }
}

/// What is queued at an event. Who is readied or born is told of before it is queued, and counted
/// here, where it will be. (If it is locked to another CPU, the next event tells.)
fn count_queued(event: Event) -> u64 {
    let comes = usize::from(matches!(event, Event::Ready | Event::Go));
    let global = (SCHED.global_len() as u64).min(MOST_QUEUED);
    global << GLOBAL | (p_of(cpu()).runq_len() + comes) as u64
}

/// Whether the ring gets an event that is told: not all that are told for waits.rs alone.
fn is_kept(mode: u8, now: u64) -> bool {
    mode & (ALL | WAITS) != WAITS || hash(now).is_multiple_of(TRACE_ONE_IN)
}

/// Fibonacci hashing.
fn hash(word: u64) -> u64 {
    word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

/// A goroutine runs from here on that was told to be runnable, or runs while all is told. On g0.
/// (Most switches of a trace take the short way: instructions count.)
pub(super) fn runs(g: &'static G) -> &'static G {
    if MODE.load(Relaxed) == ALL
        && g.waiting_since.load(Relaxed) == TELL
        && let Some(ring) = RINGS[cpu() % MAX_CPUS].load(Relaxed)
    // no foreign thread runs one
    {
        ring.put(cycles(), Event::Run, g.id());
        return g;
    }
    runs_first(g)
}

/// It runs for the first time since it was readied, born or preempted, or since a trace has begun
/// or ended.
#[cold]
#[inline(never)]
fn runs_first(g: &'static G) -> &'static G {
    let (now, mode) = (cycles(), MODE.load(Relaxed));
    let told = g.waiting_since.load(Relaxed);
    g.waiting_since.store(if mode & (ALL | WAITS) != 0 { TELL } else { 0 }, Relaxed);
    if told & SINCE != 0
        && let Some(ring) = ring()
    {
        ring.latencies.add(now.saturating_sub(told & !(SINCE | TELL)));
    }
    g::tell(Event::Run, Some(g), 0); // so this CPU hears that all is told
    core::hint::black_box(g) // or the compiler keeps g in a register over the call above
}

/// This CPU's ring. `None`: it is a foreign thread, or this is before the start.
#[inline(always)]
fn ring() -> Option<&'static Ring> {
    RINGS.get(cpu())?.load(Relaxed)
}

/// What the user says, or a driver.
fn say(event: Event, text: &'static &'static str, number: u64) {
    let _pin = Pin::new();
    if SAID.load(Relaxed) != 0 {
        return say_more(event, text, number);
    }
    if let Some(ring) = ring() {
        put_said(ring, event, text, number);
    }
}

#[inline(always)]
fn put_said(
    ring: &'static Ring,
    event: Event,
    text: &'static &'static str,
    number: u64,
) -> (&'static Slot, &'static AtomicU64) {
    let (slot, queued) = ring.put(cycles(), event, curg().map_or(0, G::id));
    slot.number.store(number, Relaxed);
    slot.text.store(Some(text), Relaxed);
    (slot, queued)
}

/// The same for a tracer, and with its stack.
#[cold]
#[inline(never)]
fn say_more(event: Event, text: &'static &'static str, number: u64) {
    if MODE.load(Relaxed) & HOOKED != 0 {
        tell_others(event, curg(), number);
    }
    let Some(ring) = ring() else { return };
    let (slot, queued) = put_said(ring, event, text, number);
    if has_stacks() {
        slot.add_queued(queued, event, stack(event, None));
    }
}

/// Notes what happened, and a number, for traces and for a crash's report. Does not park; also in
/// handlers. (A reference to the words: a recorder has room for one word.) Go: `trace.Log`.
///
/// ```
/// # hosted::run(|| {
/// executive::trace::message(&"cache missed", 42);
/// # });
/// ```
#[doc(alias = "trace.Log")]
pub fn message(text: &'static &'static str, number: u64) {
    say(Event::Message, text, number);
}

/// A part of a goroutine's work, until this is dropped: [`region`].
#[must_use = "the region ends when this is dropped"]
pub struct Region(&'static &'static str);

/// From here on until what it returns is dropped the calling goroutine does what `name` says.
/// Regions of a goroutine lie within each other. Go: `trace.StartRegion`.
///
/// ```
/// # hosted::run(|| {
/// let parsing = executive::trace::region(&"parse");
/// drop(parsing);
/// # });
/// ```
#[doc(alias("trace.StartRegion", "trace.WithRegion"))]
pub fn region(name: &'static &'static str) -> Region {
    say(Event::Begin, name, 0);
    Region(name)
}

impl Drop for Region {
    fn drop(&mut self) {
        say(Event::Finish, self.0, 0);
    }
}

/// The rings of those CPUs that have one, with their numbers.
fn rings() -> impl Iterator<Item = (usize, &'static Ring)> {
    RINGS.iter().enumerate().filter_map(|(cpu, ring)| Some((cpu, ring.load(Acquire)?)))
}

/// How long goroutines have waited for this CPU, by a sample of those that were readied, born or
/// preempted: 1 in 64. While a trace is recorded, or [`waits`](super::waits) are told, all.
pub fn latencies(cpu: usize) -> Latencies {
    let ring = RINGS.get(cpu).and_then(|ring| ring.load(Acquire));
    ring.map_or_else(Latencies::new, |ring| ring.latencies.read(rate()))
}

impl Slot {
    fn add(&self, what: u64) {
        // Release: partner of the Acquire in `events`.
        self.what.store(self.what.load(Relaxed) | what, Release);
    }

    fn add_queued(&self, queued: &AtomicU64, event: Event, stack: u64) {
        queued.store(count_queued(event) | stack << STACK, Relaxed);
        self.add(COUNTED);
    }
}

/// So many cycles have been so many ns.
fn rate() -> (u64, u64) {
    let [zero, zero_ns] = ZERO.each_ref().map(|time| time.load(Relaxed));
    (cycles().wrapping_sub(zero).max(1), machine::now().wrapping_sub(zero_ns))
}

/// What turns a counter's reading into the machine's time.
fn clock() -> impl Fn(u64) -> u64 + Copy {
    let [zero, zero_ns] = ZERO.each_ref().map(|time| time.load(Relaxed));
    let (passed, ns) = rate();
    move |cycles| {
        let cycles = u128::from(cycles.saturating_sub(zero));
        zero_ns + (cycles * u128::from(ns) / u128::from(passed)) as u64
    }
}

impl Ring {
    /// Notes an event; its other words are the caller's, and the one for what is queued.
    #[inline(always)]
    fn put(&self, when: u64, event: Event, goid: u64) -> (&Slot, &AtomicU64) {
        let place = self.next.fetch_add(1, Relaxed) % TRACE_EVENTS;
        let slot = &self.slots[place];
        slot.when.store(when, Relaxed);
        // Release: partner of the Acquire in `events`.
        slot.what.store((event as u64) << EVENT | goid, Release);
        (slot, &self.queued[place])
    }

    /// The events that are there, their times in cycles, the oldest first. The oldest place is left
    /// out once the ring has gone round: its CPU may be writing there.
    fn events(&self, cpu: usize) -> impl DoubleEndedIterator<Item = Recorded> {
        let next = self.next.load(Acquire);
        (next.saturating_sub(TRACE_EVENTS - 1)..next).filter_map(move |n| {
            let slot = &self.slots[n % TRACE_EVENTS];
            let (what, when) = (slot.what.load(Acquire), slot.when.load(Relaxed));
            let &(event, _) = Event::ALL.get((what >> EVENT) as usize)?;
            let reason = ((what & !COUNTED) >> REASON) as u8 as usize;
            let reason = if reason < WaitReason::COUNT { reason as u8 } else { 0 };
            let says = matches!(event, Event::Begin | Event::Finish | Event::Message);
            let text = if says { slot.text.load(Relaxed) } else { None };
            let has_place = matches!(event, Event::Go | Event::End);
            let queued = self.queued[n % TRACE_EVENTS].load(Relaxed);
            let is_counted = what & COUNTED != 0;
            let global = ((queued >> GLOBAL) & MOST_QUEUED) as u32;
            let here = (queued & MOST_QUEUED) as u32;
            (when != 0).then(|| Recorded {
                cpu,
                when,
                event,
                goid: what & ((1 << REASON) - 1),
                reason: WaitReason::from_u8(reason),
                number: if event == Event::Run { 0 } else { slot.number.load(Relaxed) },
                started_at: if has_place { slot.started_at.load(Relaxed) } else { None },
                text: text.copied().unwrap_or(""),
                queued: is_counted.then_some(Queued { here, global }),
                stack: if is_counted { (queued >> STACK) as u16 } else { 0 },
            })
        })
    }

    /// The time before which it has not everything any more.
    fn lost_until(&self) -> Option<u64> {
        let lost = self.next.load(Acquire) >= TRACE_EVENTS;
        lost.then(|| self.events(0).next()).flatten().map(|first| first.when)
    }
}

/// What a CPU has recorded last, the latest first. Takes no lock, and allocates nothing.
pub(super) fn latest(cpu: usize) -> impl Iterator<Item = Recorded> {
    let ring = RINGS.get(cpu).and_then(|ring| ring.load(Acquire));
    let ns = clock();
    let in_ns = move |one: Recorded| Recorded { when: ns(one.when), ..one };
    ring.into_iter().flat_map(move |ring| ring.events(cpu).rev().map(in_ns))
}

/// The last trace, times in ns.
struct Trace {
    /// In the order of their times.
    events: Vec<Recorded>,
    /// From when to when there is everything.
    from: u64,
    to: u64,
    /// A ring has lost what was before.
    is_cut: bool,
}

/// What was recorded by the last trace, in the order of its times; from when to when (ns). Cut as
/// [`dump`] cuts it.
pub fn recorded() -> (Vec<Recorded>, u64, u64) {
    let Trace { mut events, from, to, .. } = last_trace();
    events.retain(|one| (from..=to).contains(&one.when));
    (events, from, to)
}

/// All that the rings have of it. A goroutine that yields is not told, which keeps a switch cheap:
/// its CPU does something else, or another CPU runs it.
fn last_trace() -> Trace {
    let [started, to] = SPAN.each_ref().map(|time| time.load(Relaxed));
    let lost_until = |cpu: usize| RINGS[cpu].load(Acquire).and_then(Ring::lost_until);
    let lost = (0..SCHED.cpus()).filter_map(lost_until).fold(0, u64::max);
    let mut told: Vec<Recorded> = rings().flat_map(|(cpu, ring)| ring.events(cpu)).collect();
    told.retain(|one| (started..=to).contains(&one.when));
    told.sort_by_key(|one| one.when); // stable: a CPU's events stay in their order
    let ns = clock();
    told.iter_mut().for_each(|one| one.when = ns(one.when));
    Trace {
        events: completed(told, ns(started), |cpu| lost_until(cpu) > Some(started)),
        from: ns(started.max(lost)),
        to: ns(to),
        is_cut: lost > started,
    }
}

/// Adds what was not told: what CPUs ran from the beginning (`began`: that time), and who stopped
/// because the CPU did something else, or because another runs or readied the goroutine.
fn completed(told: Vec<Recorded>, began: u64, lost: impl Fn(usize) -> bool) -> Vec<Recorded> {
    let mut sites: BTreeMap<u64, &'static Location<'static>> =
        told.iter().filter_map(|one| Some((one.goid, one.started_at?))).collect();
    sites.extend(SCHED.all().filter_map(G::seen).map(|seen| (seen.id, seen.started_at)));

    let runs = [const { Cell::new(0) }; MAX_CPUS];
    let place_of = |goid| runs.iter().position(|runs| runs.get() == goid);
    let mut all = Vec::with_capacity(told.len());
    for cpu in (0..SCHED.cpus()).filter(|&cpu| !lost(cpu)) {
        let goid = RAN[cpu].load(Relaxed);
        if goid != 0 {
            runs[cpu].set(goid);
            let started_at = sites.get(&goid).copied();
            all.push(Recorded { cpu, when: began, event: Event::Run, goid, started_at, ..NOTHING });
        }
    }
    for mut one in told {
        let mut stops = |cpu: usize, event| {
            let goid = runs[cpu].replace(0);
            if goid != 0 {
                all.push(Recorded { cpu, when: one.when, event, goid, ..NOTHING });
            }
        };
        match one.event {
            Event::Run => {
                stops(one.cpu, Event::Yield);
                if let Some(there) = place_of(one.goid) {
                    stops(there, Event::Yield);
                }
                runs[one.cpu].set(one.goid);
                one.started_at = sites.get(&one.goid).copied();
            }
            Event::Halt | Event::Steal | Event::Wake => stops(one.cpu, Event::Yield),
            Event::Park | Event::Preempt | Event::End => runs[one.cpu].set(0),
            // It parked before its CPU heard of the trace.
            Event::Ready => {
                if let Some(there) = place_of(one.goid) {
                    stops(there, Event::Park);
                }
            }
            _ => {}
        }
        all.push(one);
    }
    all
}

const NOTHING: Recorded = Recorded {
    cpu: 0,
    when: 0,
    event: Event::Yield,
    goid: 0,
    reason: WaitReason::None,
    number: 0,
    started_at: None,
    text: "",
    queued: None,
    stack: 0,
};

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
    let Trace { events: all, from, to, is_cut } = last_trace();
    let cut = if is_cut { "a busy CPU has overwritten what came before" } else { "nothing" };
    write!(
        out,
        r#"{{"displayTimeUnit":"ns","otherData":{{"from_us":{},"to_us":{},"#,
        Micros(from),
        Micros(to)
    )?;
    write!(out, r#""cut":"{cut}","busy_us":["#)?;
    for (cpu, busy) in BUSY.iter().enumerate().take(SCHED.cpus()) {
        let comma = if cpu == 0 { "" } else { "," };
        write!(out, "{comma}{}", Micros(busy.load(Relaxed)))?;
    }
    write!(out, r#"]}},"traceEvents":["#)?;
    let mut comma = "";
    for (cpu, _) in rings() {
        writeln!(out, "{comma}")?;
        write!(
            out,
            r#"{{"name":"thread_name","ph":"M","pid":0,"tid":{cpu},"args":{{"name":"CPU {cpu}"}}}}"#
        )?;
        comma = ",";
        dump_cpu(all.iter().filter(|one| one.cpu == cpu), out, cpu, from, to)?;
    }
    let shown = || all.iter().filter(|one| (from..=to).contains(&one.when));
    dump_arrows(shown(), out)?;
    dump_regions(shown(), out)?;
    dump_queues(&all, out, from, to)?;
    writeln!(out, "\n]}}")
}

/// Writes an arrow from where each goroutine was readied or started to where it ran then.
fn dump_arrows<'a>(events: impl Iterator<Item = &'a Recorded>, out: &mut dyn Write) -> fmt::Result {
    let (mut readied, mut arrow) = (BTreeMap::new(), 0);
    for one in events {
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

/// Writes the regions of each goroutine in a row of its own: they go on while it waits, and on
/// another CPU.
fn dump_regions<'a>(
    events: impl Iterator<Item = &'a Recorded>,
    out: &mut dyn Write,
) -> fmt::Result {
    for one in events {
        let phase = match one.event {
            Event::Begin => "b",
            Event::Finish => "e",
            _ => continue,
        };
        let Recorded { goid, cpu, .. } = one;
        writeln!(out, ",")?;
        write!(
            out,
            r#"{{"name":"{}","cat":"goroutine {goid}","ph":"{phase}","#,
            Escaped(one.text)
        )?;
        write!(out, r#""id":{goid},"ts":{},"pid":0,"tid":{cpu}}}"#, Micros(one.when))?;
    }
    Ok(())
}

/// Writes a counter for each queue: what it had at first, and each change since.
fn dump_queues(all: &[Recorded], out: &mut dyn Write, from: u64, to: u64) -> fmt::Result {
    let counts = |one: &Recorded| {
        let of = |Queued { here, global }| [(Some(one.cpu), here), (None, global)];
        one.queued.map(of).into_iter().flatten()
    };
    let mut shows = |queue: Option<usize>, at: u64, n: u32| {
        write!(out, ",\n{{\"name\":\"")?;
        match queue {
            Some(cpu) => write!(out, "queue of CPU {cpu}")?,
            None => out.write_str("global queue")?,
        }
        write!(out, r#"","ph":"C","ts":{},"pid":0,"args":{{"goroutines":{n}}}}}"#, Micros(at))
    };
    let (before, after) = all.split_at(all.partition_point(|one| one.when < from));
    let mut has: BTreeMap<Option<usize>, u32> = before.iter().flat_map(counts).collect();
    has.iter().try_for_each(|(&queue, &n)| shows(queue, from, n))?;
    for one in after.iter().take_while(|one| one.when <= to) {
        for (queue, n) in counts(one) {
            if has.insert(queue, n) != Some(n) {
                shows(queue, one.when, n)?;
            }
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
fn dump_cpu<'a>(
    events: impl Iterator<Item = &'a Recorded> + Clone,
    out: &mut dyn Write,
    cpu: usize,
    from: u64,
    to: u64,
) -> fmt::Result {
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
    let mut doing = slept_at_first(events.clone()).then_some((Doing::Halt, from));
    for &Recorded { when, event, goid, text, number, .. } in events {
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
            (Event::Begin | Event::Finish, _) => {}
            _ if when < from || when > to => {}
            _ => {
                writeln!(out, ",")?;
                match event {
                    Event::Message => write!(out, r#"{{"name":"{} {number}""#, Escaped(text))?,
                    Event::Interrupt if goid == 0 => {
                        write!(out, r#"{{"name":"interrupt {number:#x}""#)?;
                    }
                    _ => write!(out, r#"{{"name":"{} {goid}""#, name(event))?,
                }
                write!(out, r#","ph":"i","s":"t","#)?;
                write!(out, r#""ts":{},"pid":0,"tid":{cpu}}}"#, Micros(when))?;
            }
        }
    }
    doing.map_or(Ok(()), |begun| slice(out, begun, to, "the trace's end"))
}

/// Whether a CPU slept when the trace began: its first event tells.
fn slept_at_first<'a>(mut events: impl Iterator<Item = &'a Recorded>) -> bool {
    let tells = |one: &&Recorded| matches!(one.event, Event::Run | Event::Halt | Event::Wake);
    events.find(tells).is_some_and(|one| one.event == Event::Wake)
}

/// A text within a JSON string.
struct Escaped(&'static str);
impl fmt::Display for Escaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '"' | '\\' => write!(f, "\\{c}"),
            c if c < ' ' => write!(f, "\\u{:04x}", c as u32),
            c => f.write_char(c),
        })
    }
}

struct Micros(u64);
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}
