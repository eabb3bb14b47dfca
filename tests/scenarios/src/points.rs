//! Points of preemption: calls at which a goroutine whose slice is over lets others run, also on a
//! machine that can't interrupt it anywhere. A loop around one of them never keeps a CPU.

use crate::help::WaitReason;
use alloc::sync::Arc;
use core::future::poll_fn;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use core::task::Poll;
use core::time::Duration;
use executive::affinity::lock_to_this_cpu;
use executive::cancel::Token;
use executive::irq::Irq;
use executive::machine::cpus;
use executive::percpu::Pin;
use executive::sync::{Barrier, Condvar, Mutex, Once, OnceLock, RwLock, Semaphore, WaitGroup};
use executive::time::{Instant, after, sleep, sleep_until};
use executive::{block_on, chan, go, on_irq, scope, select, yield_now};

/// Does this again and again until another goroutine has run: on one CPU that one waits for ours.
fn beside_another(mut again: impl FnMut()) {
    let ran = Arc::new(AtomicBool::new(false));
    let other = go({
        let ran = ran.clone();
        move || ran.store(true, SeqCst)
    });
    while !ran.load(SeqCst) {
        again();
    }
    other.join();
}

scenarios! { points:

fn locks() {
    let mutex = Mutex::new(0);
    beside_another(|| *mutex.lock() += 1);
    beside_another(|| *mutex.try_lock().unwrap() += 1);
    let held = mutex.lock();
    beside_another(|| assert!(mutex.try_lock().is_none()));
    drop(held);
    let lock = RwLock::new(0);
    beside_another(|| assert!(*lock.read() == 0));
    beside_another(|| *lock.write() = 0);
    beside_another(|| assert!(lock.try_read().is_some()));
    let held = lock.write();
    beside_another(|| assert!(lock.try_read().is_none() && lock.try_write().is_none()));
    drop(held);
}

fn what_is_done_once() {
    let (once, cell) = (Once::new(), OnceLock::new());
    beside_another(|| assert!(!once.is_completed()));
    beside_another(|| once.call_once(|| ()));
    beside_another(|| assert_eq!(cell.get_or_init(|| 1), &1));
    cell.get_or_init(|| 1);
    beside_another(|| assert_eq!(cell.get(), Some(&1)));
}

fn counters() {
    let (group, sema) = (WaitGroup::new(), Semaphore::new(1));
    let (cond, barrier) = (Condvar::new(), Barrier::new(1));
    group.add(1);
    beside_another(|| group.add(1));
    beside_another(|| assert!(group.count() > 0));
    group.add(-(group.count() as isize));
    beside_another(|| group.wait());
    beside_another(|| sema.release());
    beside_another(|| assert!(sema.try_acquire() || sema.permits() == 0));
    sema.release();
    beside_another(|| {
        sema.acquire();
        sema.release();
    });
    beside_another(|| cond.notify_one());
    beside_another(|| cond.notify_all());
    beside_another(|| assert!(barrier.wait()));
}

fn channels() {
    let (tx, rx) = chan(1);
    beside_another(|| assert!(rx.try_recv().is_err()));
    beside_another(|| assert!(rx.is_empty() && !tx.is_closed()));
    beside_another(|| {
        tx.send(1).unwrap();
        rx.recv().unwrap();
    });
    tx.send(1).unwrap();
    beside_another(|| assert!(tx.try_send(2).is_err()));
    beside_another(|| select! { send(tx, 2) -> _ => unreachable!(), default => {} });
    beside_another(|| drop(chan::<()>(0)));
}

fn time_that_has_passed() {
    let long_ago = Instant::from_nanos(0);
    beside_another(|| sleep(Duration::ZERO));
    beside_another(|| sleep_until(long_ago));
    let timer = after(Duration::from_secs(1000));
    beside_another(|| assert!(timer.reset(Duration::from_secs(1000))));
}

fn births_and_joins() {
    // (Each takes a stack, so there is some work between them.)
    beside_another(|| {
        drop(go(|| ()));
        (0..1000).for_each(|_| spin_loop());
    });
    beside_another(|| go(|| ()).join());
    beside_another(|| scope(|s| drop(s.go(|| ()))));
    let (tx, rx) = chan::<()>(0);
    let waits = go(move || rx.recv());
    beside_another(|| assert!(!waits.is_finished()));
    beside_another(|| assert_ne!(waits.waiting(), Some(WaitReason::Sleep)));
    drop(tx);
    waits.join();
}

fn tokens() {
    let token = Token::new();
    beside_another(|| assert!(!token.is_cancelled()));
    beside_another(|| drop(token.child()));
}

/// A future that wakes itself and would rather go on at once.
fn futures() {
    beside_another(|| block_on(async {}));
    let mut polls = 0;
    beside_another(|| {
        polls = 0;
        block_on(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            polls += 1;
            if polls < 1000 { Poll::Pending } else { Poll::Ready(()) }
        }));
    });
}

/// A line whose interrupts come faster than they are served.
fn interrupts() {
    beside_another(|| {
        on_irq(33);
        Irq::new(33).wait();
    });
}

fn staying_and_yielding() {
    beside_another(|| drop(Pin::new()));
    beside_another(|| drop(lock_to_this_cpu()));
    // Not only when the slice is over.
    let mut yields = 0;
    beside_another(|| {
        yields += 1;
        assert!(cpus() > 1 || yields < 100, "it yields, and nobody else runs");
        yield_now();
    });
}
}
