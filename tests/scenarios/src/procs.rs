//! CPUs are switched off and on while goroutines run: package runtime, `GOMAXPROCS`.

use crate::counter;
use crate::help::{MS, WaitReason, until, until_waits};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;
use executive::affinity::{CpuLock, cpus, num_cpus, set_procs};
use executive::census::{CpuState, cpu_reports};
use executive::irq::Irq;
use executive::percpu::cpu;
use executive::sync::Mutex;
use executive::time::{Instant, Ticker, Timer, after_func, sleep};
use executive::{JoinHandle, chan, go, lock_to_cpu, on_irq, yield_now};

scenarios! { procs:

/// Gives back the number before; 0 only asks; what is too many is all.
fn the_number_is_what_was_set() {
    let all = num_cpus();
    assert_eq!((cpus(), set_procs(0), set_procs(1)), (all, all, all));
    assert_eq!((cpus(), num_cpus(), set_procs(usize::MAX)), (1, all, 1));
    assert_eq!((cpus(), set_procs(0)), (all, all));
}

/// Once they have seen it.
fn cpus_that_are_switched_off_run_nothing() {
    let _all_on = AllOn;
    for n in (1..=num_cpus()).rev() {
        set_procs(n);
        until_off_from(n);
        let handles: Vec<_> = (0..32).map(|_| go(move || for _ in 0..20 {
            assert!(cpu() < n);
            yield_now();
        })).collect();
        handles.into_iter().for_each(JoinHandle::join);
        assert!(cpu() < n);
    }
}

/// And run again when they are switched on.
fn cpus_that_are_switched_on_run_again() {
    counter!(RUNNING);
    let _all_on = AllOn;
    set_procs(1);
    until_off_from(1);
    let all = num_cpus();
    // All run at the same time, or this does not end.
    let handles: Vec<_> = (0..all).map(|_| go(move || {
        RUNNING.fetch_add(1, SeqCst);
        hog_until(|| RUNNING.load(SeqCst) == all);
    })).collect();
    set_procs(all);
    handles.into_iter().for_each(JoinHandle::join);
}

/// A goroutine that yields to nobody does not keep its CPU on, though nobody waits behind it.
fn a_hog_leaves_a_cpu_that_is_switched_off() {
    counter!(STOP);
    let _all_on = AllOn;
    let hog = hog_on(num_cpus() - 1, || STOP.load(SeqCst) == 1);
    set_procs(1);
    until_off_from(1);
    STOP.store(1, SeqCst);
    hog.join();
}

/// What is made on a CPU that is switched off gets its turn beside a goroutine that yields to
/// nobody on the other.
fn who_is_handed_over_does_not_wait_for_a_hog() {
    counter!(RAN);
    let _here = on_a_cpu_that_is_off();
    let hog = hog_on(0, || RAN.load(SeqCst) == 20);
    for _ in 0..20 {
        go(|| RAN.fetch_add(1, SeqCst)).join();
    }
    hog.join();
}

/// An interrupt that is handled on a CPU that is switched off is seen beside such a goroutine.
fn an_interrupt_is_seen_by_the_cpus_that_are_on() {
    counter!(SEEN);
    let _here = on_a_cpu_that_is_off();
    let waiter = go(|| {
        Irq::new(57).wait();
        SEEN.fetch_add(1, SeqCst);
    });
    until_waits(&waiter, WaitReason::Irq);
    let hog = hog_on(0, || SEEN.load(SeqCst) == 1);
    on_irq(57);
    waiter.join();
    hog.join();
}

/// On the only CPU that is on, whoever an interrupt has woken is the next, locked to it or not: it
/// does not queue with those that were readied before.
fn whom_an_interrupt_wakes_is_next() {
    let (_all_on, line) = (AllOn, Irq::new(63));
    set_procs(1);
    until_off_from(1);
    for locked in [false, true] {
        let order: Arc<Mutex<Vec<&str>>> = Arc::default();
        let (tx, rx) = chan::<()>(1);
        let (first, second) = (order.clone(), order.clone());
        let interrupted = go(move || {
            let _here = locked.then(|| lock_to_cpu(0));
            line.wait();
            first.lock().push("interrupted");
        });
        let readied = go(move || {
            let _here = locked.then(|| lock_to_cpu(0));
            rx.recv();
            second.lock().push("readied");
        });
        until_waits(&interrupted, WaitReason::Irq);
        until_waits(&readied, WaitReason::ChanReceive);
        let pin = executive::percpu::Pin::new(); // so that the tick does not come between
        tx.try_send(()).unwrap();
        on_irq(63);
        drop(pin);
        interrupted.join();
        readied.join();
        assert_eq!(*order.lock(), ["interrupted", "readied"], "locked: {locked}");
    }
}

/// Timers that were started on a CPU that is switched off come, in time; and can be stopped.
fn timers_go_on() {
    counter!(CALLED);
    let (_all_on, last) = (AllOn, num_cpus() - 1);
    let home = lock_to_cpu(last);
    let (timer, never) = (Timer::new(2 * MS), Timer::new(1000 * 1000 * MS));
    let ticker = Ticker::new(MS);
    after_func(MS, || {
        CALLED.fetch_add(1, SeqCst);
    });
    let sleeper = go(|| sleep(3 * MS));
    set_procs(1);
    drop(home);
    timer.recv();
    sleeper.join();
    for _ in 0..3 {
        ticker.recv();
    }
    until(|| CALLED.load(SeqCst) == 1);
    assert!(never.stop());
    assert!(!never.stop());
    // And do not wake it for ever: in the end it sleeps over three ticks.
    until_off_from(1);
    let halts = || cpu_reports().skip(1).map(|c| c.stats.halts.get()).sum::<u64>();
    until(|| {
        let before = halts();
        for _ in 0..3 {
            ticker.recv();
        }
        halts() == before
    });
}

/// A locked goroutine goes on on its CPU, switched off or not; what it starts does not.
fn who_is_locked_stays() {
    let (_all_on, last) = (AllOn, num_cpus() - 1);
    let (tx, rx) = chan::<u32>(0);
    let (back, reply) = chan::<u32>(0);
    let locked = go(move || {
        let _here = lock_to_cpu(last);
        for n in rx.iter() {
            assert_eq!(cpu(), last);
            let child = go(move || n + 1);
            yield_now();
            back.send(child.join()).unwrap();
            sleep(MS / 20);
            assert_eq!(cpu(), last);
        }
    });
    for n in 0..100 {
        match n % 20 {
            0 => assert_ne!(set_procs(1), 0),
            5 => until_off_or_locked(1),
            10 => assert_eq!(set_procs(num_cpus()), 1),
            _ => {}
        }
        tx.send(n).unwrap();
        assert_eq!(reply.recv(), Some(n + 1));
    }
    drop(tx);
    locked.join();
}

/// A goroutine that is let go does not go on on a CPU that is switched off.
fn who_is_unlocked_leaves() {
    let (_all_on, last) = (AllOn, num_cpus() - 1);
    set_procs(1);
    until_off_from(1);
    for _ in 0..10 {
        let here = lock_to_cpu(last);
        assert_eq!(cpu(), last);
        drop(here);
        assert_eq!(cpu(), 0);
        until_off_from(1);
    }
}

/// So does whoever switches its own CPU off: at once.
fn who_switches_its_own_cpu_off_leaves() {
    let _all_on = AllOn;
    for here in 1..num_cpus() {
        drop(lock_to_cpu(here)); // and goes on there, unless it is preempted
        let all = set_procs(1);
        assert_eq!(cpu(), 0);
        set_procs(all);
    }
}

/// Channels, timers, locks, hand-overs and locked goroutines, while CPUs come and go.
fn everything_goes_on() {
    let (_all_on, all) = (AllOn, num_cpus());
    let (tx, rx) = chan::<u64>(3);
    let total = Arc::new(Mutex::new(0));
    let mut handles: Vec<JoinHandle<()>> = (0..4).map(|part| {
        let tx = tx.clone();
        go(move || for n in 0..500 { tx.send(part * 500 + n).unwrap() })
    }).collect();
    handles.extend((0..4).map(|_| {
        let (rx, total) = (rx.clone(), total.clone());
        go(move || rx.iter().for_each(|n| *total.lock() += n))
    }));
    handles.extend((0..all).map(|n| go(move || {
        let _here = lock_to_cpu(n);
        for _ in 0..20 {
            sleep(MS / 10);
            assert_eq!(cpu(), n);
        }
    })));
    handles.extend((0..8).map(|n| go(move || (0..20).for_each(|_| sleep(MS / 20 * n)))));
    drop(tx);
    let changes = change_until(|| handles.iter().all(JoinHandle::is_finished));
    handles.into_iter().for_each(JoinHandle::join);
    assert_eq!((*total.lock(), changes > 0), (1999 * 2000 / 2, true));
}

/// A tree of goroutines adds up.
fn skynet_adds_up() {
    fn sum(from: u64, size: u64) -> u64 {
        if size == 1 {
            return from;
        }
        let child = |n| go(move || sum(from + n * size / 10, size / 10));
        let children: Vec<_> = (0..10).map(child).collect();
        children.into_iter().map(JoinHandle::join).sum()
    }
    let _all_on = AllOn;
    for _ in 0..5 {
        let root = go(|| sum(0, 1000));
        change_until(|| root.is_finished());
        assert_eq!(root.join(), 999 * 1000 / 2);
    }
}
}

