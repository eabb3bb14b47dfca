//! Do threads that are no CPU get along with goroutines? Each question twice: to a thread older
//! than `run`, and to one that a goroutine has started. Each in a process of its own, with 1, 2 and
//! 4 CPUs.
//!
//! `cargo test -p hosted --test foreign -- [NAME..]`: names may be parts of names.

mod runner;

use executive::cancel::{Cause, Token};
use executive::census::{self, CpuState};
use executive::chan::TrySendError;
use executive::g::WaitReason;
use executive::percpu::Pin;
use executive::sync::{Barrier, Condvar, Mutex, RwLock, Semaphore, WaitGroup};
use executive::time::{Duration, Timer, after_func};
use executive::{Builder, JoinHandle, SpawnError, block_on, chan, go, yield_now};
use hosted::Outside;
use runner::End;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::{Arc, LazyLock, Mutex as StdMutex, mpsc};
use std::task::{Poll, Waker};

const DEADLOCK: &str = "fatal error: all goroutines are asleep - deadlock!";

/// What the first thread does before `run`, and threads that are as old; then a goroutine goes on.
static BEFORE: &[(&str, fn())] = &[
    ("what_never_parks_works", what_never_parks_works),
    ("no_goroutine_is_started", no_goroutine_is_started),
    ("a_timer_is_for_later", a_timer_is_for_later),
    ("what_would_park_panics", what_would_park_panics),
];

