//! Interrupts: `on_irq` is called here as the machine's handler calls it.

use crate::counter;
use crate::help::{MS, WaitReason, hog_until, until, until_waits};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;
use core::time::Duration;
use executive::affinity::lock_to_this_cpu;
use executive::irq::{Irq, LINES, Line};
use executive::select::Select;
use executive::time::Instant;
use executive::{Builder, chan, go, on_irq, select};

/// One of the two gets it, each as often; pending or waited for. The other is not told later.
fn one_in_two_arms(arm: Irq, raise: fn()) {
    let (go_on, goes_on) = chan::<bool>(0);
    let (won, wins) = chan(0);
    let h = go(move || {
        for waits in goes_on {
            if !waits {
                raise()
            }
            won.send(select! {
                irq(arm) => 0,
                irq(arm) => 1,
            })
            .unwrap();
            select! {
                irq(arm) => unreachable!("one interrupt for both"),
                default => {}
            }
        }
    });
    for waits in [false, true] {
        let mut counts = [0usize; 2];
        for _ in 0..600 {
            go_on.send(waits).unwrap();
            if waits {
                until_waits(&h, WaitReason::Select);
                raise();
            }
            counts[wins.recv().unwrap()] += 1;
        }
        // A binomial of 600 and 1/2 has a deviation of 12; 8 of them is 1 in 10^15.
        assert!(counts.iter().all(|n| (202..398).contains(n)), "{waits}: {counts:?}");
    }
    drop(go_on);
    h.join();
}

/// Both arms lose: the interrupt is for the next to wait, once.
fn one_in_two_arms_that_lose(arm: Irq, raise: fn()) {
    let (tx, rx) = chan(0);
    let h = go(move || {
        let (mut values, mut interrupts) = (0, 0);
        while values < 300 {
            select! {
                irq(arm) => interrupts += 1,
                recv(rx) -> v => values += v.unwrap(),
                irq(arm) => interrupts += 1,
            }
        }
        interrupts
    });
    let mut raised = 0;
    for n in 0..300 {
        if n % 3 != 0 {
            raise();
            raised += 1;
        }
        tx.send(1).unwrap();
    }
    let left = select! { irq(arm) => 1, default => 0 };
    assert!((1..=raised).contains(&(h.join() + left)));
    select! {
        irq(arm) => unreachable!("one interrupt for two"),
        default => {}
    }
}

