//! Models of the idle protocol (NO-LOST-WAKE). A CPU that is not idle when its thread ends "runs a hog": it never looks at its queue again. So work that
//! nobody is woken for leaves its CPU asleep for good, and loom reports a deadlock.
#![cfg(loom)]
mod model;

use executive::atomic::{AtomicBool, Ordering};
use executive::idle::{Idle, Stopping};
use executive::inject::Injected;
use executive::machine::NEVER;
use executive::note::Note;
use executive::runq::Runq;
use loom::cell::Cell;
use loom::thread;
use model::{Bed, Item, check, check_bounded, item, leak, race};

struct Cpu {
    ring: Runq<Item>,
    note: Note,
    bed: Bed,
    /// Work for this CPU alone: its inbox.
    inbox: AtomicBool,
    injected: Injected<Item>,
}

struct World<const N: usize> {
    idle: Idle,
    cpus: [Cpu; N],
}

/// CPU n in its thread. It may wake by itself once, as an interrupt or a timer does it.
struct Here<const N: usize> {
    world: &'static World<N>,
    cpu: usize,
    wakes_itself: Cell<bool>,
}

impl<const N: usize> Stopping for Here<N> {
    fn has_work(&self) -> bool {
        let me = self.me();
        me.inbox.load(Ordering::Acquire)
            || !me.injected.is_empty()
            || self.world.cpus.iter().any(|cpu| !cpu.ring.is_empty())
    }
    fn will_sleep(&self) {}
    fn sleep(&self) -> bool {
        self.wakes_itself.replace(false) || self.me().note.sleep(&self.me().bed, NEVER)
    }
    fn await_wakeup(&self) {
        while !self.me().note.sleep(&self.me().bed, NEVER) {}
    }
}

impl<const N: usize> Here<N> {
    fn me(&self) -> &'static Cpu {
        &self.world.cpus[self.cpu]
    }

    /// Gives up (counted as searching, or not) and comes back when there may be work, counted as searching.
    fn stop(&self, searching: bool) {
        self.me().note.clear();
        self.world.idle.stop(self.cpu, searching, self);
    }

    /// Looks at all other rings once.
    fn steal(&self) -> Option<&'static Item> {
        // SAFETY: PINNED: this thread is the CPU.
        let mine = unsafe { self.me().ring.owner() };
        let found = self.world.cpus.iter().enumerate().filter(|&(cpu, _)| cpu != self.cpu).find_map(|(_, victim)| {
            mine.steal_from(victim.ring.thief()).or_else(|| victim.ring.thief().take_runnext())
        });
        found.inspect(|item| item.run())
    }

    /// Out of work: stops, and searches, until something was found. It ends as a CPU that runs what it found.
    fn until_found(&self, mut searching: bool) -> &'static Item {
        loop {
            self.stop(searching);
            if let Some(item) = self.steal() {
                if self.world.idle.found_work() {
                    self.wakep();
                }
                return item;
            }
            searching = true;
        }
    }

    fn wakep(&self) {
        if let Some(cpu) = self.world.idle.wakep() {
            self.startm(cpu);
        }
    }
    fn startm(&self, cpu: usize) {
        self.world.cpus[cpu].note.wakeup(&self.world.cpus[cpu].bed);
    }

    /// Readies a goroutine on this CPU.
    fn submit(&self, item: &'static Item) {
        item.run();
        // SAFETY: PINNED: this thread is the CPU.
        assert!(unsafe { self.me().ring.owner() }.put_next(item).is_none());
        self.wakep();
    }
}

fn world<const N: usize>() -> [Here<N>; N] {
    let world = leak(World {
        idle: Idle::new(),
        cpus: core::array::from_fn(|_| Cpu {
            ring: Runq::new(),
            note: Note::new(),
            bed: Bed::new(),
            inbox: AtomicBool::new(false),
            injected: Injected::new(),
        }),
    });
    core::array::from_fn(|cpu| Here { world, cpu, wakes_itself: Cell::new(false) })
}

/// Work is submitted while the last searcher gives up: is it found? And are the counts right after it?
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

/// A CPU wakes by itself just when a submitter claims it: do they agree on who counts, and is no wakeup left over?
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

/// Two submit, and one of them counts as a searcher for a moment, while the CPU that it wants takes itself back and gives up again: does
/// the other's work wait for nobody?
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

/// Two work items, two idle CPUs, one submitter who then hogs its CPU: does the searcher that finds the first wake another for the second?
#[test]
fn a_searcher_that_finds_wakes_the_next() {
    check_bounded(2, || {
        let [submitter, a, b] = world::<3>();
        let [a, b] = [a, b].map(|cpu| {
            thread::spawn(move || {
                cpu.until_found(false);
            })
        });
        submitter.submit(item(0));
        submitter.submit(item(1));
        a.join().unwrap();
        b.join().unwrap();
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
            if searching && sleeper.world.idle.found_work() {
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

/// Someone wants a CPU that is busy, and another submits work meanwhile: does the idle CPU hear of that?
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

/// All CPUs sleep, and an interrupt readies the goroutine that waits for it, which another CPU takes: can anyone take that for a deadlock?
#[test]
fn an_interrupt_is_no_deadlock() {
    check(|| {
        let [checker, interrupted] = world::<2>();
        let world = checker.world;
        let injected: &'static Injected<Item> = leak(Injected::new());
        injected.expect();
        world.idle.go_idle(0, false);
        world.idle.go_idle(1, false);
        let interrupted = move || {
            injected.hand_over(item(0)); // in the handler
            if world.idle.take_back(interrupted.cpu) {
                world.idle.start_searching();
                assert!(injected.take_all().pop_front().is_some());
            }
        };
        let is_dead = move || checker.world.idle.is_dead(2, || injected.anything_to_come());
        assert!(!race(interrupted, is_dead).1);
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
                !cpu.has_work() && cpu.world.idle.is_dead(2, || cpu.has_work())
            })
        });
        assert!(found.map(|found| found.join().unwrap()) != [false, false]);
        assert_eq!(world.idle.idle_count(), 2);
    });
}
