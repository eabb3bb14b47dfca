//! Select. Go spec, "Select statements".

use crate::counter;
use crate::help::{Counted, MS, WaitReason, until, until_waits};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;
use core::time::Duration;
use executive::chan::TrySendError;
use executive::irq::Irq;
use executive::select::{Recv, Select, Send};
use executive::time::Instant;
use executive::{chan, go, select, yield_now};

scenarios! { selects:

fn takes_the_arm_that_is_ready() {
    let (_a, no) = chan::<u8>(1);
    let (b, yes) = chan(1);
    b.send(7).unwrap();
    let got = select! {
        recv(no) -> _ => unreachable!(),
        recv(yes) -> v => v,
    };
    assert_eq!(got, Some(7));
}

fn waits_until_an_arm_is_ready() {
    let (_a, never) = chan::<u8>(0);
    let (b, soon) = chan(0);
    let h = go(move || select! {
        recv(never) -> _ => unreachable!(),
        recv(soon) -> v => v,
    });
    until_waits(&h, WaitReason::Select);
    b.send(8).unwrap();
    assert_eq!(h.join(), Some(8));
}

fn a_waiting_select_sends() {
    let (tx, rx) = chan(0);
    let (_b, never) = chan::<u8>(0);
    let h = go(move || select! {
        send(tx, String::from("sent")) -> r => r.is_ok(),
        recv(never) -> _ => unreachable!(),
    });
    until_waits(&h, WaitReason::Select);
    assert_eq!(rx.recv().as_deref(), Some("sent"));
    assert!(h.join());
}

fn default_is_taken_when_nothing_is_ready() {
    let (tx, rx) = chan::<u8>(0);
    let n = select! {
        recv(rx) -> _ => 1,
        send(tx, 1) -> _ => 2,
        default => 3,
    };
    assert_eq!(n, 3);
}

fn default_is_not_taken_when_something_is_ready() {
    let (tx, rx) = chan(1);
    tx.send(1).unwrap();
    for _ in 0..100 {
        let n = select! {
            recv(rx) -> v => v.unwrap(),
            default => 0,
        };
        assert_eq!(n, 1);
        tx.send(1).unwrap();
    }
}

/// With two channels of which one is always ready `default` is never right.
fn default_sees_all_arms_at_one_moment() {
    let (a, from_a) = chan(2);
    let (b, from_b) = chan(2);
    a.send(()).unwrap();
    // Moves a token to and fro: it comes to one channel before it leaves the other. And lets the
    // select look on after each move: one that looks at its arms in turn then finds both empty.
    let mover = go({
        let (from_a, from_b) = (from_a.clone(), from_b.clone());
        let (a, b) = (a.clone(), b.clone());
        move || for _ in 0..500 {
            b.send(()).unwrap();
            from_a.recv().unwrap();
            yield_now();
            a.send(()).unwrap();
            from_b.recv().unwrap();
            yield_now();
        }
    });
    let (_idle, never) = chan::<()>(0);
    let mut round = 0;
    while !mover.is_finished() {
        // What is taken goes back to where it was, so the mover finds its token there.
        select! {
            recv(from_a) -> v => a.send(v.unwrap()).unwrap(),
            recv(from_b) -> v => b.send(v.unwrap()).unwrap(),
            default => panic!("one of the two was ready all the time"),
        }
        select! {
            recv(from_a) -> v => a.send(v.unwrap()).unwrap(),
            recv(from_b) -> v => b.send(v.unwrap()).unwrap(),
            recv(never) -> _ => unreachable!(),
            default => panic!("one of the two was ready all the time, beside a third"),
        }
        round += 1;
        if round % 16 == 0 { yield_now() }
    }
    mover.join();
    assert_eq!((from_a.len(), from_b.len()), (1, 0));
}

/// Uniformly random among those that are ready.
fn each_ready_arm_is_as_likely() {
    let chans: [_; 4] = core::array::from_fn(|_| chan(1));
    let [a, b, c, d] = &chans;
    let mut counts = [0; 4];
    const TIMES: usize = 8_000;
    for (tx, _) in &chans {
        tx.send(()).unwrap();
    }
    for _ in 0..TIMES {
        let i = select! {
            recv(a.1) -> _ => 0,
            recv(b.1) -> _ => 1,
            recv(c.1) -> _ => 2,
            recv(d.1) -> _ => 3,
        };
        counts[i] += 1;
        chans[i].0.send(()).unwrap();
    }
    // A binomial of 8000 and 1/4 has a deviation of 39; 8 of them is 1 in 10^15.
    assert!(counts.iter().all(|n| (TIMES / 4 - 310..TIMES / 4 + 310).contains(n)), "{counts:?}");
}

/// Also when only some arms are ready: the one after an idle arm has no more than its share.
fn idle_arms_do_not_shift_the_odds() {
    let (_t, idle) = chan::<()>(1);
    let (a, ra) = chan(1);
    let (b, rb) = chan(1);
    a.send(()).unwrap();
    b.send(()).unwrap();
    let mut counts = [0; 2];
    for _ in 0..4_000 {
        let i = select! {
            recv(idle) -> _ => unreachable!(),
            recv(idle) -> _ => unreachable!(),
            recv(ra) -> _ => { a.send(()).unwrap(); 0 },
            recv(rb) -> _ => { b.send(()).unwrap(); 1 },
        };
        counts[i] += 1;
    }
    assert!(counts.iter().all(|n| (1_740..2_260).contains(n)), "{counts:?}"); // 8 deviations of 32
}

/// No arm starves, though others are ready all the time.
fn no_arm_starves() {
    let (flood, floods) = chan(1);
    let (quit, quits) = chan::<()>(0);
    let flooder = go(move || while flood.send(()).is_ok() {});
    let h = go(move || loop {
        select! {
            recv(floods) -> _ => {}
            recv(quits) -> _ => break,
        }
    });
    drop(quit);
    h.join();
    flooder.join();
}

/// A variable is moved only if its arm is taken.
fn a_value_is_moved_only_if_its_arm_is_taken() {
    let (tx, rx) = chan::<Box<u32>>(0);
    let (go_on, ready) = chan(1);
    go_on.send(()).unwrap();
    let mut value = Box::new(1);
    for _ in 0..2 {
        select! {
            send(tx, value) -> _ => unreachable!(),
            recv(ready) -> _ => {}
            default => {}
        }
        *value += 1; // still ours
    }
    let h = go(move || rx.recv());
    until_waits(&h, WaitReason::ChanReceive);
    select! {
        send(tx, value) -> r => r.unwrap(),
        default => unreachable!(),
    }
    assert_eq!(*h.join().unwrap(), 3);
}

fn a_constant_can_be_sent() {
    #[derive(PartialEq, Debug)]
    struct Value(usize, Vec<u8>); // one that is dropped
    const VALUE: Value = Value(7, Vec::new());
    let (tx, rx) = chan(1);
    select! { send(tx, VALUE) -> r => r.unwrap() }
    assert_eq!(rx.recv(), Some(VALUE));
}

/// Any other expression is evaluated once, whichever arm is taken, and dropped if another is.
fn expressions_are_evaluated_once_on_entering() {
    counter!(MADE);
    counter!(DROPS);
    let make = || {
        MADE.fetch_add(1, SeqCst);
        Counted(&DROPS)
    };
    let (tx, _rx) = chan(0);
    select! {
        send(tx, make()) -> _ => unreachable!(),
        default => {}
    }
    assert_eq!((MADE.load(SeqCst), DROPS.load(SeqCst)), (1, 1));
    let (tx, rx) = chan(1);
    select! {
        send(tx, make()) -> r => assert!(r.is_ok()),
    }
    assert_eq!((MADE.load(SeqCst), DROPS.load(SeqCst)), (2, 1));
    drop(rx);
    assert_eq!(DROPS.load(SeqCst), 2);
}

/// All arms' expressions, in the order in which they stand, whichever arm is taken.
fn arms_are_evaluated_in_order() {
    let (tx, rx) = chan(1);
    let mut order = Vec::new();
    let mut note = |n| order.push(n);
    select! {
        recv({ note(1); &rx }) -> _ => unreachable!(),
        after({ note(2); Duration::MAX }) => unreachable!(),
        send({ note(3); &tx }, { note(4); 7 }) -> r => r.unwrap(),
        irq({ note(5); executive::irq::Irq::new(57) }) => unreachable!(),
    }
    assert_eq!(order, [1, 2, 3, 4, 5]);
    assert_eq!(rx.recv(), Some(7));
}

fn default_may_stand_anywhere() {
    let (_tx, rx) = chan::<u8>(0);
    let n = select! {
        default => 1,
        recv(rx) -> _ => 2,
    };
    let m = select! {
        recv(rx) -> _ => 2,
        default => { 3 }
        recv(rx) -> _ => 4,
    };
    assert_eq!((n, m), (1, 3));
}

/// With nothing but arms that are switched off: for good.
fn only_switched_off_arms_wait_for_good() {
    let h = go(|| {
        let off: Option<executive::chan::Receiver<u8>> = None;
        select! { recv(off) -> _ => () }
    });
    until_waits(&h, WaitReason::Select);
}

/// Only the taken arm's body runs.
fn only_one_body_runs() {
    let (tx, rx) = chan(2);
    tx.send(1).unwrap();
    let mut ran = 0;
    select! {
        recv(rx) -> _ => ran += 1,
        send(tx, 2) -> _ => ran += 1,
        default => ran += 1,
    }
    assert_eq!(ran, 1);
}

/// A closed channel is ready to receive from.
fn a_closed_channel_is_ready() {
    let (tx, rx) = chan::<u8>(0);
    drop(tx);
    select! { recv(rx) -> v => assert_eq!(v, None) }
    let (tx, rx) = chan::<u8>(0);
    let h = go(move || select! {
        recv(rx) -> v => v,
        after(Duration::MAX) => unreachable!(),
    });
    until_waits(&h, WaitReason::Select);
    tx.close();
    assert_eq!(h.join(), None);
}

/// A send arm on a closed channel is ready, and gives the value back (in Go it panics).
fn a_send_arm_on_a_closed_channel_gives_back() {
    let (tx, rx) = chan(0);
    let closer = tx.clone();
    let h = go(move || select! {
        send(tx, Box::new(5)) -> r => r.unwrap_err().0,
    });
    until_waits(&h, WaitReason::Select);
    closer.close();
    assert_eq!(*h.join(), 5);
    drop(rx);
}

/// The same channel in two arms.
fn one_channel_in_two_arms() {
    let (tx, rx) = chan(0);
    let mut counts = [0; 2];
    let h = go(move || (0..200).for_each(|n| tx.send(n).unwrap()));
    for n in 0..200 {
        let (arm, v) = select! {
            recv(rx) -> v => (0, v),
            recv(rx) -> v => (1, v),
        };
        assert_eq!(v, Some(n));
        counts[arm] += 1;
    }
    h.join();
    assert_eq!(counts[0] + counts[1], 200);
}

/// A send and a receive on one channel in one select: never with itself.
fn a_select_does_not_talk_to_itself() {
    let (tx, rx) = chan(0);
    select! {
        send(tx, 1) -> _ => unreachable!(),
        recv(rx) -> _ => unreachable!(),
        default => {}
    }
    let (tx2, rx2) = (tx.clone(), rx.clone());
    let h = go(move || select! {
        send(tx2, 1) -> r => { r.unwrap(); None },
        recv(rx2) -> v => v,
    });
    until_waits(&h, WaitReason::Select);
    let met = select! {
        send(tx, 2) -> r => { r.unwrap(); None },
        recv(rx) -> v => v,
    };
    // Two selects meet: one of them has sent to the other.
    assert!(matches!((met, h.join()), (Some(1), None) | (None, Some(2))));
}

/// Selects that could serve each other both ways make progress, and each exchange has one sender
/// and one receiver.
fn crossing_selects_meet() {
    let (a, ra) = chan(0);
    let (b, rb) = chan(0);
    const ROUNDS: usize = 500;
    let side = |tx: executive::chan::Sender<usize>, rx: executive::chan::Receiver<usize>| move || {
        let (mut sent, mut received) = (0, 0);
        while sent + received < ROUNDS {
            select! {
                send(tx, 1) -> r => { r.unwrap(); sent += 1 },
                recv(rx) -> v => { v.unwrap(); received += 1 },
            }
        }
        (sent, received)
    };
    let one = go(side(a, rb));
    let two = go(side(b, ra));
    let ((s1, r1), (s2, r2)) = (one.join(), two.join());
    assert_eq!((s1, s2), (r2, r1));
}

/// An arm that lost is removed: it takes nothing afterwards.
fn a_losing_waiter_is_removed() {
    let (a, ra) = chan(0);
    let (b, rb) = chan(0);
    for _ in 0..100 {
        let (ra2, rb2) = (ra.clone(), rb.clone());
        let h = go(move || select! {
            recv(ra2) -> v => v,
            recv(rb2) -> v => v,
        });
        until_waits(&h, WaitReason::Select);
        a.send(1).unwrap();
        h.join();
        assert_eq!(b.try_send(2), Err(TrySendError::Full(2)));
    }
}

/// `after` comes in time, not before.
fn after_is_never_early() {
    let (_tx, rx) = chan::<u8>(0);
    for ms in [0, 1, 5] {
        let begin = Instant::now();
        select! {
            recv(rx) -> _ => unreachable!(),
            after(ms * MS) => {}
        }
        assert!(begin.elapsed() >= ms * MS);
    }
}

/// As Go's `time.After(0)`: a limit of zero is as likely as another arm that is ready.
fn a_limit_of_zero_is_drawn() {
    let (tx, rx) = chan(1);
    tx.send(()).unwrap();
    let mut received = [0; 2];
    for _ in 0..1000 {
        select! {
            recv(rx) -> _ => { received[0] += 1; tx.send(()).unwrap() }
            after(Duration::ZERO) => {}
        }
        let arm = Recv::new(&rx);
        let mut select = Select::new();
        select.recv(&arm);
        select.after(Duration::ZERO);
        if select.wait() == 0 { received[1] += 1 }
        if arm.take().is_some() { tx.send(()).unwrap() }
    }
    // A binomial of 1000 and 1/2 has a deviation of 16; 8 of them is 1 in 10^15.
    assert!(received.iter().all(|n| (370..630).contains(n)), "{received:?}");
}

/// The earlier of two deadlines.
fn the_earlier_deadline_wins() {
    let n = select! {
        after(Duration::from_secs(3600)) => 1,
        after(MS) => 2,
        after(Duration::MAX) => 3,
    };
    assert_eq!(n, 2);
}

/// An `after` that lost leaves no timer: the select returns at once, and nothing fires later.
fn a_losing_deadline_is_taken_back() {
    let (tx, rx) = chan(1);
    for n in 0..1000 {
        tx.send(n).unwrap();
        let v = select! {
            after(2 * MS) => unreachable!("what was there was passed over"),
            recv(rx) -> v => v,
        };
        assert_eq!(v, Some(n));
    }
    let h = go(move || (0..100).map(|_| select! {
        recv(rx) -> v => v.is_some(),
        after(Duration::from_secs(3600)) => false,
    }).filter(|&got| got).count());
    (0..100).for_each(|n| tx.send(n).unwrap());
    assert_eq!(h.join(), 100);
}

/// Deadlines against senders: whatever happens first, a value is received or given back.
fn deadlines_race_with_values() {
    let (tx, rx) = chan(0);
    let sender = go(move || (0..300).filter(|_| tx.send_timeout((), MS / 50).is_ok()).count());
    let mut received = 0;
    loop {
        select! {
            recv(rx) -> v => match v {
                Some(()) => received += 1,
                None => break,
            },
            after(MS / 50) => {}
        }
    }
    assert_eq!(sender.join(), received);
}

/// `None` in place of a channel is never ready: Go's nil channel.
fn an_arm_can_be_switched_off() {
    let (tx, rx) = chan(1);
    tx.send(1).unwrap();
    let mut off = Some(&rx);
    off.take();
    select! {
        recv(off) -> _ => unreachable!(),
        default => {}
    }
    let merged = {
        let (a, ra) = chan(0);
        let (b, rb) = chan(0);
        go(move || (0..10).for_each(|n| a.send(n).unwrap()));
        go(move || (10..20).for_each(|n| b.send(n).unwrap()));
        let (mut ra, mut rb) = (Some(ra), Some(rb));
        let mut all = Vec::new();
        while ra.is_some() || rb.is_some() {
            select! {
                recv(ra) -> v => match v { Some(v) => all.push(v), None => ra = None },
                recv(rb) -> v => match v { Some(v) => all.push(v), None => rb = None },
            }
        }
        all.sort();
        all
    };
    assert!(merged.into_iter().eq(0..20));
}

/// With no arms: for good.
fn without_arms_it_waits_for_good() {
    let h = go(|| select! {});
    until_waits(&h, WaitReason::SelectNoCases);
}

/// break, continue and return go where they would without the select.
fn control_flow_leaves_the_arm() {
    fn first_even(rx: &executive::chan::Receiver<u32>) -> Option<u32> {
        loop {
            select! {
                recv(rx) -> v => {
                    let v = v?;
                    if v % 2 == 1 { continue }
                    return Some(v);
                }
            }
        }
    }
    let (tx, rx) = chan(5);
    [1, 3, 4].into_iter().for_each(|n| tx.send(n).unwrap());
    drop(tx);
    assert_eq!((first_even(&rx), first_even(&rx)), (Some(4), None));
}

/// `None` in place of a sender is never ready, and the value stays.
fn a_send_arm_can_be_switched_off() {
    let (tx, rx) = chan(1);
    let mut off = Some(&tx);
    let value = String::from("stays");
    off.take();
    select! {
        send(off, value) -> _ => unreachable!(),
        default => {}
    }
    assert_eq!((value.as_str(), rx.len()), ("stays", 0));
    // A stage of a pipeline: it sends only while it has something, and receives only while it has
    // nothing.
    let (to_last, last) = chan(0);
    let stage = go(move || {
        let (mut from, mut held): (_, Option<u32>) = (Some(rx), None);
        while from.is_some() || held.is_some() {
            let to = held.map(|_| &to_last);
            let from_now = if held.is_none() { from.as_ref() } else { None };
            select! {
                send(to, held.unwrap_or(0)) -> r => { r.unwrap(); held = None }
                recv(from_now) -> v => match v {
                    Some(_) => held = v.map(|_: String| 7),
                    None => from = None,
                },
            }
        }
    });
    go(move || (0..10).for_each(|_| tx.send(String::from("x")).unwrap()));
    assert!(last.iter().eq([7; 10]));
    stage.join();
    let nobody: Option<executive::chan::Sender<u8>> = None;
    let arm = Send::new(&nobody, 1);
    let mut select = Select::new();
    select.send(&arm);
    assert_eq!((select.poll(), arm.take()), (None, Some(1)));
}

/// Its arms are built once; each wait receives, sends or times out.
fn a_built_select_is_used_again() {
    counter!(DROPS);
    let (txs, rxs): (Vec<_>, Vec<_>) = (0..4).map(|_| chan(0)).unzip();
    let (out, outs) = chan(0);
    let senders: Vec<_> = txs.into_iter().enumerate().map(|(i, tx)| go(move || {
        (0..50).for_each(|n| tx.send((i, n, Counted(&DROPS))).unwrap())
    })).collect();
    let taker = go(move || outs.iter().sum::<usize>());
    let arms: Vec<_> = rxs.iter().map(Recv::new).collect();
    let send = Send::new(&out, 0);
    let mut select = Select::new();
    for arm in &arms { select.recv(arm); }
    assert_eq!(select.send(&send), 4);
    assert_eq!(send.take(), Some(0)); // nothing to be sent yet
    let never = select.after(Duration::MAX);
    let (mut next, mut open, mut sent) = ([0; 4], 4, 0);
    while open > 0 || sent < 200 {
        match select.wait() {
            4 => sent += 1,
            n if n == never => unreachable!(),
            n => match arms[n].take() {
                Some((i, k, _counted)) => {
                    assert_eq!((i, k), (n, next[n])); // each channel's in order, none twice
                    next[n] += 1;
                    assert_eq!(send.put(1), None);
                    // Until it is sent nothing more is received.
                    (0..4).for_each(|n| select.switch(n, false));
                }
                None => {
                    open -= 1;
                    next[n] = 100;
                }
            },
        }
        if send.put(1).is_none() {
            send.take();
            (0..4).for_each(|n| select.switch(n, next[n] < 100));
        }
    }
    assert_eq!((DROPS.load(SeqCst), select.poll()), (200, None));
    senders.into_iter().for_each(|h| h.join());
    drop(select);
    drop(out);
    assert_eq!(taker.join(), 200);
}

/// A number of arms that is known at run time only.
fn a_select_built_at_run_time() {
    let (txs, rxs): (Vec<_>, Vec<_>) = (0..50).map(|_| chan(1)).unzip();
    let mut seen = vec![false; 50];
    for i in (0..50).rev() {
        txs[i].send(i).unwrap();
        let arms: Vec<_> = rxs.iter().map(Recv::new).collect();
        let mut select = Select::new();
        for arm in &arms { select.recv(arm); }
        assert_eq!(select.len(), 50);
        let taken = select.wait();
        assert_eq!(arms[taken].take(), Some(taken));
        seen[taken] = true;
    }
    assert!(seen.into_iter().all(|s| s));
}

fn a_built_select_sends_waits_and_times_out() {
    let (tx, rx) = chan(0);
    {
        let arm = Send::new(&tx, Box::new(1));
        let mut select = Select::new();
        select.send(&arm);
        assert_eq!(select.poll(), None);
        let deadline = select.after(MS);
        assert_eq!(select.wait(), deadline);
        assert!(arm.take().is_some()); // not sent: still there
    }
    let h = go(move || {
        let arm = Send::new(&tx, Box::new(2));
        let mut select = Select::new();
        select.send(&arm);
        select.wait();
        arm.take()
    });
    until_waits(&h, WaitReason::Select);
    assert_eq!(rx.recv().as_deref(), Some(&2));
    assert_eq!(h.join(), None);
}

fn a_built_select_polls() {
    let (tx, rx) = chan(1);
    let arm = Recv::new(&rx);
    let mut select = Select::new();
    assert!(select.is_empty());
    select.after(Duration::MAX);
    assert_eq!(select.recv(&arm), 1);
    assert!(!select.is_empty());
    assert_eq!(select.poll(), None);
    tx.send(7).unwrap();
    assert_eq!((select.poll(), arm.take()), (Some(1), Some(7)));
}

/// What a built select received and nobody took is dropped, once: as the next wait begins, whatever
/// that one takes, or with the arm.
fn a_built_select_drops_what_is_not_taken() {
    counter!(DROPS);
    let (tx, rx) = chan(1);
    tx.send(Counted(&DROPS)).ok();
    let arm = Recv::new(&rx);
    let mut select = Select::new();
    select.recv(&arm);
    let late = select.after(MS);
    assert_eq!(select.poll(), Some(0));
    assert_eq!(DROPS.load(SeqCst), 0);
    assert_eq!((select.wait(), DROPS.load(SeqCst)), (late, 1));
    tx.send(Counted(&DROPS)).ok();
    assert_eq!(select.poll(), Some(0));
    drop(select);
    assert_eq!(DROPS.load(SeqCst), 1);
    drop(arm);
    assert_eq!(DROPS.load(SeqCst), 2);
}

/// Each kind of arm is told its number, whichever came before.
fn the_arms_of_a_built_select_are_numbered_in_order() {
    let (tx, rx) = chan(1);
    let (a, b) = (Recv::new(&rx), Send::new(&tx, 7));
    let line = Irq::new(58);
    let mut select = Select::new();
    for n in [0, 4] {
        assert_eq!([select.recv(&a), select.after(MS)], [n, n + 1]);
        assert_eq!([select.send(&b), select.irq(&line)], [n + 2, n + 3]);
    }
    assert_eq!(select.len(), 8);
}

/// What a built select has sent is the receiver's: its arm drops only what was not sent.
fn a_built_select_drops_what_it_has_not_sent() {
    counter!(DROPS);
    let (tx, rx) = chan(1);
    let (sent, unsent) = (Send::new(&tx, Counted(&DROPS)), Send::new(&tx, Counted(&DROPS)));
    let mut select = Select::new();
    select.send(&sent);
    assert_eq!(select.poll(), Some(0));
    select.send(&unsent);
    select.switch(0, false);
    assert_eq!(select.poll(), None); // no room
    drop(select);
    drop(sent);
    assert_eq!(DROPS.load(SeqCst), 0);
    drop(unsent);
    assert_eq!(DROPS.load(SeqCst), 1);
    drop(rx.recv());
    assert_eq!(DROPS.load(SeqCst), 2);
}

/// Many select at the same channels in different orders: no deadlock, nothing lost.
fn locks_in_any_order_do_not_deadlock() {
    let (txs, rxs): (Vec<_>, Vec<_>) = (0..4).map(|_| chan::<usize>(0)).unzip();
    let (txs, rxs) = (Arc::new(txs), Arc::new(rxs));
    let senders: Vec<_> = (0..4).map(|s: usize| {
        let txs = txs.clone();
        go(move || (0..250).for_each(|_| {
            let [a, b, c] = [s, (s + 1) % 4, (s + 2) % 4].map(|i| &txs[i]);
            select! {
                send(a, 1) -> r => r.unwrap(),
                send(b, 1) -> r => r.unwrap(),
                send(c, 1) -> r => r.unwrap(),
            }
        }))
    }).collect();
    drop(txs);
    let receivers: Vec<_> = (0..4).map(|r: usize| {
        let rxs = rxs.clone();
        go(move || {
            let [a, b, c, d] = [3, 2, 1, 0].map(|i| &rxs[(i + r) % 4]);
            let mut sum = 0;
            loop {
                // Closed when the last sender has gone; all close at once.
                let v = select! {
                    recv(a) -> v => v,
                    recv(b) -> v => v,
                    recv(c) -> v => v,
                    recv(d) -> v => v,
                };
                match v {
                    Some(n) => sum += n,
                    None => return sum,
                }
            }
        })
    }).collect();
    senders.into_iter().for_each(|h| h.join());
    assert_eq!(receivers.into_iter().map(|h| h.join()).sum::<usize>(), 1000);
}

/// Who waits in a select stands in line with the others.
fn a_select_waits_in_line() {
    let (tx, rx) = chan(0);
    let first = {
        let rx = rx.clone();
        go(move || select! { recv(rx) -> v => v, after(Duration::MAX) => None })
    };
    until_waits(&first, WaitReason::Select);
    let second = go(move || rx.recv());
    until_waits(&second, WaitReason::ChanReceive);
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    assert_eq!((first.join(), second.join()), (Some(1), Some(2)));
}

/// Temporaries in the arms live long enough.
fn arms_may_be_made_on_the_spot() {
    fn ready() -> executive::chan::Receiver<u8> {
        let (tx, rx) = chan(1);
        tx.send(9).unwrap();
        rx
    }
    let v = select! { recv(ready()) -> v => v };
    assert_eq!(v, Some(9));
    until(|| select! { recv(&&Box::new(ready())) -> v => v.is_some(), default => false });
    let both = select! { recv(&mut ready()) -> v => v, recv(Arc::new(ready())) -> v => v };
    assert_eq!(both, Some(9));
}
}
