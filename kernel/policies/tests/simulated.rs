//! What each policy promises, on CPUs and by a clock that are simulated; and that another one does
//! not keep it.

use executive_core::atomic::{AtomicRef, AtomicU32, AtomicU64};
use executive_core::kit::Linked;
use policies::{AGE_NS, CREDIT_NS, DEBT_NS, Fair, Fifo, LEVELS, Mark, Order, Priorities, Task};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

const MS: u64 = 1_000_000;
const SLICE: u64 = 10 * MS;

/// A task that computes for `burst`, then sleeps for `pause` (0: it yields), again and again.
struct Job {
    number: usize,
    burst: u64,
    pause: u64,
    link: AtomicRef<Job>,
    time: AtomicU64,
    mark: AtomicU32,
}

impl Linked for Job {
    fn link(&self) -> &AtomicRef<Job> {
        &self.link
    }
}

impl Task for Job {
    fn time(&self) -> &AtomicU64 {
        &self.time
    }
    fn mark(&self) -> &AtomicU32 {
        &self.mark
    }
}

/// What is simulated: burst, pause, level and when it begins.
#[derive(Clone, Copy)]
struct Spec {
    burst: u64,
    pause: u64,
    level: Option<usize>,
    begins: u64,
}

const HOG: Spec = Spec { burst: u64::MAX, pause: 0, level: None, begins: 0 };

/// What came of it, by the jobs' numbers.
#[derive(Default)]
struct Outcome {
    /// For how long each ran.
    ran: Vec<u64>,
    /// The longest that each waited for a turn; the first, for which it was new, does not count.
    waited: Vec<u64>,
    /// In which order they came to wait, and in which they got their turns.
    came: Vec<usize>,
    went: Vec<usize>,
}

impl Outcome {
    /// Jain's index of how equal these jobs' shares are: 1 is equal, 1/n is one alone.
    fn jain(&self, jobs: std::ops::Range<usize>) -> f64 {
        let ran: Vec<f64> = self.ran[jobs].iter().map(|&ns| ns as f64).collect();
        let sum: f64 = ran.iter().sum();
        sum * sum / (ran.len() as f64 * ran.iter().map(|ns| ns * ns).sum::<f64>())
    }
}

/// CPUs and a clock, jobs and their policy.
struct Simulation<'a, P> {
    policy: P,
    specs: &'a [Spec],
    jobs: Vec<&'static Job>,
    now: u64,
    /// Since when each waits, and what is left of its burst.
    since: Vec<u64>,
    left: Vec<u64>,
    waiting: usize,
    /// How many turns each has had.
    turns: Vec<u64>,
    /// Who begins to wait later: when, its number, and whether it is new.
    wakes: BinaryHeap<Reverse<(u64, usize, bool)>>,
    /// What each CPU runs, from when on, and until when.
    running: Vec<Option<(&'static Job, u64, u64)>>,
    outcome: Outcome,
}

/// Runs them on so many CPUs, until `end`.
fn simulate(policy: impl Order<Job>, cpus: usize, specs: &[Spec], end: u64) -> Outcome {
    let job = |(number, &Spec { burst, pause, .. }): (usize, &Spec)| -> &'static Job {
        let (link, time, mark) = (AtomicRef::new(), AtomicU64::new(0), AtomicU32::new(0));
        Box::leak(Box::new(Job { number, burst, pause, link, time, mark }))
    };
    let zeros = vec![0; specs.len()];
    let mut simulation = Simulation {
        policy,
        specs,
        jobs: specs.iter().enumerate().map(job).collect(),
        now: 0,
        since: zeros.clone(),
        left: specs.iter().map(|spec| spec.burst).collect(),
        waiting: 0,
        turns: zeros.clone(),
        wakes: specs.iter().enumerate().map(|(n, spec)| Reverse((spec.begins, n, true))).collect(),
        running: vec![None; cpus],
        outcome: Outcome { ran: zeros.clone(), waited: zeros, ..Outcome::default() },
    };
    while simulation.next_event() < end {
        simulation.step();
    }
    for &(job, from, _) in simulation.running.iter().flatten() {
        simulation.outcome.ran[job.number] += end - from;
    }
    simulation.outcome
}

