//! The stacks of goroutines in a living system.
//!
//! **Rule:** a stack is read while all CPUs stand still (still.rs). A goroutine that is off its CPU
//! is saved then, and nobody resumes it. One that runs is where its CPU was interrupted, which the
//! CPU has noted before it stood still: if it was on the goroutine's stack, and not on g0. So what
//! is told is a stack that the goroutine had, with the state that goes with it. Where the machine
//! cannot make CPUs stand still nothing is told.
//!
//! Nothing outside of `[stack pointer, the stack's end)` is read. There each word of a chain
//! of frames was written by a call, so its page is there: what `Resting` lets a machine take back
//! lies below. Were a frame pointer wrong, and its page not there, the fault would back it, as it
//! would for a goroutine.
//!
//! CPUs stand still for a batch at a time, some microseconds, and the next batch is told as it is
//! then. (Go stops the world for all.)
//!
//! An event of a trace has a stack, too, if it is asked for ([`start_trace`]): of the goroutine
//! that is told of, by its CPU, which has just left it, or is on it.
//!
//! Rejected: to read without stopping anybody, and to drop what has changed meanwhile. It takes a
//! count of a goroutine's runs to know: an instruction in each switch, for what hardly anybody
//! asks.

use super::crash::{self, Calls, Still};
use super::still::stand_still;
pub use super::still::{StandStill, offer};
use super::trace::{self, Event};
use crate::param::STACKS_AT_ONCE;
use alloc::vec::Vec;
use executive_core::g::{G, Status, WaitReason, getg};
use executive_core::kit::{SCHED, Seen, on_g0};
use spin::Once;

/// A goroutine that has not ended, as it stood.
pub struct Standing<'a> {
    /// Who it is.
    pub seen: Seen,
    /// What it did: it was running, runnable or waiting.
    pub status: Status,
    /// Why it waited, if it did.
    pub reason: WaitReason,
    /// Since when it waited (coarse time, ns); 0: it did not.
    pub since: u64,
    /// Where it goes on, then the calls that led there, innermost first: the first 32. Empty: its
    /// CPU was on g0, or that is not known.
    pub frames: &'a [usize],
}

struct One {
    seen: Seen,
    status: Status,
    reason: WaitReason,
    since: u64,
    frames: usize,
}

/// Tells of all goroutines that have not ended, of the caller too. Allocates; takes a lock of the
/// machine's, and interrupts each CPU for every 64 g's that were ever made.
/// Go: the profile `goroutine` and `runtime.Stack`.
pub fn all(mut tell: impl FnMut(Standing<'_>)) {
    let me = getg();
    let own = Calls::of(|tell| crash::own_frames(tell));
    let mut ones: Vec<One> = Vec::with_capacity(STACKS_AT_ONCE);
    let mut frames: Vec<usize> = Vec::with_capacity(STACKS_AT_ONCE * Calls::MOST);
    let mut last = None;
    loop {
        let mut next = None;
        let mut batch = |still: Option<&Still>| {
            for g in SCHED.all_after(last).take(STACKS_AT_ONCE) {
                next = Some(g);
                let Some(one) = look(g) else { continue };
                let calls = match (still, one.status) {
                    _ if core::ptr::eq(g, me) => &own,
                    (None, _) => &Calls::of(|_| ()),
                    (Some(still), Status::Running) => {
                        &Calls::of(|tell| crash::running_frames(g, still, tell))
                    }
                    (Some(_), _) => &Calls::of(|tell| crash::saved_frames(g, tell)),
                };
                frames.extend_from_slice(calls.frames()); // allocates nothing: there is room
                ones.push(One { frames: calls.frames().len(), ..one });
            }
        };
        if !stand_still(&mut |still| batch(Some(&still))) {
            batch(None);
        }
        let Some(g) = next else { return };
        last = Some(g);
        let mut rest = &frames[..];
        for One { seen, status, reason, since, frames } in ones.drain(..) {
            let (frames, after) = rest.split_at(frames);
            rest = after;
            tell(Standing { seen, status, reason, since, frames });
        }
        frames.clear();
    }
}

/// As [`trace::start`], and `number` tells what to note of the calls that led to each event that is
/// a goroutine's doing: that it parks or is preempted, starts or readies another, or says
/// something. It gets the innermost 32, where the last is first (the recorder's own may come before
/// it), is called pinned, on g0, or in a handler, takes no lock and allocates nothing. Each call
/// gives the same one.
pub fn start_trace(number: fn(&[usize]) -> u16) {
    NUMBER.call_once(|| number);
    trace::start_with(stack_of);
}

static NUMBER: Once<fn(&[usize]) -> u16> = Once::new();

/// The number of the calls that led to an event; 0: it has none.
fn stack_of(event: Event, g: Option<&'static G>) -> u16 {
    let calls = match (event, g) {
        (Event::Park | Event::Preempt, Some(g)) => Calls::of(|tell| crash::saved_frames(g, tell)),
        (Event::Ready | Event::Begin | Event::Finish | Event::Message, _) if on_g0() => return 0,
        (Event::Go | Event::Ready | Event::Begin | Event::Finish | Event::Message, _) => {
            Calls::of(|tell| crash::goroutine_frames(tell))
        }
        _ => return 0,
    };
    match calls.frames() {
        [] => 0,
        calls => NUMBER.get().map_or(0, |number| number(calls)),
    }
}

fn look(g: &G) -> Option<One> {
    let (seen, status) = (g.seen()?, g.status());
    let waits = match status {
        Status::Waiting => true,
        Status::Running | Status::Runnable => false,
        Status::Idle | Status::Dead => return None,
    };
    let reason = if waits { g.wait_reason() } else { WaitReason::None };
    let since = if waits { g.waiting_since() } else { 0 };
    Some(One { seen, status, reason, since, frames: 0 })
}
