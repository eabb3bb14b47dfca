//! Is what the flight recorder and its histograms tell what happened? Each claim on 1, 2 and 4
//! CPUs, in a process of its own.

#[allow(dead_code)] // none of these must die
mod runner;

use executive::affinity::{cpus, lock_to_cpu, set_procs};
use executive::g::WaitReason;
use executive::irq::Irq;
use executive::percpu::Pin;
use executive::sync::WaitGroup;
use executive::trace::{self, Event, Latencies};
use executive::{census, chan, go, on_irq, stacks, yield_now};
use runner::{End, Run};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const CLAIMS: [(&str, fn()); 10] = [
    ("one_wake_in_64_is_measured", one_wake_in_64_is_measured),
    ("in_a_trace_each_wake_is_measured", in_a_trace_each_wake_is_measured),
    ("who_waits_behind_a_hog_is_in_the_histogram", who_waits_behind_a_hog_is_in_the_histogram),
    ("who_is_preempted_waits_for_a_cpu_too", who_is_preempted_waits_for_a_cpu_too),
    ("a_trace_has_each_park_with_its_reason", a_trace_has_each_park_with_its_reason),
    ("a_trace_counts_who_is_queued", a_trace_counts_who_is_queued),
    ("a_trace_has_stacks_if_it_is_asked_to", a_trace_has_stacks_if_it_is_asked_to),
    ("an_interrupt_that_wakes_nobody_is_recorded", an_interrupt_that_wakes_nobody_is_recorded),
    ("regions_and_messages_are_recorded", regions_and_messages_are_recorded),
    ("a_tracer_of_one_s_own_hears_what_is_told", a_tracer_of_one_s_own_hears_what_is_told),
];

fn main() -> ExitCode {
    if let Ok(name) = std::env::var("SCENARIO") {
        let claim = CLAIMS.iter().find(|(claim, _)| *claim == name);
        hosted::run(claim.expect("one of the list").1);
    }
    let run = |(name, _): &(&str, fn())| {
        let name = name.to_string();
        [1, 2, 4].map(|cpus| Run {
            name: name.clone(),
            cpus,
            end: End::Well,
            patience: runner::PATIENCE,
        })
    };
    runner::report(CLAIMS.iter().flat_map(run).collect())
}

/// Of all CPUs.
fn latencies() -> Latencies {
    let mut all = Latencies::new();
    (0..cpus()).for_each(|cpu| all.add(&trace::latencies(cpu)));
    all
}

/// Two goroutines hand something to and fro: so many wakes, and as many parks.
fn hand_to_and_fro(times: u64) {
    let ((ping, pings), (pong, pongs)) = (chan::<u64>(0), chan::<u64>(0));
    let other = go(move || pings.iter().for_each(|n| pong.send(n).expect("it is received")));
    for n in 0..times / 2 {
        ping.send(n).expect("it is received");
        assert_eq!(pongs.recv(), Some(n));
    }
    drop(ping);
    other.join();
}

fn one_wake_in_64_is_measured() {
    const WAKES: u64 = 64 * 2_000;
    let before = latencies();
    hand_to_and_fro(WAKES);
    // A hand-over wakes one, or finds that the other has not parked yet: at most so many.
    let measured = latencies().since(&before).samples();
    assert!(measured <= WAKES * 3 / 2 / 64, "{measured}");
    if cpus() == 1 {
        assert!(measured >= WAKES * 2 / 3 / 64, "{measured}");
    }
    assert!(measured > 0);
}

fn in_a_trace_each_wake_is_measured() {
    let before = latencies();
    trace::start();
    hand_to_and_fro(1_000);
    trace::stop();
    let measured = latencies().since(&before).samples();
    let (events, ..) = trace::recorded();
    let (mut woken, mut ran) = (std::collections::BTreeSet::new(), 0);
    for one in events {
        match one.event {
            Event::Go | Event::Ready | Event::Preempt => drop(woken.insert(one.goid)),
            Event::Run => ran += u64::from(woken.remove(&one.goid)),
            _ => {}
        }
    }
    assert!(ran >= 500, "{ran}");
    // One that was woken before the trace may have run in it, or behind it.
    assert!(measured.abs_diff(ran) <= 4, "{measured} measured, {ran} ran");
}

