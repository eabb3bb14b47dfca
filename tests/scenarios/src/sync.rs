//! Package sync: Mutex, RWMutex, Cond, WaitGroup, Once; and semaphores and barriers.

use crate::counter;
use crate::help::{Counted, MS, WaitReason, until, until_waits};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use core::time::Duration;
use executive::sync::{
    Barrier, Condvar, LazyLock, Mutex, Once, OnceLock, RwLock, Semaphore, WaitGroup,
};
use executive::time::Instant;
use executive::wait::{Monitor, Taken};
use executive::{Builder, chan, go, scope, time, yield_now};

scenarios! { sync:

/// One at a time.
fn a_mutex_excludes() {
    static SUM: Mutex<u64> = Mutex::new(0);
    let handles: Vec<_> = (0..8).map(|_| go(|| for i in 0..2_000 {
        let mut sum = SUM.lock();
        let seen = *sum;
        if i % 64 == 0 { yield_now() } // parked with the lock held: allowed
        *sum = seen + 1;
    })).collect();
    handles.into_iter().for_each(|h| h.join());
    assert_eq!(*SUM.lock(), 16_000);
}

fn lock_waits_for_unlock() {
    static LOCK: Mutex<u32> = Mutex::new(1);
    let guard = LOCK.lock();
    let h = go(|| *LOCK.lock());
    until_waits(&h, WaitReason::MutexLock);
    drop(guard);
    assert_eq!(h.join(), 1);
}

fn try_lock_does_not_wait() {
    let lock = Mutex::new(1);
    let guard = lock.lock();
    assert!(lock.try_lock().is_none());
    drop(guard);
    assert_eq!(lock.try_lock().as_deref(), Some(&1));
}

/// A waiter that loses for more than a millisecond is handed the lock, though others take it all
/// the time.
fn a_waiter_does_not_starve() {
    static LOCK: Mutex<()> = Mutex::new(());
    static STOP: AtomicBool = AtomicBool::new(false);
    // Holds it nearly always, and asks for it again at once.
    let hog = go(|| {
        let mut turns = 0u64;
        while !STOP.load(SeqCst) {
            let _guard = LOCK.lock();
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_micros(300) { yield_now() }
            turns += 1;
        }
        turns
    });
    for _ in 0..5 {
        drop(LOCK.lock());
    }
    STOP.store(true, SeqCst);
    hog.join();
}

/// A waiter that is overtaken after more than a millisecond is not overtaken again: the next unlock
/// hands it the lock.
fn who_starves_is_handed_the_mutex() {
    static LOCK: Mutex<()> = Mutex::new(());
    loop {
        let (tell, told) = chan::<()>(0);
        let first = LOCK.lock();
        let waiter = go(move || {
            let _guard = LOCK.lock();
            told.recv(); // and holds it until then
        });
        until_waits(&waiter, WaitReason::MutexLock);
        time::sleep(2 * MS); // longer than the threshold: it is not told yet that it starves
        drop(first);
        let Some(again) = LOCK.try_lock() else {
            // It was faster, so there was nobody to overtake it.
            drop(tell);
            waiter.join();
            continue;
        };
        until_waits(&waiter, WaitReason::MutexLock); // it has found that it was overtaken
        drop(again);
        assert!(LOCK.try_lock().is_none(), "overtaken twice");
        drop(tell);
        return waiter.join();
    }
}

/// Waiters of a mutex that starves are served in order.
fn starving_waiters_are_served_in_order() {
    static LOCK: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let guard = LOCK.lock();
    let handles: Vec<_> = (0..5).map(|n| {
        let h = go(move || LOCK.lock().push(n));
        until_waits(&h, WaitReason::MutexLock);
        h
    }).collect();
    let begin = Instant::now();
    until(|| begin.elapsed() > 3 * MS); // all of them have waited for longer than the threshold
    drop(guard);
    handles.into_iter().for_each(|h| h.join());
    let order = LOCK.lock();
    assert_eq!(order.len(), 5);
    // The first woken finds that it has starved; from then on it is first come, first served.
    assert!(order[1..].is_sorted(), "{order:?}");
}

fn a_mutex_gives_its_value_back() {
    let mut lock = Mutex::new(String::from("a"));
    lock.get_mut().push('b');
    lock.lock().push('c');
    assert_eq!(lock.into_inner(), "abc");
}

/// Many readers at a time.
fn readers_share() {
    static LOCK: RwLock<u32> = RwLock::new(5);
    static ALL_HERE: Barrier = Barrier::new(4);
    let handles: Vec<_> = (0..4).map(|_| go(|| {
        let guard = LOCK.read();
        ALL_HERE.wait(); // all four hold it
        *guard
    })).collect();
    assert!(handles.into_iter().all(|h| h.join() == 5));
}

fn a_writer_excludes_readers_and_writers() {
    static LOCK: RwLock<u32> = RwLock::new(0);
    let guard = LOCK.write();
    assert!(LOCK.try_read().is_none() && LOCK.try_write().is_none());
    let reader = go(|| *LOCK.read());
    until_waits(&reader, WaitReason::RwLockRead);
    let writer = go(|| *LOCK.write() = 2);
    until_waits(&writer, WaitReason::MutexLock);
    drop(guard);
    assert!(reader.join() <= 2);
    writer.join();
    assert_eq!(*LOCK.read(), 2);
}

/// A writer that waits goes before readers that come later: it does not starve.
fn a_waiting_writer_stops_new_readers() {
    static LOCK: RwLock<u32> = RwLock::new(0);
    let first = LOCK.read();
    let writer = go(|| *LOCK.write() += 1);
    until_waits(&writer, WaitReason::RwLockWrite);
    assert!(LOCK.try_read().is_none());
    let late = go(|| *LOCK.read());
    until_waits(&late, WaitReason::RwLockRead);
    drop(first);
    assert_eq!(late.join(), 1); // after the writer
    writer.join();
}

/// Readers that have waited go before the next writer: they do not starve either.
fn waiting_readers_go_before_the_next_writer() {
    static LOCK: RwLock<u32> = RwLock::new(0);
    let guard = LOCK.write();
    let reader = go(|| *LOCK.read());
    until_waits(&reader, WaitReason::RwLockRead);
    let second = go(|| *LOCK.write() = 9);
    until_waits(&second, WaitReason::MutexLock);
    drop(guard);
    assert_eq!(reader.join(), 0);
    second.join();
}

/// A report on a living system names whom a waiter was behind as it queued.
fn a_report_tells_who_has_a_lock() {
    static MUTEX: Mutex<()> = Mutex::new(());
    static READ: RwLock<()> = RwLock::new(());
    static WRITTEN: RwLock<()> = RwLock::new(());
    let guards = (MUTEX.lock(), READ.read(), READ.read(), WRITTEN.write());
    let waits = |name, reason, f: fn()| {
        let h = Builder::new().name(name).spawn(f).unwrap();
        until_waits(&h, reason);
        h
    };
    let waiters = [
        waits("waits for a mutex", WaitReason::MutexLock, || drop(MUTEX.lock())),
        waits("waits for readers", WaitReason::RwLockWrite, || drop(READ.write())),
        waits("waits for a writer", WaitReason::RwLockRead, || drop(WRITTEN.read())),
    ];
    let mut report = String::new();
    executive::census::goroutines(usize::MAX, |line| {
        report += &format!("{line}\n");
        true
    });
    let me = executive::goid();
    let line = |name| report.lines().find(|line| line.contains(name)).unwrap_or_default();
    let tells = |name, words: &str| assert!(line(name).contains(words), "{words}: {report}");
    tells("(waits for a mutex)", &format!(", held by {me}"));
    tells("(waits for readers)", ", held by 2 readers when it queued, ");
    tells("(waits for a writer)", &format!(", behind {me}"));
    drop(guards);
    waiters.into_iter().for_each(|h| h.join());
}

fn readers_and_writers_keep_the_value_whole() {
    static PAIR: RwLock<(u64, u64)> = RwLock::new((0, 0));
    let writers: Vec<_> = (0..3).map(|_| go(|| for _ in 0..300 {
        let mut pair = PAIR.write();
        pair.0 += 1;
        yield_now();
        pair.1 += 1;
    })).collect();
    let readers: Vec<_> = (0..3).map(|_| go(|| for _ in 0..300 {
        let pair = PAIR.read();
        assert_eq!(pair.0, pair.1);
        yield_now();
    })).collect();
    writers.into_iter().chain(readers).for_each(|h| h.join());
    assert_eq!(*PAIR.read(), (900, 900));
}

fn try_read_and_try_write_do_not_wait() {
    let lock = RwLock::new(1);
    let reader = lock.read();
    assert!(lock.try_read().is_some() && lock.try_write().is_none());
    drop(reader);
    *lock.try_write().unwrap() = 2;
    assert_eq!(lock.into_inner(), 2);
}

/// Wait unlocks, and locks again before it returns.
fn wait_releases_the_mutex() {
    static STATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    let h = go(|| {
        let mut ready = STATE.0.lock();
        while !*ready {
            ready = STATE.1.wait(ready);
        }
        assert!(STATE.0.try_lock().is_none()); // ours again
    });
    until_waits(&h, WaitReason::CondWait);
    *STATE.0.lock() = true; // we get it
    STATE.1.notify_one();
    h.join();
}

/// Signal wakes one, the one that has waited longest.
fn signal_wakes_the_first() {
    static STATE: (Mutex<Vec<usize>>, Condvar) = (Mutex::new(Vec::new()), Condvar::new());
    let handles: Vec<_> = (0..4).map(|n| {
        let h = go(move || STATE.1.wait(STATE.0.lock()).push(n));
        until_waits(&h, WaitReason::CondWait);
        h
    }).collect();
    for (n, h) in handles.into_iter().enumerate() {
        STATE.1.notify_one();
        h.join();
        assert_eq!(STATE.0.lock().len(), n + 1); // and nobody else
    }
    assert!(STATE.0.lock().iter().copied().eq(0..4));
    STATE.1.notify_one(); // nobody waits: nothing happens, and nothing is kept
}

fn broadcast_wakes_all() {
    static STATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    let handles: Vec<_> = (0..10).map(|_| {
        let h = go(|| *STATE.1.wait_while(STATE.0.lock(), |go| !*go));
        until_waits(&h, WaitReason::CondWait);
        h
    }).collect();
    *STATE.0.lock() = true;
    STATE.1.notify_all();
    assert!(handles.into_iter().all(|h| h.join()));
}

/// Broadcast wakes those who wait when it comes, each once. Who is woken and waits again meanwhile
/// is not meant.
fn broadcast_wakes_each_once() {
    const N: usize = 40; // more than are readied in one hold of the lock
    static STATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    static WOKEN: [AtomicUsize; N] = [const { AtomicUsize::new(0) }; N];
    let handles: Vec<_> = WOKEN.iter().map(|woken| go(|| {
        let mut over = STATE.0.lock();
        while !*over {
            over = STATE.1.wait(over);
            woken.fetch_add(1, SeqCst);
        }
    })).collect();
    for round in 0..10 {
        until(|| WOKEN.iter().map(|woken| woken.load(SeqCst)).sum::<usize>() >= round * N);
        handles.iter().for_each(|h| until_waits(h, WaitReason::CondWait));
        for (n, woken) in WOKEN.iter().enumerate() {
            assert_eq!(woken.load(SeqCst), round, "how often waiter {n} was woken");
        }
        STATE.1.notify_all();
    }
    *STATE.0.lock() = true;
    STATE.1.notify_all();
    handles.into_iter().for_each(|h| h.join());
}

/// A signal that comes before the wait is not kept: the condition is what counts.
fn a_signal_is_not_kept() {
    let (lock, cond) = (Mutex::new(()), Condvar::new());
    cond.notify_one();
    let (_guard, notified) = cond.wait_timeout(lock.lock(), MS);
    assert!(!notified);
}

fn wait_timeout_is_never_early_and_may_be_notified() {
    static STATE: (Mutex<u32>, Condvar) = (Mutex::new(0), Condvar::new());
    let begin = Instant::now();
    let (guard, notified) = STATE.1.wait_timeout(STATE.0.lock(), 3 * MS);
    assert!(!notified && begin.elapsed() >= 3 * MS);
    drop(guard);
    let h = go(|| STATE.1.wait_timeout(STATE.0.lock(), Duration::MAX).1);
    until_waits(&h, WaitReason::CondWait);
    drop(STATE.0.lock());
    STATE.1.notify_all();
    assert!(h.join());
}

/// Time-outs and notifications at the same time: nobody is lost, and the mutex stays whole.
fn timeouts_race_with_signals() {
    static STATE: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());
    counter!(DONE);
    let handles: Vec<_> = (0..4).map(|_| go(|| {
        for _ in 0..200 {
            let (mut count, _) = STATE.1.wait_timeout(STATE.0.lock(), MS / 20);
            *count += 1;
        }
        DONE.fetch_add(1, SeqCst);
    })).collect();
    while DONE.load(SeqCst) < 4 {
        STATE.1.notify_one();
        yield_now();
        STATE.1.notify_all();
        yield_now();
    }
    handles.into_iter().for_each(|h| h.join());
    assert_eq!(*STATE.0.lock(), 800);
}

