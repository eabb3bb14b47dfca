//! The drivers' queue (kernel/drivers/src/virtio/queue.rs) as a Linux process, before a device of
//! the test's own: one that does its work, one that is silent, late or gone, and ones that say what
//! cannot be. Nobody who waits is forgotten, and no memory that the device may still write to is
//! anybody else's.

extern crate alloc;
extern crate self as kernel; // what the drivers' files want of it is below

#[allow(dead_code)]
#[path = "../../../kernel/src/device/error.rs"]
mod device_error;
mod dma;
#[allow(dead_code)]
#[path = "../../../kernel/drivers/src/error.rs"]
mod error;
#[path = "../../../kernel/drivers/src/virtio/hal.rs"]
mod hal;
#[path = "../../../kernel/drivers/src/param.rs"]
#[allow(dead_code)]
mod param;
mod model;
mod pci;
#[allow(dead_code)]
#[path = "../../../kernel/drivers/src/virtio/queue.rs"]
mod queue;
#[allow(dead_code)]
#[path = "../../../kernel/drivers/src/virtio/ring.rs"]
mod ring;
#[path = "../../../kernel/hosted/tests/suite/mod.rs"]
mod suite;

/// `kernel::device`, as far as the queue uses it.
mod device {
    pub use crate::device_error::Error;
    pub use crate::dma::Dma;
}

use dma::is_in_use;
use error::Error;
use executive::time::sleep;
use executive::{JoinHandle, go, yield_now};
use model::{Device as Model, SIZE};
use pci::{Pci, Shared};
use queue::Queue;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

pub(crate) use std::println;

/// How many requests fit.
const ROOM: usize = SIZE / 2;
/// Bytes of an answer.
const ANSWER: usize = 4;
/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);

type Answer = Result<(usize, [u8; ANSWER]), Error>;

/// A queue, and its device.
fn queue() -> (Arc<Queue<SIZE>>, &'static Shared) {
    let mut pci = Pci::new();
    (Arc::new(Queue::new(&mut pci, 0).expect("a queue")), pci.0)
}

/// Asks with a byte; a device that does its work answers with bytes that are 1 more.
fn ask(queue: &Queue<SIZE>, question: u8, patience: Duration) -> Answer {
    let mut answer = [0; ANSWER];
    let written = queue.call(patience, &[&[question]], &mut [&mut answer])?;
    Ok((written, answer))
}

fn right(question: u8) -> Answer {
    Ok((ANSWER, [question + 1; ANSWER]))
}

/// As many goroutines as fit ask, each with its number; returns when the device has seen all.
fn all_ask(
    queue: &Arc<Queue<SIZE>>,
    shared: &Shared,
    patience: Duration,
) -> Vec<JoinHandle<Answer>> {
    let one = |n| {
        let queue = queue.clone();
        go(move || ask(&queue, n as u8, patience))
    };
    let all = (0..ROOM).map(one).collect();
    while shared.with(|device| device.pending.len()) < ROOM {
        yield_now();
    }
    all
}

fn answers(all: Vec<JoinHandle<Answer>>) -> Vec<Answer> {
    all.into_iter().map(JoinHandle::join).collect()
}

/// Answers all requests that come, the last first, until it has done so many.
fn serve(shared: &'static Shared, mut most: usize) -> JoinHandle<()> {
    go(move || {
        while most > 0 {
            let served = shared.with(|device| {
                let last = device.pending.len().checked_sub(1);
                last.inspect(|&last| device.answer(last)).is_some()
            });
            if served {
                most -= 1;
                shared.line.raise();
            }
            yield_now();
        }
    })
}

fn each_gets_its_own_answer() {
    let (queue, shared) = queue();
    let device = serve(shared, 2000);
    let one = |n: u8| {
        let queue = queue.clone();
        go(move || (0..100).for_each(|_| assert_eq!(ask(&queue, n, LONG), right(n))))
    };
    let all: Vec<_> = (0..20).map(one).collect();
    all.into_iter().for_each(JoinHandle::join);
    device.join();
    assert!(!shared.stopped.load(SeqCst));
}

/// What a device may say, and how many of those who wait get a right answer, or none at all.
struct Nonsense {
    name: &'static str,
    say: fn(&mut Model),
    right: usize,
    empty: usize,
}

