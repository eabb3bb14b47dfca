//! Package time: sleeping, timers, tickers. Early is a bug; how late is a figure, and not asserted
//! here.

use crate::counter;
use crate::help::{MS, WaitReason, hog_until, until, until_waits};
use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use core::time::Duration;
use executive::chan::TryRecvError;
use executive::irq::{Irq, Line};
use executive::time::{Instant, Ticker, Timer, after, after_func, sleep, sleep_until};
use executive::{chan, go, select, yield_now};

scenarios! { time:

fn the_clock_does_not_go_back() {
    let mut last = Instant::now();
    for _ in 0..10_000 {
        let now = Instant::now();
        assert!(now >= last);
        last = now;
    }
    // Whichever CPU is asked: each value was sent before it was received.
    let (tx, rx) = chan(0);
    go(move || (0..200).for_each(|_| tx.send(Instant::now()).unwrap()));
    rx.iter().for_each(|sent| assert!(sent <= Instant::now()));
}

/// Both ways from now; never less than nothing.
fn an_instant_tells_how_far_it_is() {
    let hour = Duration::from_secs(3600);
    let later = Instant::now() + hour;
    let (left, past) = (later.remaining(), later.elapsed());
    assert!(left <= hour && left > hour / 2 && past.is_zero());
    let first = Instant::from_nanos(0);
    let (left, past) = (first.remaining(), first.elapsed());
    assert!(left.is_zero() && past <= Instant::now() - first && !past.is_zero());
}

fn sleep_is_never_early() {
    for d in [Duration::from_nanos(1), MS / 10, 2 * MS, 7 * MS] {
        let begin = Instant::now();
        sleep(d);
        assert!(begin.elapsed() >= d);
    }
}

/// No time at all, and less: at once.
fn sleep_of_nothing_returns_at_once() {
    sleep(Duration::ZERO);
    sleep_until(Instant::now());
    sleep_until(Instant::from_nanos(0));
}

/// Those whose time comes again and again, at once, leave the CPU to whoever waits for it.
fn a_short_sleeper_starves_nobody() {
    beside_others(|| sleep(Duration::from_nanos(1)));
}

fn two_short_sleepers_starve_nobody() {
    let nap = || beside_others(|| sleep(Duration::from_nanos(1)));
    let other = go(nap);
    nap();
    other.join();
}

fn a_fast_ticker_starves_nobody() {
    let ticker = Ticker::new(Duration::from_nanos(1));
    beside_others(move || _ = ticker.recv());
}

/// Sleepers wake in the order of their deadlines, whatever the order in which they lay down.
fn sleepers_wake_in_order() {
    static BEGIN: executive::sync::OnceLock<Instant> = executive::sync::OnceLock::new();
    let begin = *BEGIN.get_or_init(|| Instant::now() + 20 * MS);
    let (tx, rx) = chan(0);
    for n in [3u32, 1, 4, 2, 5] {
        let tx = tx.clone();
        go(move || {
            sleep_until(begin + n * 10 * MS);
            tx.send((n, Instant::now())).unwrap();
        });
    }
    drop(tx);
    rx.iter().for_each(|(n, at)| assert!(at >= begin + n * 10 * MS));
}

/// A thousand sleepers, none early, none lost.
fn many_sleepers() {
    let handles: Vec<_> = (0..1000u32).map(|n| go(move || {
        let (d, begin) = (Duration::from_micros(u64::from(n * 7919 % 5000)), Instant::now());
        sleep(d);
        assert!(begin.elapsed() >= d);
    })).collect();
    handles.into_iter().for_each(|h| h.join());
}

fn others_run_while_one_sleeps() {
    let begin = Instant::now();
    let h = go(|| sleep(20 * MS));
    // A host may stop us for longer.
    until(|| h.waiting() == Some(WaitReason::Sleep) || h.is_finished());
    assert_eq!(go(|| 1).join(), 1);
    assert!(!h.is_finished() || begin.elapsed() >= 20 * MS);
    h.join();
}

fn a_timer_fires_once_and_never_early() {
    let begin = Instant::now();
    let timer = Timer::new(3 * MS);
    let at = timer.recv();
    assert!(at - begin >= 3 * MS && Instant::now() >= at);
    assert_eq!(timer.receiver().try_recv(), Err(TryRecvError::Empty));
}

/// Stop says whether something was still to come; afterwards nothing comes.
fn a_stopped_timer_does_not_fire() {
    let timer = Timer::new(Duration::from_secs(3600));
    assert!(timer.stop());
    assert!(!timer.stop());
    assert_eq!(timer.receiver().try_recv(), Err(TryRecvError::Empty));
}

/// Go 1.23: after Stop or Reset no value of the time before is received.
fn stop_takes_back_what_nobody_received() {
    let timer = Timer::new(Duration::ZERO);
    until(|| timer.receiver().len() == 1);
    assert!(timer.stop());
    assert_eq!(timer.receiver().try_recv(), Err(TryRecvError::Empty));
    timer.reset(Duration::ZERO);
    until(|| timer.receiver().len() == 1);
    let begin = Instant::now();
    assert!(timer.reset(2 * MS));
    assert!(timer.recv() - begin >= 2 * MS);
    assert!(!timer.stop()); // received
}

fn a_timer_can_be_reset() {
    let begin = Instant::now();
    let timer = Timer::new(Duration::from_secs(3600));
    assert!(timer.reset(2 * MS)); // sooner
    timer.recv();
    assert!(begin.elapsed() >= 2 * MS);
    assert!(!timer.reset(MS)); // had fired
    timer.recv();
    timer.reset(MS);
    let begin = Instant::now();
    timer.reset(20 * MS); // later; if it has fired meanwhile, that is taken back
    timer.recv();
    assert!(begin.elapsed() >= 20 * MS);
}

/// Stops and resets against firings: each start gives at most one value, and after a stop none.
fn stop_races_with_firing() {
    let timer = Timer::new(Duration::from_secs(3600));
    for n in 0..500u32 {
        timer.reset(Duration::from_micros(u64::from(n % 50)));
        until(|| n % 3 == 0 || timer.receiver().len() == 1 || n % 3 == 2);
        timer.stop();
        assert_eq!(timer.receiver().try_recv(), Err(TryRecvError::Empty));
    }
}

fn a_dropped_timer_is_gone() {
    drop(Timer::new(MS));
    drop(Timer::new(Duration::ZERO));
    let begin = Instant::now();
    sleep(3 * MS); // its time passes
    assert!(begin.elapsed() >= 3 * MS);
}

/// Who has its channel gets the time, as with Go's `time.NewTimer(d).C`.
fn a_timers_channel_outlives_it() {
    let begin = Instant::now();
    let from = Timer::new(2 * MS).receiver().clone();
    assert!(from.recv().is_some_and(|at| at - begin >= 2 * MS));
    assert_eq!(from.try_recv(), Err(TryRecvError::Empty));
    let ticks = Ticker::new(MS).receiver().clone();
    let second = ticks.iter().nth(1);
    assert!(second.is_some_and(|at| at - begin >= 4 * MS));
}

/// Clones of the receiver go while it fires.
fn the_last_receiver_races_with_firing() {
    for n in 0..500 {
        let timer = Timer::new(Duration::from_micros(n % 50));
        let from = timer.receiver().clone();
        let h = go(move || drop(from));
        if n % 2 == 0 { executive::yield_now() }
        drop(timer);
        h.join();
    }
}

fn timers_are_arms() {
    let (timer, never) = (after(2 * MS), Timer::new(Duration::from_secs(3600)));
    select! {
        recv(timer) -> t => assert!(t.is_some()),
        recv(never) -> _ => unreachable!(),
    }
}

/// A duration longer than any clock runs never ends: the CPUs on which somebody waits for as long
/// sleep, and hear of what comes.
fn the_longest_duration_does_not_wrap() {
    let timer = Timer::new(Duration::MAX);
    assert!(timer.stop());
    let (stop, stops) = chan::<()>(0);
    let waiters: Vec<_> = (0..executive::affinity::cpus()).map(|cpu| {
        let stops = stops.clone();
        let h = go(move || {
            let _here = executive::lock_to_cpu(cpu);
            select! {
                after(Duration::MAX) => unreachable!(),
                recv(stops) -> v => assert_eq!(v, None),
            }
        });
        until_waits(&h, WaitReason::Select);
        h
    }).collect();
    for _ in 0..10 {
        sleep(MS); // all CPUs sleep meanwhile, with those deadlines behind ours or alone
        go(|| ()).join();
    }
    drop(stop);
    waiters.into_iter().for_each(|h| h.join());
}

/// Ticks come a period apart, counted from the start: late ones do not make the next ones late.
fn a_ticker_does_not_drift() {
    let begin = Instant::now();
    let ticker = Ticker::new(2 * MS);
    for n in 1..=10 {
        assert!(ticker.recv() - begin >= n * 2 * MS);
    }
    // Every tick was due at a whole number of periods: 10 of them, and those that a slow host made
    // us drop.
    let h = go(move || {
        let last = ticker.recv();
        (last, ticker)
    });
    let (last, ticker) = h.join();
    assert!(last - begin >= 22 * MS);
    ticker.stop();
}

fn a_ticker_is_an_arm() {
    let begin = Instant::now();
    let ticker = Ticker::new(MS);
    select! {
        recv(ticker) -> at => assert!(at.expect("a ticker is never closed") - begin >= MS),
    }
}

/// Ticks that nobody takes are dropped: there is never more than one.
fn a_slow_receiver_gets_fewer_ticks() {
    let ticker = Ticker::new(MS);
    let begin = Instant::now();
    sleep(20 * MS);
    assert!(ticker.receiver().len() <= 1);
    let first = ticker.recv(); // the oldest of those
    let second = ticker.recv();
    assert!(second > first && second - begin >= 20 * MS);
}

fn a_stopped_ticker_ticks_no_more() {
    let ticker = Ticker::new(MS / 10);
    ticker.recv();
    ticker.stop();
    assert_eq!(ticker.receiver().try_recv(), Err(TryRecvError::Empty));
    let begin = Instant::now();
    sleep(3 * MS);
    assert!(begin.elapsed() >= 3 * MS);
    assert_eq!(ticker.receiver().try_recv(), Err(TryRecvError::Empty));
}

fn a_ticker_can_be_reset() {
    let ticker = Ticker::new(Duration::from_secs(3600));
    let begin = Instant::now();
    ticker.reset(2 * MS);
    ticker.recv();
    ticker.recv();
    assert!(begin.elapsed() >= 4 * MS);
}

/// AfterFunc: in a goroutine of its own, after the time.
fn a_function_is_called_later() {
    let (tx, rx) = chan(1);
    let begin = Instant::now();
    after_func(2 * MS, move || tx.send(executive::goid()).unwrap());
    let id = rx.recv().unwrap();
    assert!(begin.elapsed() >= 2 * MS && id != executive::goid());
}

fn a_call_can_be_taken_back() {
    counter!(CALLS);
    let call = after_func(Duration::from_secs(3600), || unreachable!());
    assert!(call.stop());
    assert!(!call.stop());
    let call = after_func(Duration::ZERO, || { CALLS.fetch_add(1, SeqCst); });
    until(|| CALLS.load(SeqCst) == 1);
    assert!(!call.stop());
}

/// Stopped or called, never both, never neither; and what it captured is dropped once.
fn stop_races_with_the_call() {
    counter!(CALLS);
    counter!(DROPS);
    let mut stopped = 0;
    for n in 0..500u64 {
        let counted = crate::help::Counted(&DROPS);
        let call = after_func(Duration::from_micros(n % 20), move || {
            let _ = &counted;
            CALLS.fetch_add(1, SeqCst);
        });
        if n % 2 == 0 { executive::yield_now() }
        stopped += usize::from(call.stop());
    }
    until(|| CALLS.load(SeqCst) + stopped == 500 && DROPS.load(SeqCst) == 500);
}

/// Reset moves a call that is to come, and makes one more if it was made or taken back.
fn a_call_can_be_reset() {
    let (tx, rx) = chan(1);
    let mut calls = 0;
    let begin = Instant::now();
    let call = after_func(Duration::from_secs(3600), move || {
        calls += 1;
        tx.send((calls, executive::goid())).unwrap();
    });
    assert!(call.reset(2 * MS)); // sooner
    let (n, first) = rx.recv().unwrap();
    assert!(n == 1 && first != executive::goid() && begin.elapsed() >= 2 * MS);
    assert!(!call.reset(Duration::from_secs(3600))); // had been made
    assert!(call.stop() && !call.stop());
    assert!(!call.reset(MS)); // had been taken back
    assert_eq!(rx.recv().unwrap().0, 2);
    call.reset(Duration::ZERO);
    drop(call); // changes nothing
    assert_eq!(rx.recv().unwrap().0, 3);
    assert_eq!(rx.recv(), None); // the function is gone
}

/// A call that is due while the last one runs comes after it; none is lost.
fn calls_come_one_after_the_other() {
    counter!(INSIDE);
    counter!(CALLS);
    let (go_on, goes_on) = chan::<()>(0);
    let call = after_func(Duration::ZERO, move || {
        assert_eq!(INSIDE.fetch_add(1, SeqCst), 0);
        goes_on.recv();
        INSIDE.fetch_sub(1, SeqCst);
        CALLS.fetch_add(1, SeqCst);
    });
    until(|| INSIDE.load(SeqCst) == 1);
    let mut due = 1;
    until(|| {
        // The one before has come, and the first still runs.
        due += usize::from(!call.reset(Duration::ZERO));
        due == 5
    });
    drop(go_on);
    until(|| CALLS.load(SeqCst) == due);
}

/// Resets and stops at the same time as firings: as many calls as there were starts that nothing
/// took back.
fn resets_race_with_the_call() {
    counter!(CALLS);
    counter!(STARTED);
    let count = || _ = CALLS.fetch_add(1, SeqCst);
    let call = alloc::sync::Arc::new(after_func(Duration::from_secs(3600), count));
    let handles: Vec<_> = (0..4u64).map(|k| {
        let call = call.clone();
        go(move || for n in 0..200 {
            if n % 5 == k {
                if call.stop() { STARTED.fetch_sub(1, SeqCst); }
            } else if !call.reset(Duration::from_micros(n % 20)) {
                STARTED.fetch_add(1, SeqCst);
            }
            if n % 3 == 0 { executive::yield_now() }
        })
    }).collect();
    handles.into_iter().for_each(|h| h.join());
    // The first start counts too.
    until(|| CALLS.load(SeqCst) == STARTED.load(SeqCst).wrapping_add(1));
}

/// A CPU that runs a goroutine which never parks does not make sleepers wait for it, if there is
/// another CPU or the goroutine calls the executive.
fn a_hog_does_not_hold_up_sleepers() {
    let hog = go(|| {
        let begin = Instant::now();
        until(|| begin.elapsed() > 10 * MS);
    });
    let begin = Instant::now();
    sleep(MS);
    assert!(begin.elapsed() >= MS);
    hog.join();
}
}

