//! A live screen: what CPUs do, and which goroutines take their time.

use crate::cpu::{PERIOD_NS, Sampler};
use crate::goroutine::{self, Goroutine};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt::Write;
use executive::kit::Stats;
use executive::{affinity, census, machine};

/// What goroutines are sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sort {
    /// The busiest first.
    #[default]
    Time,
    /// The oldest first.
    Number,
    /// The one that waits longest first.
    Wait,
}

impl Sort {
    /// That of a key.
    pub fn of_key(key: u8) -> Option<Self> {
        match key {
            b't' => Some(Sort::Time),
            b'n' => Some(Sort::Number),
            b'w' => Some(Sort::Wait),
            _ => None,
        }
    }
}

/// What one CPU had done when it was last looked at.
#[derive(Clone, Copy, Default)]
struct Done {
    idle_ns: u64,
    runs: u64,
    steals: u64,
    wakes: u64,
    halts: u64,
    ticks: u64,
}

impl Done {
    fn so_far(stats: &Stats, idle_ns: u64) -> Self {
        Done {
            idle_ns,
            runs: stats.runs.get(),
            steals: stats.steals.get(),
            wakes: stats.wakes_sent.get(),
            halts: stats.halts.get(),
            ticks: stats.ticks.get(),
        }
    }
}

/// Looks at the system from time to time; CPUs are sampled in between.
pub struct Top {
    sampler: Sampler,
    then: u64,
    done: Vec<Done>,
    /// What to sort by from the next screen on.
    pub sort: Sort,
}

impl Top {
    /// Begins to look. `None`: somebody takes a CPU profile.
    pub fn new() -> Option<Self> {
        let sampler = Sampler::start()?;
        let done = alloc::vec![Done::default(); affinity::num_cpus()];
        let mut top = Top { sampler, then: machine::now(), done, sort: Sort::default() };
        top.look();
        Some(top)
    }

    /// How long it is since the last look (ns), and of each CPU what it has done since.
    fn look(&mut self) -> (u64, Vec<Done>) {
        let now = machine::now();
        let took = (now - self.then).max(1);
        self.then = now;
        let since = census::cpu_reports().map(|cpu| {
            let new = Done::so_far(cpu.stats, cpu.idle_ns);
            let old = core::mem::replace(&mut self.done[cpu.cpu], new);
            Done {
                idle_ns: new.idle_ns.saturating_sub(old.idle_ns),
                runs: new.runs - old.runs,
                steals: new.steals - old.steals,
                wakes: new.wakes - old.wakes,
                halts: new.halts - old.halts,
                ticks: new.ticks - old.ticks,
            }
        });
        (took, since.collect())
    }

    /// A screen of so many lines: what there was since the last one. `memory` is the machine's word
    /// on its memory.
    pub fn screen(&mut self, lines: usize, memory: &str) -> String {
        let (took, since) = self.look();
        let mut times: BTreeMap<u64, u64> = BTreeMap::new();
        let lost = self.sampler.drain(|goid, _| *times.entry(goid).or_default() += PERIOD_NS);
        let percent = |ns: u64| (100 * ns + took / 2) / took;
        let per_second = |n: u64| (n as u128 * 1_000_000_000 / u128::from(took)) as u64;
        let mut goroutines: Vec<(u64, Goroutine)> = goroutine::all()
            .map(|one| (times.get(&one.seen.id).copied().unwrap_or(0), one))
            .collect();

        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "{} goroutines, {} in the global queue; {memory}",
            goroutines.len(),
            census::global_queue()
        );
        let _ = writeln!(
            out,
            "{:>3} {:<9} {:>5} {:>5} {:>6} {:>9} {:>8} {:>8} {:>8} {:>8}",
            "cpu",
            "state",
            "busy",
            "idle",
            "queued",
            "runs/s",
            "steals/s",
            "wakes/s",
            "halts/s",
            "ticks/s"
        );
        for (cpu, done) in census::cpu_reports().zip(since) {
            let idle = percent(done.idle_ns).min(100);
            let _ = writeln!(
                out,
                "{:>3} {:<9} {:>4}% {:>4}% {:>6} {:>9} {:>8} {:>8} {:>8} {:>8}",
                cpu.cpu,
                format!("{:?}", cpu.state).to_lowercase(),
                100 - idle,
                idle,
                cpu.queued,
                per_second(done.runs),
                per_second(done.steals),
                per_second(done.wakes),
                per_second(done.halts),
                per_second(done.ticks)
            );
        }
        let now = self.then;
        let waits =
            |one: &Goroutine| if one.since == 0 { 0 } else { now.saturating_sub(one.since) };
        match self.sort {
            Sort::Time => goroutines.sort_by_key(|(time, one)| (Reverse(*time), one.seen.id)),
            Sort::Number => goroutines.sort_by_key(|(_, one)| one.seen.id),
            Sort::Wait => goroutines.sort_by_key(|(_, one)| (Reverse(waits(one)), one.seen.id)),
        }
        let _ = writeln!(
            out,
            "{:>9} {:>5} {:<14} {:>9}  started at",
            "goroutine", "busy", "state", "waits"
        );
        let room = lines.saturating_sub(out.lines().count() + 1);
        for (time, one) in goroutines.into_iter().take(room) {
            let name = one.seen.name.map(|name| format!(" ({name})")).unwrap_or_default();
            let _ = writeln!(
                out,
                "{:>9} {:>4}% {:<14.14} {:>6} ms  {}{name}",
                one.seen.id,
                percent(time),
                one.state,
                waits(&one) / 1_000_000,
                one.seen.started_at
            );
        }
        let _ = write!(out, "sorted by {:?}: t time, n number, w wait; q stops", self.sort);
        if lost > 0 {
            let _ = write!(out, " ({lost} samples lost)");
        }
        out.push('\n');
        out
    }
}
