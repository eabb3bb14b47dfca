//! Panics that are caught: `recover`, isolated goroutines, scopes, `goexit`.

use crate::counter;
use crate::help::{Counted, MS, WaitReason, until, until_waits};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use executive::recover::{Panic, isolated, panic_with, panicking};
use executive::sync::{Barrier, LazyLock, Mutex, Once, OnceLock, RwLock, Semaphore, WaitGroup};
use executive::{Builder, affinity, chan, go, goexit, percpu, recover, scope, time, yield_now};

/// Writes its letter when it is dropped.
struct Letter<'a>(&'a Mutex<String>, char);
impl Drop for Letter<'_> {
    fn drop(&mut self) {
        self.0.lock().push(self.1);
    }
}

/// Calls its closure when it is dropped: Go's `defer`.
struct Deferred<F: FnMut()>(F);
impl<F: FnMut()> Drop for Deferred<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Panics at the bottom of so many frames, each with something to drop.
#[inline(never)]
fn panic_below(frames: usize, drops: &'static AtomicUsize) -> usize {
    let _counted = Counted(drops);
    if frames == 0 {
        panic!("at the bottom");
    }
    black_box(panic_below(frames - 1, drops)) + 1
}

scenarios! { recover:

/// As Go's deferred calls: last in, first out, each once.
fn destructors_run_once_and_in_order() {
    let order = Mutex::new(String::new());
    let panic = recover(|| {
        let _a = Letter(&order, 'a');
        let _b = Letter(&order, 'b');
        let boxed = vec![Letter(&order, 'c'), Letter(&order, 'd')];
        if black_box(true) {
            panic!("now");
        }
        drop(boxed);
    });
    assert_eq!(panic.unwrap_err().message(), "now");
    assert_eq!(*order.lock(), "cdba");
}

fn a_result_passes_through() {
    let text = String::from("kept");
    assert_eq!(recover(|| text).unwrap(), "kept");
    assert_eq!(recover(|| recover(|| 1).unwrap() + 1).unwrap(), 2);
    assert!(!panicking());
}

/// Message, place and backtrace are those of where it was raised, not of where it was caught.
fn a_panic_tells_where_it_was_raised() {
    counter!(DROPS);
    let number = black_box(7);
    let panic = recover(|| panic!("number {number}")).unwrap_err();
    assert_eq!(panic.message(), "number 7");
    assert!(panic.place().contains("recover.rs:"), "{}", panic.place());
    assert!(panic.payload().is_none() && !panic.is_goexit());
    assert_eq!(format!("{panic}"), "number 7");

    let panic = recover(|| panic_below(10, &DROPS)).unwrap_err();
    assert_eq!(DROPS.load(SeqCst), 11);
    assert!(panic.backtrace().len() > 11, "{panic:?}");
    let told = format!("{panic:?}");
    assert!(told.matches("panic_below").count() >= 11, "{told}");
}

/// The executive's own panics, in Go's words, and Rust's; and nothing is left locked behind.
fn whatever_panics_can_be_recovered() {
    let says = |f: &dyn Fn(), words: &str| {
        let panic = recover(f).unwrap_err();
        assert!(panic.message().contains(words), "{panic:?} is not {words}");
    };
    let (tx, rx) = chan::<u8>(0);
    tx.close();
    (0..3).for_each(|_| says(&|| tx.close(), "close of closed channel"));
    assert_eq!(rx.recv(), None);
    let group = WaitGroup::new();
    (0..3).for_each(|_| says(&|| group.done(), "negative WaitGroup counter"));
    group.wait();
    let full = Semaphore::new(usize::MAX);
    (0..3).for_each(|_| says(&|| full.release(), "released more than held"));
    full.acquire();
    says(&|| drop(chan::<u64>(usize::MAX)), "makechan: size out of range");
    says(&|| drop(time::Ticker::new(time::Duration::ZERO)), "non-positive interval");
    says(&|| drop(executive::lock_to_cpu(affinity::cpus())), "lock_to_cpu: no CPU");
    says(&|| _ = black_box(vec![1])[black_box(1)], "index out of bounds");
    says(&|| _ = black_box(None::<u8>).unwrap(), "on a `None` value");
    says(&|| _ = 1 / black_box(0), "divide by zero");
    says(&|| drop(Vec::<u64>::with_capacity(black_box(usize::MAX))), "capacity overflow");
}

fn a_value_can_be_the_payload() {
    let panic = recover(|| panic_with(Box::new([1u32, 2]))).unwrap_err();
    assert!(panic.place().contains("recover.rs:"), "{}", panic.place());
    let value = panic.into_payload().unwrap().downcast::<Box<[u32; 2]>>().unwrap();
    assert_eq!(**value, [1, 2]);
}

/// The innermost one catches; what it passes on is the same panic.
fn recovers_nest() {
    let outer = recover(|| {
        let inner = recover(|| panic!("first")).unwrap_err();
        assert_eq!(inner.message(), "first");
        let place = inner.place().to_string();
        let again = recover(|| inner.resume()).unwrap_err();
        assert_eq!((again.message(), again.place()), ("first", &place[..]));
        panic!("second, after {again}")
    });
    assert_eq!(outer.unwrap_err().message(), "second, after first");
    for depth in [1, 10, 50] {
        fn dive(depth: usize) -> usize {
            match recover(|| if depth == 0 { panic!("0") } else { dive(depth - 1) }) {
                Ok(n) => n + 1,
                Err(_) => 0,
            }
        }
        assert_eq!(dive(depth), depth);
    }
}

/// A destructor may panic and recover within itself while the goroutine unwinds.
fn a_destructor_may_recover_while_unwinding() {
    let seen = Mutex::new(Vec::new());
    let note = |what: &str| seen.lock().push((what.to_string(), panicking()));
    let panic = recover(|| {
        let _outer = Deferred(|| {
            let inner = recover(|| {
                let _inner = Deferred(|| note("inner's"));
                note("inner");
                panic!("inner")
            });
            note(inner.unwrap_err().message());
            assert_eq!(recover(|| 3).unwrap(), 3);
        });
        note("outer");
        panic!("outer")
    });
    assert_eq!(panic.unwrap_err().message(), "outer");
    note("after");
    let seen: Vec<_> = seen.lock().iter().map(|(what, is)| format!("{what} {is}")).collect();
    let right = ["outer false", "inner true", "inner's true", "inner true", "after false"];
    assert_eq!(seen, right);
}

/// Destructors park in every way while their goroutine unwinds, and others run meanwhile, which are
/// not the ones that panic.
fn a_destructor_may_park_while_unwinding() {
    let (tx, rx) = chan::<usize>(0);
    let (back, answers) = chan::<usize>(0);
    let (turn, mutex) = (Arc::new(Barrier::new(2)), Arc::new(Mutex::new(0)));
    let peer = {
        let (turn, mutex) = (turn.clone(), mutex.clone());
        go(move || {
            assert!(!panicking());
            assert_eq!(rx.recv(), Some(1));
            let guard = mutex.lock();
            turn.wait();
            assert!(!panicking());
            yield_now();
            drop(guard);
            assert_eq!(recover(|| panic!("mine")).unwrap_err().message(), "mine");
            back.send(2).unwrap();
            rx.recv()
        })
    };
    let panic = recover(|| {
        let _held = Deferred(|| {
            tx.send(1).unwrap();
            turn.wait();
            *mutex.lock() += 1;
            time::sleep(MS);
            yield_now();
            assert_eq!(answers.recv(), Some(2));
            assert_eq!(go(|| 5).join(), 5);
            assert!(panicking());
        });
        panic!("parks")
    });
    assert_eq!(panic.unwrap_err().message(), "parks");
    assert_eq!(*mutex.lock(), 1);
    drop(tx);
    assert_eq!(peer.join(), None);
}

/// Unwinding begins on one CPU and goes on on another, again and again, beside others that do the
/// same.
fn unwinding_goes_on_on_another_cpu() {
    counter!(MOVES);
    counter!(DROPS);
    struct Wanders;
    impl Drop for Wanders {
        fn drop(&mut self) {
            let from = percpu::cpu();
            for _ in 0..20 {
                yield_now();
                assert!(panicking());
            }
            if percpu::cpu() != from {
                MOVES.fetch_add(1, SeqCst);
            }
            DROPS.fetch_add(1, SeqCst);
        }
    }
    fn wander(frames: usize) {
        let _wanders = Wanders;
        if frames == 0 { panic!("wanders") } else { black_box(wander(frames - 1)) }
    }
    let mut rounds = 0;
    loop {
        let handles: Vec<_> = (0..20).map(|n| go(isolated(move || wander(n % 5)))).collect();
        for h in handles {
            assert_eq!(h.join().unwrap_err().message(), "wanders");
        }
        rounds += 1;
        if rounds >= 5 && (affinity::cpus() == 1 || MOVES.load(SeqCst) > 0) {
            break;
        }
    }
    assert_eq!(DROPS.load(SeqCst), rounds * 4 * (1 + 2 + 3 + 4 + 5));
}

/// Its panic is the handle's `Err`, and its ends of channels are gone, which its peers see.
fn an_isolated_goroutine_ends_alone() {
    let (tx, rx) = chan::<usize>(1);
    let (requests, served) = chan::<usize>(0);
    let h = Builder::new().name("server").spawn(isolated(move || {
        tx.send(1).unwrap();
        let n = served.recv().unwrap();
        tx.send(10 / n).unwrap();
        n
    }));
    requests.send(0).unwrap();
    assert_eq!(rx.iter().collect::<Vec<_>>(), [1]);
    assert!(requests.send(2).is_err());
    let panic = h.unwrap().join().unwrap_err();
    assert!(panic.message().contains("divide by zero"), "{panic:?}");
    assert_eq!(go(isolated(|| 5)).join().unwrap(), 5);
    drop(go(isolated(|| panic!("nobody hears this"))));
}

fn locks_are_free_after_a_panic() {
    let (mutex, rwlock) = (Arc::new(Mutex::new(1)), Arc::new(RwLock::new(1)));
    for write in [false, true] {
        let (mutex, rwlock) = (mutex.clone(), rwlock.clone());
        let h = go(isolated(move || {
            let _reader = (!write).then(|| rwlock.read());
            let _writer = write.then(|| rwlock.write());
            *mutex.lock() += 1;
            let _guard = mutex.lock();
            panic!("with locks held")
        }));
        assert!(h.join().is_err());
    }
    assert_eq!(*mutex.try_lock().unwrap(), 3);
    assert_eq!(*rwlock.try_write().unwrap(), 1);
}

/// A waiter gets the lock of a goroutine that panics.
fn a_waiter_gets_the_lock_of_who_panics() {
    let mutex = Arc::new(Mutex::new(()));
    let holder = {
        let mutex = mutex.clone();
        let (go_on, gate) = chan::<()>(0);
        (go(isolated(move || {
            let _guard = mutex.lock();
            gate.recv();
            panic!("holder")
        })), go_on)
    };
    until_waits(&holder.0, WaitReason::ChanReceive);
    let waiter = go(move || drop(mutex.lock()));
    until_waits(&waiter, WaitReason::MutexLock);
    drop(holder.1);
    waiter.join();
    assert_eq!(holder.0.join().unwrap_err().message(), "holder");
}

/// As Go's: a `Once` whose function panics is done. A value that was not made is made by the next.
fn what_is_done_once_may_panic() {
    let once = Once::new();
    assert!(recover(|| once.call_once(|| panic!("once"))).is_err());
    assert!(once.is_completed());
    once.call_once(|| unreachable!("it was called"));
    let cell = OnceLock::new();
    assert!(recover(|| _ = cell.get_or_init(|| panic!("cell"))).is_err());
    assert_eq!((cell.get(), cell.get_or_init(|| 2)), (None, &2));
    let lazy = LazyLock::new(|| -> u8 { panic!("lazy") });
    assert_eq!(recover(|| *lazy).unwrap_err().message(), "lazy");
    assert_eq!(recover(|| *lazy).unwrap_err().message(), "LazyLock: its function has panicked");
}

/// One child panics: the others are joined, then the parent panics.
fn a_scope_panics_when_all_have_ended() {
    counter!(ENDED);
    let panic = recover(|| {
        scope(|s| {
            for n in 0..10 {
                s.go(move || {
                    let _counted = Counted(&ENDED);
                    (0..n).for_each(|_| yield_now());
                    assert!(n != 3, "the third");
                });
            }
        });
        unreachable!("the scope has panicked")
    });
    assert_eq!(panic.unwrap_err().message(), "the third");
    assert_eq!(ENDED.load(SeqCst), 10);
}

/// Of several panics the first goes on in the parent.
fn the_first_panic_is_the_scope_s() {
    let panic = recover(|| scope(|s| {
        let first = s.go(|| panic!("first"));
        s.go(move || {
            until(|| first.is_finished());
            panic!("second")
        });
    }));
    assert_eq!(panic.unwrap_err().message(), "first");
}

fn the_join_of_a_child_that_panicked_panics() {
    counter!(ENDED);
    let panic = recover(|| scope(|s| {
        s.go(|| { time::sleep(MS); drop(Counted(&ENDED)) });
        let kept = s.go(|| vec![Box::new(1)]);
        drop(kept);
        s.go(|| -> u8 { panic!("child") }).join()
    }));
    assert_eq!(panic.unwrap_err().message(), "child");
    assert_eq!(ENDED.load(SeqCst), 1);
}

/// The parent's own panic goes on; the children are joined first.
fn a_scope_is_unwound_when_all_have_ended() {
    counter!(ENDED);
    let order = Mutex::new(String::new());
    let (unwinds, unwound) = chan::<()>(0);
    let panic = recover(|| scope(|s| {
        s.go(|| { unwound.recv(); drop(Letter(&order, 'c')); panic!("late") });
        s.go(|| scope(|s| { s.go(|| drop(Counted(&ENDED))); }));
        let _unwinds = unwinds;
        let _parent = Letter(&order, 'p');
        panic!("parent")
    }));
    assert_eq!(panic.unwrap_err().message(), "parent");
    assert_eq!(*order.lock(), "pc");
    assert_eq!(ENDED.load(SeqCst), 1);
}

/// `goexit` runs destructors, in whatever depth, and ends the goroutine: also through a `recover`.
fn goexit_ends_the_goroutine() {
    counter!(DROPS);
    let deep = || {
        fn dive(n: usize) {
            let _counted = Counted(&DROPS);
            if n == 0 { goexit() } else { black_box(dive(n - 1)) }
        }
        dive(9)
    };
    let (tx, rx) = chan::<()>(0);
    assert!(go(move || { let _tx = tx; deep() }).try_join().is_none());
    assert_eq!((rx.recv(), DROPS.load(SeqCst)), (None, 10));
    let through = go(move || {
        let _counted = Counted(&DROPS);
        let _ = recover(deep);
        unreachable!("it goes on to the goroutine's end")
    });
    assert!(through.try_join().is_none());
    assert_eq!(DROPS.load(SeqCst), 21);
    let isolated = go(isolated(move || { let _ = recover(deep); }));
    assert!(isolated.join().unwrap_err().is_goexit());
    assert_eq!(DROPS.load(SeqCst), 31);
    let join = recover(|| go(|| -> Vec<u8> { goexit() }).join());
    assert_eq!(join.unwrap_err().message(), "join: the goroutine has ended without a result");
    let detached = go(|| -> Vec<u8> { yield_now(); let _c = Counted(&DROPS); goexit() });
    drop(detached);
    until(|| DROPS.load(SeqCst) == 32);
    drop((0..50).map(|_| go(|| -> Vec<u8> { goexit() })).collect::<Vec<_>>());
}

/// Destructors park while a goroutine exits, and may panic and recover within themselves.
fn goexit_may_park() {
    let (tx, rx) = chan::<&str>(0);
    let h = go(move || {
        let _last = Deferred(|| tx.send("last").unwrap());
        let _first = Deferred(|| {
            assert!(!panicking());
            assert!(recover(|| panic!("within")).is_err());
            tx.send("first").unwrap();
        });
        goexit()
    });
    assert_eq!(rx.iter().collect::<Vec<_>>(), ["first", "last"]);
    assert!(h.try_join().is_none());
}

fn scopes_and_groups_count_who_exits() {
    counter!(ENDED);
    scope(|s| {
        for _ in 0..10 {
            s.go(|| { let _counted = Counted(&ENDED); goexit() });
        }
        s.go(|| -> Vec<u8> { goexit() });
    });
    assert_eq!(ENDED.load(SeqCst), 10);
    let group = WaitGroup::new();
    group.go(|| goexit());
    group.wait();
}

/// Ten thousand, on all CPUs, some parked in destructors, and some preempted on their way.
/// What they owned is given back once.
fn ten_thousand_panics() {
    counter!(DROPS);
    static OVER: AtomicBool = AtomicBool::new(false);
    OVER.store(false, SeqCst);
    let mutex = Arc::new(Mutex::new(0usize));
    let (tx, rx) = chan::<usize>(3);
    // Each of its wakes preempts whoever runs.
    let preempts = go(|| while !OVER.load(SeqCst) { time::sleep(MS / 10) });
    let receiver = go(move || rx.iter().count());
    for round in 0..100 {
        let handles: Vec<_> = (0..100).map(|n| {
            let (mutex, tx) = (mutex.clone(), tx.clone());
            go(isolated(move || {
                let _counted = Counted(&DROPS);
                let _parks = Deferred(|| match n % 4 {
                    0 => tx.send(n).unwrap(),
                    1 => yield_now(),
                    2 => *mutex.lock() += 1,
                    _ => {}
                });
                let mut guard = mutex.lock();
                *guard += 1;
                if n % 5 == 0 {
                    drop(guard);
                    yield_now();
                } else if n % 4 == 2 {
                    drop(guard);
                }
                if n % 7 == 6 { panic_with(n) } else { panic!("{round} {n}") }
            }))
        }).collect();
        for (n, h) in handles.into_iter().enumerate() {
            let panic: Panic = h.join().unwrap_err();
            match panic.payload() {
                Some(value) => assert_eq!(value.downcast_ref(), Some(&n)),
                None => assert_eq!(panic.message(), format!("{round} {n}")),
            }
        }
    }
    drop(tx);
    OVER.store(true, SeqCst);
    preempts.join();
    assert_eq!((receiver.join(), DROPS.load(SeqCst)), (2500, 10_000));
    assert_eq!(*mutex.try_lock().unwrap(), 12_500);
}
}
