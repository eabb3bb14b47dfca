//! What the models share: a bounded check, a thing that is queued and runs once, and a machine to
//! sleep on.
//!
//! A model is a few lines that ask one question of the real types of `src`, with loom's atomics and
//! a ring of 4. loom runs it in every order of its threads' steps, with up to
//! `LOOM_MAX_PREEMPTIONS` (3) switches that nobody asked for, and with every old value that the
//! orderings allow to be read. tests/mutations.sh holds that each can fail.
#![allow(dead_code)] // each model uses its part

use crate::ground::atomic::{AtomicRef, AtomicU32};
use crate::nouns::runq::Linked;
use crate::nouns::waitq::WaitQ;
use crate::tools::lock::{Lock, Rank};
use crate::tools::note::Sleeper;
use loom::cell::UnsafeCell;
use loom::sync::{Condvar, Mutex};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// What loom says of the order that it is at, where `LOOM_LOG` asks for it (`trace`: of each step).
/// It is printed when the model fails in that order; of the others nothing is.
#[derive(Clone, Default)]
struct Trace(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Trace {
    fn begin(&self) {
        self.0.lock().unwrap().clear();
    }
}

impl std::io::Write for Trace {
    fn write(&mut self, words: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(words)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Tells the trace at the end of a check that fails.
struct Tells(Trace);

impl Drop for Tells {
    fn drop(&mut self) {
        if std::thread::panicking() {
            print!("{}", String::from_utf8_lossy(&self.0.0.lock().unwrap()));
        }
    }
}

/// Runs the model in every order, within bounds.
pub fn check(model: impl Fn() + Sync + Send + 'static) {
    let trace = Trace::default();
    let _tells = Tells(trace.clone());
    let to = trace.clone();
    let _loom_says = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_env("LOOM_LOG"))
        .with_writer(move || to.clone())
        .with_ansi(false)
        .without_time()
        .finish()
        .set_default();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.max_branches = 20_000;
    let model = std::sync::Arc::new(model);
    for swapped in [false, true] {
        let (model, trace) = (model.clone(), trace.clone());
        SWAPPED.set(swapped);
        builder.check(move || {
            trace.begin();
            model();
        });
        if !RACES.replace(false) {
            break; // the second time would be the first again
        }
    }
}

std::thread_local! {
    static SWAPPED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    /// The model has called [`race`].
    static RACES: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Two threads at once; gives what both return. The second time that the model is checked they are
/// started in the other order: loom remembers only the last access to each atomic when it looks for
/// orders worth trying, so what it tries depends on who begins.
pub fn race<A: 'static, B: 'static>(
    a: impl FnOnce() -> A + Send + 'static,
    b: impl FnOnce() -> B + Send + 'static,
) -> (A, B) {
    RACES.set(true);
    if SWAPPED.get() {
        let b = loom::thread::spawn(b);
        let a = loom::thread::spawn(a);
        (a.join().unwrap(), b.join().unwrap())
    } else {
        let a = loom::thread::spawn(a);
        let b = loom::thread::spawn(b);
        (a.join().unwrap(), b.join().unwrap())
    }
}

/// Three threads at once, two of them a [`race`].
pub fn race_beside<A: 'static, B: 'static, C: 'static>(
    third: impl FnOnce() -> C + Send + 'static,
    a: impl FnOnce() -> A + Send + 'static,
    b: impl FnOnce() -> B + Send + 'static,
) -> (C, (A, B)) {
    let third = loom::thread::spawn(third);
    let both = race(a, b);
    (third.join().unwrap(), both)
}

/// Never freed, as g's are not.
pub fn leak<T>(t: T) -> &'static T {
    Box::leak(Box::new(t))
}

/// Stands for a goroutine: what its maker wrote must be seen by who runs it, and it runs once.
pub struct Item {
    link: AtomicRef<Item>,
    runs: UnsafeCell<u32>,
    pub id: u32,
}

// SAFETY: loom checks every access to `runs`.
unsafe impl Sync for Item {}
unsafe impl Send for Item {}

impl Linked for Item {
    fn link(&self) -> &AtomicRef<Item> {
        &self.link
    }
}

pub fn item(id: u32) -> &'static Item {
    leak(Item::new(id))
}

impl Item {
    pub fn new(id: u32) -> Self {
        Item { link: AtomicRef::new(), runs: UnsafeCell::new(0), id }
    }
    /// Writes as its maker, or as one who ran it, does. loom fails the model unless all earlier
    /// accesses happened before.
    pub fn run(&self) {
        // SAFETY: what loom checks.
        self.runs.with_mut(|runs| unsafe { *runs += 1 });
    }
    pub fn runs(&self) -> u32 {
        // SAFETY: what loom checks.
        self.runs.with(|runs| unsafe { *runs })
    }
}

/// A CPU's sleep, as the contract promises it: the check and the sleep are atomic towards `wake`.
/// No deadline ever comes.
pub struct Bed {
    lock: Mutex<()>,
    woken: Condvar,
}

impl Bed {
    pub fn new() -> Self {
        Bed { lock: Mutex::new(()), woken: Condvar::new() }
    }
}

impl Sleeper for Bed {
    fn wait(&self, word: &AtomicU32, expect: u32, _deadline: u64) {
        let held = self.lock.lock().unwrap();
        // Relaxed, unlike a real machine's, to lend the note no ordering of its own.
        if word.load(crate::ground::atomic::Ordering::Relaxed) == expect {
            drop(self.woken.wait(held).unwrap());
        }
    }
    fn wake(&self, _word: &AtomicU32) {
        drop(self.lock.lock().unwrap());
        self.woken.notify_one();
    }
}

/// A channel's queue of those who wait.
pub struct Channel {
    pub waiters: Lock<WaitQ>,
}
// SAFETY: waiters are touched under the lock (waitq's rule); what this is asked about is checked by
// `Item`.
unsafe impl Sync for Channel {}
unsafe impl Send for Channel {}

impl Channel {
    pub fn new() -> Self {
        Channel { waiters: Lock::new(Rank::Chan, WaitQ::new()) }
    }

    /// As a sender does: takes off the first who waits, writes to its stack, and readies it;
    /// whether there was one to be had.
    pub fn send(&self, stack: &Item, readied: &Ready) -> bool {
        let queue = self.waiters.lock();
        let won = queue.dequeue().is_some();
        if won {
            stack.run(); // writes what it sends
        }
        drop(queue);
        if won {
            readied.ready();
        }
        won
    }
}

/// A goroutine's being readied, once, and its running again. (loom's `Notify` wakes for nothing now
/// and then; a parked goroutine never does.)
pub struct Ready {
    readied: Mutex<bool>,
    changed: Condvar,
}

impl Ready {
    pub fn new() -> Self {
        Ready { readied: Mutex::new(false), changed: Condvar::new() }
    }
    pub fn ready(&self) {
        let was = std::mem::replace(&mut *self.readied.lock().unwrap(), true);
        assert!(!was, "readied by two");
        self.changed.notify_one();
    }
    pub fn wait(&self) {
        let mut readied = self.readied.lock().unwrap();
        while !*readied {
            readied = self.changed.wait(readied).unwrap();
        }
        *readied = false;
    }
}
