//! Models of the idle protocol (NO-LOST-WAKE). A CPU that is not idle when its thread ends "runs a
//! hog": it never looks at its queue again. So work that nobody is woken for leaves its CPU asleep
//! for good, and loom reports a deadlock.

use super::model::{Bed, Item, check, item, leak, race};
use crate::ground::atomic::{AtomicBool, Ordering};
use crate::ground::machine::NEVER;
use crate::nouns::arrivals::{Arrivals, Expected};
use crate::nouns::idle::{Idle, Stopping, Stops};
use crate::nouns::runq::{Owner, Runq, Thief};
use crate::nouns::steal::{Found, Thieving, steal_work};
use crate::tools::note::Note;
use loom::cell::Cell;
use loom::thread;

struct Cpu {
    ring: Runq<Item>,
    note: Note,
    bed: Bed,
    /// Work for this CPU alone: its inbox.
    inbox: AtomicBool,
    /// It is switched off.
    off: AtomicBool,
    /// What its interrupts have woken.
    arrivals: Arrivals<Item>,
}

struct World<const N: usize> {
    idle: Idle,
    /// The global queue.
    global: Arrivals<Item>,
    cpus: [Cpu; N],
    /// Whoever found the last item says so to those who still wait: as if it were work for them.
    all_found: AtomicBool,
}

/// CPU n in its thread. It may wake by itself once, as an interrupt or a timer does it.
struct Here<const N: usize> {
    world: &'static World<N>,
    cpu: usize,
    wakes_itself: Cell<bool>,
    /// What it saw when it searched last.
    why: Cell<Stops>,
    /// The next runnext that it sees is one that its P is about to run.
    sees_talk: Cell<bool>,
    /// It listens to `all_found`.
    finds_all: bool,
    /// CPUs are switched off or on, and there is a global queue. (Each look more makes a model
    /// slower.)
    switching: bool,
    /// CPUs look at each other's arrivals.
    interrupts: bool,
    /// Its nap is not over before it is woken.
    naps_for_long: Cell<bool>,
}

impl<const N: usize> Stopping for Here<N> {
    fn is_off(&self) -> bool {
        self.switching && self.me().off.load(Ordering::Acquire)
    }
    fn has_own_work(&self) -> bool {
        self.me().inbox.load(Ordering::Acquire) || !self.me().arrivals.is_empty()
    }
    fn has_work(&self, runnexts: bool) -> bool {
        self.finds_all && self.world.all_found.load(Ordering::Acquire)
            || self.switching && !self.world.global.is_empty()
            || self.interrupts && self.busy().any(|cpu| !self.world.cpus[cpu].arrivals.is_empty())
            || self
                .busy()
                .map(|cpu| &self.world.cpus[cpu].ring)
                .any(|ring| if runnexts { !ring.is_empty() } else { !ring.ring_is_empty() })
    }
    fn will_sleep(&self, _: bool, _: bool) {}
    /// A nap is over at once, or never.
    fn sleep(&self, nap: bool) -> bool {
        (nap && !self.naps_for_long.get())
            || self.wakes_itself.replace(false)
            || self.me().note.sleep(&self.me().bed, NEVER)
    }
    fn await_wakeup(&self) {
        while !self.me().note.sleep(&self.me().bed, NEVER) {}
    }
}

impl<const N: usize> Thieving<Item> for Here<N> {
    fn cpu(&self) -> usize {
        self.cpu
    }
    fn mine(&self) -> Owner<'_, Item> {
        // PINNED: this thread is the CPU.
        self.me().ring.owner()
    }
    fn busy(&self) -> impl Iterator<Item = usize> {
        self.world.idle.busy(N, 0)
    }
    fn queue(&self, victim: usize) -> Thief<'_, Item> {
        self.world.cpus[victim].ring.thief()
    }
    /// There are no timers.
    fn ready_due(&self, victim: usize) -> bool {
        let taken = self.interrupts.then(|| self.world.cpus[victim].arrivals.take_all());
        let taken = taken.and_then(|mut list| list.pop_front());
        taken.inspect(|item| assert!(self.mine().put(item).is_none())).is_some()
    }
    fn talks(&self, _: usize) -> bool {
        self.sees_talk.replace(false)
    }
}

