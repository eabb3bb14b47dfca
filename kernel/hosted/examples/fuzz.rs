//! All scenarios in one process, for tests/fuzz.sh to run under many seeds (`--cfg fuzz`); without
//! a seed they are a smoke test. First some short ones of its own, which leave the scheduler many
//! choices, then the list that every machine runs (tests/scenarios).
//!
//!     cargo run -p hosted --example fuzz [NAME...] [-NAME...]   (parts of names: only these; not
//! these)

use executive::irq::Irq;
use executive::percpu::Pin;
use executive::time::{Duration, Instant, Ticker, sleep, sleep_until};
use executive::{Builder, JoinHandle, chan, go, lock_to_cpu, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

const SCENARIOS: &[(&str, fn())] = &[
    ("rendezvous", rendezvous),
    ("buffers", buffers),
    ("fan", fan),
    ("close", close),
    ("last_ends", last_ends),
    ("tree", tree),
    ("burst", burst),
    ("detach", detach),
    ("late_detach", late_detach),
    ("sleepers", sleepers),
    ("deadlines", deadlines),
    ("yields", yields),
    ("stacks", stacks),
    ("interrupts", interrupts),
    ("ring_of_goroutines", ring_of_goroutines),
    ("turns", turns),
];

fn main() {
    hosted::run(|| {
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        for name in std::env::args().skip(1) {
            match name.strip_prefix('-') {
                Some(name) => unwanted.push(name.to_string()),
                None => wanted.push(name),
            }
        }
        let verbose = std::env::var_os("EXECUTIVE_VERBOSE").is_some();
        for (name, scenario) in SCENARIOS.iter().chain(scenarios::SCENARIOS) {
            let named = |names: &[String]| names.iter().any(|part| name.contains(part.as_str()));
            if (wanted.is_empty() || named(&wanted)) && !named(&unwanted) {
                if verbose {
                    eprintln!("{name}");
                }
                scenario();
            }
        }
    })
}

fn join_all<T>(handles: Vec<JoinHandle<T>>) -> Vec<T> {
    handles.into_iter().map(JoinHandle::join).collect()
}

/// Every value comes through once and in order, both ways.
fn rendezvous() {
    let (ping, pinged) = chan::<u32>(0);
    let (pong, ponged) = chan::<u32>(0);
    let other = go(move || {
        while let Some(n) = pinged.recv() {
            pong.send(n + 1).unwrap();
        }
    });
    for n in 0..50 {
        ping.send(n).unwrap();
        assert_eq!(ponged.recv(), Some(n + 1));
    }
    drop(ping);
    other.join();
    assert_eq!(ponged.recv(), None);
}

/// Buffers of several sizes keep order and never hold more than they may.
fn buffers() {
    for capacity in [1, 2, 7] {
        let (tx, rx) = chan::<usize>(capacity);
        let sent = Arc::new(AtomicUsize::new(0));
        let sender = {
            let sent = sent.clone();
            go(move || {
                for n in 0..40 {
                    tx.send(n).unwrap();
                    sent.store(n + 1, SeqCst);
                }
            })
        };
        for n in 0..40 {
            assert!(sent.load(SeqCst) <= n + capacity);
            assert_eq!(rx.recv(), Some(n));
        }
        sender.join();
        assert_eq!(rx.recv(), None);
    }
}

/// Many senders, many receivers: each value is received once.
fn fan() {
    let (tx, rx) = chan::<usize>(3);
    let senders: Vec<_> = (0..5)
        .map(|s| {
            let tx = tx.clone();
            go(move || (0..20).for_each(|n| tx.send(s * 20 + n).unwrap()))
        })
        .collect();
    drop(tx);
    let receivers: Vec<_> = (0..4)
        .map(|_| {
            let rx = rx.clone();
            go(move || rx.iter().collect::<Vec<_>>())
        })
        .collect();
    join_all(senders);
    let mut all: Vec<_> = join_all(receivers).concat();
    all.sort();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
}

/// A close wakes all who wait, receivers and senders, and senders get their values back.
fn close() {
    let (tx, rx) = chan::<u32>(0);
    let receivers: Vec<_> = (0..6)
        .map(|_| {
            let rx = rx.clone();
            go(move || rx.recv())
        })
        .collect();
    yield_now();
    tx.close();
    assert!(join_all(receivers).iter().all(Option::is_none));
    assert_eq!(tx.send(1).unwrap_err().0, 1);

    let (tx, rx) = chan::<Box<u32>>(0);
    let senders: Vec<_> = (0..6)
        .map(|n| {
            let tx = tx.clone();
            go(move || tx.send(Box::new(n)))
        })
        .collect();
    let first = *rx.recv().unwrap();
    drop(rx);
    let back: Vec<u32> =
        join_all(senders).into_iter().filter_map(|sent| sent.err().map(|e| *e.0)).collect();
    assert_eq!(back.len(), 5);
    assert!(!back.contains(&first));
}

/// The last sender's end closes.
fn last_ends() {
    let (tx, rx) = chan::<u32>(2);
    for n in 0..8 {
        let tx = tx.clone();
        go(move || {
            if n % 2 == 0 {
                yield_now();
            }
            let _ = tx.send(n);
        });
    }
    drop(tx);
    assert_eq!(rx.iter().count(), 8);
}

/// A tree of joins: the sum is right.
fn tree() {
    fn sum(lo: u64, hi: u64) -> u64 {
        if hi - lo == 1 {
            return lo;
        }
        let middle = (lo + hi) / 2;
        let left = go(move || sum(lo, middle));
        let right = go(move || sum(middle, hi));
        left.join() + right.join()
    }
    assert_eq!(sum(0, 64), 63 * 64 / 2);
}

/// More goroutines than a ring holds, twice: each runs.
fn burst() {
    for _ in 0..2 {
        let count = Arc::new(AtomicUsize::new(0));
        let handles: Vec<_> = (0..300)
            .map(|_| {
                let count = count.clone();
                go(move || count.fetch_add(1, SeqCst))
            })
            .collect();
        let mut order = join_all(handles);
        order.sort();
        assert_eq!(order, (0..300).collect::<Vec<_>>());
    }
}

/// Counts drops, so that each result is dropped once, whoever does it.
struct Dropped(Arc<AtomicUsize>);
impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Handles are dropped before, at or after the end: closure and result are dropped once each.
fn detach() {
    let drops = Arc::new(AtomicUsize::new(0));
    for n in 0..30 {
        let (held, result) = (Dropped(drops.clone()), Dropped(drops.clone()));
        let handle = go(move || {
            let _held = held;
            if n % 3 == 0 {
                yield_now();
            }
            result
        });
        for _ in 0..n % 4 {
            yield_now();
        }
        match n % 5 {
            0 => drop(handle.join()),
            _ => drop(handle),
        }
    }
    while drops.load(SeqCst) != 60 {
        yield_now();
    }
}

/// A result whose drop parks is dropped all the same, by its goroutine or by the handle.
fn late_detach() {
    struct Parks(executive::chan::Sender<u32>);
    impl Drop for Parks {
        fn drop(&mut self) {
            sleep(Duration::from_micros(10));
            self.0.send(7).unwrap();
        }
    }
    let (tx, rx) = chan::<u32>(10); // a handle that is dropped late drops the result itself
    for n in 0..10 {
        let tx = tx.clone();
        let handle = go(move || {
            yield_now();
            Parks(tx)
        });
        for _ in 0..n % 3 {
            yield_now();
        }
        drop(handle);
    }
    for _ in 0..10 {
        assert_eq!(rx.recv(), Some(7));
    }
}

/// Sleepers wake, in order of their deadlines as far as the clock tells.
fn sleepers() {
    let last = Arc::new(AtomicU64::new(0));
    let handles: Vec<_> = (0..40u64)
        .map(|n| {
            let last = last.clone();
            go(move || {
                let start = Instant::now();
                let d = Duration::from_micros(n * 37 % 40 * 50);
                sleep(d);
                assert!(start.elapsed() >= d);
                last.fetch_max(Instant::now().as_nanos(), SeqCst);
            })
        })
        .collect();
    join_all(handles);
    assert!(Instant::now().as_nanos() >= last.load(SeqCst));
}

/// A sleeper is woken although another goroutine hogs the CPU with nothing but yields.
fn deadlines() {
    let done = Arc::new(AtomicUsize::new(0));
    let sleeper = {
        let done = done.clone();
        go(move || {
            sleep(Duration::from_micros(300));
            done.store(1, SeqCst);
        })
    };
    while done.load(SeqCst) == 0 {
        yield_now();
    }
    sleeper.join();
}

/// Those who yield all get on.
fn yields() {
    let turns: Arc<[AtomicUsize; 6]> = Arc::new(Default::default());
    let handles: Vec<_> = (0..6)
        .map(|n| {
            let turns = turns.clone();
            go(move || {
                for _ in 0..30 {
                    turns[n].fetch_add(1, SeqCst);
                    yield_now();
                }
            })
        })
        .collect();
    join_all(handles);
    assert!(turns.iter().all(|t| t.load(SeqCst) == 30));
}

/// Stacks of unusual sizes come and go among usual ones.
fn stacks() {
    let handles: Vec<_> = (0..40)
        .map(|n| {
            let builder = Builder::new().stack_bytes([16, 60, 128, 512][n % 4] << 10).name("sized");
            builder
                .spawn(move || {
                    let filled = [n as u8; 4096];
                    yield_now();
                    filled.iter().map(|&b| b as usize).sum::<usize>()
                })
                .unwrap()
        })
        .collect();
    for (n, sum) in join_all(handles).into_iter().enumerate() {
        assert_eq!(sum, n * 4096);
    }
}

/// A device raises its line as a goroutine waits, looks, or has not begun to wait: all that it had
/// is seen.
fn interrupts() {
    const LINE: usize = 5;
    let device = Arc::new(AtomicUsize::new(0));
    let driver = {
        let device = device.clone();
        go(move || {
            let line = Irq::new(LINE);
            while device.load(SeqCst) < 30 {
                line.wait();
            }
        })
    };
    for n in 1..=30 {
        if n % 3 == 0 {
            yield_now();
        }
        device.store(n, SeqCst);
        let _no_interrupt_within_one = Pin::new();
        executive::on_irq(LINE);
    }
    driver.join();
}

/// A token goes round a ring of goroutines, several times.
fn ring_of_goroutines() {
    let (first, mut from) = chan::<u32>(0);
    for _ in 0..20 {
        let (to, next) = chan::<u32>(0);
        let upstream = std::mem::replace(&mut from, next);
        go(move || {
            for token in upstream.iter() {
                to.send(token + 1).unwrap();
            }
        });
    }
    for _ in 0..3 {
        let first = first.clone();
        let kick = go(move || first.send(0).unwrap());
        assert_eq!(from.recv(), Some(20));
        kick.join();
    }
    drop(first);
    assert_eq!(from.recv(), None);
}

/// With k runnable goroutines on a CPU none waits for more than k + 2 slices, whatever they do and
/// whatever is due. (Asked where the clock is the seed's: elsewhere a host may stop us for long.)
fn turns() {
    const ROUNDS: usize = 300;
    // A goroutine may begin in the middle of its predecessor's slice, and has one more then. And
    // the seed's clock jumps by 20 ms now and then (src/fuzz.rs).
    const SLICE: u64 = 2 * executive::param::SLICE_NS + 20_000_000;
    let mut mixture = Instant::now().as_nanos();
    let mut one_of = |n| {
        mixture = mixture.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (mixture >> 33) as usize % n
    };
    let k = 2 + one_of(6);
    let asked = executive::machine::cpus() == 1 && std::env::var_os("EXECUTIVE_SEED").is_some();
    // For each the time (ns) from which on it has been runnable, and the rounds it still has to do.
    let since: Arc<[AtomicU64]> = (0..k).map(|_| AtomicU64::new(u64::MAX)).collect();
    let left = Arc::new(AtomicUsize::new(k));
    let handles = (0..k).map(|i| {
        let (kind, locked, since, left) = (one_of(4), one_of(3) == 0, since.clone(), left.clone());
        go(move || {
            let _here = locked.then(|| lock_to_cpu(0));
            let ticker = Ticker::new(Duration::from_nanos(1));
            let mut rounds = 0;
            while left.load(SeqCst) > 0 {
                let now = Instant::now().as_nanos();
                for (who, since) in since.iter().enumerate() {
                    let waited = now.saturating_sub(since.load(SeqCst));
                    let most = (k as u64 + 2) * SLICE;
                    assert!(!asked || waited <= most, "{who} of {k} has waited for {waited} ns");
                }
                since[i].store(now, SeqCst);
                match kind {
                    0 => yield_now(),
                    1 => drop(Pin::new()),
                    2 => sleep_until(Instant::from_nanos(now + 1)),
                    _ => _ = ticker.recv(),
                }
                since[i].store(u64::MAX, SeqCst);
                rounds += 1;
                if rounds == ROUNDS {
                    left.fetch_sub(1, SeqCst);
                }
            }
        })
    });
    join_all(handles.collect());
}
