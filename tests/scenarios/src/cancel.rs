//! Cancellation: what package context says of it.

use crate::help::{MS, WaitReason, until_waits};
use alloc::vec::Vec;
use core::time::Duration;
use executive::cancel::{Cause, Token};
use executive::chan::TryRecvError;
use executive::percpu::Pin;
use executive::time::Instant;
use executive::{chan, go, select, yield_now};

const HOUR: Duration = Duration::from_secs(3600);

scenarios! { cancel:

fn cancel_wakes_all_who_wait() {
    let token = Token::new();
    let waiters: Vec<_> = (0..10).map(|_| {
        let token = token.clone();
        let h = go(move || token.wait());
        until_waits(&h, WaitReason::ChanReceive);
        h
    }).collect();
    assert_eq!((token.cause(), token.is_cancelled()), (None, false));
    token.cancel();
    assert!(waiters.into_iter().all(|h| h.join() == Cause::Cancelled));
    assert_eq!(token.wait(), Cause::Cancelled); // at once, for ever
}

/// When cancel returns all below are cancelled.
fn cancelling_a_parent_cancels_its_children_at_once() {
    let root = Token::new();
    let mut all = alloc::vec![root.child()];
    for i in 0..50 {
        let next = all[i / 2].child();
        all.push(next);
    }
    root.cancel();
    assert!(all.iter().all(|t| t.cause() == Some(Cause::Cancelled)));
}

fn cancelling_a_child_leaves_parent_and_siblings() {
    let parent = Token::new();
    let (a, b) = (parent.child(), parent.child());
    let below = a.child();
    a.cancel();
    assert!(a.is_cancelled() && below.is_cancelled());
    assert!(!parent.is_cancelled() && !b.is_cancelled());
    parent.cancel();
    assert!(b.is_cancelled());
}

/// Twice is as good as once; the first cause stays.
fn cancelling_twice_does_nothing_more() {
    let token = Token::new().child_for(Duration::ZERO);
    assert_eq!(token.wait(), Cause::DeadlineExceeded);
    token.cancel();
    token.cancel();
    assert_eq!(token.cause(), Some(Cause::DeadlineExceeded));
}

fn a_child_of_a_cancelled_token_is_cancelled() {
    let token = Token::new();
    token.cancel();
    assert_eq!(token.child().cause(), Some(Cause::Cancelled));
    assert_eq!(token.child_for(HOUR).cause(), Some(Cause::Cancelled));
    let late = Token::new().child_for(Duration::ZERO);
    late.wait();
    assert_eq!(late.child().cause(), Some(Cause::DeadlineExceeded)); // the cause is handed down
}

/// Dropping what is between changes nothing: what is below stays below what is above.
fn dropping_a_parent_keeps_the_tree() {
    let root = Token::new();
    let child = root.child();
    let grandchildren: Vec<_> = (0..5).map(|_| child.child()).collect();
    drop(child);
    assert!(grandchildren.iter().all(|t| !t.is_cancelled()));
    root.cancel();
    assert!(grandchildren.iter().all(|t| t.is_cancelled()));
    let orphan = Token::new().child(); // its root is gone
    assert!(!orphan.is_cancelled());
    orphan.cancel();
    assert!(orphan.is_cancelled());
}

/// Who has a token's channel sees what becomes of it, when the token itself is gone: nothing, until
/// one above is cancelled or its deadline has passed.
fn a_done_channel_outlives_its_token() {
    let parent = Token::new();
    let done = parent.child().done().clone();
    let below = parent.child().child().child().done().clone();
    let late = parent.child_for(5 * MS).done().clone();
    assert_eq!(done.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(below.try_recv(), Err(TryRecvError::Empty));
    late.recv();
    assert!(!parent.is_cancelled());
    let h = go({
        let done = done.clone();
        move || done.recv()
    });
    until_waits(&h, WaitReason::ChanReceive);
    parent.cancel();
    assert_eq!((h.join(), done.recv(), below.recv()), (None, None, None));
    // Nobody can cancel it any more; it is not cancelled either.
    let orphan = Token::new().done().clone();
    assert_eq!(orphan.try_recv(), Err(TryRecvError::Empty));
}

/// The token that had the deadline is gone; those below keep it.
fn a_deadline_outlives_its_token() {
    let root = Token::new();
    let below = root.child_for(5 * MS).child().child();
    let later = root.child_for(5 * MS).child_for(HOUR);
    assert_eq!((below.wait(), later.wait()), (Cause::DeadlineExceeded, Cause::DeadlineExceeded));
    assert!(!root.is_cancelled());
}

fn a_deep_tree_needs_no_deep_stack() {
    let root = Token::new();
    let mut chain = alloc::vec![root.child()];
    for i in 0..5_000 {
        let next = chain[i].child();
        chain.push(next);
    }
    root.cancel();
    assert!(chain.last().unwrap().is_cancelled());
    drop(root);
    drop(chain);
}

fn a_deadline_cancels_and_is_never_early() {
    let begin = Instant::now();
    let token = Token::new().child_for(5 * MS);
    let below = token.child();
    assert_eq!(token.wait(), Cause::DeadlineExceeded);
    assert!(begin.elapsed() >= 5 * MS);
    assert_eq!(below.cause(), Some(Cause::DeadlineExceeded));
}

/// While the CPU is pinned no timer of it fires, so it is not a timer that cancels.
fn a_deadline_already_past_cancels_at_once() {
    for _ in 0..100 {
        let root = Token::new();
        let pin = Pin::new();
        let token = root.child_until(Instant::from_nanos(1));
        let cause = token.cause();
        drop(pin);
        assert_eq!(cause, Some(Cause::DeadlineExceeded));
    }
}

/// The earlier deadline counts, whichever of the two it is.
fn the_parents_earlier_deadline_counts() {
    let root = Token::new();
    let soon = Instant::now() + 4 * MS;
    let parent = root.child_until(soon);
    let child = parent.child_for(HOUR);
    assert_eq!(child.deadline(), Some(soon));
    assert_eq!(root.deadline(), None);
    assert_eq!(child.wait(), Cause::DeadlineExceeded);
    let parent = root.child_for(HOUR);
    let child = parent.child_for(MS);
    assert_eq!(child.wait(), Cause::DeadlineExceeded);
    assert!(!parent.is_cancelled());
}

/// Cancelled before its deadline: the deadline is forgotten.
fn cancel_comes_before_the_deadline() {
    let token = Token::new().child_for(HOUR);
    token.cancel();
    assert_eq!(token.wait(), Cause::Cancelled);
}

fn a_token_is_an_arm() {
    let token = Token::new();
    let (tx, rx) = chan::<u8>(0);
    let child = token.child();
    let h = go(move || select! {
        recv(rx) -> _ => false,
        done(child) => true,
    });
    until_waits(&h, WaitReason::Select);
    token.cancel();
    assert!(h.join());
    assert!(tx.is_closed()); // the receiver has gone
}

/// Deadlines, cancels and drops at the same time.
fn cancels_race_with_deadlines_and_drops() {
    for n in 0..300u32 {
        let root = Token::new();
        let limit = |i: u32| Duration::from_micros(u64::from((n * 7 + i * 13) % 40));
        let tokens: Vec<_> = (0..4).map(|i| root.child_for(limit(i))).collect();
        let below: Vec<_> = tokens.iter().map(|t| t.child()).collect();
        let h = go(move || {
            tokens[1].cancel();
            drop(tokens);
        });
        if n % 2 == 0 { root.cancel() }
        if n % 3 == 0 { below[0].cancel() }
        h.join();
        root.cancel();
        assert!(below.iter().all(|t| t.is_cancelled()));
    }
}

/// The words are Go's.
/// The place of a token that is gone becomes another's, which its deadline does not cancel.
fn the_deadline_of_a_token_that_is_gone_cancels_nobody() {
    let root = Token::new();
    let droppers: Vec<_> = (0..4).map(|from| {
        let root = root.clone();
        let limits = (from..2000).step_by(8).map(Duration::from_nanos);
        go(move || limits.for_each(|limit| drop(root.child_for(limit))))
    }).collect();
    while !droppers.iter().all(|h| h.is_finished()) {
        let other = root.child();
        yield_now();
        assert_eq!(other.cause(), None);
    }
}

fn causes_have_gos_words() {
    assert_eq!(alloc::format!("{}", Cause::Cancelled), "context canceled");
    assert_eq!(alloc::format!("{}", Cause::DeadlineExceeded), "context deadline exceeded");
}

fn a_token_in_a_report_shows_its_cause() {
    let token = Token::new();
    assert_eq!(alloc::format!("{token:?}"), "Token(None)");
    token.cancel();
    assert_eq!(alloc::format!("{token:?}"), "Token(Some(Cancelled))");
}
}