impl<const N: usize> Here<N> {
    fn me(&self) -> &'static Cpu {
        &self.world.cpus[self.cpu]
    }

    /// Gives up (counted as searching, or not) and comes back when there may be work, counted as
    /// searching.
    fn stop(&self, searching: bool) {
        self.me().note.clear();
        let why = self.why.replace(Stops::OutOfWork);
        self.world.idle.stop(self.cpu, searching, why, self);
    }

    /// Looks at the global queue, and searches.
    fn steal(&self) -> Option<&'static Item> {
        if self.switching
            && !self.world.global.is_empty()
            && let Some(item) = self.world.global.take_all().pop_front()
        {
            item.run();
            return Some(item);
        }
        match steal_work(self) {
            Found::Stolen(item) => {
                item.run();
                return Some(item);
            }
            Found::HandOvers => self.why.set(Stops::AfterHandOvers),
            Found::Nothing => {}
        }
        None
    }

    /// Out of work: stops, and searches, until something was found. It ends as a CPU that runs what
    /// it found.
    fn until_found(&self, mut searching: bool) -> &'static Item {
        loop {
            self.stop(searching);
            if let Some(item) = self.steal() {
                if self.world.idle.found_work(self) {
                    self.wakep();
                }
                return item;
            }
            searching = true;
        }
    }

    /// The same, where another may find it.
    fn until_all_found(&self) {
        while !self.world.all_found.load(Ordering::Acquire) {
            self.stop(true);
            if self.steal().is_some() {
                self.world.all_found.store(true, Ordering::Release);
                let _ = self.world.idle.found_work(self);
                return self.wakep();
            }
        }
        let _ = self.world.idle.found_work(self);
    }

    fn wakep(&self) {
        if let Some(cpu) = self.world.idle.wakep() {
            self.startm(cpu);
        }
    }
    fn startm(&self, cpu: usize) {
        self.world.cpus[cpu].note.wakeup(&self.world.cpus[cpu].bed);
    }

    /// Switches a CPU off or on, as proc/procs.rs does.
    fn switch(&self, cpu: usize, off: bool) {
        self.world.cpus[cpu].off.store(off, Ordering::Release);
        if self.world.idle.wake_this(cpu) {
            self.startm(cpu);
        }
    }

    /// This CPU is switched off: hands over what it has, and resigns.
    fn hand_over(&self, searching: bool) {
        let mine = self.mine();
        while let Some(item) = mine.get() {
            self.world.global.push(item);
        }
        if let Some(cpu) = self.world.idle.resign(searching) {
            self.startm(cpu);
        }
    }

    /// Sleeps switched off until it has work of its own or is switched on, and is woken for nothing
    /// else. Then it counts as searching.
    fn off_duty(&self) {
        self.me().note.clear();
        self.world.idle.stop(self.cpu, false, Stops::Off, self);
        assert!(self.has_own_work() || !self.is_off(), "woken for what others can do");
    }

    /// Readies a goroutine on this CPU.
    fn submit(&self, item: &'static Item) {
        self.ready(item, false);
    }

    /// Readies one; `soon`: this CPU comes to it.
    fn ready(&self, item: &'static Item, soon: bool) {
        item.run();
        let (ring, idle) = (self.mine(), &self.world.idle);
        match ring.swap_next(item) {
            None => idle.wakep_for_next(|| soon).into_iter().for_each(|cpu| self.startm(cpu)),
            Some(old) => {
                assert!(ring.put(old).is_none());
                self.wakep();
            }
        }
    }
}

fn world<const N: usize>() -> [Here<N>; N] {
    let world = leak(World {
        idle: Idle::new(),
        global: Arrivals::new(),
        all_found: AtomicBool::new(false),
        cpus: core::array::from_fn(|_| Cpu {
            ring: Runq::new(),
            note: Note::new(),
            bed: Bed::new(),
            inbox: AtomicBool::new(false),
            off: AtomicBool::new(false),
            arrivals: Arrivals::new(),
        }),
    });
    core::array::from_fn(|cpu| Here {
        world,
        cpu,
        wakes_itself: Cell::new(false),
        why: Cell::new(Stops::OutOfWork),
        sees_talk: Cell::new(false),
        naps_for_long: Cell::new(false),
        finds_all: false,
        switching: false,
        interrupts: false,
    })
}

