//! What a broadcast channel promises.
//!
//! A goroutine "waits" when it is parked for [`WaitReason::Monitor`]: no claim depends on time.

use broadcast::every::{Receiver, broadcast};
use executive::g::WaitReason;
use executive::join::JoinHandle;
use executive::{go, yield_now};

fn main() {
    harness::answer(&[
        ("what_is_sent_is_received", what_is_sent_is_received),
        ("every_receiver_gets_all_in_order", every_receiver_gets_all_in_order),
        ("a_receiver_of_nothing_is_parked", a_receiver_of_nothing_is_parked),
        ("a_sender_waits_for_the_slowest", a_sender_waits_for_the_slowest),
        ("who_comes_later_gets_what_comes_later", who_comes_later_gets_what_comes_later),
        ("nobody_waits_for_who_has_left", nobody_waits_for_who_has_left),
        ("without_receivers_it_comes_back", without_receivers_it_comes_back),
        ("the_end_comes_after_the_last", the_end_comes_after_the_last),
        ("no_wake_is_lost", no_wake_is_lost),
    ]);
}

fn waits<T>(handle: &JoinHandle<T>) {
    while handle.waiting() != Some(WaitReason::Monitor) {
        assert!(!handle.is_finished(), "it went on, and should have waited");
        yield_now();
    }
}

fn all<T: Copy>(receiver: Receiver<T>) -> Vec<T> {
    std::iter::from_fn(|| receiver.recv()).collect()
}

fn what_is_sent_is_received() {
    let (tx, rx) = broadcast(3);
    for round in 0..100 {
        assert_eq!(tx.send(round), Ok(()));
        assert_eq!(tx.send(round + 1000), Ok(()));
        assert_eq!((rx.recv(), rx.recv()), (Some(round), Some(round + 1000)));
    }
}

fn every_receiver_gets_all_in_order() {
    for capacity in [1, 2, 10] {
        let (tx, rx) = broadcast(capacity);
        let mut receivers = vec![rx];
        receivers.extend((0..4).map(|_| tx.subscribe()));
        let receivers = receivers.into_iter().map(|rx| go(move || all(rx)));
        let receivers: Vec<_> = receivers.collect();
        for n in 0..500 {
            assert_eq!(tx.send(n), Ok(()));
        }
        drop(tx);
        let expected: Vec<_> = (0..500).collect();
        for receiver in receivers {
            assert!(receiver.join() == expected, "with room for {capacity}");
        }
    }
}

fn a_receiver_of_nothing_is_parked() {
    let (tx, rx) = broadcast(1);
    let other = tx.subscribe();
    let receivers = [go(move || rx.recv()), go(move || other.recv())];
    receivers.iter().for_each(waits);
    assert_eq!(tx.send(7), Ok(()));
    assert_eq!(receivers.map(|h| h.join()), [Some(7), Some(7)]);
}

fn a_sender_waits_for_the_slowest() {
    let (tx, fast) = broadcast(2);
    let slow = tx.subscribe();
    assert_eq!((tx.send(1), tx.send(2)), (Ok(()), Ok(())));
    assert_eq!((fast.recv(), fast.recv()), (Some(1), Some(2)));
    // All room is taken up by what the slow one has not had.
    let sender = go(move || tx.send(3));
    waits(&sender);
    assert_eq!(slow.recv(), Some(1));
    assert_eq!(sender.join(), Ok(()));
    assert_eq!((fast.recv(), fast.recv()), (Some(3), None));
    assert_eq!((slow.recv(), slow.recv(), slow.recv()), (Some(2), Some(3), None));
}

fn who_comes_later_gets_what_comes_later() {
    let (tx, first) = broadcast(4);
    assert_eq!((tx.send(1), tx.send(2)), (Ok(()), Ok(())));
    let second = tx.subscribe();
    assert_eq!(tx.send(3), Ok(()));
    drop(tx);
    assert_eq!(all(first), [1, 2, 3]);
    assert_eq!(all(second), [3]);
}

fn nobody_waits_for_who_has_left() {
    let (tx, rx) = broadcast(1);
    let slow = tx.subscribe();
    assert_eq!(tx.send(1), Ok(()));
    assert_eq!(rx.recv(), Some(1));
    let sender = go(move || (tx.send(2), tx.send(3)));
    waits(&sender);
    drop(slow);
    assert_eq!((rx.recv(), rx.recv(), rx.recv()), (Some(2), Some(3), None));
    assert_eq!(sender.join(), (Ok(()), Ok(())));
}

fn without_receivers_it_comes_back() {
    let (tx, rx) = broadcast(1);
    assert_eq!(tx.send(1), Ok(()));
    // It waits, and nobody is left to wait for.
    let waiting = {
        let tx = tx.clone();
        go(move || tx.send(2))
    };
    waits(&waiting);
    drop(rx);
    assert_eq!(waiting.join(), Err(2));
    assert_eq!(tx.send(3), Err(3));
    let rx = tx.subscribe();
    assert_eq!(tx.send(4), Ok(()));
    assert_eq!(rx.recv(), Some(4));
}

fn the_end_comes_after_the_last() {
    let (tx, rx) = broadcast(3);
    let another = tx.clone();
    assert_eq!((tx.send(1), another.send(2)), (Ok(()), Ok(())));
    drop(tx);
    assert_eq!((rx.recv(), rx.recv()), (Some(1), Some(2)));
    let receiver = go(move || (rx.recv(), rx.recv(), rx.recv()));
    waits(&receiver); // a sender is left
    assert_eq!(another.send(3), Ok(()));
    drop(another);
    assert_eq!(receiver.join(), (Some(3), None, None));
}

/// Senders and receivers come, go and wait in each other's way.
fn no_wake_is_lost() {
    for round in 0..5 {
        let (tx, rx) = broadcast(1 + round % 2);
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                let rx = tx.subscribe();
                go(move || all(rx).len())
            })
            .collect();
        let leaves = go(move || (rx.recv(), rx.recv()));
        let senders: Vec<_> = (0..2)
            .map(|n| {
                let tx = tx.clone();
                go(move || (0..10).for_each(|i| assert_eq!(tx.send(10 * n + i), Ok(()))))
            })
            .collect();
        drop(tx);
        senders.into_iter().for_each(|h| h.join());
        leaves.join();
        assert_eq!(receivers.into_iter().map(|h| h.join()).collect::<Vec<_>>(), [20, 20]);
    }
}
