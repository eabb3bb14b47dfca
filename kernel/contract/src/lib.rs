//! The machine contract as questions: each hook is asked whether it keeps what `machine.rs` says it
//! promises.
//!
//! A machine's test calls [`run`] on CPU 0 *instead of* [`executive::start`], with GS set to block
//! 0 and ticks ready to be taken: there are no goroutines here, only CPUs (but for one question,
//! which makes its own). A second CPU, if there is one, is started and does as it is told. What
//! ends the run ([`touch_guard`], `exit`) or is seen only from outside (`write`, [`print_at_once`])
//! the test checks from outside.
//!
//! The one rule: a broken hook makes a check fail, not hang, wherever a hang can be told from
//! slowness: within `SOON`.
#![no_std]
#![warn(missing_docs)]
#![allow(unsafe_code)] // calls the hooks that trust their caller
extern crate alloc;

use core::fmt;
use executive::atomic::relax;
use executive::kit;
use executive::machine::{self, Stack, now};
use executive::param::STACK_BYTES;

pub mod provoke;
mod goroutines;
mod one_cpu;
mod two_cpus;

/// A check's answer; the words say what was broken.
pub type Verdict = Result<(), &'static str>;

type Check = (&'static str, fn() -> Verdict);

/// All that follows is timed by this clock: without it nothing can be asked.
const CLOCK: &str = "now: time never goes back, and goes on";

/// The checks, in an order that lets later ones lean on earlier ones.
static ONE_CPU: &[Check] = &[
    ("cpus: there is at least one, and the answer stays the same", one_cpu::cpus_is_constant),
    (CLOCK, one_cpu::now_rises),
    ("symbol: a function is found by an address within it", one_cpu::symbol_names_a_function),
    ("alloc_stack: all of it can be used", one_cpu::stacks_are_usable),
    ("alloc_stack: two stacks never share a page", one_cpu::stacks_are_disjoint),
    (
        "stack_committed: its topmost page from the start, the others when touched",
        one_cpu::stacks_commit_on_touch,
    ),
    ("stack_is_deep: not if only the topmost page is there", one_cpu::shallow_stacks_are_not_deep),
    ("alloc_stack: what makes no sense is refused", one_cpu::absurd_stacks_are_refused),
    ("refill: a stack in use keeps what is in it", one_cpu::refill_leaves_what_is_used),
    ("free_stack: a stack that was given back is given out again", one_cpu::freed_stacks_come_back),
    ("wait: returns at once when the word has changed already", one_cpu::wait_sees_the_change),
    ("wait: ends at its deadline", one_cpu::wait_ends_at_its_deadline),
    ("tick_at: ticks once, not before the time", one_cpu::a_tick_comes_once),
    ("tick_at: a time in the past ticks now", one_cpu::a_past_tick_comes_now),
    ("tick_at: NEVER takes it back", one_cpu::a_tick_can_be_taken_back),
    ("kick: a CPU can kick itself", one_cpu::kick_myself),
    (
        "the allocator: its holder is not preempted",
        goroutines::the_allocators_holder_is_not_preempted,
    ),
    (
        "catch: what is raised comes, and all between is dropped once",
        goroutines::what_is_raised_comes,
    ),
];

/// These need a second CPU.
static TWO_CPUS: &[Check] = &[
    (
        "start_cpu: the other CPU finds its own block in GS and has room on its stack",
        two_cpus::the_other_cpu_starts,
    ),
    ("now: what one CPU saw is past for another", two_cpus::now_is_shared),
    ("wake: ends a wait, however close the two come", two_cpus::wakes_are_not_lost),
    ("wake: a CPU that doesn't sleep is left alone", two_cpus::waking_the_awake_is_harmless),
    ("kick: ticks on the other CPU and not here", two_cpus::kick_the_other),
    ("kick: reaches a CPU that sleeps", two_cpus::kick_a_sleeper),
    ("freeze_others: the other CPU stands still", two_cpus::frozen_cpus_stand_still),
];

/// Asks everything, tells each answer, returns how many were wrong. Leaves the other CPU frozen:
/// exit next.
///
/// `defaulted` names the hooks that this machine leaves to their defaults, such as `"kick"`. What
/// is asked of these is not put to it, and the answer is `None`: not offered. Only the machine's
/// author can know; a hook that is named here is not tested.
pub fn run(defaulted: &[&str], tell: &mut dyn FnMut(&'static str, Option<Verdict>)) -> usize {
    kit::set_up(0);
    let two: &[_] = if machine::cpus() > 1 { TWO_CPUS } else { &[] };
    let mut wrong = 0;
    for &(question, check) in ONE_CPU.iter().chain(two) {
        if question.split(':').next().is_some_and(|hook| defaulted.contains(&hook)) {
            tell(question, None);
            continue;
        }
        let verdict = check();
        wrong += verdict.is_err() as usize;
        tell(question, Some(verdict));
        if verdict.is_err() && question == CLOCK {
            break;
        }
    }
    wrong
}

/// An answer as programs print it.
pub struct Line(pub &'static str, pub Option<Verdict>);
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line(question, Some(Ok(()))) => write!(f, "ok      {question}"),
            Line(question, Some(Err(broken))) => write!(f, "BROKEN  {question}: {broken}"),
            Line(question, None) => write!(f, "-       {question}: not offered"),
        }
    }
}

/// How long "soon" may take on a machine that is emulated and shared: nothing is asserted to be
/// fast.
const SOON: u64 = 20_000_000_000;
const MS: u64 = 1_000_000;

fn expect(holds: bool, otherwise: &'static str) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// Spins until it holds; `false` when that isn't soon.
fn soon(mut holds: impl FnMut() -> bool) -> bool {
    let until = now() + SOON;
    while !holds() {
        if now() > until {
            return false;
        }
        relax();
    }
    true
}

fn pass(ns: u64) {
    let until = now() + ns;
    while now() < until {
        relax();
    }
}

// Ticks: `on_tick` counts them, and finds no goroutine to do anything about.

fn ticks(cpu: usize) -> u64 {
    kit::p_of(cpu).stats.ticks.get()
}

fn stack(size: usize) -> Result<Stack, &'static str> {
    machine::alloc_stack(size).ok_or("no stack to be had")
}

fn free(stack: Stack) {
    // SAFETY: each check frees its own stacks, once, and keeps nothing in them.
    unsafe { machine::free_stack(stack) }
}

/// Two CPUs print at the same time. Called instead of [`run`]; [`printed`] judges what came out.
pub fn print_at_once() -> Verdict {
    kit::set_up(0);
    two_cpus::print_at_once()
}

/// Whether this is what [`print_at_once`] has printed: each line in one piece, and each CPU's in
/// order. Lines of others may stand between them.
pub fn printed(output: &str) -> Verdict {
    two_cpus::printed(output)
}

/// Writes just below a stack: the machine must report a page fault and end the run. Returns if it
/// doesn't.
pub fn touch_guard() {
    let Ok(stack) = stack(STACK_BYTES) else {
        return;
    };
    let word = core::ptr::with_exposed_provenance_mut::<usize>(stack.lo - size_of::<usize>());
    // SAFETY: there is none: this must fault, and the test that calls it expects the run to end
    // here.
    unsafe { word.write_volatile(1) };
}