/// A CPU's handler hands over a goroutine, as `arrive` in proc/wake.rs.
fn is_interrupted<const N: usize>(world: &World<N>, cpu: usize, item: &'static Item) {
    item.run();
    world.cpus[cpu].arrivals.push(item);
    let woken = world.idle.wake_this(cpu).then_some(cpu).or_else(|| world.idle.wakep());
    if let Some(cpu) = woken.map(|cpu| &world.cpus[cpu]) {
        cpu.note.wakeup(&cpu.bed);
    }
}

/// The same, where CPUs are switched off and on.
fn switching_world<const N: usize>() -> [Here<N>; N] {
    world().map(|cpu| Here { switching: true, ..cpu })
}

/// Work is submitted while the last searcher gives up: is it found? And are the counts right after
/// it?
#[test]
fn the_last_searcher_finds_it() {
    check(|| {
        let [submitter, searcher] = world::<2>();
        let world = submitter.world;
        world.idle.start_searching();
        race(move || submitter.submit(item(0)), move || searcher.until_found(true));
        assert_eq!((world.idle.searching(), world.idle.idle_count()), (0, 0));
    });
}

/// The same, when the one who gives up was not allowed to search (Go: `needspinning`).
#[test]
fn who_never_searched_finds_it() {
    check(|| {
        let [submitter, other] = world::<2>();
        race(move || submitter.submit(item(0)), move || other.until_found(false));
    });
}

/// A CPU wakes by itself just when a submitter claims it: do they agree on who counts, and is no
/// wakeup left over?
#[test]
fn taken_back_or_claimed() {
    check(|| {
        let [submitter, sleeper] = world::<2>();
        let world = submitter.world;
        sleeper.wakes_itself.set(true);
        race(move || submitter.submit(item(0)), move || sleeper.until_found(false));
        assert_eq!((world.idle.searching(), world.idle.idle_count()), (0, 0));
    });
}

/// Two submit, and one of them counts as a searcher for a moment, while the CPU that it wants takes
/// itself back and gives up again: does the other's work wait for nobody?
#[test]
fn a_searcher_for_a_moment_looks_twice() {
    check(|| {
        let [one, two, sleeper] = world::<3>();
        sleeper.wakes_itself.set(true);
        let sleeper = thread::spawn(move || {
            sleeper.until_found(false);
            sleeper.until_found(false); // what it ran is over
        });
        let two = thread::spawn(move || two.submit(item(2)));
        one.submit(item(1));
        two.join().unwrap();
        sleeper.join().unwrap();
    });
}

/// Two work items, a searcher, a CPU that goes idle, and one submitter who then hogs its CPU: does
/// the searcher that finds the first wake another for the second?
#[test]
fn a_searcher_that_finds_wakes_the_next() {
    check(|| {
        let [submitter, a, b] = world::<3>();
        submitter.world.idle.start_searching();
        submitter.submit(item(0));
        let [a, b] = [(a, true), (b, false)].map(|(cpu, searching)| {
            thread::spawn(move || {
                cpu.until_found(searching);
            })
        });
        submitter.submit(item(1));
        a.join().unwrap();
        b.join().unwrap();
    });
}

/// A goroutine is handed over while a CPU naps, so nobody is woken for it; and its own CPU does not
/// come to it: does the napper look?
#[test]
fn the_napper_looks() {
    check(|| {
        let [submitter, napper] = world::<2>();
        let world = submitter.world;
        world.idle.start_searching();
        napper.why.set(Stops::AfterHandOvers);
        race(move || submitter.submit(item(0)), move || napper.until_found(true));
        assert_eq!((world.idle.searching(), world.idle.idle_count()), (0, 0));
    });
}