fn a_wait_group_waits_for_all() {
    counter!(DONE);
    let group = WaitGroup::new();
    for _ in 0..100 {
        group.go(|| {
            yield_now();
            DONE.fetch_add(1, SeqCst);
        });
    }
    group.wait();
    assert_eq!((DONE.load(SeqCst), group.count()), (100, 0));
}

/// Who has dropped the group does not wait; what it started goes on, and clones wait for it.
fn a_wait_group_may_be_dropped_before_it_is_done() {
    counter!(DONE);
    static GO_ON: Semaphore = Semaphore::new(0);
    let group = WaitGroup::new();
    group.go(|| {
        GO_ON.acquire();
        DONE.fetch_add(1, SeqCst);
    });
    let clone = group.clone();
    drop(group);
    assert_eq!(clone.count(), 1);
    let h = go({
        let clone = clone.clone();
        move || clone.wait()
    });
    until_waits(&h, WaitReason::WaitGroup);
    GO_ON.release();
    h.join();
    assert_eq!((DONE.load(SeqCst), clone.count()), (1, 0));
    let group = WaitGroup::new();
    group.go(|| GO_ON.acquire());
    drop(group);
    GO_ON.release();
}

/// It can be used again, and several can wait.
fn a_wait_group_can_be_used_again() {
    static GROUP: WaitGroup = WaitGroup::new();
    for _ in 0..3 {
        GROUP.add(2);
        let waiters: Vec<_> = (0..3).map(|_| {
            let h = go(|| GROUP.wait());
            until_waits(&h, WaitReason::WaitGroup);
            h
        }).collect();
        assert_eq!(GROUP.count(), 2);
        GROUP.done();
        assert_eq!(GROUP.count(), 1);
        assert!(waiters.iter().all(|h| !h.is_finished()));
        GROUP.done();
        waiters.into_iter().for_each(|h| h.join());
    }
    GROUP.wait(); // at 0: at once
}

