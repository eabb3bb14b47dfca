//! What an operation costs in instructions, where the machine can count them; and in nanoseconds,
//! where it cannot.
//!
//! Timings say something about the host and the minute; instruction counts repeat, so a change can
//! be held to them (tests/tests/budget.rs). An emulator can make its clock of them (`./qemu-run.sh
//! --icount`), and then the TSC counts; callgrind counts a whole process (tests/bench/steps.sh).
//! Both run the operations below.
//!
//! The one rule: what is said is a difference. An operation is done N times and 3 N times, and what
//! the two have in common (births, first touches, the end) drops out.

use crate::floor;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use executive::affinity::cpus;
use executive::census::{CpuState, cpu_reports};
use executive::g::WaitReason;
use executive::lock::{Lock, Rank};
use executive::percpu::{Pin, cpu};
use executive::recover::isolated;
use executive::sync::Mutex;
use executive::time::after_func;
use executive::wait::{Parked, may_park, park};
use executive::{JoinHandle, chan, go, lock_to_cpu, machine, trace, yield_now};

/// What counting needs of the machine.
#[derive(Clone, Copy)]
pub struct Meter {
    /// What has been used up to now: instructions, or nanoseconds.
    pub read: fn() -> u64,
    /// How often an operation is done for a figure. A multiple of [`PERIODS`].
    pub times: usize,
    /// How many figures are taken; the median is told. 1 if it counts instructions.
    pub repeats: usize,
    /// The CPU executes nothing until the next interrupt.
    pub halt: fn(),
}

/// What is not done every time is done every 61st (the look at the global queue), 64th, 128th or
/// 16th (batches of goroutine numbers): a figure over so many operations has its fair share of
/// everything.
pub const PERIODS: usize = 61 * SLICE;

/// Goroutines that hand the CPU to each other share one slice, and every hand-over in the 61st
/// slice looks at the global queue. So after this many of them a slice is begun, and all 61 kinds
/// have their share too.
const SLICE: usize = 128;

fn new_slice(i: usize) {
    if i % SLICE == SLICE - 1 {
        yield_now();
    }
}

/// An operation that is counted.
pub struct Operation {
    /// As in the kept file.
    pub name: &'static str,
    /// How many goroutines it takes at least.
    pub among: usize,
    /// Does it `n` times among so many goroutines; `n` is a multiple of that number.
    pub run: fn(n: usize, among: usize),
}

/// All that a single CPU can do.
pub static OPERATIONS: [Operation; 9] = [
    Operation { name: "switch", among: 2, run: switches },
    Operation { name: "switch_beside_timer", among: 2, run: switches_beside_a_timer },
    Operation { name: "spawn_exit_join", among: 1, run: spawns },
    Operation { name: "spawn_isolated", among: 1, run: isolated_spawns },
    Operation { name: "chan_round_trip", among: 2, run: round_trips },
    Operation { name: "chan_buffered", among: 2, run: buffered },
    Operation { name: "mutex_free", among: 1, run: locks },
    Operation { name: "switch_traced", among: 2, run: traced_switches },
    Operation { name: "trace_message", among: 1, run: messages },
];

/// `n` switches: goroutines that yield, each to the next.
fn switches(n: usize, among: usize) {
    let all: Vec<_> =
        (0..among).map(|_| go(move || (0..n / among).for_each(|_| yield_now()))).collect();
    all.into_iter().for_each(|g| g.join());
}

/// The same while everything is recorded.
fn traced_switches(n: usize, among: usize) {
    trace::start();
    switches(n, among);
    trace::stop();
}

/// `n` events of the user's, in the flight recorder.
fn messages(n: usize, _: usize) {
    (0..n).for_each(|i| trace::message(&"counted", i as u64));
}

/// The same on a P that has a timer: a tick tells when it is due, so no switch looks.
fn switches_beside_a_timer(n: usize, among: usize) {
    let timer = after_func(Duration::from_secs(3600), || ());
    switches(n, among);
    timer.stop();
}

/// `n` goroutines are born, do nothing, end, and are joined; so many are there at a time.
fn spawns(n: usize, among: usize) {
    if among == 1 {
        return (0..n).for_each(|i| {
            go(|| ()).join();
            new_slice(i);
        });
    }
    let mut some = Vec::with_capacity(among);
    for _ in 0..n / among {
        some.extend((0..among).map(|_| go(|| ())));
        some.drain(..).for_each(|g| g.join());
    }
}

/// The same for goroutines whose panics are their results: none comes.
fn isolated_spawns(n: usize, _: usize) {
    (0..n).for_each(|i| {
        drop(go(isolated(|| ())).join());
        new_slice(i);
    });
}