/// A searcher leaves a goroutine to the P that is about to run it, and that P then does not: does
/// the searcher come back for it?
#[test]
fn a_runnext_that_was_left_is_taken_after_a_nap() {
    check(|| {
        let [submitter, searcher] = world::<2>();
        let world = submitter.world;
        world.idle.start_searching();
        searcher.sees_talk.set(true);
        let searches = move || match searcher.steal() {
            Some(_) if world.idle.found_work(&searcher) => searcher.wakep(),
            Some(_) => {}
            None => drop(searcher.until_found(true)),
        };
        race(move || submitter.submit(item(0)), searches);
        assert_eq!((world.idle.searching(), world.idle.idle_count()), (0, 0));
    });
}

/// The same, with one more CPU that goes idle beside the napper and leaves it the runnexts: does
/// one of the two find it?
#[test]
fn who_sleeps_beside_a_napper_hides_nothing() {
    check(|| {
        let [submitter, napper, sleeper] = world::<3>().map(|cpu| Here { finds_all: true, ..cpu });
        submitter.world.idle.start_searching();
        submitter.world.idle.start_searching();
        napper.why.set(Stops::AfterHandOvers);
        let napper = thread::spawn(move || napper.until_all_found());
        let sleeper = thread::spawn(move || sleeper.until_all_found());
        submitter.submit(item(0));
        napper.join().unwrap();
        sleeper.join().unwrap();
    });
}

/// A CPU naps for long, and two goroutines are readied: the second is no hand-over. Is the napper
/// woken?
#[test]
fn more_than_a_hand_over_wakes_the_napper() {
    check(|| {
        let [submitter, napper] = world::<2>();
        napper.why.set(Stops::AfterHandOvers);
        napper.naps_for_long.set(true);
        let submitter = move || {
            submitter.submit(item(0));
            submitter.submit(item(1));
        };
        race(submitter, move || napper.until_found(false));
    });
}

/// Memory is short, and who claims an idle CPU takes what that CPU keeps for itself: is it alone
/// with it, does it see the CPU's last use, and does the CPU, which may wake by itself just then,
/// see it taken? (reclaim.rs)
#[test]
fn a_claimed_cpu_s_things_are_the_claimer_s() {
    check(|| {
        let [claimer, sleeper] = world::<2>();
        let kept = item(0);
        sleeper.wakes_itself.set(true);
        race(
            move || {
                if claimer.world.idle.wake_this(1) {
                    kept.run();
                    claimer.startm(1);
                }
            },
            move || {
                kept.run();
                sleeper.stop(false);
                kept.run();
            },
        );
    });
}

/// A goroutine that is locked to a CPU is readied as that CPU gives up: is it told?
#[test]
fn the_one_cpu_that_can_is_told() {
    check(|| {
        let [waker, sleeper] = world::<2>();
        let world = waker.world;
        let sleeper = move || {
            let mut searching = false;
            while !sleeper.me().inbox.load(Ordering::Acquire) {
                sleeper.stop(searching);
                searching = true;
            }
            if searching && sleeper.world.idle.found_work(&sleeper) {
                sleeper.wakep();
            }
        };
        let waker = move || {
            world.cpus[1].inbox.store(true, Ordering::Release);
            if world.idle.wake_this(1) {
                waker.startm(1);
            }
        };
        race(sleeper, waker);
        assert_eq!((world.idle.searching(), world.idle.idle_count()), (0, 0));
    });
}

/// Someone wants a CPU that is busy, and another submits work meanwhile: does the idle CPU hear of
/// that?
#[test]
fn wanting_a_busy_cpu_hides_no_work() {
    check(|| {
        let [submitter, waker, sleeper] = world::<3>();
        let sleeper = thread::spawn(move || {
            sleeper.until_found(false);
        });
        let waker = thread::spawn(move || assert!(!waker.world.idle.wake_this(0)));
        submitter.submit(item(0));
        waker.join().unwrap();
        sleeper.join().unwrap();
    });
}

/// All CPUs sleep, and an interrupt readies the goroutine that waits for it, which another CPU
/// takes: can anyone take that for a deadlock?
#[test]
fn an_interrupt_is_no_deadlock() {
    check(|| {
        let [checker, interrupted] = world::<2>();
        let world = checker.world;
        let expected: &'static Expected = leak(Expected::new());
        let arrivals = &world.cpus[interrupted.cpu].arrivals;
        expected.expect();
        world.idle.go_idle(0, false);
        world.idle.go_idle(1, false);
        let interrupted = move || {
            arrivals.push(item(0)); // in the handler
            expected.expect_no_more();
            if world.idle.take_back(interrupted.cpu) {
                world.idle.start_searching();
                assert!(arrivals.take_all().pop_front().is_some());
            }
        };
        let is_dead =
            move || checker.world.idle.is_dead(2, || expected.any() || !arrivals.is_empty());
        assert!(!race(interrupted, is_dead).1);
    });
}

