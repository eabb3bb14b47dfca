//! What a scheduling policy is good for: goroutines of all habits beside each other. Once all have
//! had their turns, they are counted for a second.
//!
//! For each CPU there are two that never yield, and two that do so often; together they want four
//! times what there is. Beside them some sleep and work a little, in turn (they say that they are
//! urgent, which the policy `priorities` hears), and two pairs talk.

use crate::{Host, emit, emit_quantiles};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
use core::time::Duration;
use executive::machine::{cpus, now};
use executive::{JoinHandle, chan, go, time, yield_now};

const WARM_UP: Duration = Duration::from_millis(300);
const MEASURED: Duration = Duration::from_secs(1);
const SLEEPERS: usize = 8;
const SLEEP: Duration = Duration::from_millis(5);
const PAIRS: usize = 2;
/// Steps between two looks at the flag; a count is one of these.
const STEPS: u64 = 1000;
/// Counts between two yields: a small part of a slice.
const POLITE: u64 = 100;

/// 0: all begin; 1: they are counted; 2: they end.
struct Phase(AtomicU8);

impl Phase {
    fn next(&self) {
        self.0.fetch_add(1, Relaxed);
    }
    /// 1 while they are counted, else 0.
    fn counts(&self) -> u64 {
        (self.0.load(Relaxed) == 1).into()
    }
    fn is_over(&self) -> bool {
        self.0.load(Relaxed) == 2
    }
}

pub fn policy(host: &Host) {
    let phase = Arc::new(Phase(AtomicU8::new(0)));
    let point = host.preemption_point;
    let hogs: Vec<JoinHandle<u64>> = (0..4 * cpus())
        .map(|n| {
            let phase = phase.clone();
            go(move || hog(&phase, point, if n % 2 == 0 { u64::MAX } else { POLITE }))
        })
        .collect();
    let pairs: Vec<_> = (0..PAIRS).map(|_| go_pair(phase.clone())).collect();
    let sleepers: Vec<_> = (0..SLEEPERS)
        .map(|_| {
            let phase = phase.clone();
            go(move || sleeper(&phase, point))
        })
        .collect();
    time::sleep(WARM_UP);
    let begin = now();
    phase.next();
    time::sleep(MEASURED);
    phase.next();
    let ms = (now() - begin) as f64 / 1e6;

    let late = sleepers.into_iter().flat_map(|sleeper| sleeper.join()).collect();
    let trips: u64 = pairs.into_iter().map(|pair| pair.join()).sum();
    let work: Vec<f64> = hogs.into_iter().map(|hog| hog.join() as f64).collect();
    emit_quantiles(host, "us", late, &[("policy_late_p50", 50), ("policy_late_p99", 99)]);
    emit(host, "policy_trips", "1/ms", vec![trips as f64 / ms]);
    let sum: f64 = work.iter().sum();
    emit(host, "policy_work", "1/ms", vec![sum / ms]);
    emit(host, "policy_jain", "of 1", vec![jain(&work)]);
}

/// Jain's index of how equal shares are: 1 if all are, 1/n if one has all.
fn jain(shares: &[f64]) -> f64 {
    let (sum, squares): (f64, f64) = (shares.iter().sum(), shares.iter().map(|s| s * s).sum());
    sum * sum / (shares.len() as f64 * squares)
}

/// Counts; yields after so many.
fn hog(phase: &Phase, point: fn(), yields: u64) -> u64 {
    let (mut done, mut counted) = (0, 0);
    while !phase.is_over() {
        for step in 0..STEPS {
            black_box(step);
        }
        done += 1;
        counted += phase.counts();
        point();
        if done % yields == 0 {
            yield_now();
        }
    }
    counted
}

/// By how much it woke too late, each time (microseconds).
fn sleeper(phase: &Phase, point: fn()) -> Vec<f64> {
    policies::set_priority(0);
    let mut late = Vec::new();
    while !phase.is_over() {
        let due = now() + SLEEP.as_nanos() as u64;
        time::sleep(SLEEP);
        if phase.counts() != 0 {
            late.push(now().saturating_sub(due) as f64 / 1000.0);
        }
        (0..10 * STEPS).for_each(|step| {
            black_box(step);
        });
        point();
    }
    late
}

/// One asks, and the other answers: how many times.
fn go_pair(phase: Arc<Phase>) -> JoinHandle<u64> {
    let (ask, asked) = chan::<u64>(0);
    let (answer, answered) = chan::<u64>(0);
    go(move || {
        while let Some(question) = asked.recv() {
            let _ = answer.send(question);
        }
    });
    go(move || {
        let mut trips = 0;
        while !phase.is_over() {
            let _ = ask.send(phase.counts());
            trips += answered.recv().unwrap_or(0);
        }
        trips
    })
}