/// Name, what goroutine 1 does, and how it must end.
type Question = (&'static str, fn(Thread), End);

static QUESTIONS: &[Question] = &[
    ("a_thread_sends", a_thread_sends, End::Well),
    ("a_thread_receives", a_thread_receives, End::Well),
    ("a_thread_closes", a_thread_closes, End::Well),
    ("a_thread_wakes_a_future", a_thread_wakes_a_future, End::Well),
    ("a_thread_releases_and_notifies", a_thread_releases_and_notifies, End::Well),
    ("a_thread_cancels", a_thread_cancels, End::Well),
    ("a_thread_locks_what_is_free", a_thread_locks_what_is_free, End::Well),
    ("a_thread_unlocks_for_who_starves", a_thread_unlocks_for_who_starves, End::Well),
    ("a_thread_starts_and_stops_timers", a_thread_starts_and_stops_timers, End::Well),
    ("a_thread_drops_handles", a_thread_drops_handles, End::Well),
    ("a_thread_wakes_a_locked_goroutine", a_thread_wakes_a_locked_goroutine, End::Well),
    ("a_thread_raises_an_interrupt", a_thread_raises_an_interrupt, End::Well),
    ("a_thread_is_heard_beside_hogs", a_thread_is_heard_beside_hogs, End::Well),
    ("a_thread_starts_no_goroutine", a_thread_starts_no_goroutine, End::Well),
    ("a_thread_panics_alone", a_thread_panics_alone, End::Well),
    ("threads_come_and_go", threads_come_and_go, End::Well),
    ("many_threads_at_once", many_threads_at_once, End::Well),
    ("a_thread_receives_nothing", a_thread_receives_nothing, End::Well),
    ("a_thread_sends_where_is_no_room", a_thread_sends_where_is_no_room, End::Well),
    ("a_thread_selects_what_is_not_ready", a_thread_selects_what_is_not_ready, End::Well),
    ("a_thread_yields", |t| panics(&t, yield_now), End::Well),
    (
        "a_thread_sleeps",
        |t| panics(&t, || executive::time::sleep(Duration::from_secs(1))),
        End::Well,
    ),
    ("a_thread_waits_for_a_lock", a_thread_waits_for_a_lock, End::Well),
    ("a_thread_waits_for_a_condition", a_thread_waits_for_a_condition, End::Well),
    ("a_thread_waits_for_a_count", a_thread_waits_for_a_count, End::Well),
    ("a_thread_waits_at_a_barrier", a_thread_waits_at_a_barrier, End::Well),
    ("a_thread_joins", a_thread_joins, End::Well),
    ("a_thread_waits_for_a_future", |t| panics(&t, || block_on(std::future::pending())), End::Well),
    ("a_thread_waits_for_an_interrupt", a_thread_waits_for_an_interrupt, End::Well),
    ("a_thread_goes_to_a_cpu", |t| panics(&t, || drop(executive::lock_to_cpu(0))), End::Well),
    ("a_thread_waits_for_readers_and_writers", a_thread_waits_for_readers_and_writers, End::Well),
    ("a_thread_is_told_of", a_thread_throws, End::Dead("a thread that is no CPU:")),
    ("an_outside_is_waited_for", an_outside_is_waited_for, End::Asleep),
    ("the_last_outside_leaves_a_deadlock", the_last_outside_leaves_a_deadlock, End::Dead(DEADLOCK)),
    ("a_thread_without_outside_hides_no_deadlock", a_thread_without_outside, End::Dead(DEADLOCK)),
    ("a_thread_with_a_waker_is_waited_for", a_thread_with_a_waker, End::Asleep),
    ("a_thread_wakes_by_a_waker_alone", a_thread_wakes_by_a_waker_alone, End::Well),
    ("a_thread_wakes_by_a_borrowed_waker", a_thread_wakes_by_a_borrowed_waker, End::Well),
    ("the_last_waker_leaves_a_deadlock", the_last_waker_leaves_a_deadlock, End::Dead(DEADLOCK)),
    ("wakers_come_and_go", wakers_come_and_go, End::Dead(DEADLOCK)),
];

fn main() -> ExitCode {
    if let Ok(name) = std::env::var("SCENARIO") {
        ask(&name);
    }
    let wanted = |name: &str, names: &[String]| {
        names.is_empty() || names.iter().any(|n| name.contains(n.as_str()))
    };
    let names: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let mut runs = Vec::new();
    for (name, _, end) in QUESTIONS {
        for (suffix, cpus) in
            ["old", "new"].into_iter().flat_map(|s| [1, 2, 4].map(|cpus| (s, cpus)))
        {
            let name = format!("{name}:{suffix}");
            if wanted(&name, &names) {
                runs.push(runner::Run { name, cpus, end: *end, patience: runner::PATIENCE });
            }
        }
    }
    for (name, cpus) in
        BEFORE.iter().flat_map(|(name, _)| [1, 2, 4].map(|cpus| (format!("{name}:before"), cpus)))
    {
        if wanted(&name, &names) {
            runs.push(runner::Run { name, cpus, end: End::Well, patience: runner::PATIENCE });
        }
    }
    runner::report(runs)
}

/// In the process of its own.
fn ask(name: &str) -> ! {
    static TO_ASK: StdMutex<Option<Job>> = StdMutex::new(None);
    let (name, age) = name.split_once(':').expect("NAME:old, NAME:new or NAME:before");
    if age == "before" {
        let before = BEFORE.iter().find(|b| b.0 == name).expect("a question's name").1;
        before();
        std::thread::spawn(before).join().unwrap();
        before();
        hosted::run(|| go_on().recv().unwrap()());
    }
    let question = QUESTIONS.iter().find(|q| q.0 == name).expect("a question's name").1;
    let thread = match age {
        "old" => Thread::Old((0..4).map(|_| an_old_thread()).collect()),
        _ => Thread::New,
    };
    *TO_ASK.lock().unwrap() = Some(Box::new(move || question(thread)));
    hosted::run(|| {
        let ask = TO_ASK.lock().unwrap().take();
        ask.expect("set above")()
    })
}

type Job = Box<dyn FnOnce() + Send>;

/// Where jobs are done.
enum Thread {
    /// On threads that were there before any CPU, one after the other.
    Old(Vec<mpsc::Sender<Job>>),
    /// On a thread each, started where it is asked for: by a goroutine.
    New,
}

fn an_old_thread() -> mpsc::Sender<Job> {
    let (to, jobs) = mpsc::channel::<Job>();
    std::thread::spawn(move || jobs.into_iter().for_each(|job| job()));
    to
}

impl Thread {
    /// Does `job` on a foreign thread. Until it is over, its drop included, it may wake goroutines.
    fn does(&self, job: impl FnOnce() + Send + 'static) {
        self.nth_does(0, job);
    }
    fn nth_does(&self, n: usize, job: impl FnOnce() + Send + 'static) {
        let outside = Outside::new();
        self.does_unseen(n, move || {
            job();
            drop(outside);
        });
    }
    /// The same, without the scheduler's knowing.
    fn does_unseen(&self, n: usize, job: impl FnOnce() + Send + 'static) {
        match self {
            Thread::Old(threads) => threads[n % threads.len()].send(Box::new(job)).unwrap(),
            Thread::New => drop(std::thread::spawn(job)),
        }
    }
}

/// For those who ask before `run`: what a goroutine does then. The channel itself is older than
/// `run`.
fn go_on() -> &'static executive::chan::Receiver<fn()> {
    &LATER.1
}
type Later = (executive::chan::Sender<fn()>, executive::chan::Receiver<fn()>);
static LATER: LazyLock<Later> = LazyLock::new(|| chan(10));
fn later(f: fn()) {
    LATER.0.try_send(f).unwrap();
}