/// An interrupt wakes a goroutine on a CPU that does not come to `schedule`, as another goes idle:
/// does that one take it?
#[test]
fn what_arrives_on_a_busy_cpu_is_found() {
    check(|| {
        let [busy, idler] = world::<2>().map(|cpu| Here { interrupts: true, ..cpu });
        let world = busy.world;
        race(move || is_interrupted(world, busy.cpu, item(0)), move || idler.until_found(false));
        assert_eq!((world.idle.searching(), world.idle.idle_count()), (0, 0));
    });
}

/// An interrupt comes to a CPU as that goes idle: does it see what arrived? (A real handler cannot
/// be overtaken by the CPU that it interrupts, as this one can.)
#[test]
fn what_arrives_as_a_cpu_goes_idle_is_seen() {
    check(|| {
        let [sleeper] = world::<1>();
        let world = sleeper.world;
        world.idle.start_searching();
        let handler = move || is_interrupted(world, 0, item(0));
        let sleeps = move || {
            let mut list = world.cpus[0].arrivals.take_all();
            while list.is_empty() {
                sleeper.stop(true);
                list = world.cpus[0].arrivals.take_all();
            }
            list.pop_front().expect("it is not empty").run();
        };
        race(handler, sleeps);
        assert_eq!((world.idle.searching(), world.idle.idle_count()), (1, 0));
    });
}

/// A deadlock is one: is it found by the last who sleeps?
#[test]
fn the_last_to_sleep_finds_a_deadlock() {
    check(|| {
        let [a, b] = world::<2>();
        let world = a.world;
        let found = [a, b].map(|cpu| {
            thread::spawn(move || {
                cpu.world.idle.go_idle(cpu.cpu, false);
                !cpu.has_work(true) && cpu.world.idle.is_dead(2, || cpu.has_work(true))
            })
        });
        assert!(found.map(|found| found.join().unwrap()) != [false, false]);
        assert_eq!(world.idle.idle_count(), 2);
    });
}

/// A searcher, on whom a submitter may count, is switched off: does an idle CPU hear of the work in
/// its place?
#[test]
fn who_counted_on_a_cpu_that_resigns_is_heard() {
    check(|| {
        let [submitter, resigns, idler] = switching_world::<3>();
        let world = submitter.world;
        world.idle.start_searching();
        resigns.me().off.store(true, Ordering::Release);
        let idler = thread::spawn(move || {
            idler.until_found(false);
        });
        race(move || submitter.submit(item(0)), move || resigns.hand_over(true));
        idler.join().unwrap();
        assert_eq!((world.idle.searching(), world.idle.idle_count()), (0, 0));
    });
}

/// A CPU is switched off that has work, as another goes idle: is that told of what is handed over?
#[test]
fn what_is_handed_over_is_found() {
    check(|| {
        let [leaves, idler] = switching_world::<2>();
        let leaves = move || {
            let next = item(0);
            next.run();
            // PINNED: this thread is the CPU. Nobody was told of it: those who could be
            // were busy.
            assert!(leaves.me().ring.owner().put(next).is_none());
            leaves.hand_over(false);
        };
        race(leaves, move || idler.until_found(false));
    });
}

/// A CPU comes soon to what it has readied, wakes nobody for it, and is switched off before: does
/// an idle CPU hear of it? And does one that searches meanwhile take it but once?
#[test]
fn who_comes_soon_may_be_switched_off() {
    check(|| {
        let [leaves, idler] = switching_world::<2>();
        let leaves = move || {
            leaves.ready(item(0), true);
            leaves.hand_over(false);
        };
        race(leaves, move || idler.until_found(false));
    });
}

