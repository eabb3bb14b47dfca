//! What [`executive::trace`] has recorded, as Go's execution trace: `go tool trace` reads it.
//!
//! The format is version 2 as of Go 1.22 (Go: `internal/trace/tracev2`). Events stand in batches,
//! one CPU's in a batch, each with the time since the one before. A reader puts CPUs together by
//! sequence numbers: of a goroutine's starts and wakes, and of a P's starts. All is one generation:
//! first of each P, and of each goroutine before its first event, stands its status.
//!
//! What stands where a goroutine starts, parks, is preempted, readies another or says something is
//! its stack, if recording was begun by [`start`]. Each has a number; its frames are told once.
//!
//! A CPU is an M and a P, both of its number. A P stops when its CPU sleeps.
//!
//! Readers refuse a trace in which a goroutine runs twice. So here each event is tried on a model
//! of goroutines and CPUs; one that cannot be is left out, and counted. (A ring of events loses its
//! oldest ones while others are read.)

use crate::place::Place;
use crate::pprof::Frame;
use crate::proto::varint;
use crate::stacks::{Places, Stacks};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::panic::Location;
use executive::affinity;
use executive::stacks;
use executive::trace::{self, Event, Recorded};

/// Numbers of events.
mod ev {
    pub const BATCH: u8 = 1;
    pub const STACKS: u8 = 2;
    pub const STACK: u8 = 3;
    pub const STRINGS: u8 = 4;
    pub const STRING: u8 = 5;
    pub const FREQUENCY: u8 = 8;
    pub const PROCS_CHANGE: u8 = 9;
    pub const PROC_START: u8 = 10;
    pub const PROC_STOP: u8 = 11;
    pub const PROC_STATUS: u8 = 13;
    pub const GO_CREATE: u8 = 14;
    pub const GO_START: u8 = 16;
    pub const GO_DESTROY: u8 = 17;
    pub const GO_STOP: u8 = 19;
    pub const GO_BLOCK: u8 = 20;
    pub const GO_UNBLOCK: u8 = 21;
    pub const GO_STATUS: u8 = 25;
    pub const USER_REGION_BEGIN: u8 = 42;
    pub const USER_REGION_END: u8 = 43;
    pub const USER_LOG: u8 = 44;
}

const HEADER: &[u8; 16] = b"go 1.22 trace\0\0\0";
const GENERATION: u64 = 1;
/// No M: what belongs to all of them.
const NO_M: u64 = u64::MAX;
/// Bytes of a batch at the most, less an event (Go: `MaxBatchSize`).
const BATCH: usize = 60 << 10;
/// Bytes of a string at the most (Go: `MaxEventTrailerDataSize`).
const STRING: usize = 1 << 10;

/// A goroutine's status, as Go numbers it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Runnable = 1,
    Running = 2,
    Waiting = 4,
}

const PROC_RUNNING: u64 = 1;
const PROC_IDLE: u64 = 2;

struct Goroutine {
    status: Status,
    seq: u64,
    /// The names of the regions it is in, the innermost last.
    regions: Vec<u64>,
}

impl Goroutine {
    fn new(status: Status) -> Self {
        Goroutine { status, seq: 0, regions: Vec::new() }
    }
}

/// A CPU, and its batches.
struct Cpu {
    number: u64,
    runs: Option<u64>,
    is_awake: bool,
    seq: u64,
    batch: Vec<u8>,
    /// The batch's time, and the last event's.
    begun: u64,
    last: u64,
}

fn batch(out: &mut Vec<u8>, m: u64, time: u64, data: &[u8]) {
    out.push(ev::BATCH);
    [GENERATION, m, time, data.len() as u64].into_iter().for_each(|word| varint(out, word));
    out.extend_from_slice(data);
}

impl Cpu {
    fn tell(&mut self, out: &mut Vec<u8>, when: u64, event: u8, words: &[u64]) {
        if self.batch.len() > BATCH {
            self.flush(out);
        }
        if self.batch.is_empty() {
            (self.begun, self.last) = (when, when);
        }
        self.batch.push(event);
        varint(&mut self.batch, when - self.last);
        self.last = when;
        words.iter().for_each(|&word| varint(&mut self.batch, word));
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        batch(out, self.number, self.begun, &self.batch);
        self.batch.clear();
    }
}

#[derive(Default)]
struct Strings {
    numbers: BTreeMap<String, u64>,
}

impl Strings {
    fn number(&mut self, text: &str) -> u64 {
        let mut end = text.len().min(STRING);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let next = self.numbers.len() as u64 + 1;
        *self.numbers.entry(text[..end].into()).or_insert(next)
    }
}

/// A trace.
pub struct GoTrace {
    /// For `go tool trace`.
    pub bytes: Vec<u8>,
    /// Events of [`executive::trace`] that it shows.
    pub events: u64,
    /// Events that were left out, because what came before them was lost.
    pub left_out: u64,
}

static STACKS: Stacks<0> = Stacks::new();

/// As [`executive::trace::start`], with stacks. Allocates room for them the first time.
pub fn start() {
    STACKS.make();
    stacks::start_trace(number_of);
}