fn what_never_parks_works() {
    static SUM: Mutex<u64> = Mutex::new(0);
    static SEMA: Semaphore = Semaphore::new(0);
    *SUM.lock() += 1;
    SEMA.release();
    let token = Token::new();
    token.cancel();
    assert_eq!(token.wait(), Cause::Cancelled);
    let (tx, rx) = chan(1);
    tx.send(1).unwrap(); // there is room
    assert_eq!((rx.recv(), rx.try_recv().is_err()), (Some(1), true));
    assert_eq!(block_on(async { 1 }), 1);
    later(|| {
        (0..3).for_each(|_| SEMA.acquire());
        assert_eq!((*SUM.lock(), SEMA.try_acquire()), (3, false));
        go(|| *SUM.lock() += 1).join();
    });
}

fn no_goroutine_is_started() {
    assert_eq!(Builder::new().spawn(|| ()).map(drop), Err(SpawnError::NotOnAGoroutine));
    assert!(catch_unwind(|| drop(go(|| ()))).is_err());
    later(|| go(|| ()).join());
}

fn a_timer_is_for_later() {
    static FIRED: Semaphore = Semaphore::new(0);
    assert!(Timer::new(Duration::from_secs(3600)).stop());
    after_func(Duration::from_millis(1), || FIRED.release());
    later(|| (0..3).for_each(|_| FIRED.acquire()));
}

fn what_would_park_panics() {
    static SEMA: Semaphore = Semaphore::new(0);
    says_where_it_is(|| SEMA.acquire());
    says_where_it_is(yield_now);
    says_where_it_is(receive_for_ever);
    later(|| {
        SEMA.release();
        SEMA.acquire();
    });
}

/// Waits until the goroutine does.
fn until_waits<T>(h: &JoinHandle<T>, reason: WaitReason) {
    while h.waiting() != Some(reason) {
        assert!(!h.is_finished(), "it ended instead of waiting");
        yield_now();
    }
}

fn a_thread_sends(t: Thread) {
    for capacity in [0, 1, 100] {
        let (tx, rx) = chan(capacity);
        t.does(move || (0..1000).for_each(|n| send(&tx, n))); // and closes
        assert!(rx.iter().eq(0..1000));
    }
}

/// On a thread that cannot park.
fn send<T: Send>(tx: &executive::chan::Sender<T>, mut value: T) {
    while let Err(TrySendError::Full(back)) = tx.try_send(value) {
        value = back;
        std::thread::yield_now();
    }
}

fn a_thread_receives(t: Thread) {
    let (tx, rx) = chan(1);
    let (back, all) = chan(1);
    t.does(move || {
        let mut got = Vec::new();
        while got.len() < 1000 {
            rx.try_recv().map_or_else(|_| std::thread::yield_now(), |n| got.push(n));
        }
        back.try_send(got).unwrap();
    });
    (0..1000).for_each(|n| tx.send(n).unwrap()); // parks while there is no room
    assert!(all.recv().unwrap().into_iter().eq(0..1000));
}

fn a_thread_closes(t: Thread) {
    let (tx, rx) = chan::<u8>(0);
    let receivers: Vec<_> = (0..600)
        .map(|_| {
            let rx = rx.clone();
            go(move || rx.recv())
        })
        .collect();
    receivers.iter().for_each(|h| until_waits(h, WaitReason::ChanReceive));
    t.does(move || drop(tx)); // readies more than a ring has room for
    assert!(receivers.into_iter().all(|h| h.join().is_none()));
}