const NONSENSE: [Nonsense; 8] = [
    Nonsense { name: "no such id", say: |d| d.say(SIZE as u32, 0), right: 0, empty: 0 },
    Nonsense { name: "the largest id", say: |d| d.say(u32::MAX, 0), right: 0, empty: 0 },
    // Descriptor 0 is the first of a request, so 1 is its second.
    Nonsense { name: "half a request", say: |d| d.say(1, 0), right: 0, empty: 0 },
    Nonsense {
        name: "more than there is room for",
        say: |d| {
            let head = d.pending[0];
            d.say(head.into(), ANSWER as u32 + 1);
        },
        right: 0,
        empty: 0,
    },
    Nonsense { name: "the first answer twice", say: |d| twice(d, 0), right: 1, empty: 0 },
    Nonsense { name: "the last answer twice", say: |d| twice(d, ROOM - 1), right: 1, empty: 0 },
    // Entries that it never wrote are zeros, so the request at descriptor 0 is answered, by
    // nothing; and then again.
    Nonsense {
        name: "an index that runs ahead",
        say: |d| d.write(d.used, 2, d.done.wrapping_add(1000)),
        right: 0,
        empty: 1,
    },
    Nonsense {
        name: "an index that runs back",
        say: |d| d.write(d.used, 2, d.done.wrapping_sub(1)),
        right: 0,
        empty: 1,
    },
];

fn twice(device: &mut Model, nth: usize) {
    let head = device.pending[nth];
    device.answer(nth);
    device.say(head.into(), ANSWER as u32);
}

fn nonsense_ends_it_for_all() {
    for Nonsense { name, say, right: most_right, empty: most_empty } in NONSENSE {
        let (queue, shared) = queue();
        let all = all_ask(&queue, shared, LONG);
        let buffers = shared.with(|device| device.buffers());
        shared.with(say);
        shared.line.raise();
        let (mut rights, mut empty, mut wrong) = (0, 0, 0);
        for (answer, n) in answers(all).into_iter().zip(0..) {
            match answer {
                Ok((0, _)) => empty += 1,
                answer if answer == right(n) => rights += 1,
                answer => {
                    assert_eq!(answer, Err(Error::Nonsense), "{name}");
                    wrong += 1;
                }
            }
        }
        assert_eq!((rights, empty), (most_right, most_empty), "{name}");
        assert_eq!(wrong, ROOM - most_right - most_empty, "{name}");
        assert!(shared.stopped.load(SeqCst), "{name}: the device was not stopped");
        // Nobody asks it any more.
        let rings = shared.rings.load(SeqCst);
        assert_eq!(ask(&queue, 0, LONG), Err(Error::Nonsense), "{name}");
        assert_eq!(shared.rings.load(SeqCst), rings, "{name}: it was asked again");
        // What it was told of and has not answered is its for good.
        let theirs = buffers.iter().filter(|&&at| is_in_use(at)).count();
        drop(queue);
        let left = buffers.iter().filter(|&&at| is_in_use(at)).count();
        assert!(theirs >= wrong && left >= wrong, "{name}: {left} of {wrong} are left");
    }
}

fn who_is_not_answered_gives_up_and_late_answers_are_no_harm() {
    let (queue, shared) = queue();
    let patience = Duration::from_millis(20);
    let given_up = Err(Error::TimedOut(patience));
    for answer in answers(all_ask(&queue, shared, patience)) {
        assert_eq!(answer, given_up);
    }
    assert_eq!(ask(&queue, 9, patience), given_up, "all that fits was left behind");
    // Now it answers all that it was ever asked. Nobody hears that but who comes next.
    serve(shared, ROOM).join();
    let device = serve(shared, 2 * ROOM);
    for answer in answers((0..2).flat_map(|_| all_ask_one_by_one(&queue)).collect()) {
        assert_eq!(answer, right(7));
    }
    device.join();
}

fn all_ask_one_by_one(queue: &Arc<Queue<SIZE>>) -> Vec<JoinHandle<Answer>> {
    let one = |_| {
        let queue = queue.clone();
        go(move || ask(&queue, 7, LONG))
    };
    (0..ROOM).map(one).collect()
}

/// For longer than it takes until somebody looks whether it is there.
fn a_slow_device_is_waited_for() {
    let (queue, shared) = queue();
    let all = all_ask(&queue, shared, LONG);
    sleep(param::CHECK_EVERY * 3 / 2); // so long the device takes
    serve(shared, ROOM).join();
    for (answer, n) in answers(all).into_iter().zip(0..) {
        assert_eq!(answer, right(n));
    }
}

/// Long before the patience of those who wait ends. It interrupts nobody.
fn a_device_that_is_gone_or_wants_a_reset_is_noticed() {
    for why in [Error::Gone, Error::NeedsReset] {
        let (queue, shared) = queue();
        let all = all_ask(&queue, shared, LONG);
        *shared.health.lock() = Err(why);
        for answer in answers(all) {
            assert_eq!(answer, Err(why));
        }
        assert_eq!(ask(&queue, 0, LONG), Err(why));
        assert!(shared.stopped.load(SeqCst));
    }
}

fn main() {
    hosted::run_with(4, || {
        suite::run(&[
            ("each gets its own answer", each_gets_its_own_answer),
            ("nonsense ends it for all", nonsense_ends_it_for_all),
            ("late answers are no harm", who_is_not_answered_gives_up_and_late_answers_are_no_harm),
            ("a slow device is waited for", a_slow_device_is_waited_for),
            ("a device is gone", a_device_that_is_gone_or_wants_a_reset_is_noticed),
        ]);
    })
}