/// That of a stack: its bucket's, plus 1.
fn number_of(calls: &[usize]) -> u16 {
    STACKS.add_stack(calls, []).map_or(0, |bucket| bucket as u16 + 1)
}

/// Stacks of events, since the start, for which there was no room.
pub fn lost() -> u64 {
    STACKS.lost()
}

/// What was recorded last, as Go's trace. Call it when recording has stopped.
pub fn encode() -> GoTrace {
    let (events, from, _) = trace::recorded();
    let mut encoder = Encoder::new(&events, from);
    let (mut told, mut left_out) = (0, 0);
    for event in &events {
        *(if encoder.event(event) { &mut told } else { &mut left_out }) += 1;
    }
    GoTrace { bytes: encoder.finish(from), events: told, left_out }
}

struct Encoder {
    out: Vec<u8>,
    cpus: Vec<Cpu>,
    goroutines: BTreeMap<u64, Goroutine>,
    /// The stack of each goroutine's first function, if it is known.
    stacks: BTreeMap<u64, u64>,
    sites: BTreeMap<&'static Location<'static>, u64>,
    /// The stacks of events, by their numbers in the trace, which come after those of the sites.
    seen: BTreeMap<u64, u16>,
    strings: Strings,
}

impl Encoder {
    fn new(events: &[Recorded], from: u64) -> Self {
        let cpus = (0..affinity::num_cpus() as u64).map(|number| Cpu {
            number,
            runs: None,
            is_awake: true,
            seq: 0,
            batch: Vec::new(),
            begun: from,
            last: from,
        });
        let mut new = Encoder {
            out: HEADER.to_vec(),
            cpus: cpus.collect(),
            goroutines: BTreeMap::new(),
            stacks: BTreeMap::new(),
            sites: BTreeMap::new(),
            seen: BTreeMap::new(),
            strings: Strings::default(),
        };
        for event in events {
            if let Some(at) = event.started_at {
                let next = new.sites.len() as u64 + 1;
                let site = *new.sites.entry(at).or_insert(next);
                new.stacks.insert(event.goid, site);
            }
        }
        for cpu in 0..new.cpus.len() {
            new.begin(cpu, events, from);
        }
        let procs = affinity::cpus() as u64;
        // Readers take it from a goroutine only, so none may tell it.
        if let Some(cpu) = new.cpus.iter_mut().find(|cpu| cpu.runs.is_some()) {
            cpu.tell(&mut new.out, from, ev::PROCS_CHANGE, &[procs, 0]);
        }
        new
    }

    /// What a CPU did when the trace began: its first event tells.
    fn begin(&mut self, nth: usize, events: &[Recorded], from: u64) {
        use Event::*;
        let ends = |one: &&Recorded| {
            one.cpu == nth && matches!(one.event, Run | Park | Yield | Preempt | End | Halt | Wake)
        };
        let first = events.iter().find(ends);
        let cpu = &mut self.cpus[nth];
        // One goroutine may have had it all the time, and readied others.
        let is_used = || events.iter().any(|one| one.cpu == nth);
        cpu.is_awake = first.map_or_else(is_used, |first| first.event != Wake);
        let status = if cpu.is_awake { PROC_RUNNING } else { PROC_IDLE };
        cpu.tell(&mut self.out, from, ev::PROC_STATUS, &[nth as u64, status]);
        if let Some(first) = first
            && matches!(first.event, Park | Yield | Preempt | End)
        {
            cpu.runs = Some(first.goid);
            let words = [first.goid, nth as u64, Status::Running as u64];
            cpu.tell(&mut self.out, from, ev::GO_STATUS, &words);
            self.goroutines.insert(first.goid, Goroutine::new(Status::Running));
        }
    }