fn a_thread_wakes_a_future(t: Thread) {
    struct Shared {
        done: AtomicBool,
        waker: StdMutex<Option<Waker>>,
    }
    for _ in 0..100 {
        let shared = Arc::new(Shared { done: AtomicBool::new(false), waker: StdMutex::new(None) });
        let theirs = shared.clone();
        t.does(move || {
            theirs.done.store(true, SeqCst);
            if let Some(waker) = theirs.waker.lock().unwrap().take() {
                waker.wake();
            }
        });
        block_on(poll_fn(|context| {
            *shared.waker.lock().unwrap() = Some(context.waker().clone());
            if shared.done.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        }));
    }
}

fn a_thread_releases_and_notifies(t: Thread) {
    static SEMA: Semaphore = Semaphore::new(0);
    static READY: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    let group = Arc::new(WaitGroup::new());
    group.add(1);
    t.does(|| SEMA.release());
    SEMA.acquire();
    let theirs = group.clone();
    t.does(move || theirs.done());
    group.wait();
    let waits = go(|| {
        let mut ready = READY.0.lock();
        while !*ready {
            ready = READY.1.wait(ready);
        }
    });
    until_waits(&waits, WaitReason::CondWait);
    t.does(|| {
        *READY.0.try_lock().expect("nobody has it") = true;
        READY.1.notify_all();
    });
    waits.join();
}

fn a_thread_cancels(t: Thread) {
    let token = Token::new();
    let children: Vec<_> =
        (0..50).map(|_| token.child()).map(|child| go(move || child.wait())).collect();
    children.iter().for_each(|h| until_waits(h, WaitReason::ChanReceive));
    let theirs = token.clone();
    t.does(move || theirs.cancel());
    assert!(children.into_iter().all(|h| h.join() == Cause::Cancelled));
}

/// Adds to a number under a lock that goroutines want too; who finds it locked tries again.
fn a_thread_locks_what_is_free(t: Thread) {
    static SUM: Mutex<u64> = Mutex::new(0);
    static ALSO: RwLock<u64> = RwLock::new(0);
    const N: u64 = 2000;
    let goroutines: Vec<_> = (0..3)
        .map(|_| {
            go(|| {
                for _ in 0..N {
                    *SUM.lock() += 1;
                    *ALSO.write() += 1;
                    yield_now();
                }
            })
        })
        .collect();
    let (done, is_done) = chan(1);
    t.does(move || {
        for _ in 0..N {
            let add = |sum: Option<&mut u64>| sum.map(|sum| *sum += 1).is_some();
            while !add(SUM.try_lock().as_deref_mut()) {}
            while !add(ALSO.try_write().as_deref_mut()) {}
            drop(ALSO.try_read());
        }
        done.try_send(()).unwrap();
    });
    goroutines.into_iter().for_each(JoinHandle::join);
    is_done.recv();
    assert_eq!((*SUM.lock(), *ALSO.read()), (4 * N, 4 * N));
}

/// A thread has the lock for so long that its waiter starves, and then, unlocking, has to hand it
/// over.
fn a_thread_unlocks_for_who_starves(t: Thread) {
    static LOCK: Mutex<()> = Mutex::new(());
    static HAS_IT: AtomicBool = AtomicBool::new(false);
    for _ in 0..20 {
        HAS_IT.store(false, SeqCst);
        t.does(|| {
            for _ in 0..50 {
                let begin = std::time::Instant::now();
                let Some(_guard) = LOCK.try_lock() else { continue };
                HAS_IT.store(true, SeqCst);
                while begin.elapsed() < std::time::Duration::from_micros(300) {}
            }
            HAS_IT.store(true, SeqCst);
        });
        while !HAS_IT.load(SeqCst) {
            yield_now();
        }
        go(|| drop(LOCK.lock())).join();
    }
}

