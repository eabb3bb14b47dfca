//! Goroutines that borrow.

use crate::counter;
use crate::help::{Counted, WaitReason, until};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use executive::scope::Scope;
use executive::{Builder, chan, go, scope, yield_now};

scenarios! { scope:

fn a_scope_waits_for_all() {
    counter!(DONE);
    scope(|s| for _ in 0..100 {
        s.go(|| {
            yield_now();
            DONE.fetch_add(1, SeqCst);
        });
    });
    assert_eq!(DONE.load(SeqCst), 100);
}

fn goroutines_borrow() {
    let mut numbers = vec![1, 2, 3, 4];
    let total = scope(|s| {
        let (a, b) = numbers.split_at_mut(2);
        let left = s.go(|| { a[0] = 10; a.iter().sum::<i32>() });
        let right = s.go(|| { b[0] = 30; b.iter().sum::<i32>() });
        left.join() + right.join()
    });
    assert_eq!(total, 12 + 34);
    assert_eq!(numbers, [10, 2, 30, 4]);
}

/// However the closure returns.
fn an_early_return_joins_too() {
    counter!(DONE);
    fn early(fail: bool) -> Result<u32, String> {
        scope(|s| {
            s.go(|| {
                yield_now();
                DONE.fetch_add(1, SeqCst);
            });
            if fail { return Err(String::from("early")) }
            Ok(1)
        })
    }
    assert_eq!(early(true), Err(String::from("early")));
    assert_eq!(DONE.load(SeqCst), 1);
    assert_eq!(early(false), Ok(1));
    assert_eq!(DONE.load(SeqCst), 2);
}

/// Results that nobody joins are dropped before the scope ends.
fn unjoined_results_are_dropped_in_time() {
    counter!(DROPS);
    #[expect(dead_code, reason = "its drop is what counts")]
    struct Borrows<'a>(&'a String, Counted);
    let text = String::from("alive");
    scope(|s| for _ in 0..50 {
        s.go(|| Borrows(&text, Counted(&DROPS)));
    });
    assert_eq!(DROPS.load(SeqCst), 50);
    scope(|s| {
        let h = s.go(|| Borrows(&text, Counted(&DROPS)));
        until(|| h.is_finished());
        assert_eq!(h.join().0, "alive");
    });
    assert_eq!(DROPS.load(SeqCst), 51);
}

/// One that is alone in its scope: nothing else holds the scope up while the goroutine, counted no
/// more, still has to leave its result.
fn a_lone_result_is_dropped_in_time() {
    counter!(DROPS);
    for n in 1..=200 {
        scope(|s| _ = s.go(|| Counted(&DROPS)));
        assert_eq!(DROPS.load(SeqCst), n);
    }
}

/// What is started by a result's drop is waited for like the rest.
fn dropping_a_result_may_start_others() {
    struct Starts<'s, 'e>(&'s Scope<'s, 'e>, &'s AtomicUsize);
    impl Drop for Starts<'_, '_> {
        fn drop(&mut self) {
            let (s, done) = (self.0, self.1);
            s.go(move || {
                yield_now();
                done.fetch_add(1, SeqCst);
            });
        }
    }
    let done = AtomicUsize::new(0);
    scope(|s| for _ in 0..20 {
        s.go(|| Starts(s, &done));
    });
    assert_eq!(done.into_inner(), 20);
}

fn a_result_may_be_a_handle() {
    scope(|s| {
        s.go(|| s.go(|| String::from("nobody joins either")));
    });
}

/// A scoped goroutine may start others in the same scope.
fn scopes_grow_and_nest() {
    let log = executive::sync::Mutex::new(Vec::new());
    scope(|s| {
        s.go(|| {
            s.go(|| log.lock().push(2));
            scope(|inner| {
                inner.go(|| log.lock().push(1));
            });
        });
    });
    let mut log = log.into_inner();
    log.sort();
    assert_eq!(log, [1, 2]);
}

fn an_empty_scope_ends() {
    assert_eq!(scope(|_| 3), 3);
}

fn a_scope_that_waits_says_so() {
    let (tx, rx) = chan::<()>(0);
    let h = go(move || scope(|s| {
        s.go(|| rx.recv());
    }));
    until(|| h.waiting() == Some(WaitReason::WaitGroup));
    drop(tx);
    h.join();
}

fn a_scoped_handle_tells_of_its_goroutine() {
    let (tx, rx) = chan::<()>(0);
    scope(|s| {
        let h = s.go(|| {
            rx.recv();
            executive::goid()
        });
        until(|| h.waiting() == Some(WaitReason::ChanReceive));
        assert!(!h.is_finished());
        drop(tx);
        let id = h.id();
        assert_eq!(h.join(), id);
    });
}

fn scoped_goroutines_have_names() {
    let scoped = Builder::new().name("scoped");
    let name = scope(|s| s.go_with(scoped, || executive::current().name).join());
    assert_eq!(name, Some("scoped"));
}
}