impl<P: Order<Job>> Simulation<'_, P> {
    fn next_event(&mut self) -> u64 {
        let ends = self.running.iter().flatten().map(|&(.., until)| until);
        let woken = self.wakes.peek().map(|&Reverse((when, ..))| when);
        self.now = ends.chain(woken).min().expect("somebody runs or sleeps");
        self.now
    }

    fn step(&mut self) {
        while let Some(&Reverse((when, number, new))) = self.wakes.peek()
            && when == self.now
        {
            self.wakes.pop();
            self.put(number, new);
        }
        for cpu in 0..self.running.len() {
            match self.running[cpu].take() {
                Some(runs) if runs.2 != self.now => self.running[cpu] = Some(runs),
                last => {
                    last.inspect(|&(job, from, _)| self.ends_turn(job, from));
                    self.take(cpu);
                }
            }
        }
        let busy = self.running.iter().all(|runs| runs.is_some());
        assert!(busy || self.waiting == 0, "a CPU idles beside work");
    }

    fn ends_turn(&mut self, job: &'static Job, from: u64) {
        let left = &mut self.left[job.number];
        self.outcome.ran[job.number] += self.now - from;
        *left -= self.now - from;
        let done = *left == 0;
        if done {
            *left = job.burst;
        }
        if done && job.pause > 0 {
            self.wakes.push(Reverse((self.now + job.pause, job.number, false)));
        } else {
            self.put(job.number, false);
        }
    }

    fn put(&mut self, number: usize, new: bool) {
        self.policy.put(self.jobs[number], new, self.now);
        self.outcome.came.push(number);
        self.since[number] = self.now;
        self.waiting += 1;
    }

    /// The next gets a turn, of a slice at the most. A new one says then what its priority is.
    fn take(&mut self, cpu: usize) {
        let Some(job) = self.policy.take(cpu, self.now) else { return };
        self.waiting -= 1;
        if let Some(level) = self.specs[job.number].level {
            Mark::set_priority(job, level);
        }
        let waited = &mut self.outcome.waited[job.number];
        if self.turns[job.number] > 0 {
            *waited = (*waited).max(self.now - self.since[job.number]);
        }
        self.turns[job.number] += 1;
        self.outcome.went.push(job.number);
        let turn = self.left[job.number].min(SLICE);
        self.running[cpu] = Some((job, self.now, self.now + turn));
    }
}

fn priorities() -> Priorities<Job> {
    Priorities::new(AGE_NS)
}

/// Hogs, and some that sleep, all of different habits.
fn mixture() -> Vec<Spec> {
    let sleeper = |n: u64| Spec { burst: n * MS / 3, pause: n * MS, ..HOG };
    (0..4).map(|_| HOG).chain((1..=6).map(sleeper)).collect()
}

#[test]
fn with_fifo_who_came_first_goes_first() {
    let in_order = |o: Outcome| o.came[..o.went.len()] == o.went[..];
    for cpus in [1, 2, 4] {
        let run = |specs: &[Spec]| simulate(Fifo::new(), cpus, specs, 2000 * MS);
        assert!(in_order(run(&mixture())), "on {cpus} CPUs");
    }
    assert!(!in_order(simulate(Fair::new(), 1, &mixture(), 2000 * MS)));
    let mut urgent = mixture();
    urgent[9].level = Some(0);
    assert!(!in_order(simulate(priorities(), 1, &urgent, 2000 * MS)));
}

