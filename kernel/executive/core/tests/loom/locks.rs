//! Models of the words of `Mutex` and `RwLock`: does one at a time have the lock, does it see what
//! was done under it, and does nobody wait for ever? (Then all threads wait, and loom reports a
//! deadlock.)

use super::model::{Item, Ready, check, item, leak, race, race_beside};
use super::services::lockword::{LockWord, Position, Queue};
use super::services::param::STARVATION_NS;
use super::services::readers::{Entered, Readers};
use loom::sync::Mutex;
use loom::thread;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

/// A semaphore as in sync/sema.rs: permits or waiters, never both.
struct Waiters {
    state: Mutex<(u32, VecDeque<&'static Ready>)>,
}

impl Waiters {
    fn new() -> Self {
        Waiters { state: Mutex::new((0, VecDeque::new())) }
    }
    fn acquire(&self, position: Position) {
        let mut state = self.state.lock().unwrap();
        if state.0 > 0 {
            state.0 -= 1;
            return;
        }
        let me = leak(Ready::new());
        match position {
            Position::Back => state.1.push_back(me),
            Position::Front => state.1.push_front(me),
        }
        drop(state);
        me.wait();
    }
    fn release(&self) {
        let mut state = self.state.lock().unwrap();
        match state.1.pop_front() {
            Some(first) => first.ready(),
            None => state.0 += 1,
        }
    }
    fn is_empty(&self) -> bool {
        let state = self.state.lock().unwrap();
        state.0 == 0 && state.1.is_empty()
    }
}

struct Locked {
    word: LockWord,
    waiters: Waiters,
    /// Its clock goes by so much with each look.
    step: u64,
    time: AtomicU64,
    value: &'static Item,
}

fn mutex(step: u64) -> &'static Locked {
    leak(Locked {
        word: LockWord::new(),
        waiters: Waiters::new(),
        step,
        time: AtomicU64::new(1),
        value: item(0),
    })
}

/// Who wants a lock, and may spin for it or not.
struct Who {
    mutex: &'static Locked,
    spins: bool,
    /// Is told when it waits.
    watcher: Option<&'static Ready>,
}

impl Queue for Who {
    fn acquire(&self, position: Position) {
        if let Some(watcher) = self.watcher {
            watcher.ready();
        }
        self.mutex.waiters.acquire(position);
    }
    fn release(&self) {
        self.mutex.waiters.release();
    }
    fn may_spin(&self) -> bool {
        self.spins
    }
    fn now(&self) -> u64 {
        // Not an atomic of the model: it orders nothing.
        self.mutex.time.fetch_add(self.mutex.step, Ordering::Relaxed)
    }
}

impl Locked {
    fn who(&'static self, spins: bool) -> Who {
        Who { mutex: self, spins, watcher: None }
    }
    fn turn(&'static self) {
        self.turn_of(self.who(false));
    }
    fn turn_of(&self, who: Who) {
        self.word.lock(&who);
        self.value.run();
        self.word.unlock(&who);
    }
    fn try_turn(&'static self) -> bool {
        let locked = self.word.try_lock();
        if locked {
            self.value.run();
            self.word.unlock(&self.who(false));
        }
        locked
    }
    /// All turns are over: so many there were, nobody is counted, and no permit was left.
    fn over(&'static self, turns: u32) {
        assert_eq!(self.word.get(), 0);
        assert!(self.waiters.is_empty());
        self.turn(); // sees what all did
        assert_eq!(self.value.runs(), turns + 1);
    }
}

/// Two want it, one of them twice: does each get it, alone?
#[test]
fn two_take_turns() {
    check(|| {
        let mutex = mutex(0);
        race(
            || {
                mutex.turn();
                mutex.turn();
            },
            || mutex.turn(),
        );
        mutex.over(3);
    });
}

/// Three want it, so two may wait at once: is each of them woken?
#[test]
fn three_take_turns() {
    check(|| {
        let mutex = mutex(0);
        race_beside(|| mutex.turn(), || mutex.turn(), || mutex.turn());
        mutex.over(3);
    });
}

/// Three want it, and one of them spins for a while and tells unlocks that it is awake: is who
/// waits woken nevertheless?
#[test]
fn a_spinner_hides_nobody() {
    check(|| {
        let mutex = mutex(0);
        race_beside(|| mutex.turn_of(mutex.who(true)), || mutex.turn(), || mutex.turn());
        mutex.over(3);
    });
}