scenarios! { interrupts:

fn an_interrupt_wakes_the_goroutine_that_waits() {
    let h = go(|| Irq::new(60).wait());
    until_waits(&h, WaitReason::Irq);
    on_irq(60);
    h.join();
}

/// Also beside a goroutine that yields to nobody, with nobody else to look. (A Linux process cannot
/// preempt: there it yields at its unpin.)
fn an_interrupt_is_seen_beside_a_hog() {
    counter!(SEEN);
    let h = go(|| {
        Irq::new(58).wait();
        SEEN.fetch_add(1, SeqCst);
    });
    until_waits(&h, WaitReason::Irq);
    let slices_are_over = Instant::now() + 40 * MS; // and so there is no tick
    while Instant::now() < slices_are_over {}
    on_irq(58);
    while SEEN.load(SeqCst) == 0 {
        if cfg!(unix) {
            drop(executive::percpu::Pin::new());
        }
        core::hint::spin_loop();
    }
    h.join();
}

/// One that comes before the wait is not lost; two are one.
fn an_interrupt_is_pending_until_it_is_waited_for() {
    on_irq(61);
    on_irq(61);
    Irq::new(61).wait();
    let h = go(|| Irq::new(61).wait());
    until_waits(&h, WaitReason::Irq);
    on_irq(61);
    h.join();
}

fn an_interrupt_is_an_arm() {
    let line = Irq::new(62);
    let (tx, rx) = chan::<u8>(0);
    let h = go(move || select! {
        irq(line) => 1,
        recv(rx) -> _ => 2,
    });
    until_waits(&h, WaitReason::Select);
    on_irq(62);
    assert_eq!(h.join(), 1);
    drop(tx);
    on_irq(62);
    select! { irq(&line) => {} } // was pending
    select! {
        irq(line) => unreachable!(),
        after(MS) => {}
    }
    let mut select = Select::new();
    (0..2).for_each(|_| _ = select.after(Duration::MAX));
    assert_eq!(select.irq(&line), 2);
    on_irq(62);
    assert_eq!(select.wait(), 2);
}

/// A driver's line is as good as one that has a number.
fn a_line_of_ones_own_is_as_good() {
    static LINE: Line = Line::new();
    static ARRIVED: Irq = Irq::of(&LINE);
    LINE.raise();
    LINE.raise();
    ARRIVED.wait(); // two are one
    let h = go(|| ARRIVED.wait());
    until_waits(&h, WaitReason::Irq);
    LINE.raise();
    h.join();
    select! {
        irq(ARRIVED) => unreachable!(),
        irq(Irq::new(LINES - 1)) => unreachable!(),
        default => {}
    }
}

/// Of some hundred lines, with numbers and without, each wakes its own arm.
fn there_are_as_many_lines_as_one_likes() {
    let own: &'static [Line; 300] = Box::leak(Box::new([const { Line::new() }; 300]));
    let numbered = [64, LINES - 1];
    let lines = move || numbered.map(Irq::new).into_iter().chain(own.iter().map(Irq::of));
    let (which, told) = chan(0);
    let h = go(move || {
        let arms: Vec<Irq> = lines().collect();
        let mut select = Select::new();
        for arm in &arms {
            select.irq(arm);
        }
        while which.send(select.wait()).is_ok() {}
    });
    for arm in (0..lines().count()).rev() {
        until_waits(&h, WaitReason::Select);
        match numbered.get(arm) {
            Some(&n) => on_irq(n),
            None => own[arm - numbered.len()].raise(),
        }
        assert_eq!(told.recv(), Some(arm));
    }
    drop(told);
    until_waits(&h, WaitReason::Select);
    own[0].raise();
    h.join();
}

/// An interrupt comes as slices end, one after the other, beside a goroutine that gives its CPU to
/// nobody.
fn it_is_seen_though_slices_end() {
    counter!(SEEN);
    counter!(HOGS);
    let here = lock_to_this_cpu(); // so that all begin on one CPU
    let waiter = go(|| {
        Irq::new(34).wait();
        SEEN.fetch_add(1, SeqCst);
    });
    until_waits(&waiter, WaitReason::Irq);
    let hog = go(|| {
        HOGS.fetch_add(1, SeqCst);
        hog_until(|| SEEN.load(SeqCst) == 1);
    });
    until(|| HOGS.load(SeqCst) == 1);
    // No point of preemption in here: a machine that can't interrupt it marks this goroutine only.
    let compute_for = |d| {
        let end = Instant::now() + d;
        while Instant::now() < end {
            core::hint::spin_loop();
        }
    };
    compute_for(40 * MS);
    on_irq(34);
    compute_for(5 * MS);
    waiter.join();
    hog.join();
    drop(here);
}

/// What a driver hands on wakes no CPU, because its own runs it when the driver waits again. It
/// runs also if the driver doesn't.
fn what_a_driver_hands_on_runs_though_it_goes_on() {
    counter!(TAKEN);
    let (tx, rx) = chan::<()>(0);
    let taker = go(move || {
        while rx.recv().is_some() {
            TAKEN.fetch_add(1, SeqCst);
        }
    });
    let driver = Builder::new().system("driver").spawn(move || {
        for n in 1..=20 {
            tx.send(()).unwrap();
            hog_until(|| TAKEN.load(SeqCst) == n);
        }
    });
    driver.unwrap().join();
    taker.join();
}

fn one_line_in_two_arms() {
    one_in_two_arms(Irq::new(57), || on_irq(57));
    static OWN: Line = Line::new();
    one_in_two_arms(Irq::of(&OWN), || OWN.raise());
}

fn one_line_in_two_arms_that_lose() {
    one_in_two_arms_that_lose(Irq::new(56), || on_irq(56));
    static OWN: Line = Line::new();
    one_in_two_arms_that_lose(Irq::of(&OWN), || OWN.raise());
}

/// An interrupt that loses to another arm is there for the next to wait, and an arm that loses
/// raises none: each is counted once before the next is raised.
fn an_interrupt_that_loses_is_not_lost() {
    counter!(CAME);
    let line = Irq::new(59);
    let (tx, rx) = chan(1);
    let h = go(move || {
        while CAME.load(SeqCst) < 300 {
            select! {
                recv(rx) -> _ => {}
                irq(line) => _ = CAME.fetch_add(1, SeqCst),
            }
        }
    });
    let raiser = go(|| for n in 0..300 {
        assert_eq!(CAME.load(SeqCst), n);
        on_irq(59);
        until(|| CAME.load(SeqCst) > n);
    });
    while tx.send(()).is_ok() {} // until there is no receiver
    h.join();
    raiser.join();
}

/// Against time: whichever comes first, none is lost and nobody is woken twice.
fn interrupts_race_with_deadlines() {
    let line = Irq::new(58);
    let (stop, stops) = chan::<()>(0);
    let raiser = go(move || while let Err(executive::chan::TryRecvError::Empty) = stops.try_recv() {
        on_irq(58);
        executive::yield_now();
    });
    let mut came = 0;
    while came < 200 {
        select! {
            irq(line) => came += 1,
            after(MS / 100) => {}
        }
    }
    drop(stop);
    raiser.join();
}
}
