//! The race: what the executive's operations cost, measured by the same code on every machine.
//!
//! [`run`] takes names of rows and emits one line each: `name,value,unit,min,max,n`, where `value`
//! is the median of `n` measurements. It is called on goroutine 1 and has the machine to itself.
//! tests/bench holds the same work in Go and the script that sets both side by side.
//!
//! The one rule: everything is done once before it is timed (stacks and heap are touched then;
//! first touch costs several times more and says something about the memory, not about us). Beside
//! every row stands `calibration`, a loop of plain arithmetic: when that moves, the host moved.
#![no_std]
extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use executive::machine::now;

mod birth;
mod channels;
pub mod count;
mod floor;
mod latency;
mod million;
pub mod network;
mod panics;
mod policy;
mod selects;
mod switch;
mod sync;
mod work;

/// One line of the result.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: &'static str,
    /// The median, and the extremes, of `n` measurements.
    pub value: f64,
    pub unit: &'static str,
    pub min: f64,
    pub max: f64,
    pub n: usize,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Row { name, value, unit, min, max, n } = self;
        let digits = if *unit == "s" { 4 } else { 2 };
        write!(f, "{name},{value:.digits$},{unit},{min:.digits$},{max:.digits$},{n}")
    }
}

/// What the program around us knows and we can't: where lines go, and some things of the machine.
pub struct Host {
    pub emit: fn(&Row),
    /// Bytes of memory in use, everything counted (page tables too).
    pub memory: fn() -> u64,
    /// Called now and then by goroutines that hog a CPU: does nothing where every instruction can
    /// be preempted, otherwise gives the executive its chance.
    pub preemption_point: fn(),
    /// A device's interrupt, where there is such a thing.
    pub interrupt: fn() -> Option<Interrupt>,
    /// Iterations are divided by this: 1 on a real CPU, more on an emulated one.
    pub slowness: usize,
}

/// An interrupt that can be sent as its device would, and waited for.
pub struct Interrupt {
    pub send: Box<dyn Fn()>,
    /// Parks until it has come.
    pub wait: Box<dyn Fn() + Send>,
}

/// A group of rows that are measured together, and its function.
type Group = (&'static [&'static str], fn(&Host));

/// Every row there is, in the order of the report.
static GROUPS: &[Group] = &[
    (&["switch_floor"], floor::switch_floor),
    (&["yield2"], switch::yield2),
    (&["yield100"], switch::yield100),
    (&["chan_unbuf_rt"], channels::unbuffered),
    (&["chan_buf128"], channels::buffered),
    (&["spawn_join_1"], birth::one),
    (&["spawn_join_10k"], birth::ten_thousand),
    (&["spawn_isolated_1"], panics::isolated_one),
    (&["recover_10_frames"], panics::ten_frames),
    (&["mutex_free"], sync::mutex_free),
    (&["mutex_8g"], sync::mutex_8g),
    (&["mutex_8g_yield"], sync::mutex_8g_yield),
    (&["cond_rt"], sync::cond_rt),
    (&["sema_rt"], sync::sema_rt),
    (&["select4_ready"], selects::ready),
    (&["select4_block"], selects::block),
    (&["sieve2000"], work::sieve2000),
    (&["fib30"], work::fib30),
    (&["skynet1m"], work::skynet1m),
    (&["blocked1m_spawn", "blocked1m_bytes", "blocked1m_wake"], million::blocked),
    (&["spawn_1000th", "spawn_1000000th"], million::spawns),
    (
        &["timer100k_total", "timer100k_late_p50", "timer100k_late_p99", "timer100k_late_max"],
        million::timers,
    ),
    (&["wake_p50", "wake_p99"], latency::wake),
    (&["irq_p50", "irq_p99"], latency::irq),
    (&["fair_p50", "fair_p99", "fair_max"], latency::fair),
    (
        &["policy_late_p50", "policy_late_p99", "policy_trips", "policy_work", "policy_jain"],
        policy::policy,
    ),
];

/// The names of all rows.
pub fn names() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().flat_map(|(names, _)| names.iter().copied())
}

/// Measures the rows named (a beginning will do: `chan` means both), or all of them when `wanted`
/// is empty. Rows that are measured together come together. Returns whether every name meant
/// something. Blocks; call it on a goroutine.
pub fn run(wanted: &[&str], host: &Host) -> bool {
    let known = wanted.iter().all(|w| names().any(|name| name.starts_with(w)));
    let hit = |name: &&str| {
        wanted.iter().any(|w| name == w || !names().any(|n| n == *w) && name.starts_with(w))
    };
    for (names, measure) in GROUPS {
        if known && (wanted.is_empty() || names.iter().any(hit)) {
            floor::calibration(host);
            measure(host);
        }
    }
    known
}

/// Calls `measure` once for nothing and then `n` times, and emits the median.
fn repeat(
    host: &Host,
    name: &'static str,
    unit: &'static str,
    n: usize,
    mut measure: impl FnMut() -> f64,
) {
    measure();
    emit(host, name, unit, (0..n).map(|_| measure()).collect());
}

fn emit(host: &Host, name: &'static str, unit: &'static str, mut values: Vec<f64>) {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (host.emit)(&Row { name, value: values[n / 2], unit, min: values[0], max: values[n - 1], n });
}

/// Emits three quantiles of one large sample, each as a row of its own (min and max are the
/// sample's).
fn emit_quantiles(
    host: &Host,
    unit: &'static str,
    mut values: Vec<f64>,
    rows: &[(&'static str, usize)],
) {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    for &(name, percent) in rows {
        let value = values[(n * percent / 100).min(n - 1)];
        (host.emit)(&Row { name, value, unit, min: values[0], max: values[n - 1], n });
    }
}

/// Nanoseconds per operation of `work`, which does `operations` of them.
fn ns_per(operations: usize, work: impl FnOnce()) -> f64 {
    let start = now();
    work();
    (now() - start) as f64 / operations as f64
}

fn seconds(work: impl FnOnce()) -> f64 {
    ns_per(1_000_000_000, work)
}

/// How often a cheap operation is timed.
const REPEATS: usize = 9;
/// And one that takes a second.
const FEW: usize = 3;
