//! Random programs that panic at random points: with locks held, in a select, in a scope, in what a
//! destructor does, and wherever a goroutine may have parked before. Every panic is caught once, by
//! the nearest `recover`, and nothing is left behind.

use crate::help::{Random, until};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ops::DerefMut;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use core::time::Duration;
use executive::chan::{Receiver, Sender, TryRecvError};
use executive::recover::{Panic, isolated, panic_with, panicking};
use executive::sync::{Mutex, RwLock, Semaphore};
use executive::time::{Instant, sleep};
use executive::{chan, go, goexit, recover, scope, select, yield_now};

scenarios! { panics:

/// Under a seed of tests/fuzz.sh the programs are the seed's, too, for its clock is.
fn at_random_points() {
    let first = Instant::now().as_nanos();
    (0..10).for_each(|n| program(first.wrapping_add(n)));
}
}

/// One in so many points panics.
const RARE: u64 = 12;
/// What `One::raised` has after `goexit`.
const EXITED: u64 = u64::MAX;

/// What the goroutines of a program share.
struct Shared {
    /// Whether somebody is inside.
    mutex: Mutex<bool>,
    rwlock: RwLock<bool>,
    permits: Semaphore,
    /// How many [`Thing`]s there are.
    things: AtomicUsize,
    /// How many panics were raised: each has its number.
    panics: AtomicU64,
}
const PERMITS: usize = 2;

/// Something to leak, or to drop twice.
struct Thing(Arc<Shared>);
impl Thing {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.things.fetch_add(1, SeqCst);
        Thing(shared.clone())
    }
}
impl Drop for Thing {
    fn drop(&mut self) {
        self.0.things.fetch_sub(1, SeqCst);
    }
}

/// Holds a lock, alone.
struct Inside<G: DerefMut<Target = bool>>(G);
impl<G: DerefMut<Target = bool>> Inside<G> {
    fn new(mut guard: G) -> Self {
        assert!(!*guard, "two are inside");
        *guard = true;
        Inside(guard)
    }
}
impl<G: DerefMut<Target = bool>> Drop for Inside<G> {
    fn drop(&mut self) {
        *self.0 = false;
    }
}

struct Permit<'a>(&'a Semaphore);
impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

struct Deferred<F: FnMut()>(F);
impl<F: FnMut()> Drop for Deferred<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Goroutines in a row, each with a channel to the next. Nobody waits for a lock or for another's
/// values with a lock held, so all of them end.
fn program(seed: u64) {
    let mut random = Random::new(seed);
    let shared = Arc::new(Shared {
        mutex: Mutex::new(false),
        rwlock: RwLock::new(false),
        permits: Semaphore::new(PERMITS),
        things: AtomicUsize::new(0),
        panics: AtomicU64::new(0),
    });
    let (_, mut from) = chan(0);
    let handles: Vec<_> = (0..2 + random.below(4))
        .map(|_| {
            let (to, next) = chan(random.below(3) as usize);
            let from = core::mem::replace(&mut from, next);
            let (ended, end) = chan::<()>(0);
            let raised = Arc::new(AtomicU64::new(0));
            let (shared, told, seed) = (shared.clone(), raised.clone(), random.below(u64::MAX));
            let body = move || {
                let (_ended, from, to) = (ended, from, to);
                One::new(&shared, seed, &from, &to, told).steps(2)
            };
            (go(isolated(body)), end, raised)
        })
        .collect();
    drop(from);
    for (handle, end, raised) in handles {
        let result = handle.join();
        let was = raised.load(SeqCst);
        match result {
            Err(exit) if exit.is_goexit() => assert_eq!(was, EXITED, "program {seed}"),
            result => assert_eq!(number(result), was, "program {seed}"),
        }
        assert_eq!(end.try_recv(), Err(TryRecvError::Closed), "program {seed}: its end is there");
    }
    assert!(!panicking());
    until(|| shared.things.load(SeqCst) == 0); // those of the detached
    assert!(shared.mutex.try_lock().is_some_and(|inside| !*inside), "program {seed}: mutex");
    assert!(shared.rwlock.try_write().is_some_and(|inside| !*inside), "program {seed}: rwlock");
    assert_eq!(shared.permits.permits(), PERMITS, "program {seed}");
}

/// A panic's number, or 0.
fn number(result: Result<(), Panic>) -> u64 {
    let Err(panic) = result else { return 0 };
    match panic.payload() {
        Some(value) => *value.downcast_ref().expect("a number"),
        None => panic.message().parse().unwrap_or_else(|_| panic!("not ours: {panic:?}")),
    }
}

/// A goroutine.
struct One<'a> {
    shared: Arc<Shared>,
    random: RefCell<Random>,
    from: &'a Receiver<Thing>,
    to: &'a Sender<Thing>,
    /// The number of the panic that unwinds it up to the innermost `recover`; 0: none does.
    raised: Arc<AtomicU64>,
    /// Whether it is in a destructor, and so must not exit.
    unwinds: Cell<bool>,
}