fn a_thread_starts_and_stops_timers(t: Thread) {
    let (tx, rx) = chan(10);
    t.does(move || {
        let never = Timer::new(Duration::from_secs(3600));
        assert!(never.stop());
        assert!(after_func(Duration::MAX, || unreachable!()).stop());
        after_func(Duration::from_millis(2), move || tx.send("after_func").unwrap());
    });
    assert_eq!(rx.recv(), Some("after_func"));
    let (tx, rx) = chan(1);
    t.does(move || send(&tx, Timer::new(Duration::from_millis(1))));
    rx.recv().unwrap().recv();
    let (tx, rx) = chan(1);
    t.does(move || send(&tx, Token::new().child_for(Duration::from_millis(1))));
    rx.recv().unwrap().wait();
}

/// Of goroutines that have ended, and of those that have not.
fn a_thread_drops_handles(t: Thread) {
    for _ in 0..5 {
        let (done, is_done) = chan(1);
        let (tx, rx) = chan::<()>(0);
        let handles: Vec<_> = (0..400)
            .map(|n| {
                let rx = rx.clone();
                go(move || {
                    if n % 2 == 0 {
                        rx.recv();
                    }
                    Box::new(n)
                })
            })
            .collect();
        while handles.iter().filter(|h| h.is_finished()).count() != 200 {
            yield_now();
        }
        t.does(move || {
            drop(handles);
            done.try_send(()).unwrap();
        });
        is_done.recv();
        drop(tx);
    }
}

fn a_thread_wakes_a_locked_goroutine(t: Thread) {
    for cpu in 0..executive::affinity::cpus() {
        let (tx, rx) = chan(0);
        let h = go(move || {
            let _here = executive::lock_to_cpu(cpu);
            rx.recv()
        });
        until_waits(&h, WaitReason::ChanReceive);
        t.does(move || tx.try_send(cpu).unwrap());
        assert_eq!(h.join(), Some(cpu));
    }
}

fn a_thread_raises_an_interrupt(t: Thread) {
    for _ in 0..100 {
        t.does(|| executive::on_irq(7));
        executive::irq::Irq::new(7).wait();
    }
}

/// Every CPU runs a goroutine that gives nothing away but what a preemption takes.
fn a_thread_is_heard_beside_hogs(t: Thread) {
    static STOP: AtomicBool = AtomicBool::new(false);
    let hogs: Vec<_> = (0..executive::affinity::cpus())
        .map(|_| {
            go(|| {
                while !STOP.load(Relaxed) {
                    drop(Pin::new());
                }
            })
        })
        .collect();
    let (tx, rx) = chan(0);
    let waits = go(move || {
        assert_eq!(rx.recv(), Some(1));
        STOP.store(true, Relaxed);
    });
    until_waits(&waits, WaitReason::ChanReceive);
    t.does(move || send(&tx, 1));
    waits.join();
    hogs.into_iter().for_each(JoinHandle::join);
}

fn a_thread_starts_no_goroutine(t: Thread) {
    let (tx, rx) = chan(2);
    t.does(move || {
        send(&tx, Builder::new().spawn(|| ()).map(drop) == Err(SpawnError::NotOnAGoroutine));
        send(&tx, catch_unwind(|| drop(go(|| ()))).is_err());
    });
    assert!(rx.iter().eq([true, true]));
}

/// The thread's panic is the thread's: std prints it, and the guards are dropped on the way.
fn a_thread_panics_alone(t: Thread) {
    let (tx, rx) = chan::<u8>(0);
    t.does(move || {
        let _ = catch_unwind(AssertUnwindSafe(move || {
            let _tx = tx;
            panic!("on a thread");
        }));
    });
    assert_eq!(rx.recv(), None);
}

/// One after the other: what one had is the next one's.
fn threads_come_and_go(t: Thread) {
    static SEMA: Semaphore = Semaphore::new(0);
    for n in 0..300 {
        t.nth_does(n, || SEMA.release());
        SEMA.acquire();
    }
}