/// Counters at their ends: nothing is lost and nothing wraps. (What is one too many: see deaths.)
fn counters_reach_their_ends() {
    let sema = Semaphore::new(usize::MAX);
    sema.acquire();
    sema.release();
    assert_eq!(sema.permits(), usize::MAX);
    let group = WaitGroup::new();
    (0..2).for_each(|_| group.add(isize::MAX));
    group.add(1);
    assert_eq!(group.count(), usize::MAX);
    group.add(-1);
    (0..2).for_each(|_| group.add(-isize::MAX));
    group.wait();
    assert!(Barrier::new(0).wait() && Barrier::new(1).wait());
}

/// Once: the first call's function runs, and all calls return after it has.
fn once_runs_once() {
    static ONCE: Once = Once::new();
    static IN: Semaphore = Semaphore::new(0);
    counter!(RAN);
    let first = go(|| ONCE.call_once(|| {
        IN.acquire();
        RAN.fetch_add(1, SeqCst);
    }));
    until_waits(&first, WaitReason::Semacquire);
    let others: Vec<_> = (0..5).map(|_| {
        let h = go(|| {
            ONCE.call_once(|| unreachable!());
            RAN.load(SeqCst)
        });
        until_waits(&h, WaitReason::MutexLock);
        h
    }).collect();
    assert!(!ONCE.is_completed());
    IN.release();
    first.join();
    assert!(others.into_iter().all(|h| h.join() == 1));
    assert!(ONCE.is_completed());
}

