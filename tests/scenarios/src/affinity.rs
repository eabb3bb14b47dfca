//! A goroutine that stays on its CPU: package runtime, `LockOSThread`.

use crate::counter;
use crate::help::{MS, WaitReason, hog_until, until_waits};
use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;
use executive::affinity::{cpus, lock_to_this_cpu};
use executive::percpu::cpu;
use executive::time::{Instant, sleep, sleep_until};
use executive::{chan, go, lock_to_cpu, yield_now};

scenarios! { affinity:

fn a_goroutine_moves_to_its_cpu() {
    for n in 0..cpus() {
        let _here = lock_to_cpu(n);
        assert_eq!(cpu(), n);
    }
}

/// Whatever it does.
fn it_stays_there() {
    let handles: Vec<_> = (0..cpus()).map(|n| go(move || {
        let _here = lock_to_cpu(n);
        let (tx, rx) = chan(0);
        let other = go(move || (0..50).for_each(|i| tx.send(i).unwrap()));
        for i in 0..50 {
            assert_eq!((rx.recv(), cpu()), (Some(i), n));
            yield_now();
            assert_eq!(cpu(), n);
        }
        sleep(MS);
        assert_eq!(cpu(), n);
        other.join();
        assert_eq!(cpu(), n);
    })).collect();
    handles.into_iter().for_each(|h| h.join());
}

/// It is locked to the CPU on which it is, also if it was preempted on the way there.
fn it_stays_where_it_was() {
    let lockers: Vec<_> = (0..3 * cpus()).map(|_| go(|| for _ in 0..20_000 {
        let before = cpu();
        let _here = lock_to_this_cpu();
        let locked_at = cpu();
        if locked_at != before {
            yield_now();
            assert_eq!(cpu(), locked_at);
        }
    })).collect();
    lockers.into_iter().for_each(|h| h.join());
}

/// Others run on that CPU too.
fn others_run_beside_it() {
    counter!(RAN);
    let _here = lock_to_cpu(0);
    let handles: Vec<_> = (0..100).map(|_| go(|| RAN.fetch_add(1, SeqCst))).collect();
    assert_eq!(handles.into_iter().map(|h| h.join()).max(), Some(99));
    assert_eq!((RAN.load(SeqCst), cpu()), (100, 0));
}

/// Several on one CPU take turns.
fn several_on_one_cpu() {
    let last = cpus() - 1;
    let handles: Vec<_> = (0..8).map(|_| go(move || {
        let _here = lock_to_cpu(last);
        for _ in 0..50 {
            yield_now();
            assert_eq!(cpu(), last);
        }
    })).collect();
    handles.into_iter().for_each(|h| h.join());
}

/// One that is readied by a goroutine of its own CPU, which then gives that CPU to nobody.
fn it_runs_beside_the_one_that_readied_it() {
    counter!(RAN);
    for n in 0..cpus() {
        let (tx, rx) = chan(0);
        let waits = go(move || {
            let _here = lock_to_cpu(n);
            rx.recv().unwrap();
            RAN.fetch_add(1, SeqCst);
        });
        until_waits(&waits, WaitReason::ChanReceive);
        let sends = go(move || {
            let _here = lock_to_cpu(n);
            tx.send(()).unwrap();
            hog_until(|| RAN.load(SeqCst) == n + 1);
        });
        sends.join();
        waits.join();
    }
}

/// A locked goroutine and a free one wake on one CPU at the same instant, and the free one is a
/// hog.
fn it_runs_beside_a_free_one_that_woke_with_it() {
    counter!(RAN);
    for round in 1..=10 {
        for n in 0..cpus() {
            let (at, woken) = (Instant::now() + MS, RAN.load(SeqCst) + 1);
            let locked = go(move || {
                let _here = lock_to_cpu(n);
                sleep_until(at);
                RAN.fetch_add(1, SeqCst);
            });
            let free = go(move || {
                drop(lock_to_cpu(n));
                sleep_until(at);
                hog_until(|| RAN.load(SeqCst) == woken);
            });
            locked.join();
            free.join();
        }
        assert_eq!(RAN.load(SeqCst), round * cpus());
    }
}

/// Hogs that are locked and hogs that are free, more of the one or of the other.
fn locked_and_free_hogs_take_turns() {
    counter!(RAN);
    for (locked, free) in [(1, 6), (6, 1), (3, 3)] {
        RAN.store(0, SeqCst);
        let hog = move || {
            RAN.fetch_add(1, SeqCst);
            hog_until(|| RAN.load(SeqCst) == locked + free);
        };
        let home = lock_to_this_cpu(); // so that all begin on one CPU
        let here = cpu();
        let hogs: Vec<_> = (0..locked + free).map(|i| go(move || {
            let _here = (i < locked).then(|| lock_to_cpu(here));
            hog();
        })).collect();
        drop(home);
        hogs.into_iter().for_each(|h| h.join());
    }
}

/// Two that talk for as long as a third, on the same CPU, has not had its turns.
fn a_locked_pair_that_talks_starves_nobody() {
    counter!(TURNS);
    let (ping, pinged) = chan(0);
    let (pong, ponged) = chan(0);
    let pair = [
        go(move || {
            let _here = lock_to_cpu(0);
            while TURNS.load(SeqCst) < 20 {
                ping.send(()).unwrap();
                ponged.recv().unwrap();
            }
        }),
        go(move || {
            let _here = lock_to_cpu(0);
            pinged.iter().for_each(|()| pong.send(()).unwrap());
        }),
    ];
    let others = [false, true].map(|locked| go(move || {
        let _here = locked.then(|| lock_to_cpu(0));
        while TURNS.load(SeqCst) < 20 {
            TURNS.fetch_add(1, SeqCst);
            yield_now();
        }
    }));
    pair.into_iter().chain(others).for_each(|h| h.join());
}

/// Guards nest: the one before counts again.
fn guards_nest() {
    let outer = lock_to_this_cpu();
    let home = cpu();
    {
        let _inner = lock_to_cpu(cpus() - 1);
        assert_eq!(cpu(), cpus() - 1);
    }
    assert_eq!(cpu(), home);
    drop(outer);
}

/// What it starts is not locked, and a goroutine's end unlocks.
fn children_are_free() {
    let _here = lock_to_cpu(0);
    go(|| core::mem::forget(lock_to_this_cpu())).join();
    let handles: Vec<_> = (0..50).map(|_| go(|| for _ in 0..10 { yield_now() })).collect();
    handles.into_iter().for_each(|h| h.join());
}
}