/// `n` times there and back through two unbuffered channels, in pairs of goroutines.
fn round_trips(n: usize, among: usize) {
    in_pairs(n, among, |n| {
        let (ping, pings) = chan::<usize>(0);
        let (pong, pongs) = chan::<usize>(0);
        go(move || pings.iter().for_each(|x| pong.send(x).expect("the other receives")));
        for i in 0..n {
            ping.send(i).expect("the other receives");
            pongs.recv();
            new_slice(i);
        }
    });
}

/// `n` items through a buffer of 128, in pairs of goroutines.
fn buffered(n: usize, among: usize) {
    in_pairs(n, among, |n| {
        let (tx, rx) = chan::<usize>(128);
        go(move || (0..n).for_each(|i| tx.send(i).expect("the other receives")));
        assert_eq!(rx.iter().count(), n);
    });
}

/// `n` times a mutex that nobody else wants is locked and unlocked, by each of so many.
fn locks(n: usize, among: usize) {
    let each = move || {
        let mutex = Mutex::new(0);
        let mutex = black_box(&mutex);
        (0..n / among).for_each(|i| *mutex.lock() = i);
    };
    let all: Vec<_> = (0..among).map(|_| go(each)).collect();
    all.into_iter().for_each(|g| g.join());
}

/// Half as many goroutines, each of which does its share of `n` with one that it starts.
fn in_pairs(n: usize, among: usize, pair: fn(usize)) {
    let pairs = among / 2;
    let all: Vec<_> = (0..pairs).map(|_| go(move || pair(n / pairs))).collect();
    all.into_iter().for_each(|pair| pair.join());
}

impl Meter {
    /// What the operation costs.
    pub fn cost_of(&self, operation: &Operation) -> f64 {
        self.cost_among(operation, operation.among)
    }

    /// What it costs among so many goroutines.
    pub fn cost_among(&self, operation: &Operation, among: usize) -> f64 {
        let n = self.times.max(among) / among * among;
        let cost = |n| {
            let begin = (self.read)();
            (operation.run)(n, among);
            (self.read)() - begin
        };
        cost(n); // for nothing: the first time touches memory
        let mut figures: Vec<f64> = (0..self.repeats)
            .map(|_| -(cost(n) as f64) + cost(3 * n) as f64)
            .map(|d| d / (2 * n) as f64)
            .collect();
        figures.sort_by(f64::total_cmp);
        figures[self.repeats / 2]
    }

    /// Whether it reads instructions executed: two loops of known lengths show it.
    pub fn counts_instructions(&self) -> bool {
        let cost = |work: fn(u64), n| {
            let begin = (self.read)();
            work(n);
            (self.read)() - begin
        };
        let agrees = |work: fn(u64), length: u64| {
            const TIMES: u64 = 10_000;
            let counted = cost(work, 3 * TIMES).saturating_sub(cost(work, TIMES));
            // A tick may come between.
            counted.abs_diff(2 * TIMES * length) < TIMES * length / 50
        };
        agrees(floor::two_instructions, 2) && agrees(floor::ten_instructions, 10)
    }
}

/// Every other CPU is occupied by a goroutine that lets it halt: it is not idle and does not
/// search, and executes nothing. While this lives its maker has the one CPU that is left, and what
/// is counted is that CPU's alone.
pub struct OthersHeld {
    let_go: Arc<AtomicBool>,
    left: Arc<AtomicUsize>,
    holders: Vec<JoinHandle<()>>,
}

impl OthersHeld {
    /// Call it on the main goroutine, with nobody else there.
    pub fn new(halt: fn()) -> Self {
        let (let_go, left) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let here = cpu(); // wherever we are then: one CPU must be left, and we shall be there
        let held = Arc::new(AtomicUsize::new(0));
        let holders: Vec<_> = (0..cpus())
            .filter(|&cpu| cpu != here)
            .map(|cpu| {
                let (let_go, left, held) = (let_go.clone(), left.clone(), held.clone());
                go(move || {
                    let _here = lock_to_cpu(cpu);
                    {
                        let _pin = Pin::new();
                        held.fetch_add(1, Ordering::Relaxed);
                        while !let_go.load(Ordering::Relaxed) {
                            halt();
                        }
                    }
                    left.fetch_add(1, Ordering::Relaxed);
                })
            })
            .collect();
        while held.load(Ordering::Relaxed) < holders.len() {
            yield_now();
        }
        OthersHeld { let_go, left, holders }
    }
}

impl Drop for OthersHeld {
    fn drop(&mut self) {
        self.let_go.store(true, Ordering::Relaxed);
        while self.left.load(Ordering::Relaxed) < self.holders.len() {
            // One may have looked just before, and halt now.
            (0..cpus()).filter(|&other| other != cpu()).for_each(|other| machine::kick(other));
            yield_now();
        }
        self.holders.drain(..).for_each(|holder| holder.join());
    }
}