/// Three want it, and who waits at all has waited too long: is the lock handed over, once, and is
/// it an ordinary lock afterwards?
#[test]
fn who_starves_is_handed_it() {
    check(|| {
        let mutex = mutex(2 * STARVATION_NS);
        race_beside(
            || mutex.turn(),
            || {
                mutex.turn();
                mutex.turn();
            },
            || mutex.turn(),
        );
        mutex.over(4);
    });
}

/// Between an unlock and its look for whom to wake, the lock goes to another, to one that has
/// starved, and on: is it handed over once?
#[test]
fn a_late_unlock_wakes_nobody_again() {
    check(|| {
        let mutex = mutex(2 * STARVATION_NS);
        let me = mutex.who(false);
        mutex.word.lock(&me);
        let it_waits = leak(Ready::new());
        let waits =
            thread::spawn(|| mutex.turn_of(Who { watcher: Some(it_waits), ..mutex.who(false) }));
        it_waits.wait();
        let other = thread::spawn(|| mutex.turn());
        mutex.word.unlock(&me);
        mutex.turn();
        waits.join().unwrap();
        other.join().unwrap();
        mutex.over(3);
    });
}

/// One tries, twice, and others want it: does it get it alone or not at all, never before who
/// starves, and is nobody forgotten for it?
#[test]
fn who_tries_is_alone_too() {
    check(|| {
        let mutex = mutex(2 * STARVATION_NS);
        let tries = || u32::from(mutex.try_turn()) + u32::from(mutex.try_turn());
        let (got, _) = race_beside(tries, || mutex.turn(), || mutex.turn());
        mutex.over(2 + got);
    });
}

struct Shared {
    words: Readers,
    /// One writer at a time.
    writers: &'static Locked,
    for_readers: Waiters,
    for_writer: Waiters,
    value: &'static Item,
}

fn rwlock() -> &'static Shared {
    leak(Shared {
        words: Readers::new(),
        writers: mutex(0),
        for_readers: Waiters::new(),
        for_writer: Waiters::new(),
        value: item(0),
    })
}

impl Shared {
    fn read(&self) -> u32 {
        if self.words.enter() == Entered::Waits {
            self.for_readers.acquire(Position::Back);
        }
        self.reading()
    }
    fn reading(&self) -> u32 {
        let seen = self.value.runs();
        if self.words.leave() {
            self.for_writer.release();
        }
        seen
    }
    fn write(&self) {
        self.writers.word.lock(&self.writers.who(false));
        if !self.words.begin_write() {
            self.for_writer.acquire(Position::Back);
        }
        self.writing();
    }
    fn writing(&self) {
        self.value.run();
        for _ in 0..self.words.end_write() {
            self.for_readers.release();
        }
        self.writers.word.unlock(&self.writers.who(false));
    }
}

/// One reads twice, one writes: does neither see the other at it, and does neither wait for ever?
#[test]
fn a_reader_and_a_writer() {
    check(|| {
        let lock = rwlock();
        let (seen, ()) = race(|| (lock.read(), lock.read()), || lock.write());
        assert!(seen.0 <= seen.1);
        assert_eq!(lock.read(), 1);
    });
}

/// Two read, one writes: is the writer let in by the last of them, and are both let in after it?
#[test]
fn two_readers_and_a_writer() {
    check(|| {
        let lock = rwlock();
        race_beside(|| lock.write(), || lock.read(), || lock.read());
        assert!(lock.words.try_begin_write(), "nobody reads");
    });
}

/// One reads, two write: does each have it alone?
#[test]
fn a_reader_and_two_writers() {
    check(|| {
        let lock = rwlock();
        race_beside(|| lock.read(), || lock.write(), || lock.write());
        assert_eq!(lock.read(), 2);
    });
}

/// One tries to read and one tries to write: does each have it as it should, or not at all?
#[test]
fn who_tries_reads_or_writes_as_others() {
    check(|| {
        let lock = rwlock();
        let (_, (wrote, ())) = race_beside(
            || lock.words.try_enter().then(|| lock.reading()),
            || {
                if !lock.writers.word.try_lock() {
                    return false;
                }
                let mine = lock.words.try_begin_write();
                if mine {
                    lock.writing();
                } else {
                    lock.writers.word.unlock(&lock.writers.who(false));
                }
                mine
            },
            || lock.write(),
        );
        assert_eq!(lock.read(), 1 + u32::from(wrote));
    });
}