fn a_once_lock_is_written_once() {
    counter!(DROPS);
    let cell = OnceLock::new();
    assert!(cell.get().is_none());
    assert!(cell.set(Counted(&DROPS)).is_ok());
    assert!(cell.set(Counted(&DROPS)).is_err());
    assert_eq!(DROPS.load(SeqCst), 1); // the second
    cell.get_or_init(|| unreachable!());
    assert!(cell.get().is_some());
    drop(cell);
    assert_eq!(DROPS.load(SeqCst), 2);
    assert_eq!(OnceLock::<u8>::new().into_inner(), None);
    let cell = OnceLock::new();
    assert_eq!((cell.set(7), cell.get().copied(), cell.into_inner()), (Ok(()), Some(7), Some(7)));
}

/// All see the one value, whoever makes it.
fn a_lazy_value_is_made_once() {
    counter!(MADE);
    static LAZY: LazyLock<usize> = LazyLock::new(|| {
        yield_now();
        MADE.fetch_add(1, SeqCst) + 41
    });
    let handles: Vec<_> = (0..10).map(|_| go(|| *LAZY)).collect();
    assert!(handles.into_iter().all(|h| h.join() == 41));
    assert_eq!(MADE.load(SeqCst), 1);
}

fn a_semaphore_admits_so_many() {
    static THREE: Semaphore = Semaphore::new(3);
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    counter!(MOST);
    let handles: Vec<_> = (0..20).map(|_| go(|| for _ in 0..20 {
        THREE.acquire();
        MOST.fetch_max(INSIDE.fetch_add(1, SeqCst) + 1, SeqCst);
        yield_now();
        INSIDE.fetch_sub(1, SeqCst);
        THREE.release();
    })).collect();
    handles.into_iter().for_each(|h| h.join());
    assert!(MOST.load(SeqCst) <= 3);
    assert_eq!(THREE.permits(), 3);
}

