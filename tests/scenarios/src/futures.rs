//! Futures of crates that nobody here wrote, on our goroutines.

use crate::counter;
use crate::help::{WaitReason, until_waits};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use core::task::{Poll, Waker};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::channel::Channel;
use executive::sync::Mutex;
use executive::{block_on, go, go_future};
use futures::channel::oneshot;
use futures::future::{Either, join_all, select};
use futures::stream::{FuturesUnordered, StreamExt};
use futures::task::AtomicWaker;

scenarios! { futures:

fn a_ready_future_does_not_park() {
    assert_eq!(block_on(async { 6 * 7 }), 42);
    assert_eq!(block_on(core::future::ready("now")), "now");
}

/// `futures`' oneshot, woken from another goroutine.
fn a_future_parks_until_it_is_woken() {
    let (tx, rx) = oneshot::channel();
    let h = go_future(rx);
    until_waits(&h, WaitReason::Future);
    tx.send(5).unwrap();
    assert_eq!(h.join(), Ok(5));
}

fn futures_join_and_select() {
    let (txs, rxs): (Vec<_>, Vec<_>) = (0..20).map(|_| oneshot::channel()).unzip();
    let all = go_future(join_all(rxs));
    for (n, tx) in txs.into_iter().enumerate() {
        go(move || tx.send(n).unwrap());
    }
    assert!(all.join().into_iter().map(Result::unwrap).eq(0..20));
    let (a, ra) = oneshot::channel::<u8>();
    let (_b, rb) = oneshot::channel::<u8>();
    let h = go_future(async { match select(ra, rb).await {
        Either::Left((v, _)) => v,
        Either::Right(_) => unreachable!(),
    }});
    until_waits(&h, WaitReason::Future);
    a.send(1).unwrap();
    assert_eq!(h.join(), Ok(1));
}

/// Wakers of wakers: each future of a set has its own.
fn a_set_of_futures() {
    let (txs, rxs): (Vec<_>, Vec<_>) = (0..50).map(|_| oneshot::channel()).unzip();
    let h = go_future(async {
        let all = rxs.into_iter().collect::<FuturesUnordered<_>>();
        all.map(Result::unwrap).collect::<Vec<usize>>().await
    });
    for (n, tx) in txs.into_iter().enumerate().rev() {
        go(move || tx.send(n).unwrap());
    }
    let mut all = h.join();
    all.sort();
    assert!(all.into_iter().eq(0..50));
}

/// `embassy-sync`'s channel, between two futures of one goroutine.
fn an_embassy_channel() {
    let channel = Channel::<NoopRawMutex, u32, 2>::new();
    let send = async { for n in 0..100 { channel.send(n).await } };
    let recv = async {
        let mut sum = 0;
        for _ in 0..100 { sum += channel.receive().await }
        sum
    };
    let ((), sum) = block_on(futures::future::join(send, recv));
    assert_eq!(sum, 4950);
}

/// A waker may be called from an interrupt's handler: no lock, no allocation.
fn a_waker_called_as_from_a_handler() {
    static WAKER: AtomicWaker = AtomicWaker::new();
    static CAME: AtomicBool = AtomicBool::new(false);
    let h = go_future(poll_fn(|context| {
        WAKER.register(context.waker());
        if CAME.load(SeqCst) { Poll::Ready(8) } else { Poll::Pending }
    }));
    until_waits(&h, WaitReason::Future);
    CAME.store(true, SeqCst);
    WAKER.wake();
    assert_eq!(h.join(), 8);
}

/// A wake that comes during the poll is not lost.
fn a_wake_during_the_poll_polls_again() {
    let mut polls = 0;
    block_on(poll_fn(|context| {
        polls += 1;
        if polls == 100 { return Poll::Ready(()) }
        context.waker().wake_by_ref();
        #[expect(clippy::waker_clone_wake, reason = "that a clone is as good is the claim")]
        context.waker().clone().wake();
        Poll::Pending
    }));
    assert_eq!(polls, 100);
}

/// A waker that is kept too long wakes nobody who minds.
fn a_stale_waker_does_no_harm() {
    static KEPT: Mutex<Vec<Waker>> = Mutex::new(Vec::new());
    for _ in 0..20 {
        go_future(poll_fn(|context| {
            KEPT.lock().push(context.waker().clone());
            Poll::Ready(())
        })).join();
    }
    let (tx, rx) = executive::chan(0);
    let h = go(move || rx.recv());
    until_waits(&h, WaitReason::ChanReceive); // very likely in the memory of one of those
    KEPT.lock().drain(..).for_each(Waker::wake);
    tx.send(1).unwrap();
    assert_eq!(h.join(), Some(1));
}

/// A future that runs another one in its poll still hears its own wakers.
fn block_on_nests() {
    counter!(POLLS);
    let (tx, rx) = oneshot::channel::<u8>();
    let mut rx = Box::pin(rx);
    let mut tx = Some(tx);
    let got = block_on(poll_fn(move |context| {
        POLLS.fetch_add(1, SeqCst);
        let polled = core::future::Future::poll(rx.as_mut(), context);
        if let Some(tx) = tx.take() {
            tx.send(4).unwrap(); // wakes us, now
            let mut first = true;
            block_on(poll_fn(|inner| {
                if core::mem::take(&mut first) {
                    inner.waker().wake_by_ref();
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            }));
        }
        polled
    }));
    assert_eq!(got, Ok(4));
}

/// Many goroutines, each a future, each waking the next.
fn a_ring_of_futures() {
    let (first, mut rx) = oneshot::channel::<usize>();
    for _ in 0..200 {
        let (tx, next) = oneshot::channel();
        let from = core::mem::replace(&mut rx, next);
        drop(go_future(async move { tx.send(from.await.unwrap() + 1).unwrap() }));
    }
    first.send(0).unwrap();
    assert_eq!(block_on(rx), Ok(200));
}

/// Wakes from everywhere while the goroutine parks: each poll is followed by another until it is
/// ready.
fn wakes_race_with_parking() {
    use core::sync::atomic::AtomicUsize;
    static STATE: (AtomicWaker, AtomicUsize) = (AtomicWaker::new(), AtomicUsize::new(0));
    let wakers: Vec<_> = (0..4).map(|_| go(|| for _ in 0..500 {
        STATE.1.fetch_add(1, SeqCst);
        STATE.0.wake();
        executive::yield_now();
    })).collect();
    block_on(poll_fn(|context| {
        STATE.0.register(context.waker());
        if STATE.1.load(SeqCst) == 2_000 { Poll::Ready(()) } else { Poll::Pending }
    }));
    wakers.into_iter().for_each(|h| h.join());
}
}
