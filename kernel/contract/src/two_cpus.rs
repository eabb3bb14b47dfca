//! Checks that need a second CPU, which obeys `ORDER` and counts in `DONE` the orders it has
//! carried out.

use super::{MS, Verdict, expect, pass, soon, ticks};
use alloc::format;
use alloc::string::String;
use executive::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst, relax};
use executive::kit;
use executive::machine::{self, NEVER, now};
use executive::percpu;

const SPIN: u32 = 0;
const SLEEP: u32 = 1;
const TELL_TIME: u32 = 2;
const COUNT: u32 = 3;
const PRINT: u32 = 4;

static ORDER: AtomicU32 = AtomicU32::new(SPIN);
static DONE: AtomicU32 = AtomicU32::new(0);
/// What the other CPU waits on.
static WORD: AtomicU32 = AtomicU32::new(0);
/// How often the other CPU saw the word change.
static WOKEN: AtomicU32 = AtomicU32::new(0);
static TIME: AtomicU64 = AtomicU64::new(0);
static COUNTER: AtomicUsize = AtomicUsize::new(0);
/// What the other CPU found at its start: its number by GS, plus one.
static UP: AtomicU32 = AtomicU32::new(0);

extern "C" fn other() -> ! {
    let room = use_stack(48);
    UP.store(percpu::cpu() as u32 + room, SeqCst);
    loop {
        match ORDER.load(SeqCst) {
            // Sleeps until the word is odd, then says so.
            SLEEP => {
                steps(300); // so that the waker, which knows that we come, can also be the first
                while WORD.load(SeqCst).is_multiple_of(2) {
                    machine::wait(&WORD, WORD.load(SeqCst) & !1, NEVER);
                }
                WORD.fetch_add(1, SeqCst);
                WOKEN.fetch_add(1, SeqCst);
                continue; // until told otherwise
            }
            TELL_TIME => TIME.store(now(), SeqCst),
            PRINT => print(1),
            COUNT => loop {
                COUNTER.fetch_add(1, SeqCst);
            },
            _ => {
                relax();
                continue;
            }
        }
        ORDER.store(SPIN, SeqCst);
        DONE.fetch_add(1, SeqCst);
    }
}

/// A cycle or a few for each.
fn steps(n: u32) {
    for step in 0..n {
        core::hint::black_box(step);
    }
}

/// Recurses through so many KiB of stack; returns 1.
#[inline(never)]
fn use_stack(kib: u32) -> u32 {
    let page = core::hint::black_box([kib as u8; 1024]);
    if kib == 0 { 1 } else { use_stack(kib - 1) + (page[0] as u32 - kib) }
}

/// Gives the other CPU an order and waits until it is carried out.
fn order(what: u32) -> Verdict {
    let before = DONE.load(SeqCst);
    ORDER.store(what, SeqCst);
    expect(soon(|| DONE.load(SeqCst) != before), "the other CPU doesn't answer")
}

/// So many lines are printed by each of the two.
const LINES: usize = 100;

fn line(cpu: usize, n: usize) -> String {
    format!("CPU {cpu} prints line {n:03} of {LINES} in one piece: {:x<80}", "")
}

fn print(cpu: usize) {
    for n in 0..LINES {
        let line = line(cpu, n) + "\n";
        machine::print(line.as_bytes());
    }
}

pub(super) fn print_at_once() -> Verdict {
    the_other_cpu_starts()?;
    let before = DONE.load(SeqCst);
    ORDER.store(PRINT, SeqCst);
    print(0);
    expect(soon(|| DONE.load(SeqCst) != before), "the other CPU doesn't come back from it")
}

pub(super) fn printed(output: &str) -> Verdict {
    let is_whole = |cpu| {
        let begin = format!("CPU {cpu} prints ");
        let lines = output.lines().filter(|line| line.starts_with(&begin));
        lines.eq((0..LINES).map(|n| line(cpu, n)))
    };
    expect(is_whole(0) && is_whole(1), "lines are missing, torn, or not in order")
}

pub(super) fn the_other_cpu_starts() -> Verdict {
    kit::set_up(1);
    // SAFETY: block 1 is CPU 1's: nobody's until one of them comes up.
    let start = || unsafe { machine::start_cpu(1, percpu::percpu_block(1), other) };
    expect((1..machine::cpus()).any(|_| start()), "didn't start")?;
    expect(soon(|| UP.load(SeqCst) != 0), "said to have started, and doesn't run")?;
    expect(UP.load(SeqCst) == 2, "its GS base isn't its block")
}

pub(super) fn now_is_shared() -> Verdict {
    for _ in 0..1000 {
        let before = now();
        order(TELL_TIME)?;
        let there = TIME.load(SeqCst);
        expect(before <= there, "the other CPU's clock is behind")?;
        expect(there <= now(), "the other CPU's clock is ahead")?;
    }
    Ok(())
}

pub(super) fn wakes_are_not_lost() -> Verdict {
    ORDER.store(SLEEP, SeqCst);
    let mut random = 12345u32;
    for i in 0..30_000 {
        // From "it is asleep for long" to "it is about to", and mostly "it is just now looking".
        random = random.wrapping_mul(1664525).wrapping_add(1013904223);
        if i % 500 == 0 {
            pass(MS);
        }
        steps(random >> (20 + i % 4));
        let before = WOKEN.load(SeqCst);
        WORD.fetch_add(1, SeqCst); // even to odd: the other side makes it even again
        machine::wake(1, &WORD);
        expect(soon(|| WOKEN.load(SeqCst) != before), "a wake was lost")?;
    }
    end_sleep()
}

/// Wakes the other CPU out of SLEEP for the last time.
fn end_sleep() -> Verdict {
    ORDER.store(SPIN, SeqCst);
    WORD.fetch_add(1, SeqCst);
    machine::wake(1, &WORD);
    expect(soon(|| WORD.load(SeqCst).is_multiple_of(2)), "a wake was lost")
}

pub(super) fn waking_the_awake_is_harmless() -> Verdict {
    let before = (ticks(0), ticks(1));
    for _ in 0..1000 {
        machine::wake(1, &WORD);
        machine::wake(0, &WORD);
    }
    order(TELL_TIME)?;
    expect((ticks(0), ticks(1)) == before, "it was interrupted by a tick")
}

pub(super) fn kick_the_other() -> Verdict {
    let (here, there) = (ticks(0), ticks(1));
    machine::kick(1);
    expect(soon(|| ticks(1) != there), "no tick")?;
    expect(ticks(0) == here, "ticked here")
}

pub(super) fn kick_a_sleeper() -> Verdict {
    let before = ticks(1);
    ORDER.store(SLEEP, SeqCst);
    pass(5 * MS); // it sleeps until the word changes, which is not before the tick
    machine::kick(1);
    expect(soon(|| ticks(1) != before), "no tick")?;
    end_sleep()
}

pub(super) fn frozen_cpus_stand_still() -> Verdict {
    ORDER.store(COUNT, SeqCst);
    expect(soon(|| COUNTER.load(SeqCst) > 1000), "the other CPU doesn't answer")?;
    machine::freeze_others();
    let then = COUNTER.load(SeqCst);
    pass(20 * MS);
    expect(COUNTER.load(SeqCst) == then, "it runs on")
}