    /// Whether it could be.
    fn event(&mut self, event: &Recorded) -> bool {
        let &Recorded { cpu, when, goid, reason, stack, .. } = event;
        let calls = match stack {
            0 => 0,
            _ => self.sites.len() as u64 + u64::from(stack),
        };
        let Some(cpu) = self.cpus.get_mut(cpu) else { return false };
        let out = &mut self.out;
        let mut known = |cpu: &mut Cpu, out: &mut Vec<u8>, status: Status| {
            self.goroutines.entry(goid).or_insert_with(|| {
                cpu.tell(out, when, ev::GO_STATUS, &[goid, NO_M, status as u64]);
                Goroutine::new(status)
            });
        };
        match event.event {
            Event::Go => {
                if !cpu.is_awake || self.goroutines.contains_key(&goid) {
                    return false;
                }
                let first = self.stacks.get(&goid).copied().unwrap_or(0);
                cpu.tell(out, when, ev::GO_CREATE, &[goid, first, calls]);
                self.goroutines.insert(goid, Goroutine::new(Status::Runnable));
            }
            Event::Run => {
                known(cpu, out, Status::Runnable);
                let Some(g) = self.goroutines.get_mut(&goid) else { return false };
                if !cpu.is_awake || cpu.runs.is_some() || g.status != Status::Runnable {
                    return false;
                }
                (g.status, g.seq, cpu.runs) = (Status::Running, g.seq + 1, Some(goid));
                cpu.tell(out, when, ev::GO_START, &[goid, g.seq]);
            }
            Event::Ready => {
                known(cpu, out, Status::Waiting);
                let Some(g) = self.goroutines.get_mut(&goid) else { return false };
                if g.status != Status::Waiting {
                    return false;
                }
                (g.status, g.seq) = (Status::Runnable, g.seq + 1);
                cpu.tell(out, when, ev::GO_UNBLOCK, &[goid, g.seq, calls]);
            }
            Event::Park | Event::Yield | Event::Preempt | Event::End => {
                if cpu.runs != Some(goid) {
                    return false;
                }
                cpu.runs = None;
                let mut stops = |status, number, why: &str| {
                    let why = self.strings.number(why);
                    cpu.tell(out, when, number, &[why, calls]);
                    self.goroutines.entry(goid).and_modify(|g| g.status = status);
                };
                match event.event {
                    Event::Park => stops(Status::Waiting, ev::GO_BLOCK, reason.words()),
                    Event::Yield => stops(Status::Runnable, ev::GO_STOP, "runtime.Gosched"),
                    Event::Preempt => stops(Status::Runnable, ev::GO_STOP, "preempted"),
                    _ => {
                        cpu.tell(out, when, ev::GO_DESTROY, &[]);
                        self.goroutines.remove(&goid);
                    }
                }
            }
            Event::Halt => {
                if !cpu.is_awake || cpu.runs.is_some() {
                    return false;
                }
                cpu.is_awake = false;
                cpu.tell(out, when, ev::PROC_STOP, &[]);
            }
            Event::Wake => {
                if cpu.is_awake {
                    return false;
                }
                (cpu.is_awake, cpu.seq) = (true, cpu.seq + 1);
                cpu.tell(out, when, ev::PROC_START, &[cpu.number, cpu.seq]);
            }
            // No task, the words, the stack. What is said in a handler is no goroutine's.
            Event::Begin | Event::Finish | Event::Message => {
                if cpu.runs != Some(goid) {
                    return false;
                }
                let Some(g) = self.goroutines.get_mut(&goid) else { return false };
                let text = self.strings.number(event.text);
                match event.event {
                    Event::Begin => {
                        g.regions.push(text);
                        cpu.tell(out, when, ev::USER_REGION_BEGIN, &[0, text, calls]);
                    }
                    Event::Finish => {
                        // The tool wants them to lie within each other.
                        if g.regions.pop().is_some_and(|begun| begun != text) {
                            return false;
                        }
                        cpu.tell(out, when, ev::USER_REGION_END, &[0, text, calls]);
                    }
                    _ => {
                        let number = self.strings.number(&format!("{}", event.number));
                        cpu.tell(out, when, ev::USER_LOG, &[0, text, number, calls]);
                    }
                }
            }
            // The start on another P shows a steal; who sent an interrupt is no goroutine.
            _ => {}
        }
        if stack != 0 {
            self.seen.insert(calls, stack);
        }
        true
    }

    fn finish(mut self, from: u64) -> Vec<u8> {
        self.cpus.iter_mut().for_each(|cpu| cpu.flush(&mut self.out));
        let mut frequency = vec![ev::FREQUENCY];
        varint(&mut frequency, 1_000_000_000);
        batch(&mut self.out, NO_M, from, &frequency);

        let (mut stacks, mut places) = (vec![ev::STACKS], Places::default());
        let sites = self.sites.iter().map(|(at, &id)| {
            let (file, line) = (at.file().into(), at.line().into());
            let function = format!("go at {file}:{line}");
            // The tool wants a program counter for each place.
            (id, vec![Frame { pc: id as usize, place: Place { function, file, line } }])
        });
        let seen = self.seen.iter().map(|(&id, &stack)| {
            let calls = STACKS.stack(usize::from(stack) - 1).unwrap_or_default();
            (id, places.of(&calls))
        });
        for (id, frames) in sites.chain(seen) {
            stacks.push(ev::STACK);
            [id, frames.len() as u64].into_iter().for_each(|word| varint(&mut stacks, word));
            for Frame { pc, place } in frames {
                let (function, file) = (&place.function, &place.file);
                let [function, file] = [function, file].map(|text| self.strings.number(text));
                [pc as u64, function, file, place.line]
                    .into_iter()
                    .for_each(|word| varint(&mut stacks, word));
            }
            if stacks.len() > BATCH {
                batch(&mut self.out, NO_M, from, &stacks);
                stacks.truncate(1);
            }
        }
        batch(&mut self.out, NO_M, from, &stacks);

        let mut strings = vec![ev::STRINGS];
        for (text, id) in &self.strings.numbers {
            strings.push(ev::STRING);
            varint(&mut strings, *id);
            varint(&mut strings, text.len() as u64);
            strings.extend_from_slice(text.as_bytes());
            if strings.len() > BATCH {
                batch(&mut self.out, NO_M, from, &strings);
                strings.truncate(1);
            }
        }
        batch(&mut self.out, NO_M, from, &strings);
        self.out
    }
}