impl<'a> One<'a> {
    fn new(
        shared: &Arc<Shared>,
        seed: u64,
        from: &'a Receiver<Thing>,
        to: &'a Sender<Thing>,
        raised: Arc<AtomicU64>,
    ) -> Self {
        let random = RefCell::new(Random::new(seed));
        One { shared: shared.clone(), random, from, to, raised, unwinds: Cell::new(false) }
    }

    fn below(&self, n: u64) -> u64 {
        self.random.borrow_mut().below(n)
    }

    /// May panic.
    fn point(&self) {
        let _thing = Thing::new(&self.shared);
        if self.below(RARE) != 0 {
            return;
        }
        let number = self.shared.panics.fetch_add(1, SeqCst) + 1;
        self.raised.store(number, SeqCst);
        match self.below(4) {
            0 if !self.unwinds.get() => {
                self.raised.store(EXITED, SeqCst);
                goexit()
            }
            1 => panic_with(number),
            _ => panic!("{number}"),
        }
    }

    fn steps(&self, depth: usize) {
        let _thing = Thing::new(&self.shared);
        for _ in 0..self.below(6) {
            self.point();
            self.step(depth);
        }
        self.point();
    }

    /// With a lock held: no step that parks for long.
    fn moment(&self) {
        self.point();
        match self.below(4) {
            0 => yield_now(),
            1 => sleep(self.pause()),
            2 => drop(self.to.try_send(Thing::new(&self.shared))),
            _ => drop(self.from.try_recv()),
        }
        self.point();
    }

    fn pause(&self) -> Duration {
        Duration::from_nanos(self.below(50_000))
    }

    fn step(&self, depth: usize) {
        let deeper = depth.saturating_sub(1);
        match self.below(if depth > 0 { 13 } else { 9 }) {
            0 => yield_now(),
            1 => sleep(self.pause()),
            2 => {
                let _inside = Inside::new(self.shared.mutex.lock());
                self.moment();
            }
            3 => {
                let _inside = Inside::new(self.shared.rwlock.write());
                self.moment();
            }
            4 => {
                let inside = self.shared.rwlock.read();
                self.moment();
                assert!(!*inside, "a reader beside a writer");
            }
            5 => {
                self.shared.permits.acquire();
                let _permit = Permit(&self.shared.permits);
                self.moment();
            }
            6 => drop(self.to.send(Thing::new(&self.shared))),
            7 => drop(self.from.recv()),
            8 => select! {
                recv(self.from) -> thing => {
                    self.point();
                    drop(thing);
                },
                send(self.to, { self.point(); Thing::new(&self.shared) }) -> sent => {
                    self.point();
                    drop(sent);
                },
                after(self.pause()) => self.point(),
            },
            9 => self.recovers(|| self.steps(deeper)),
            10 => {
                let _defers = Deferred(|| {
                    let around = self.unwinds.replace(true);
                    self.recovers(|| self.steps(deeper));
                    self.unwinds.set(around);
                });
                self.steps(deeper);
            }
            11 => self.scopes(deeper),
            _ => {
                let thing = Thing::new(&self.shared);
                let child = go(isolated(move || {
                    let _thing = thing;
                    yield_now();
                    panic!("the child")
                }));
                match self.below(2) {
                    0 => drop(child),
                    _ => assert_eq!(child.join().unwrap_err().message(), "the child"),
                }
            }
        }
    }

    /// A `recover`, which gets the panic that was raised in it last, and no other.
    fn recovers(&self, f: impl FnOnce()) {
        let around = self.raised.swap(0, SeqCst);
        let result = recover(f);
        assert_eq!(number(result), self.raised.swap(around, SeqCst));
    }

    /// Of several panics, the scope's is one.
    fn scopes(&self, depth: usize) {
        let raised: Vec<Arc<AtomicU64>> = (0..1 + self.below(3)).map(|_| Arc::default()).collect();
        let around = self.raised.swap(0, SeqCst);
        let result = recover(|| {
            scope(|s| {
                for raised in &raised {
                    let seed = self.below(u64::MAX);
                    let child = One::new(&self.shared, seed, self.from, self.to, raised.clone());
                    s.go(move || child.steps(depth));
                }
                self.point();
            })
        });
        let own = self.raised.swap(around, SeqCst);
        let raised = raised.iter().map(|raised| raised.load(SeqCst)).filter(|&n| n != EXITED);
        let all: Vec<_> = raised.chain([own]).filter(|&number| number != 0).collect();
        match number(result) {
            0 => assert_eq!(all, []),
            panic if own != 0 => assert_eq!(panic, own),
            panic => assert!(all.contains(&panic), "{panic} is none of {all:?}"),
        }
    }
}