#[test]
fn with_priorities_the_urgent_wait_for_one_slice_only() {
    // Ten hogs, and one that sleeps and is urgent.
    let urgent = Spec { burst: MS, pause: 30 * MS, level: Some(0), begins: 0 };
    let specs: Vec<_> = (0..10).map(|_| HOG).chain([urgent]).collect();
    let longest = |o: Outcome| o.waited[10];
    let with = longest(simulate(priorities(), 1, &specs, 5000 * MS));
    assert!(with <= SLICE, "{with}");
    let fifo = longest(simulate(Fifo::new(), 1, &specs, 5000 * MS));
    assert!(fifo > 5 * SLICE, "{fifo}");
}

#[test]
fn with_priorities_that_age_nobody_starves() {
    // Urgent hogs enough for all CPUs, and one of the last level.
    let specs = |cpus| {
        let urgent = (0..2 * cpus).map(|_| Spec { level: Some(0), ..HOG });
        let last = Spec { level: Some(LEVELS - 1), begins: 100 * MS, ..HOG };
        urgent.chain([last]).collect::<Vec<_>>()
    };
    for cpus in [1, 2, 4] {
        let o = simulate(priorities(), cpus, &specs(cpus), 10_000 * MS);
        let bound = LEVELS as u64 * AGE_NS + 3 * SLICE;
        assert!(o.waited[2 * cpus] <= bound, "{} ns on {cpus} CPUs", o.waited[2 * cpus]);
        assert!(o.ran[2 * cpus] > 0);
        let o = simulate(Priorities::new(u64::MAX), cpus, &specs(cpus), 10_000 * MS);
        assert!(o.ran[2 * cpus] <= SLICE, "without ageing it starves: {}", o.ran[2 * cpus]);
    }
}

#[test]
fn with_fair_shares_do_not_depend_on_habits() {
    // All want the CPU all the time. Some keep it for a slice, others yield it sooner.
    let bursts = [u64::MAX, 7 * MS, 3 * MS, MS, MS / 2, u64::MAX, 2 * MS];
    let specs = bursts.map(|burst| Spec { burst, ..HOG });
    for cpus in [1, 2, 4] {
        let jain = |o: Outcome| o.jain(0..bursts.len());
        let fair = jain(simulate(Fair::new(), cpus, &specs, 10_000 * MS));
        assert!(fair > 0.999, "{fair} on {cpus} CPUs");
        let fifo = jain(simulate(Fifo::new(), cpus, &specs, 10_000 * MS));
        assert!(fifo < 0.9, "{fifo} on {cpus} CPUs");
    }
}

#[test]
fn with_fair_who_slept_waits_for_one_slice_and_saves_nothing_up() {
    let sleeper = Spec { burst: MS, pause: 50 * MS, ..HOG };
    let specs: Vec<_> = (0..10).map(|_| HOG).chain([sleeper]).collect();
    let fair = simulate(Fair::new(), 1, &specs, 10_000 * MS);
    assert!(fair.waited[10] <= SLICE, "{}", fair.waited[10]);
    assert!(simulate(Fifo::new(), 1, &specs, 10_000 * MS).waited[10] > 5 * SLICE);
    // One that has slept for seconds gets no more than a few slices for it.
    let sleeper = Spec { burst: 1000 * MS, pause: 3000 * MS, ..HOG };
    let hog = simulate(Fair::new(), 1, &[HOG, sleeper], 10_000 * MS).waited[0];
    assert!(hog <= CREDIT_NS + 2 * SLICE, "{hog}");
    // One that begins as the others have run for seconds gets its share from then on, no more.
    let late = Spec { begins: 5000 * MS, ..HOG };
    let specs: Vec<_> = (0..3).map(|_| HOG).chain([late]).collect();
    let ran = simulate(Fair::new(), 1, &specs, 9000 * MS).ran;
    assert!(ran[3].abs_diff(1000 * MS) <= DEBT_NS, "{ran:?}");
}

#[test]
fn with_fair_who_ran_alone_does_not_pay_for_it() {
    let late = Spec { begins: 5000 * MS, ..HOG };
    let ran = simulate(Fair::new(), 1, &[HOG, late], 6000 * MS).ran;
    assert!(ran[1].abs_diff(500 * MS) <= DEBT_NS, "{ran:?}");
}
