//! Where time goes: each CPU is sampled whenever it has been busy for another 10 ms.
//!
//! The interrupt's handler writes into a ring of its CPU, and a goroutine takes the samples out. In
//! the kernel the goroutine also looks which CPUs have interrupts off, and are to be asked by an
//! NMI ([`sampling::watch`]).
//!
//! **Rule:** a ring has one writer, its CPU's handlers, one at a time (sampling.rs), and one
//! reader, whoever has begun to sample ([`Sampler`]). A place is written before `written` says so
//! (Release), and read before `read` does (Release), so nobody waits.

use crate::place::Place;
use crate::pprof::{Frame, Label, Profile};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};
use core::time::Duration;
use executive::cancel::Token;
use executive::param::MAX_CPUS;
use executive::sampling::{self, Sample};
use executive::{affinity, kit, machine, select};
use spin::Once;

/// Busy time (ns) from one sample to the next. Go: 100 Hz, too.
pub const PERIOD_NS: u64 = 10_000_000;
/// Frames of a sample at the most.
const DEPTH: usize = 46;
/// Samples of a CPU that nobody has taken yet: 2.5 seconds.
const SAMPLES: usize = 256;
/// How often they are taken out at least.
const TAKES: Duration = Duration::from_millis(200);

/// A sample: the goroutine, how many frames, and where each stands.
struct Slot {
    goid: AtomicU64,
    depth: AtomicUsize,
    frames: [AtomicUsize; DEPTH],
}

struct Ring {
    written: AtomicUsize,
    read: AtomicUsize,
    /// Samples for which there was no room.
    lost: AtomicU64,
    slots: Box<[Slot]>,
}

static RINGS: [Once<Ring>; MAX_CPUS] = [const { Once::new() }; MAX_CPUS];

/// In the handler.
fn record(sample: &Sample<'_>) {
    let Some(ring) = RINGS.get(sample.cpu).and_then(Once::get) else { return };
    let written = ring.written.load(Relaxed);
    // Acquire: partner of the Release in `drain`: its reads of the place are over.
    if written - ring.read.load(Acquire) >= SAMPLES {
        ring.lost.store(ring.lost.load(Relaxed) + 1, Relaxed);
        return;
    }
    let slot = &ring.slots[written % SAMPLES];
    let mut depth = 0;
    sample.frames(|pc| {
        if let Some(frame) = slot.frames.get(depth) {
            frame.store(pc, Relaxed);
            depth += 1;
        }
        true
    });
    slot.goid.store(sample.goid, Relaxed);
    slot.depth.store(depth, Relaxed);
    ring.written.store(written + 1, Release); // partner: the Acquire in `drain`
}

/// While it lives, CPUs are sampled, for whoever has it.
pub struct Sampler(());

impl Sampler {
    /// Begins to sample. `None`: somebody does so already.
    pub fn start() -> Option<Self> {
        Self::start_every(PERIOD_NS)
    }

    /// The same, with a period of one's own (ns).
    pub fn start_every(period_ns: u64) -> Option<Self> {
        for ring in &RINGS[..affinity::num_cpus()] {
            ring.call_once(|| {
                let slot = || Slot {
                    goid: AtomicU64::new(0),
                    depth: AtomicUsize::new(0),
                    frames: [const { AtomicUsize::new(0) }; DEPTH],
                };
                let [written, read] = [const { AtomicUsize::new(0) }; 2];
                let slots = (0..SAMPLES).map(|_| slot()).collect();
                Ring { written, read, lost: AtomicU64::new(0), slots }
            });
        }
        sampling::start(period_ns, record).then(|| {
            let mut sampler = Sampler(());
            sampler.drain(|_, _| {}); // what another has left
            sampler
        })
    }

    /// Takes out what has come: of each sample the goroutine (0: none), and the stack, innermost
    /// frame first. Returns how many samples were lost meanwhile.
    pub fn drain(&mut self, mut tell: impl FnMut(u64, &[usize])) -> u64 {
        let mut lost = 0;
        for ring in RINGS.iter().filter_map(Once::get) {
            let (read, written) = (ring.read.load(Relaxed), ring.written.load(Acquire));
            for n in read..written {
                let slot = &ring.slots[n % SAMPLES];
                let frames = slot.frames.each_ref().map(|frame| frame.load(Relaxed));
                tell(slot.goid.load(Relaxed), &frames[..slot.depth.load(Relaxed)]);
            }
            ring.read.store(written, Release);
            lost += ring.lost.swap(0, Relaxed);
        }
        lost
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        sampling::stop();
    }
}

/// What a CPU profile tells.
pub struct Profiled {
    /// For `go tool pprof`.
    pub pprof: Vec<u8>,
    /// Samples in it.
    pub samples: u64,
    /// Samples that were lost, because nobody took them out in time.
    pub lost: u64,
}

/// Samples CPUs for that long, or until the token is cancelled. Parks. `None`: somebody samples
/// already. Go: `pprof.StartCPUProfile`.
#[doc(alias = "StartCPUProfile")]
pub fn profile(time: Duration, until: &Token) -> Option<Profiled> {
    let mut sampler = Sampler::start()?;
    let begun = machine::now();
    let end = begun + time.as_nanos().min(u64::MAX as u128 / 2) as u64;
    let (mut stacks, mut lost) = (BTreeMap::<(u64, Vec<usize>), u64>::new(), 0);
    let mut drain = |sampler: &mut Sampler| {
        lost += sampler.drain(|goid, stack| *stacks.entry((goid, stack.into())).or_default() += 1);
    };
    let wakes = if sampling::insists() { Duration::from_nanos(PERIOD_NS) } else { TAKES };
    while let left @ 1.. = end.saturating_sub(machine::now())
        && !until.is_cancelled()
    {
        select! {
            recv(until) -> _ => {},
            after(wakes.min(Duration::from_nanos(left))) => {},
        }
        sampling::watch();
        drain(&mut sampler);
    }
    let took = machine::now() - begun;
    drop(sampler);
    let samples = stacks.values().sum();
    Some(Profiled { pprof: encode(stacks, took), samples, lost })
}

fn encode(stacks: BTreeMap<(u64, Vec<usize>), u64>, took: u64) -> Vec<u8> {
    let names: BTreeMap<u64, &str> =
        kit::SCHED.all().filter_map(|g| g.seen()).filter_map(|g| Some((g.id, g.name?))).collect();
    let mut places = BTreeMap::new();
    let mut profile = Profile::new();
    for ((goid, stack), count) in stacks {
        let mut place = |pc| places.entry(pc).or_insert_with(|| Place::of(pc)).clone();
        let frames = stack.into_iter().map(|pc| Frame { pc, place: place(pc) }).collect();
        let mut labels = alloc::vec![];
        if goid != 0 {
            labels.push(Label::Number("goroutine", goid));
        }
        if let Some(name) = names.get(&goid) {
            labels.push(Label::Text("name", name));
        }
        profile.sample(frames, &[count, count * PERIOD_NS], &labels);
    }
    let cpu = ("cpu", "nanoseconds");
    profile.finish(&[("samples", "count"), cpu], (cpu, PERIOD_NS), took)
}
