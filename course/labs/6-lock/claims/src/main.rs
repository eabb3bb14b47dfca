//! What a lock that prefers readers promises.
//!
//! A goroutine "waits" when it is parked for [`WaitReason::Monitor`]: no claim depends on time.

use executive::g::WaitReason;
use executive::join::JoinHandle;
use executive::sync::{Barrier, Mutex, WaitGroup};
use executive::{go, yield_now};
use rwlock::preferring::ReaderLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

fn main() {
    harness::answer(&[
        ("a_free_lock_lets_in", a_free_lock_lets_in),
        ("readers_share", readers_share),
        ("a_writer_is_alone", a_writer_is_alone),
        ("who_waits_is_parked", who_waits_is_parked),
        ("a_reader_passes_a_waiting_writer", a_reader_passes_a_waiting_writer),
        ("waiting_readers_go_before_waiting_writers", waiting_readers_go_before_waiting_writers),
        ("the_last_reader_lets_one_writer_in", the_last_reader_lets_one_writer_in),
        ("nobody_is_forgotten", || come_and_go(30, 40)),
        ("no_wake_is_lost", no_wake_is_lost),
    ]);
}

fn lock() -> Arc<ReaderLock> {
    Arc::new(ReaderLock::new())
}

/// Runs `inside` in a goroutine that has the lock.
fn reader(lock: &Arc<ReaderLock>, inside: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let lock = lock.clone();
    go(move || {
        let _guard = lock.read();
        inside();
    })
}

fn writer(lock: &Arc<ReaderLock>, inside: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let lock = lock.clone();
    go(move || {
        let _guard = lock.write();
        inside();
    })
}

/// Lets others run until all of these wait for the lock.
fn until_all_wait(these: &[JoinHandle<()>]) {
    for handle in these {
        loop {
            match handle.waiting() {
                Some(WaitReason::Monitor) => break,
                _ => assert!(!handle.is_finished(), "it was let in, and should have waited"),
            }
            yield_now();
        }
    }
}

fn join(these: Vec<JoinHandle<()>>) {
    these.into_iter().for_each(JoinHandle::join);
}

fn a_free_lock_lets_in() {
    static LOCK: ReaderLock = ReaderLock::new();
    for _ in 0..3 {
        drop(LOCK.read());
        drop(LOCK.write());
        drop((LOCK.read(), LOCK.read(), LOCK.read()));
        drop(LOCK.write());
    }
}

/// All are inside at once, or none would pass the barrier.
fn readers_share() {
    let (lock, inside) = (lock(), Arc::new(Barrier::new(20)));
    let all = (0..20).map(|_| {
        let inside = inside.clone();
        reader(&lock, move || {
            inside.wait();
        })
    });
    join(all.collect());
    drop(lock.write());
}

/// Everybody says so on entering and leaving, and looks who else is inside.
fn a_writer_is_alone() {
    const WRITER: usize = 1000;
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    let lock = lock();
    let all = (0..8usize).map(|n| {
        let lock = lock.clone();
        go(move || {
            for round in 0..300 {
                if (n + round).is_multiple_of(3) {
                    let _guard = lock.write();
                    assert_eq!(INSIDE.fetch_add(WRITER, SeqCst), 0, "inside before a writer");
                    yield_now();
                    assert_eq!(INSIDE.fetch_sub(WRITER, SeqCst), WRITER, "inside with a writer");
                } else {
                    let _guard = lock.read();
                    assert!(INSIDE.fetch_add(1, SeqCst) < WRITER, "a writer is inside");
                    yield_now();
                    assert!(INSIDE.fetch_sub(1, SeqCst) < WRITER, "a writer has come in");
                }
                if round % 7 == n {
                    yield_now();
                }
            }
        })
    });
    join(all.collect());
}

/// It has left its CPU, and does not run until it is let in.
fn who_waits_is_parked() {
    let lock = lock();
    let writes = lock.write();
    let waiting = [reader(&lock, || ()), writer(&lock, || ())];
    until_all_wait(&waiting);
    drop(writes);
    join(waiting.into());
}

fn a_reader_passes_a_waiting_writer() {
    let lock = lock();
    let reads = lock.read();
    let mut writers = vec![writer(&lock, || ())];
    until_all_wait(&writers);
    // Would it wait, nobody would ever let it in.
    reader(&lock, || ()).join();
    writers.push(writer(&lock, || ()));
    until_all_wait(&writers);
    drop(lock.read());
    until_all_wait(&writers);
    drop(reads);
    join(writers);
}

fn waiting_readers_go_before_waiting_writers() {
    for coming in ["WR", "RW", "WRWRR", "WWRRR", "RWRWR"] {
        let (lock, order) = (lock(), Arc::new(Mutex::new(String::new())));
        let readers = coming.matches('R').count();
        let together = Arc::new(Barrier::new(readers));
        let writes = lock.write();
        let mut all = Vec::new();
        for who in coming.chars() {
            let (order, together) = (order.clone(), together.clone());
            all.push(if who == 'R' {
                reader(&lock, move || {
                    together.wait(); // for all that waited: they are inside together
                    order.lock().push('R');
                })
            } else {
                writer(&lock, move || order.lock().push('W'))
            });
            until_all_wait(&all);
        }
        drop(writes);
        join(all);
        let expected = "R".repeat(readers) + &"W".repeat(coming.len() - readers);
        assert_eq!(*order.lock(), expected, "when they came as {coming}");
    }
}

/// Not the first reader that leaves, and not two writers.
fn the_last_reader_lets_one_writer_in() {
    let (lock, inside) = (lock(), Arc::new(AtomicUsize::new(0)));
    let out = Arc::new(AtomicBool::new(false));
    let (first, second) = (lock.read(), lock.read());
    let mut writers = Vec::new();
    for _ in 0..3 {
        let (inside, out) = (inside.clone(), out.clone());
        writers.push(writer(&lock, move || {
            assert!(out.load(SeqCst), "a writer is in, and so is a reader");
            assert_eq!(inside.fetch_add(1, SeqCst), 0, "two writers are in");
            (0..10).for_each(|_| yield_now());
            inside.fetch_sub(1, SeqCst);
        }));
    }
    until_all_wait(&writers);
    drop(first);
    (0..10).for_each(|_| yield_now());
    until_all_wait(&writers);
    out.store(true, SeqCst);
    drop(second);
    join(writers);
    drop(lock.read());
}

/// Many come and go at once, again and again; all of them end.
fn come_and_go(rounds: usize, many: usize) {
    for round in 0..rounds {
        let (lock, done) = (lock(), Arc::new(WaitGroup::new()));
        for n in 0..many {
            let (lock, done) = (lock.clone(), done.clone());
            done.add(1);
            go(move || {
                if (n * 7 + round).is_multiple_of(4) {
                    let _guard = lock.write();
                    yield_now();
                } else {
                    let _guard = lock.read();
                    yield_now();
                }
                done.done();
            });
        }
        done.wait();
        drop(lock.write()); // and it is free
    }
}

/// A reader leaves while writers are on their way to wait. Under a seed's schedule they are
/// preempted there.
fn no_wake_is_lost() {
    for _ in 0..30 {
        let lock = lock();
        let reads = lock.read();
        let writers = vec![writer(&lock, || ()), writer(&lock, || ())];
        yield_now();
        drop(reads);
        join(writers);
    }
    come_and_go(3, 12);
}