fn who_waits_behind_a_hog_is_in_the_histogram() {
    const HOGGED: Duration = Duration::from_millis(30);
    let here = lock_to_cpu(0);
    let (tx, rx) = chan::<Instant>(1);
    let ready = Arc::new(AtomicU64::new(0));
    let is_ready = ready.clone();
    let late = go(move || {
        let _here = lock_to_cpu(0);
        is_ready.store(1, Relaxed);
        rx.recv().expect("it is sent").elapsed()
    });
    while ready.load(Relaxed) == 0 || late.waiting() != Some(WaitReason::ChanReceive) {
        yield_now();
    }
    let before = latencies();
    trace::start(); // each wake is measured
    {
        let _hog = Pin::new();
        tx.send(Instant::now()).expect("it is received");
        let begin = Instant::now();
        while begin.elapsed() < HOGGED {}
    }
    let late_by = late.join().as_nanos() as u64;
    trace::stop();
    drop(here);
    let all = latencies().since(&before);
    let slow: u64 =
        all.buckets().filter(|(end, _)| *end >= HOGGED.as_nanos() as u64).map(|(_, n)| n).sum();
    assert!(slow >= 1, "nobody was measured who waited for 30 ms"); // a bucket is a quarter wide
    // The sender looked at its clock before, and the receiver after. What cycles are in ns was
    // measured in a young process: to a percent.
    let longest = trace::latencies(0).longest();
    let about = HOGGED.as_nanos() as u64 * 99 / 100..=late_by * 101 / 100;
    assert!(about.contains(&longest), "{longest} of {late_by}");
    assert!(all.within(1000) >= longest * 3 / 4);
}

/// Two hogs on one CPU: each waits for the other's slices, and for nothing else.
fn who_is_preempted_waits_for_a_cpu_too() {
    const PREEMPTED: u64 = 6;
    let preempted = || census::cpu_reports().map(|cpu| cpu.stats.preemptions.get()).sum::<u64>();
    set_procs(1);
    let first = preempted();
    let hogs = move || {
        while preempted() < first + PREEMPTED {
            drop(Pin::new()); // here it may be preempted
        }
    };
    trace::start();
    let before = latencies();
    [go(hogs), go(hogs)].into_iter().for_each(|hog| hog.join());
    let all = latencies().since(&before);
    trace::stop();
    let slices = all.buckets().filter(|(end, _)| *end > 5_000_000).map(|(_, n)| n).sum::<u64>();
    // The last to be preempted may find that it is over, and the other, too.
    assert!(slices >= PREEMPTED - 2, "{slices} of {PREEMPTED} waited for a slice of 10 ms");
}

fn a_trace_has_each_park_with_its_reason() {
    trace::start();
    let (tx, rx) = chan::<()>(0);
    let waits = go(move || rx.recv());
    let id = waits.id();
    while waits.waiting() != Some(WaitReason::ChanReceive) {
        yield_now();
        (0..1_000).for_each(|_| std::hint::spin_loop()); // or yields alone would fill the ring
    }
    tx.send(()).expect("it is received");
    waits.join();
    trace::stop();
    let its: Vec<_> = trace::recorded().0.into_iter().filter(|one| one.goid == id).collect();
    let events: Vec<Event> = its.iter().map(|one| one.event).collect();
    use Event::*;
    let told: Vec<Event> = events.iter().copied().filter(|e| *e != Steal).collect();
    assert_eq!(told, [Go, Run, Park, Ready, Run, End], "{its:#?}");
    let park = its.iter().find(|one| one.event == Park).expect("it parks");
    assert_eq!(park.reason, WaitReason::ChanReceive);
    assert_ne!(park.number, 0, "it waits for a channel");
    let ready = its.iter().find(|one| one.event == Ready).expect("it is readied");
    assert_eq!(ready.number, executive::goid(), "we have sent");
    for one in its.iter().filter(|one| matches!(one.event, Go | Run | End)) {
        assert_eq!(one.started_at.expect("it is known").file(), file!(), "{one:?}");
    }
}