fn try_acquire_takes_what_is_there() {
    let two = Semaphore::new(2);
    assert!(two.try_acquire());
    assert_eq!(two.permits(), 1);
    assert!(two.try_acquire() && !two.try_acquire());
    assert_eq!(two.permits(), 0);
    two.release();
    assert!(two.try_acquire());
}

/// First come, first served; nobody who comes later takes a permit from one that waits.
fn a_semaphore_hands_over_in_order() {
    static SEMA: Semaphore = Semaphore::new(0);
    let (tx, order) = chan(10);
    let handles: Vec<_> = (0..4).map(|n| {
        let tx = tx.clone();
        let h = go(move || {
            SEMA.acquire();
            tx.send(n).unwrap();
        });
        until_waits(&h, WaitReason::Semacquire);
        h
    }).collect();
    for n in 0..4 {
        SEMA.release();
        assert!(!SEMA.try_acquire()); // it is spoken for
        assert_eq!(order.recv(), Some(n));
    }
    handles.into_iter().for_each(|h| h.join());
}

fn a_barrier_lets_all_go_together() {
    static BARRIER: Barrier = Barrier::new(5);
    counter!(ARRIVED);
    counter!(LEADERS);
    let handles: Vec<_> = (0..5).map(|_| go(|| for round in 1..=10 {
        ARRIVED.fetch_add(1, SeqCst);
        if BARRIER.wait() {
            LEADERS.fetch_add(1, SeqCst);
        }
        assert!(ARRIVED.load(SeqCst) >= round * 5);
    })).collect();
    handles.into_iter().for_each(|h| h.join());
    assert_eq!(LEADERS.load(SeqCst), 10);
}

/// What a primitive of one's own is told: who waits, for what, and whether its time has passed.
fn a_monitor_tells_who_waits_and_how_it_ended() {
    static TURN: Monitor<()> = Monitor::new(());
    let deadline = Instant::now() + 2 * MS;
    assert!(!TURN.lock().wait_until(deadline.as_nanos(), WaitReason::Monitor));
    assert!(Instant::now() >= deadline && !TURN.lock().has_waiters());
    let timed = go(|| TURN.lock().wait_until(u64::MAX, WaitReason::Monitor));
    until_waits(&timed, WaitReason::Monitor);
    let tagged = go(|| TURN.lock().wait_as(7, WaitReason::Monitor));
    until_waits(&tagged, WaitReason::Monitor);
    for tag in [0, 7] {
        let mut here = TURN.lock();
        assert!(here.has_waiters());
        assert!(here.take_first_if(|_, found| found != tag).is_none());
        let first = here.take_first();
        assert_eq!(first.as_ref().map(Taken::tag), Some(tag));
        here.ready(first);
    }
    assert!(timed.join());
    tagged.join();
}

/// A guard may be held over anything that parks.
fn parking_with_a_mutex_held_is_allowed() {
    static LOCK: Mutex<u32> = Mutex::new(0);
    let (tx, rx) = chan(0);
    let h = go(move || {
        let mut n = LOCK.lock();
        *n = rx.recv().unwrap();
    });
    until_waits(&h, WaitReason::ChanReceive);
    assert!(LOCK.try_lock().is_none());
    tx.send(6).unwrap();
    h.join();
    assert_eq!(*LOCK.lock(), 6);
}

/// A mutex may lie on a stack and be borrowed.
fn a_mutex_can_be_borrowed() {
    let sum = Mutex::new(0);
    scope(|s| for n in 1..=10 {
        let sum = &sum;
        s.go(move || *sum.lock() += n);
    });
    assert_eq!(sum.into_inner(), 55);
}
}