/// Threads hammer at goroutines that talk to each other and to them.
fn many_threads_at_once(t: Thread) {
    const THREADS: usize = 8;
    const N: usize = 3000;
    static WOKEN: AtomicUsize = AtomicUsize::new(0);
    let (tx, rx) = chan(3);
    let permits = Arc::new(Semaphore::new(0));
    let wakers: Arc<StdMutex<Vec<Waker>>> = Arc::default();
    let pair = {
        let ((ping, pong), (back, forth)) = (chan(0), chan(0));
        let echo = go(move || pong.iter().for_each(|n: usize| back.send(n).unwrap()));
        go(move || {
            for n in 0..N {
                ping.send(n).unwrap();
                assert_eq!(forth.recv(), Some(n));
            }
            drop(ping);
            echo.join();
        })
    };
    let polls = {
        let wakers = wakers.clone();
        go(move || {
            block_on(poll_fn(|context| {
                wakers.lock().unwrap().push(context.waker().clone());
                if WOKEN.load(SeqCst) == THREADS * N { Poll::Ready(()) } else { Poll::Pending }
            }));
        })
    };
    for n in 0..THREADS {
        let (tx, permits, wakers) = (tx.clone(), permits.clone(), wakers.clone());
        t.nth_does(n, move || {
            for n in 0..N {
                send(&tx, n);
                permits.release();
                WOKEN.fetch_add(1, SeqCst);
                let woken = core::mem::take(&mut *wakers.lock().unwrap());
                woken.into_iter().for_each(Waker::wake);
            }
        });
    }
    drop(tx);
    let takers: Vec<_> = (0..4)
        .map(|_| {
            let permits = permits.clone();
            go(move || (0..THREADS * N / 4).for_each(|_| permits.acquire()))
        })
        .collect();
    assert_eq!(rx.iter().sum::<usize>(), THREADS * (N * (N - 1) / 2));
    takers.into_iter().for_each(JoinHandle::join);
    pair.join();
    polls.join();
}

/// It would park, on a thread that cannot, and panics instead.
fn says_where_it_is(parks: impl FnOnce()) {
    let panic = catch_unwind(AssertUnwindSafe(parks)).expect_err("it came back");
    let words = panic.downcast_ref::<&str>().expect("words");
    assert!(words.starts_with("not on a goroutine"), "{words}");
}

/// The same on a foreign thread. It is over when this returns.
fn panics(t: &Thread, parks: impl FnOnce() + Send + 'static) {
    let (tx, rx) = chan(1);
    t.does(move || {
        says_where_it_is(parks);
        tx.try_send(()).unwrap();
    });
    rx.recv().expect("it must panic, and in these words");
}

fn a_thread_receives_nothing(t: Thread) {
    let (tx, rx) = chan(0);
    let theirs = rx.clone();
    panics(&t, move || _ = theirs.recv());
    let receives = go(move || rx.recv());
    until_waits(&receives, WaitReason::ChanReceive);
    tx.try_send(1).unwrap(); // it is the only one that waits
    assert_eq!(receives.join(), Some(1));
}

/// What it could not send is dropped, once.
fn a_thread_sends_where_is_no_room(t: Thread) {
    let value = Arc::new(());
    for capacity in [0, 2] {
        let (tx, rx) = chan(capacity);
        (0..capacity).for_each(|_| tx.send(value.clone()).unwrap());
        let (theirs, another) = (tx.clone(), value.clone());
        panics(&t, move || _ = theirs.send(another));
        assert_eq!(Arc::strong_count(&value), 1 + capacity);
        drop(tx);
        assert_eq!(rx.iter().count(), capacity);
    }
}

fn a_thread_selects_what_is_not_ready(t: Thread) {
    let ((tx, rx), (full, room)) = (chan::<u8>(0), chan(1));
    full.send(1).unwrap();
    let (theirs, also_theirs) = (rx.clone(), full.clone());
    panics(&t, move || {
        executive::select! {
            recv(theirs) -> _ => {}
            send(also_theirs, 2) -> _ => {}
            after(Duration::from_secs(3600)) => {}
        }
    });
    let receives = go(move || rx.recv());
    until_waits(&receives, WaitReason::ChanReceive);
    tx.try_send(1).unwrap();
    assert_eq!((receives.join(), room.recv(), room.try_recv().is_err()), (Some(1), Some(1), true));
}

