//! Channels. Go spec, "Channel types", "Send statements", "Receive operator", "Length and
//! capacity".

use crate::counter;
use crate::help::{Counted, MS, WaitReason, until, until_waits};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;
use core::time::Duration;
use executive::chan::{RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
use executive::time::Instant;
use executive::{chan, go};

scenarios! { channels:

/// Unbuffered: a send waits until a receiver is there.
fn an_unbuffered_send_waits_for_a_receiver() {
    let (tx, rx) = chan(0);
    let h = go(move || tx.send(1));
    until_waits(&h, WaitReason::ChanSend);
    assert_eq!(rx.recv(), Some(1));
    assert_eq!(h.join(), Ok(()));
}

fn a_receive_waits_for_a_value() {
    let (tx, rx) = chan(0);
    let h = go(move || rx.recv());
    until_waits(&h, WaitReason::ChanReceive);
    tx.send(2).unwrap();
    assert_eq!(h.join(), Some(2));
}

/// Buffered: a send succeeds without waiting while there is room.
fn a_buffered_send_does_not_wait_for_room_that_is_there() {
    let (tx, rx) = chan(3);
    (0..3).for_each(|n| tx.send(n).unwrap());
    let h = go(move || tx.send(3));
    until_waits(&h, WaitReason::ChanSend);
    assert_eq!(rx.recv(), Some(0)); // makes room
    h.join().unwrap();
    assert!(rx.try_iter().eq(1..=3));
}

/// Buffered: a receive does not wait while something is there.
fn a_buffered_receive_does_not_wait_for_what_is_there() {
    let (tx, rx) = chan(1);
    tx.send(5).unwrap();
    assert_eq!(rx.recv(), Some(5));
}

/// Values come in the order in which they were sent.
fn values_come_in_order() {
    for capacity in [0, 1, 7, 1000] {
        let (tx, rx) = chan(capacity);
        go(move || (0..500).for_each(|n| tx.send(n).unwrap()));
        assert!(rx.into_iter().eq(0..500));
    }
}

/// Receivers are served in the order in which they came.
fn receivers_are_served_in_order() {
    let (tx, rx) = chan(0);
    let receivers: Vec<_> = (0..5).map(|_| {
        let rx = rx.clone();
        let h = go(move || rx.recv());
        until_waits(&h, WaitReason::ChanReceive);
        h
    }).collect();
    (0..5).for_each(|n| tx.send(n).unwrap());
    for (n, h) in receivers.into_iter().enumerate() {
        assert_eq!(h.join(), Some(n));
    }
}

/// Senders are served in the order in which they came, also behind a full buffer.
fn senders_are_served_in_order() {
    for capacity in [0, 2] {
        let (tx, rx) = chan(capacity);
        (0..capacity).for_each(|n| tx.send(n).unwrap());
        let senders: Vec<_> = (capacity..capacity + 5).map(|n| {
            let tx = tx.clone();
            let h = go(move || tx.send(n));
            until_waits(&h, WaitReason::ChanSend);
            h
        }).collect();
        for n in 0..capacity + 5 {
            assert_eq!(rx.recv(), Some(n));
        }
        senders.into_iter().for_each(|h| h.join().unwrap());
    }
}

/// One channel, many of both: each value comes once.
fn many_senders_and_receivers_lose_and_double_nothing() {
    for capacity in [0, 1, 64] {
        let (tx, rx) = chan(capacity);
        for s in 0..8 {
            let tx = tx.clone();
            go(move || (0..200).for_each(|n| tx.send(s * 200 + n).unwrap()));
        }
        drop(tx);
        let receives = |_| {
            let rx = rx.clone();
            go(move || rx.iter().collect::<Vec<_>>())
        };
        let receivers: Vec<_> = (0..8).map(receives).collect();
        let mut all: Vec<_> = receivers.into_iter().flat_map(|h| h.join()).collect();
        all.sort();
        assert!(all.into_iter().eq(0..1600));
    }
}

fn length_and_capacity() {
    let (tx, rx) = chan(3);
    assert_eq!((tx.capacity(), rx.capacity(), tx.len(), rx.is_empty()), (3, 3, 0, true));
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    assert_eq!((tx.len(), rx.len(), tx.is_empty()), (2, 2, false));
    assert_eq!(alloc::format!("{tx:?} {rx:?}"), "Sender(2 of 3) Receiver(2 of 3)");
    rx.recv();
    assert_eq!(tx.len(), 1);
    let (tx, _rx) = chan::<u8>(0);
    assert_eq!((tx.capacity(), tx.len()), (0, 0));
}

/// An unbuffered channel's length is 0 though a sender waits.
fn a_waiting_sender_is_not_in_the_length() {
    let (tx, rx) = chan(0);
    let h = go(move || tx.send(1));
    until_waits(&h, WaitReason::ChanSend);
    assert_eq!(rx.len(), 0);
    rx.recv();
    h.join().unwrap();
}

fn zero_sized_values() {
    for capacity in [0, 10] {
        let (tx, rx) = chan(capacity);
        go(move || (0..100).for_each(|_| tx.send(()).unwrap()));
        assert_eq!(rx.iter().count(), 100);
    }
}

fn large_values() {
    let (tx, rx) = chan(2);
    go(move || (0..20u8).for_each(|n| tx.send([n; 4096]).unwrap()));
    for n in 0..20u8 {
        assert!(rx.recv().unwrap().iter().all(|&b| b == n));
    }
}

fn values_that_own_memory() {
    let (tx, rx) = chan(1);
    go(move || (0..50).for_each(|n| tx.send(Box::new(n)).unwrap()));
    assert!(rx.into_iter().map(|n| *n).eq(0..50));
}

/// A channel can be sent over a channel.
fn channels_of_channels() {
    let (tx, rx) = chan::<executive::chan::Sender<u32>>(0);
    go(move || rx.iter().for_each(|reply| reply.send(9).unwrap()));
    let (reply, replies) = chan(0);
    tx.send(reply).unwrap();
    assert_eq!(replies.recv(), Some(9));
}

/// What nobody received is dropped, once.
fn undelivered_values_are_dropped_once() {
    counter!(DROPS);
    let (tx, rx) = chan(10);
    (0..6).for_each(|_| drop(tx.send(Counted(&DROPS))));
    drop(rx.recv());
    assert_eq!(DROPS.load(SeqCst), 1);
    drop(rx);
    assert_eq!(DROPS.load(SeqCst), 6); // by the last receiver's going: nobody can take them
    drop(tx.send(Counted(&DROPS))); // given back
    assert_eq!(DROPS.load(SeqCst), 7);
}

/// A sender that waits has its value back when the receivers go.
fn senders_hear_that_the_receivers_have_gone() {
    let (tx, rx) = chan(0);
    let sender = tx.clone();
    let h = go(move || sender.send("mine"));
    until_waits(&h, WaitReason::ChanSend);
    drop(rx);
    assert_eq!(h.join().unwrap_err().0, "mine");
    assert!(tx.is_closed());
    assert_eq!(tx.try_send("late"), Err(TrySendError::Closed("late")));
}

fn try_send_does_not_wait() {
    let (tx, rx) = chan(0);
    assert_eq!(tx.try_send(1), Err(TrySendError::Full(1)));
    let h = go(move || rx.recv());
    until_waits(&h, WaitReason::ChanReceive);
    assert_eq!(tx.try_send(2), Ok(())); // somebody waits
    assert_eq!(h.join(), Some(2));
    let (tx, _rx) = chan(1);
    assert_eq!(tx.try_send(1), Ok(()));
    assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
}

fn try_recv_does_not_wait() {
    let (tx, rx) = chan(0);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    let h = go(move || tx.send(1));
    until_waits(&h, WaitReason::ChanSend);
    assert_eq!(rx.try_recv(), Ok(1)); // somebody waits
    h.join().unwrap();
    until(|| rx.try_recv() == Err(TryRecvError::Closed)); // its sender has gone
}

fn recv_timeout_comes_back_late_never_early() {
    let (tx, rx) = chan::<u8>(0);
    let begin = Instant::now();
    assert_eq!(rx.recv_timeout(5 * MS), Err(RecvTimeoutError::Timeout));
    assert!(begin.elapsed() >= 5 * MS);
    drop(tx);
    assert_eq!(rx.recv_timeout(1000 * MS), Err(RecvTimeoutError::Closed));
}

fn recv_timeout_gets_what_comes_in_time() {
    let (tx, rx) = chan(0);
    let h = go(move || rx.recv_timeout(3_600_000 * MS));
    until_waits(&h, WaitReason::Select);
    tx.send(3).unwrap();
    assert_eq!(h.join(), Ok(3));
}

/// What is ready comes before the limit, however short: a value in the buffer, a sender that waits,
/// a close.
fn recv_timeout_looks_before_the_limit() {
    let (tx, rx) = chan(1);
    let (to_meet, meets) = chan(0);
    for n in 0..300 {
        tx.send(n).unwrap();
        assert_eq!(rx.recv_timeout(Duration::ZERO), Ok(n));
        assert_eq!(rx.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
        let tx = to_meet.clone();
        let h = go(move || tx.send(n));
        until_waits(&h, WaitReason::ChanSend);
        assert_eq!(meets.recv_timeout(Duration::ZERO), Ok(n));
        h.join().unwrap();
    }
    drop(tx);
    for _ in 0..300 {
        assert_eq!(rx.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Closed));
    }
}

/// Room, a receiver that waits, and a close come before the limit too.
fn send_timeout_looks_before_the_limit() {
    let (tx, rx) = chan(1);
    let (to_meet, meets) = chan(0);
    for n in 0..300 {
        assert_eq!(tx.send_timeout(n, Duration::ZERO), Ok(()));
        assert_eq!(tx.send_timeout(n, Duration::ZERO), Err(SendTimeoutError::Timeout(n)));
        assert_eq!(rx.recv(), Some(n));
        let rx = meets.clone();
        let h = go(move || rx.recv());
        until_waits(&h, WaitReason::ChanReceive);
        assert_eq!(to_meet.send_timeout(n, Duration::ZERO), Ok(()));
        assert_eq!(h.join(), Some(n));
    }
    drop(rx);
    for n in 0..300 {
        assert_eq!(tx.send_timeout(n, Duration::ZERO), Err(SendTimeoutError::Closed(n)));
    }
}

fn send_timeout_gives_the_value_back() {
    let (tx, rx) = chan(0);
    let begin = Instant::now();
    assert_eq!(tx.send_timeout("x", 5 * MS), Err(SendTimeoutError::Timeout("x")));
    assert!(begin.elapsed() >= 5 * MS);
    drop(rx);
    assert_eq!(tx.send_timeout("y", 1000 * MS), Err(SendTimeoutError::Closed("y")));
}

fn send_timeout_sends_in_time() {
    let (tx, rx) = chan(0);
    let h = go(move || tx.send_timeout(Box::new(4), 3_600_000 * MS).map_err(|_| ()));
    until_waits(&h, WaitReason::Select);
    assert_eq!(rx.recv().as_deref(), Some(&4));
    assert_eq!(h.join(), Ok(()));
}

/// After a time limit nothing is left in the queue that could swallow a value.
fn a_timed_out_receiver_takes_nothing() {
    let (tx, rx) = chan(0);
    for _ in 0..20 {
        assert_eq!(rx.recv_timeout(MS / 10), Err(RecvTimeoutError::Timeout));
    }
    assert_eq!(tx.try_send(1), Err(TrySendError::Full(1)));
    let h = go(move || rx.recv());
    until_waits(&h, WaitReason::ChanReceive);
    tx.send(2).unwrap();
    assert_eq!(h.join(), Some(2));
}

/// Ends of one channel know each other.
fn the_same_channel_is_equal() {
    let (tx, rx) = chan::<u8>(0);
    let (tx2, rx2) = chan::<u8>(0);
    assert!(tx.same_channel(&tx.clone()) && rx.same_channel(&rx.clone()));
    assert!(!tx.same_channel(&tx2) && !rx.same_channel(&rx2));
}

/// Values of no size need no memory: the capacity is a number.
fn a_channel_of_nothing_may_be_as_large_as_can_be() {
    let (tx, rx) = chan(isize::MAX as usize);
    for _ in 0..3 {
        (0..5).for_each(|_| tx.send(()).unwrap());
        assert_eq!((tx.capacity(), rx.len()), (isize::MAX as usize, 5));
        (0..5).for_each(|_| assert_eq!(rx.recv(), Some(())));
    }
}

/// A value sent to a receiver that waits is there at once: no buffer, no copy in between.
fn a_value_goes_straight_to_a_waiting_receiver() {
    counter!(DROPS);
    let (tx, rx) = chan(4);
    let h = go(move || rx.recv().map(core::mem::forget));
    until_waits(&h, WaitReason::ChanReceive);
    tx.send(Counted(&DROPS)).unwrap();
    assert_eq!(tx.len(), 0);
    h.join();
    assert_eq!(DROPS.load(SeqCst), 0);
}

/// The prime sieve: a chain of unbuffered channels.
fn the_prime_sieve() {
    let (tx, mut rx) = chan::<u32>(0);
    go(move || for n in 2.. { if tx.send(n).is_err() { break } });
    let mut prime = 0;
    for _ in 0..100 {
        prime = rx.recv().unwrap();
        let (tx, next) = chan(0);
        let from = core::mem::replace(&mut rx, next);
        go(move || while let Some(n) = from.recv() {
            if n % prime != 0 && tx.send(n).is_err() { break }
        });
    }
    assert_eq!(prime, 541);
}
}
