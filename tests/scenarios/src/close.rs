//! Closing. Go spec, "Close"; its panics are in `deaths`.

use crate::help::{WaitReason, until_waits};
use alloc::vec::Vec;
use executive::chan::TryRecvError;
use executive::{chan, go};

scenarios! { close:

/// What is buffered is received first, then nothing, for ever.
fn a_closed_channel_is_drained_first() {
    let (tx, rx) = chan(3);
    (1..=3).for_each(|n| tx.send(n).unwrap());
    tx.close();
    assert!((1..=3).all(|n| rx.recv() == Some(n)));
    assert!((0..10).all(|_| rx.recv().is_none()));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
}

fn close_wakes_every_receiver() {
    let (tx, rx) = chan::<u8>(0);
    let receivers: Vec<_> = (0..10).map(|_| {
        let rx = rx.clone();
        let h = go(move || rx.recv());
        until_waits(&h, WaitReason::ChanReceive);
        h
    }).collect();
    tx.close();
    assert!(receivers.into_iter().all(|h| h.join().is_none()));
}

/// In Go a sender that waits panics; here it has its value back.
fn close_wakes_every_sender() {
    let (tx, _rx) = chan(0);
    let senders: Vec<_> = (0..10).map(|n| {
        let tx = tx.clone();
        let h = go(move || tx.send(n));
        until_waits(&h, WaitReason::ChanSend);
        h
    }).collect();
    tx.close();
    for (n, h) in senders.into_iter().enumerate() {
        assert_eq!(h.join().unwrap_err().0, n);
    }
}

/// In Go a send on a closed channel panics; here it says so and gives the value back.
fn a_send_on_a_closed_channel_gives_the_value_back() {
    let (tx, _rx) = chan(5);
    tx.close();
    assert_eq!(tx.send("back").unwrap_err().0, "back");
    assert!(tx.is_closed());
    assert_eq!(alloc::format!("{}", tx.send("x").unwrap_err()), "send on closed channel");
}

/// Ours: the last sender's going closes.
fn the_last_sender_closes() {
    let (tx, rx) = chan(1);
    let second = tx.clone();
    tx.send(1).unwrap();
    drop(tx);
    assert_eq!(rx.recv(), Some(1));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty)); // one is left
    drop(second);
    assert_eq!(rx.recv(), None);
}

fn a_loop_over_a_channel_ends_when_it_is_closed() {
    let (tx, rx) = chan(0);
    go(move || {
        (0..10).for_each(|n| tx.send(n).unwrap());
        tx.close();
    });
    assert_eq!(rx.iter().sum::<u32>(), 45);
}

/// Closing tells everybody at once, as often as they ask: a signal.
fn close_as_a_signal() {
    let (open, gate) = chan::<()>(0);
    let waits = |_| {
        let gate = gate.clone();
        go(move || gate.recv())
    };
    let waiters: Vec<_> = (0..100).map(waits).collect();
    open.close();
    waiters.into_iter().for_each(|h| assert_eq!(h.join(), None));
}

/// An explicit close after all receivers have gone is still the first close.
fn close_after_the_receivers_have_gone() {
    let (tx, rx) = chan::<u8>(0);
    drop(rx);
    tx.close();
}

/// Closers, senders and receivers at the same time: a value is received or given back, never lost.
fn close_against_senders_loses_nothing() {
    for round in 0..200 {
        let (tx, rx) = chan(round % 3);
        let closer = tx.clone();
        let senders: Vec<_> = (0..4).map(|_| {
            let tx = tx.clone();
            go(move || (0..10).filter(|_| tx.send(()).is_ok()).count())
        }).collect();
        drop(tx);
        let receiver = go(move || rx.iter().count());
        go(move || closer.close());
        let sent: usize = senders.into_iter().map(|h| h.join()).sum();
        assert_eq!(sent, receiver.join());
    }
}
}