fn a_thread_waits_for_a_lock(t: Thread) {
    static LOCK: Mutex<u64> = Mutex::new(0);
    static SEMA: Semaphore = Semaphore::new(0);
    for _ in 0..3 {
        let held = LOCK.lock();
        panics(&t, || *LOCK.lock() += 1);
        let waits = go(|| *LOCK.lock() += 1);
        until_waits(&waits, WaitReason::MutexLock);
        panics(&t, || *LOCK.lock() += 1);
        drop(held);
        waits.join();
        t.does(|| {
            let mut lock = loop {
                match LOCK.try_lock() {
                    Some(lock) => break lock,
                    None => std::thread::yield_now(),
                }
            };
            *lock += 1;
            SEMA.release();
        });
        SEMA.acquire();
        panics(&t, || SEMA.acquire());
    }
    assert_eq!((*LOCK.lock(), SEMA.permits()), (6, 0));
}

/// Neither counts it among those who wait, and each goes on as if it had never come.
fn a_thread_waits_for_readers_and_writers(t: Thread) {
    static LOCK: RwLock<u64> = RwLock::new(0);
    static SEMA: Semaphore = Semaphore::new(0);
    for _ in 0..3 {
        let held = LOCK.write();
        panics(&t, || drop(LOCK.read()));
        panics(&t, || *LOCK.write() += 1);
        let reads = go(|| *LOCK.read());
        until_waits(&reads, WaitReason::RwLockRead);
        panics(&t, || drop(LOCK.read()));
        drop(held);
        reads.join();

        let held = LOCK.read();
        panics(&t, || *LOCK.write() += 1);
        let writes = go(|| *LOCK.write() += 1);
        until_waits(&writes, WaitReason::RwLockWrite);
        panics(&t, || drop(LOCK.read()));
        drop(held);
        writes.join();

        t.does(|| {
            *LOCK.write() += 1;
            drop(LOCK.read());
            SEMA.release();
        });
        SEMA.acquire();
    }
    assert_eq!(*LOCK.read(), 6);
}

/// The mutex is unlocked on the way.
fn a_thread_waits_for_a_condition(t: Thread) {
    static READY: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    panics(&t, || drop(READY.1.wait(READY.0.lock())));
    panics(&t, || drop(READY.1.wait_timeout(READY.0.lock(), Duration::from_millis(1))));
    let waits = go(|| drop(READY.1.wait_while(READY.0.lock(), |ready| !*ready)));
    until_waits(&waits, WaitReason::CondWait);
    *READY.0.lock() = true;
    READY.1.notify_one(); // it is the only one that waits
    waits.join();
}

fn a_thread_waits_for_a_count(t: Thread) {
    let group = WaitGroup::new();
    group.add(1);
    let theirs = group.clone();
    panics(&t, move || theirs.wait());
    let ours = group.clone();
    let waits = go(move || ours.wait());
    until_waits(&waits, WaitReason::WaitGroup);
    group.done();
    waits.join();
}

fn a_thread_waits_at_a_barrier(t: Thread) {
    static TWO: Barrier = Barrier::new(2);
    panics(&t, || _ = TWO.wait());
    let waits = go(|| TWO.wait());
    until_waits(&waits, WaitReason::Barrier);
    assert!(TWO.wait() != waits.join());
}

/// The goroutine is detached, as by any handle that is dropped.
fn a_thread_joins(t: Thread) {
    let value = Arc::new(());
    let (tx, rx) = chan::<()>(0);
    let result = value.clone();
    let h = go(move || {
        rx.recv();
        result
    });
    panics(&t, move || drop(h.join()));
    drop(tx);
    while Arc::strong_count(&value) > 1 {
        yield_now();
    }
}

fn a_thread_waits_for_an_interrupt(t: Thread) {
    panics(&t, || executive::irq::Irq::new(7).wait());
    let waits = go(|| executive::irq::Irq::new(7).wait());
    until_waits(&waits, WaitReason::Irq);
    executive::on_irq(7);
    waits.join();
}

/// Ends the run, so `main` waits for ever.
fn a_thread_throws(t: Thread) {
    let _outside = Outside::new();
    t.does(|| executive::fatal::throw("foreign: thrown"));
    receive_for_ever();
}

fn receive_for_ever() {
    let (_tx, rx) = chan::<u8>(0);
    rx.recv();
}

