//! A goroutine that stays on its CPU: package runtime, `LockOSThread`.

use crate::counter;
use crate::help::MS;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;
use executive::affinity::{cpus, lock_to_this_cpu};
use executive::percpu::cpu;
use executive::{chan, go, lock_to_cpu, time::sleep, yield_now};

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
