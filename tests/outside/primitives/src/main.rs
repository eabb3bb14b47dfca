//! What the primitives promise, asked of them as a Linux process (`cargo run`) and in a kernel
//! (`cargo run --target x86_64-unknown-none`).
#![cfg_attr(not(unix), no_std, no_main)]

extern crate alloc;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use executive::g::WaitReason;
use executive::join::JoinHandle;
use executive::sync::{Barrier, Mutex};
use executive::{go, println, yield_now};
use primitives::fair::FairLock;
use primitives::latch::CountDownLatch;

#[cfg(not(unix))]
kernel::entry!(ask);
#[cfg(unix)]
fn main() {
    hosted::run(ask)
}

fn ask() {
    latch_lets_all_go_on();
    lock_is_first_come_first_served(FairLock::write, "RRWRWWRRR");
    lock_is_first_come_first_served(FairLock::read, "WRRWWR");
    readers_share_and_writers_are_alone();
    println!("primitives hold on {} CPUs", executive::affinity::cpus());
}

/// Lets others run until all of them wait for a primitive, which none may have passed.
fn until_all_wait<T>(of: &[JoinHandle<T>]) {
    let waits = |h: &JoinHandle<T>| match h.waiting() {
        Some(WaitReason::Monitor) => true,
        None if !h.is_finished() => false,
        _ => panic!("it was let in"),
    };
    while !of.iter().all(waits) {
        yield_now();
    }
}

fn latch_lets_all_go_on() {
    const WAITERS: usize = 50; // more than a monitor readies in one hold of its lock
    static OUT: AtomicUsize = AtomicUsize::new(0);
    let latch = Arc::new(CountDownLatch::new(3));
    let waiters: Vec<_> = (0..WAITERS)
        .map(|_| {
            let latch = latch.clone();
            go(move || {
                latch.wait();
                assert_eq!(latch.count(), 0, "before the last count");
                OUT.fetch_add(1, SeqCst);
            })
        })
        .collect();
    until_all_wait(&waiters);
    for left in [2, 1] {
        latch.count_down();
        assert_eq!(latch.count(), left);
        until_all_wait(&waiters);
        assert_eq!(OUT.load(SeqCst), 0);
    }
    go(move || {
        latch.count_down();
        latch.wait(); // open for ever
        latch.count_down();
        latch.wait();
    })
    .join();
    waiters.into_iter().for_each(JoinHandle::join);
    assert_eq!(OUT.load(SeqCst), WAITERS);
}

/// Readers and writers come in a known order while one is in that `first` let in: readers without a
/// writer between them go in together, and nobody goes in before one that came earlier.
fn lock_is_first_come_first_served<T>(first: fn(&'static FairLock) -> T, coming: &str) {
    static LOCK: FairLock = FairLock::new();
    static ORDER: Mutex<Vec<char>> = Mutex::new(Vec::new());
    fn read(group: &Barrier) {
        let _guard = LOCK.read();
        ORDER.lock().push('R');
        group.wait(); // for the others of the group, which must have been let in too
    }
    fn write() {
        let _guard = LOCK.write();
        (0..10).for_each(|_| yield_now());
        ORDER.lock().push('W');
    }
    let first = first(&LOCK);
    let mut others = Vec::new();
    for (n, readers) in coming.split('W').enumerate() {
        if n > 0 {
            others.push(go(write));
            until_all_wait(&others);
        }
        let group = Arc::new(Barrier::new(readers.len().max(1)));
        for _ in readers.chars() {
            let group = group.clone();
            others.push(go(move || read(&group)));
            until_all_wait(&others);
        }
    }
    drop(first);
    others.into_iter().for_each(JoinHandle::join);
    assert_eq!(ORDER.lock().iter().collect::<String>(), coming);
    ORDER.lock().clear();
    drop((LOCK.read(), LOCK.read())); // and it is free
    drop(LOCK.write());
}

/// All at once: what a writer has changed, it and the readers find whole.
fn readers_share_and_writers_are_alone() {
    static LOCK: FairLock = FairLock::new();
    static PAIR: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
    const EACH: usize = 200;
    let goroutines: Vec<_> = (0..8usize)
        .map(|n| {
            go(move || {
                for round in 0..EACH {
                    if (n + round) % 3 == 0 {
                        let _guard = LOCK.write();
                        let was = PAIR[0].load(SeqCst);
                        PAIR[0].store(was + 1, SeqCst);
                        yield_now();
                        PAIR[1].store(was + 1, SeqCst);
                    } else {
                        let _guard = LOCK.read();
                        let was = PAIR[0].load(SeqCst);
                        yield_now();
                        assert_eq!(PAIR[1].load(SeqCst), was, "a writer beside a reader");
                    }
                }
            })
        })
        .collect();
    goroutines.into_iter().for_each(JoinHandle::join);
    let writes = (0..8).map(|n| (0..EACH).filter(|round| (n + round) % 3 == 0).count()).sum();
    assert_eq!(PAIR[0].load(SeqCst), writes, "two writers at once");
}