fn a_trace_counts_who_is_queued() {
    const QUEUED: u32 = 5;
    set_procs(1); // or others steal
    let (tx, rx) = chan::<()>(0);
    let end = Arc::new(WaitGroup::new());
    end.add(QUEUED as isize);
    let receive = |_| {
        let (rx, end) = (rx.clone(), end.clone());
        go(move || {
            rx.recv().expect("it is sent");
            end.done();
        })
    };
    let all: Vec<_> = (0..QUEUED).map(receive).collect();
    while all.iter().any(|one| one.waiting() != Some(WaitReason::ChanReceive)) {
        yield_now();
    }
    trace::start();
    {
        let _here = Pin::new();
        (0..QUEUED).for_each(|_| tx.send(()).expect("it is received"));
    }
    end.wait();
    trace::stop();
    let (events, ..) = trace::recorded();
    let queued = |event: Event| -> Vec<u32> {
        let of = |one: &&trace::Recorded| {
            one.cpu == 0 && one.event == event && all.iter().any(|g| g.id() == one.goid)
        };
        let here = |one: &trace::Recorded| one.queued.expect("it was counted").here;
        events.iter().filter(of).map(here).collect()
    };
    assert_eq!(queued(Event::Ready), [1, 2, 3, 4, 5], "{events:#?}");
    // We come after the last.
    assert_eq!(queued(Event::Run), [4, 3, 2, 1, 0], "{events:#?}");
    let parked = events.iter().find(|one| one.event == Event::Park).expect("we wait for them");
    assert_eq!(parked.queued, Some(trace::Queued { here: QUEUED, global: 0 }), "{events:#?}");
    let mut json = String::new();
    trace::dump(&mut json).expect("a string has room");
    for n in 0..=QUEUED {
        let counter = format!(r#""pid":0,"args":{{"goroutines":{n}}}"#);
        let shown = json.lines().filter(|line| line.contains(&counter));
        let shown = shown.filter(|line| line.starts_with(r#"{"name":"queue of CPU 0","ph":"C","#));
        assert!(shown.count() >= 1, "{n} queued: {json}");
    }
}

fn a_trace_has_stacks_if_it_is_asked_to() {
    let do_something = || {
        hand_to_and_fro(10);
        trace::message(&"done", 10);
        trace::stop();
        trace::recorded().0
    };
    stacks::start_trace(|calls| calls.len() as u16);
    for one in do_something() {
        let is_a_goroutine_s_doing = match one.event {
            Event::Go | Event::Message => true,
            Event::Ready if one.goid == 1 => continue, // we join: who ends readies us on g0
            Event::Ready => one.number != 0,
            Event::Park => one.queued.is_some(), // or it parked before its CPU heard of the trace
            _ => false,
        };
        assert_eq!(one.stack != 0, is_a_goroutine_s_doing, "{one:?}");
        assert!(one.stack <= 34, "{one:?}");
    }
    trace::start();
    let events = do_something();
    assert!(events.iter().all(|one| one.stack == 0), "{events:#?}");
    assert!(events.iter().any(|one| one.event == Event::Park), "{events:#?}");
}

fn an_interrupt_that_wakes_nobody_is_recorded() {
    let waits = go(|| Irq::new(5).wait());
    while waits.waiting() != Some(WaitReason::Irq) {
        yield_now();
    }
    trace::start();
    {
        let _handler = Pin::new();
        trace::interrupt(0x31, || ()); // a device's whose driver is gone
        trace::interrupt(0x32, || on_irq(5)); // wakes
        trace::interrupt(0x33, || on_irq(5)); // is pending
    }
    waits.join();
    trace::stop();
    let (events, ..) = trace::recorded();
    let all: Vec<_> = events.iter().filter(|one| one.event == Event::Interrupt).collect();
    let which: Vec<_> = all.iter().map(|one| (one.goid, one.number)).collect();
    assert_eq!((which.len(), which[0], which[2]), (3, (0, 0x31), (0, 0x33)), "{all:?}");
    assert_ne!(which[1].0, 0, "it woke a goroutine: {all:?}");
    assert_eq!(all[0].to_string(), "interrupt, number 0x31, wakes nobody");
    let mut json = String::new();
    trace::dump(&mut json).expect("a string has room");
    assert!(json.contains(r#"{"name":"interrupt 0x33","ph":"i""#), "{json}");
}

fn regions_and_messages_are_recorded() {
    trace::start();
    let outer = trace::region(&"cook");
    trace::message(&"eggs \"fresh\"", 6);
    drop(trace::region(&"peel"));
    drop(outer);
    trace::stop();
    let me = executive::goid();
    let says = |one: &trace::Recorded| (one.event, one.text, one.number);
    let said: Vec<_> = trace::recorded()
        .0
        .iter()
        .filter(|one| one.goid == me && !one.text.is_empty())
        .map(says)
        .collect();
    use Event::*;
    assert_eq!(
        said,
        [
            (Begin, "cook", 0),
            (Message, "eggs \"fresh\"", 6),
            (Begin, "peel", 0),
            (Finish, "peel", 0),
            (Finish, "cook", 0)
        ]
    );
    let mut json = String::new();
    trace::dump(&mut json).expect("a string has room");
    assert!(json.contains(r#""name":"eggs \"fresh\" 6""#), "{json}");
    for phase in ["b", "e"] {
        let event = format!(r#""name":"peel","cat":"goroutine {me}","ph":"{phase}""#);
        assert!(json.contains(&event), "{json}");
    }
}

fn a_tracer_of_one_s_own_hears_what_is_told() {
    static HEARD: [AtomicU64; Event::ALL.len()] = [const { AtomicU64::new(0) }; Event::ALL.len()];
    trace::hook(|event, _, _| {
        HEARD[event as usize].fetch_add(1, Relaxed);
    });
    let heard = |event: Event| HEARD[event as usize].load(Relaxed);
    hand_to_and_fro(6_400);
    let sampled = heard(Event::Park);
    trace::start();
    hand_to_and_fro(6_400);
    trace::stop();
    let all = heard(Event::Park) - sampled;
    assert!(sampled > 0 && sampled < all, "{sampled} of a sample, {all} of all");
    assert!(heard(Event::Run) > 0 && heard(Event::Go) > 0);
}
