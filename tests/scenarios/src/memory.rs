//! The Go memory model: what is synchronized before what. Plain memory is written on one side and
//! read on the other.
#![allow(unsafe_code)] // Plain memory shared between goroutines: the claims are about just that.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use executive::sync::{Mutex, Once, RwLock, Semaphore, WaitGroup};
use executive::{chan, go, yield_now};

/// Plain memory. Each scenario says what orders the accesses.
struct Plain(UnsafeCell<u64>);
// SAFETY: that is the claim of each scenario.
unsafe impl Sync for Plain {}
// SAFETY: as above.
unsafe impl Send for Plain {}

impl Plain {
    fn new() -> Arc<Self> {
        Arc::new(Plain(UnsafeCell::new(0)))
    }
    fn set(&self, n: u64) {
        // SAFETY: ordered as the scenario says.
        unsafe { self.0.get().write(n) }
    }
    fn get(&self) -> u64 {
        // SAFETY: as above.
        unsafe { self.0.get().read() }
    }
}

const ROUNDS: u64 = 300;

scenarios! { memory:

/// The go statement is synchronized before the start of the goroutine.
fn go_before_the_goroutine() {
    for n in 0..ROUNDS {
        let x = Plain::new();
        x.set(n);
        let y = x.clone();
        assert_eq!(go(move || y.get()).join(), n);
    }
}

/// The end of a goroutine is synchronized before `join` returns (Go has no join; its exit orders
/// nothing).
fn the_end_before_join() {
    for n in 0..ROUNDS {
        let x = Plain::new();
        let y = x.clone();
        go(move || y.set(n)).join();
        assert_eq!(x.get(), n);
    }
}

/// A send is synchronized before the completion of its receive.
fn send_before_receive() {
    for capacity in [0, 1, 8] {
        let (tx, rx) = chan(capacity);
        go(move || for n in 0..ROUNDS {
            let x = Plain::new();
            x.set(n);
            tx.send(x).unwrap();
        });
        rx.iter().enumerate().for_each(|(n, x)| assert_eq!(x.get(), n as u64));
    }
}

/// Closing is synchronized before a receive that returns because of it.
fn close_before_receive() {
    for n in 0..ROUNDS {
        let (x, (tx, rx)) = (Plain::new(), chan::<()>(0));
        let y = x.clone();
        go(move || {
            y.set(n);
            tx.close();
        });
        assert_eq!((rx.recv(), x.get()), (None, n));
    }
}

/// A receive from an unbuffered channel is synchronized before the completion of its send.
fn receive_before_an_unbuffered_send_completes() {
    for n in 0..ROUNDS {
        let (x, (tx, rx)) = (Plain::new(), chan(0));
        let y = x.clone();
        go(move || {
            y.set(n);
            rx.recv();
        });
        tx.send(()).unwrap();
        assert_eq!(x.get(), n);
    }
}

/// The k-th receive on a channel of capacity C is synchronized before the completion of the k+C-th
/// send: a counting semaphore.
fn receive_k_before_send_k_plus_c() {
    let (tx, rx) = chan(3);
    let inside = Arc::new(AtomicUsize::new(0));
    let handles: Vec<_> = (0..10).map(|_| {
        let (tx, rx, inside) = (tx.clone(), rx.clone(), inside.clone());
        go(move || for _ in 0..30 {
            tx.send(()).unwrap();
            assert!(inside.fetch_add(1, Ordering::Relaxed) < 3);
            yield_now();
            inside.fetch_sub(1, Ordering::Relaxed);
            rx.recv();
        })
    }).collect();
    handles.into_iter().for_each(|h| h.join());
}

/// Unlock n is synchronized before lock m > n returns.
fn unlock_before_lock() {
    let (lock, x) = (Arc::new(Mutex::new(())), Plain::new());
    let handles: Vec<_> = (0..4).map(|_| {
        let (lock, x) = (lock.clone(), x.clone());
        go(move || for _ in 0..ROUNDS {
            let _guard = lock.lock();
            x.set(x.get() + 1);
        })
    }).collect();
    handles.into_iter().for_each(|h| h.join());
    assert_eq!(x.get(), 4 * ROUNDS);
}

/// A successful try_lock is as a lock.
fn unlock_before_try_lock() {
    let (lock, x) = (Arc::new(Mutex::new(())), Plain::new());
    let handles: Vec<_> = (0..3).map(|_| {
        let (lock, x) = (lock.clone(), x.clone());
        go(move || for _ in 0..ROUNDS {
            while !lock.try_lock().map(|_guard| x.set(x.get() + 1)).is_some() { yield_now() }
        })
    }).collect();
    handles.into_iter().for_each(|h| h.join());
    assert_eq!(x.get(), 3 * ROUNDS);
}

/// A write unlock is synchronized before the read locks that follow, and read unlocks before the
/// write lock that follows.
fn rwlock_orders_both_ways() {
    let (lock, x) = (Arc::new(RwLock::new(())), Plain::new());
    let writer = { let (lock, x) = (lock.clone(), x.clone()); go(move || for n in 0..ROUNDS {
        let _guard = lock.write();
        x.set(2 * n + 1); // odd: only we may see it
        x.set(2 * n);
    })};
    let readers: Vec<_> = (0..3).map(|_| {
        let (lock, x) = (lock.clone(), x.clone());
        go(move || {
            let mut last = 0;
            for _ in 0..ROUNDS {
                let now = { let _guard = lock.read(); x.get() };
                assert!(now % 2 == 0 && now >= last);
                last = now;
            }
        })
    }).collect();
    writer.join();
    readers.into_iter().for_each(|h| h.join());
}

/// The function of a Once is synchronized before the return of any call.
fn once_before_every_return() {
    for n in 1..ROUNDS {
        let (once, x) = (Arc::new(Once::new()), Plain::new());
        let handles: Vec<_> = (0..3).map(|_| {
            let (once, x) = (once.clone(), x.clone());
            go(move || {
                once.call_once(|| x.set(n));
                x.get()
            })
        }).collect();
        assert!(handles.into_iter().all(|h| h.join() == n));
    }
}

/// Done is synchronized before the return of the Wait that it ends.
fn done_before_wait() {
    for n in 0..ROUNDS {
        let (group, x) = (WaitGroup::new(), Plain::new());
        let y = x.clone();
        group.go(move || y.set(n));
        group.wait();
        assert_eq!(x.get(), n);
    }
}

/// A release is synchronized before the acquire that it ends.
fn release_before_acquire() {
    for n in 0..ROUNDS {
        let (sema, x) = (Arc::new(Semaphore::new(0)), Plain::new());
        let (sema2, y) = (sema.clone(), x.clone());
        go(move || {
            y.set(n);
            sema2.release();
        });
        sema.acquire();
        assert_eq!(x.get(), n);
    }
}

/// Atomics are sequentially consistent when asked to be: of two that store and then look at the
/// other's, one sees the other.
fn atomics_are_sequentially_consistent() {
    for _ in 0..ROUNDS {
        let flags = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let side = |me: usize, flags: Arc<[AtomicBool; 2]>| move || {
            flags[me].store(true, Ordering::SeqCst);
            flags[1 - me].load(Ordering::SeqCst)
        };
        let (a, b) = (go(side(0, flags.clone())), go(side(1, flags)));
        let (a, b) = (a.join(), b.join());
        assert!(a || b);
    }
}

/// Within a goroutine things happen in the order of the program, though it moves between CPUs.
fn a_goroutine_sees_its_own_writes() {
    let handles: Vec<_> = (0..8).map(|_| go(|| {
        let x = Plain::new();
        for n in 0..ROUNDS {
            x.set(n);
            yield_now();
            assert_eq!(x.get(), n);
        }
    })).collect();
    handles.into_iter().for_each(|h| h.join());
}

/// Two goroutines in a chain of sends: what is transitive is ordered.
fn synchronization_is_transitive() {
    for n in 0..ROUNDS {
        let x = Plain::new();
        let (a, ra) = chan(0);
        let (b, rb) = chan(0);
        let y = x.clone();
        let first = go(move || {
            y.set(n);
            a.send(()).unwrap();
        });
        go(move || {
            ra.recv();
            b.send(()).unwrap();
        });
        rb.recv();
        assert_eq!(x.get(), n);
        first.join();
    }
}
}