/// Does this again and again until some that yield, and some that never do, have had their turns.
fn beside_others(again: impl Fn() + Send + 'static) {
    let (tx, rx) = chan::<()>(0);
    let again = go(move || {
        while rx.try_recv() == Err(TryRecvError::Empty) {
            again();
        }
    });
    let hogs = Arc::new(AtomicUsize::new(0));
    let others: Vec<_> = (0..6)
        .map(|n| {
            let hogs = hogs.clone();
            go(move || {
                if n < 3 {
                    (0..100).for_each(|_| yield_now());
                } else {
                    hogs.fetch_add(1, SeqCst);
                    hog_until(|| hogs.load(SeqCst) == 3);
                }
            })
        })
        .collect();
    others.into_iter().for_each(|h| h.join());
    drop(tx);
    again.join();
}

static LINE: Line = Line::new();

/// Waits for ever, beside a system goroutine that has begun to do this.
fn beside_a_driver(reason: WaitReason, serve: fn()) {
    let driver = executive::Builder::new().system("driver");
    until_waits(&driver.spawn(serve).unwrap(), reason);
    select! {}
}

/// They sleep until the end of time, which a deadlock is not: nobody may end them. In a run of
/// their own.
pub static SLEEPERS: &[crate::Scenario] = &[
    ("sleep", || sleep(Duration::MAX)),
    ("sleep_until", || sleep_until(Instant::from_nanos(u64::MAX))),
    ("timer", || _ = Timer::new(Duration::MAX).recv()),
    ("timer_reset", || {
        let timer = Timer::new(Duration::from_secs(3600));
        timer.reset(Duration::MAX);
        timer.recv();
    }),
    ("ticker", || _ = Ticker::new(Duration::MAX).recv()),
    ("select", || select! { after(Duration::MAX) => {} }),
    ("recv_timeout", || {
        let (_tx, rx) = chan::<u8>(0);
        let _ = rx.recv_timeout(Duration::MAX);
    }),
    ("wait_timeout", || {
        let (mutex, cond) = (executive::sync::Mutex::new(()), executive::sync::Condvar::new());
        let _ = cond.wait_timeout(mutex.lock(), Duration::MAX);
    }),
    ("deadline", || _ = executive::cancel::Token::new().child_for(Duration::MAX).wait()),
    ("after_func", || {
        after_func(Duration::MAX, || ());
        select! {}
    }),
    ("accept_from_outside", crate::network::accept_from_outside),
    // And those that wait for no time, but somebody might wake them.
    ("wait_for_an_interrupt", || Irq::of(&LINE).wait()),
    ("select_of_an_interrupt", || select! { irq(Irq::of(&LINE)) => {} }),
    ("wait_for_a_driver", || {
        let _outside = executive::foreign::Outside::new();
        beside_a_driver(WaitReason::Irq, || Irq::of(&LINE).wait());
    }),
    // Go counts the timers of its system goroutines, too.
    ("sleep_of_a_driver", || beside_a_driver(WaitReason::Sleep, || sleep(Duration::MAX))),
    ("future_whose_waker_is_kept", || {
        static KEPT: executive::sync::Mutex<Option<core::task::Waker>> =
            executive::sync::Mutex::new(None);
        executive::block_on(core::future::poll_fn(|context| {
            *KEPT.lock() = Some(context.waker().clone());
            core::task::Poll::<()>::Pending
        }));
    }),
];