/// A CPU is switched off as it goes idle: does it hear of it? (Else it is left behind as an idle
/// one, which is woken for work in vain.)
#[test]
fn an_idle_cpu_hears_that_it_is_switched_off() {
    check(|| {
        let [switcher, switched] = switching_world::<2>();
        let world = switcher.world;
        let switched = move || {
            let mut searching = false;
            while !switched.is_off() {
                switched.stop(searching);
                searching = true;
            }
            switched.hand_over(searching);
        };
        race(move || switcher.switch(1, true), switched);
        assert_eq!((world.idle.searching(), world.idle.idle_count()), (0, 0));
    });
}

/// A CPU that is switched off is switched on as it goes to sleep: does it hear of it?
#[test]
fn a_cpu_hears_that_it_is_switched_on() {
    check(|| {
        let [switcher, switched] = switching_world::<2>();
        let world = switcher.world;
        switched.me().off.store(true, Ordering::Release);
        let switched = move || {
            while switched.is_off() {
                switched.off_duty();
                let _ = world.idle.found_work(&switched);
            }
        };
        race(move || switcher.switch(1, false), switched);
        assert_eq!((world.idle.searching(), world.idle.idle_count()), (0, 0));
    });
}

/// Work is submitted beside a CPU that is switched off and one that goes idle: is it the idle one
/// that is woken? And is the other told of a goroutine that is locked to it?
#[test]
fn a_cpu_that_is_switched_off_wakes_for_its_own() {
    check(|| {
        let [submitter, off, idler] = switching_world::<3>();
        let world = submitter.world;
        off.me().off.store(true, Ordering::Release);
        let off = thread::spawn(move || {
            off.off_duty();
            assert!(off.has_own_work());
            off.hand_over(true);
        });
        let idler = thread::spawn(move || {
            idler.until_found(false);
        });
        submitter.submit(item(0));
        idler.join().unwrap();
        world.cpus[1].inbox.store(true, Ordering::Release);
        if world.idle.wake_this(1) {
            submitter.startm(1);
        }
        off.join().unwrap();
        assert_eq!((world.idle.searching(), world.idle.idle_count()), (0, 0));
    });
}

/// The same deadlock, with one of the two switched off.
#[test]
fn a_cpu_that_is_switched_off_hides_no_deadlock() {
    check(|| {
        let [a, b] = switching_world::<2>();
        let world = a.world;
        let sleeps = move |cpu: Here<2>, off: bool| {
            if off {
                world.idle.go_off(cpu.cpu);
            } else {
                world.idle.go_idle(cpu.cpu, false);
            }
            !cpu.has_work(true) && world.idle.is_dead(2, || cpu.has_work(true))
        };
        let found = race(move || sleeps(a, false), move || sleeps(b, true));
        assert!(found.0 || found.1);
        assert_eq!(world.idle.idle_count(), 1);
    });
}

/// A thread that is no CPU makes work, and says that it will make no more: is it never taken for a
/// deadlock?
#[test]
fn work_from_outside_is_no_deadlock() {
    check(|| {
        let [checker, other] = world::<2>();
        let world = checker.world;
        let expected: &'static Expected = leak(Expected::new());
        expected.expect();
        world.idle.go_idle(0, false);
        world.idle.go_idle(1, false);
        let global = &world.cpus[other.cpu].inbox; // in place of the global queue's length
        let outside = move || {
            global.store(true, Ordering::Relaxed);
            expected.expect_no_more();
        };
        let is_dead =
            move || world.idle.is_dead(2, || expected.any() || global.load(Ordering::Relaxed));
        assert!(!race(outside, is_dead).1);
    });
}

/// The last thread that could have woken somebody goes without doing so, while the last CPU goes to
/// sleep: is the deadlock found, by that CPU now or because it is woken to look again?
#[test]
fn who_goes_outside_leaves_no_sleeper() {
    check(|| {
        let [cpu] = world::<1>();
        let world = cpu.world;
        let expected: &'static Expected = leak(Expected::new());
        expected.expect();
        let outside = move || {
            expected.expect_no_more();
            world.idle.wakep().is_some()
        };
        let sleeps = move || {
            world.idle.go_idle(0, false);
            world.idle.is_dead(1, || expected.any())
        };
        let (woken, dead) = race(outside, sleeps);
        assert!(woken || dead);
    });
}