/// Where the goroutine that [`readies`] wakes can be found while it is parked.
static SLEEPER: Lock<Option<Parked>> = Lock::new(Rank::User, None);

/// What a `ready` costs.
pub struct Ready {
    /// Instructions of the CPU that readies: the status, the queue, `wakep`, and the interrupt
    /// sent if somebody is idle.
    pub here: f64,
    /// Instructions of all CPUs from there on, until all the others are idle again.
    pub elsewhere: f64,
}

impl Meter {
    /// Makes a goroutine runnable `n` times: with all other CPUs idle, so that one is woken; or, if
    /// they are held, with nobody to wake.
    pub fn ready(&self, n: usize, others_idle: bool) -> Ready {
        let (stop, ran) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let sleeper = {
            let (stop, ran) = (stop.clone(), ran.clone());
            go(move || {
                while !stop.load(Ordering::Relaxed) {
                    let parking = may_park();
                    park(parking, WaitReason::CondWait, |me| {
                        *SLEEPER.lock() = Some(me);
                        None
                    });
                    ran.fetch_add(1, Ordering::Release); // partner: the Acquire below
                }
            })
        };
        let read = self.read;
        let nothing = {
            let begin = read();
            read() - begin
        };
        let (mut here, mut elsewhere) = (0, 0);
        for done in 0..n {
            let parked = wait_for_sleeper();
            let _pin = Pin::new(); // if another CPU comes for the sleeper, it finds us busy
            let mut looks = 0;
            while others_idle && looks < LOOKS {
                looks = if others_idle_now() { looks + 1 } else { 0 };
                core::hint::spin_loop();
            }
            let begin = read();
            parked.ready();
            let readied = read();
            here += readied - begin - nothing;
            if others_idle {
                // Our own looks don't count.
                let (mut ours, mut over) = (0, false);
                while !over {
                    core::hint::spin_loop();
                    let look = read();
                    over = ran.load(Ordering::Acquire) > done && others_idle_now();
                    ours += read() - look;
                }
                elsewhere += read() - readied - ours;
            }
        }
        let parked = wait_for_sleeper();
        stop.store(true, Ordering::Relaxed);
        parked.ready();
        sleeper.join();
        Ready { here: here as f64 / n as f64, elsewhere: elsewhere as f64 / n as f64 }
    }
}

/// So many looks in a row must find the others idle: from saying so to halting a CPU needs a few
/// turns.
const LOOKS: usize = 16;

fn wait_for_sleeper() -> Parked {
    loop {
        if let Some(parked) = SLEEPER.lock().take() {
            return parked;
        }
        yield_now();
    }
}

fn others_idle_now() -> bool {
    let here = cpu();
    cpu_reports().all(|c| c.cpu == here || matches!(c.state, CpuState::Idle | CpuState::Offline))
}

/// How costs grow with the number of goroutines.
pub struct Growth {
    /// So many goroutines.
    pub goroutines: usize,
    /// Beside so many that are parked, each of [`GROWING`].
    pub beside: [f64; 3],
    /// Among so many.
    pub among: [f64; 3],
}

/// What [`Meter::growth`] counts.
pub const GROWING: [&Operation; 3] = [&OPERATIONS[0], &OPERATIONS[1], &OPERATIONS[2]];

impl Meter {
    /// With this number of goroutines, a multiple of 2.
    pub fn growth(&self, goroutines: usize) -> Growth {
        let crowd = Crowd::of(goroutines);
        let beside = GROWING.map(|operation| self.cost_of(operation));
        crowd.leave();
        Growth {
            goroutines,
            beside,
            among: GROWING.map(|operation| self.cost_among(operation, goroutines)),
        }
    }
}

/// Goroutines that are parked.
struct Crowd {
    gate: executive::chan::Sender<()>,
    all: Vec<JoinHandle<()>>,
}

impl Crowd {
    fn of(n: usize) -> Crowd {
        let (gate, closed) = chan::<()>(0);
        let here = Arc::new(AtomicUsize::new(0));
        let all = (0..n)
            .map(|_| {
                let (closed, here) = (closed.clone(), here.clone());
                go(move || {
                    here.fetch_add(1, Ordering::Relaxed);
                    closed.recv();
                })
            })
            .collect();
        while here.load(Ordering::Relaxed) < n {
            yield_now();
        }
        Crowd { gate, all }
    }

    fn leave(self) {
        drop(self.gate);
        self.all.into_iter().for_each(|g| g.join());
    }
}