/// All wait, and count on a thread that may wake one, and does not.
fn an_outside_is_waited_for(t: Thread) {
    t.does(std::thread::park);
    eprintln!("{}", runner::NEARLY_ASLEEP);
    receive_for_ever();
}

/// All wait, and count on a thread that goes without a word.
fn the_last_outside_leaves_a_deadlock(t: Thread) {
    let (tx, rx) = chan::<u8>(0);
    let waits = go(move || rx.recv());
    until_waits(&waits, WaitReason::ChanReceive);
    let outside = (Outside::new(), Outside::new());
    t.does_unseen(0, move || {
        while census::cpu_reports().any(|cpu| cpu.state != CpuState::Idle) {}
        drop(outside);
    });
    waits.join();
    drop(tx);
}

/// Waits until no CPU has anything to do.
fn until_all_sleep() {
    while census::cpu_reports().any(|cpu| cpu.state != CpuState::Idle) {}
}

/// Waits for a future, and gives the wakers of its only poll, so many, to a thread that does `job`
/// with them.
fn wait_by_wakers<const N: usize>(t: &Thread, job: impl FnOnce([Waker; N]) + Send + 'static) {
    let mut job = Some(job);
    block_on(poll_fn(|context| match job.take() {
        Some(job) => {
            let wakers = std::array::from_fn(|_| context.waker().clone());
            t.does_unseen(0, move || job(wakers));
            Poll::Pending
        }
        None => Poll::Ready(()),
    }));
}

/// It might wake somebody, and does not.
fn a_thread_with_a_waker(t: Thread) {
    eprintln!("{}", runner::NEARLY_ASLEEP);
    wait_by_wakers(&t, |_kept: [Waker; 1]| std::thread::park());
}

/// No `Outside` is needed where somebody has a waker, not even when all CPUs sleep.
fn a_thread_wakes_by_a_waker_alone(t: Thread) {
    for by_ref in [false, true] {
        wait_by_wakers(&t, move |[first, second]| {
            until_all_sleep();
            drop(first);
            if by_ref { second.wake_by_ref() } else { second.wake() }
        });
    }
}

/// A waker that is lent counts for nobody, and wakes all the same: here a future within the poll.
fn a_thread_wakes_by_a_borrowed_waker(_: Thread) {
    block_on(poll_fn(|context| {
        let outside = Outside::new();
        let lent = context.waker();
        std::thread::scope(|s| {
            s.spawn(move || {
                until_all_sleep();
                lent.wake_by_ref();
                lent.wake_by_ref();
                drop(outside);
            });
            let mut polls = 0;
            block_on(poll_fn(|_| {
                polls += 1;
                if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
            }));
        });
        Poll::Ready(())
    }));
}

/// The last wakers are dropped on a thread, while all CPUs sleep.
fn the_last_waker_leaves_a_deadlock(t: Thread) {
    wait_by_wakers(&t, |wakers: [Waker; 3]| {
        until_all_sleep();
        drop(wakers);
    });
    block_on(std::future::pending())
}

/// A thread clones, wakes and drops while the goroutine parks and polls; in the end nobody has a
/// waker.
fn wakers_come_and_go(t: Thread) {
    const N: usize = 20_000;
    let ((to, wakers), mut polls) = (mpsc::channel::<Waker>(), 0);
    t.does_unseen(0, move || {
        let mut kept = None;
        for (n, waker) in wakers.into_iter().enumerate() {
            match n % 3 {
                0 => [waker.clone(), waker].into_iter().for_each(Waker::wake),
                1 => waker.wake_by_ref(),
                _ => {
                    kept = Some(waker.clone());
                    waker.wake();
                }
            }
        }
        drop(kept);
    });
    block_on(poll_fn(|context| {
        polls += 1;
        if polls <= N {
            to.send(context.waker().clone()).unwrap();
            return Poll::Pending;
        }
        Poll::Ready(())
    }));
    drop(to);
    block_on(std::future::pending())
}

fn a_thread_without_outside(t: Thread) {
    let (_never, waits) = mpsc::channel::<()>();
    t.does_unseen(0, move || assert!(waits.recv().is_err()));
    receive_for_ever();
}