/// All CPUs are on again when it is dropped: other scenarios follow.
struct AllOn;

impl Drop for AllOn {
    fn drop(&mut self) {
        set_procs(num_cpus());
    }
}

/// The caller is on a CPU that is switched off, as all are but CPU 0, until the result is dropped.
fn on_a_cpu_that_is_off() -> (CpuLock, AllOn) {
    let here = (lock_to_cpu(num_cpus() - 1), AllOn);
    set_procs(1);
    here
}

/// Changes the number at random until then; returns how often.
fn change_until(mut done: impl FnMut() -> bool) -> u32 {
    let (mut random, mut changes) = (1u32, 0);
    while !done() {
        random = random.wrapping_mul(1664525).wrapping_add(1013904223);
        set_procs(1 + (random >> 16) as usize % num_cpus());
        changes += 1;
        for _ in 0..random >> 28 {
            yield_now();
        }
    }
    changes
}

/// Lets the others run until the CPUs from `n` on are switched off and asleep.
fn until_off_from(n: usize) {
    until(|| cpu_reports().skip(n).all(|c| c.state == CpuState::Offline));
}

/// The same, but for the last, where somebody may be about to sleep.
fn until_off_or_locked(n: usize) {
    until(|| {
        cpu_reports().skip(n).all(|c| c.state == CpuState::Offline || c.cpu == num_cpus() - 1)
    });
}

/// A goroutine that yields to nobody on that CPU, where nobody else waits and no slice runs, and is
/// not locked to it.
fn hog_on(n: usize, done: fn() -> bool) -> JoinHandle<()> {
    counter!(HOGS);
    let hog = go(move || {
        drop(lock_to_cpu(n));
        HOGS.fetch_add(1, SeqCst);
        hog_until(done);
    });
    until(|| HOGS.load(SeqCst) == 1);
    let slices_are_over = Instant::now() + 40 * MS;
    while Instant::now() < slices_are_over {
        core::hint::spin_loop();
    }
    hog
}

/// Yields to nobody. (A Linux process cannot preempt: there it yields at its unpin.)
fn hog_until(mut done: impl FnMut() -> bool) {
    while !done() {
        #[cfg(unix)]
        drop(executive::percpu::Pin::new());
        core::hint::spin_loop();
    }
}
