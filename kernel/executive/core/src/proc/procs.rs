//! How many CPUs run goroutines can be changed while they do: CPUs are switched off and on. Go:
//! `GOMAXPROCS`, `procresize`.
//!
//! Go stops the world for it. Here the CPU itself sees the mark
//! ([`M::is_off`](crate::nouns::m::M::is_off)) when it comes to `schedule`, which it does soon: it is
//! woken, or kicked. Then it hands over all that others can do, and resigns; idle.rs tells why
//! nothing is lost.
//!
//! **Rule:** marks are changed by one at a time, who then looks whether that CPU sleeps. CPU 0 is
//! never switched off: timers go to it.

use super::preempt::kick_hogs;
use super::reclaim::give_free;
use super::schedule::{stop_m_off, take_injected};
use super::wake::{look, startm};
use crate::ground::machine::NEVER;
use crate::nouns::g::G;
use crate::nouns::m::{CpuState, M, m_of};
use crate::nouns::p::{P, p_of};
use crate::nouns::runq::List;
use crate::nouns::sched::SCHED;
use crate::tools::lock::{Lock, Rank};

/// One change at a time.
static TURN: Lock<()> = Lock::new(Rank::User, ());

/// From here on the first `n` CPUs run goroutines, or all, if there are fewer; returns how many
/// did. The others finish what they are at: they are told to come to `schedule` soon. `n` is not 0.
pub(crate) fn set_procs(n: usize) -> usize {
    let _turn = TURN.lock();
    let (before, n) = (SCHED.procs(), n.min(SCHED.cpus()));
    SCHED.set_procs(n);
    for cpu in n..before {
        m_of(cpu).set_off(true);
        look(cpu);
    }
    for cpu in before..n {
        m_of(cpu).set_off(false);
        look(cpu);
    }
    before
}

/// One look on a CPU that is switched off: a goroutine that is locked to it, and whether it runs on
/// its predecessor's slice; or none: then the CPU has slept. On g0.
#[cold]
pub(super) fn off_duty(p: &'static P, m: &'static M) -> Option<(&'static G, bool)> {
    if !SCHED.injected.is_empty() {
        take_injected();
    }
    hand_over(p, m);
    if m.has_inbox() {
        // The ring is empty, so the first in line is never made to wait.
        let readied = m.take_readied().map(|g| (g, true));
        return readied.or_else(|| m.take_in_line(&p.runq()).map(|g| (g, false)));
    }
    stop_m_off(p);
    None
}

/// All that others can do is theirs from here on; and somebody else searches, if this CPU did.
fn hand_over(p: &P, m: &M) {
    let mut batch = List::new();
    while let Some((g, _)) = p.runq().get() {
        batch.push_back(g);
    }
    let any = !batch.is_empty();
    if any {
        SCHED.put_batch(batch);
    }
    if p.timers.next() != NEVER {
        p.timers.move_to(&p_of(0).timers, 0);
        look(0);
    }
    give_free(p);
    let searching = m.spinning.replace(false);
    if searching {
        m.set_state(CpuState::Running);
    }
    // On their way they were in no queue: a CPU that rechecked everything just then sleeps now.
    if (any || searching)
        && let Some(cpu) = SCHED.idle.resign(searching)
    {
        startm(cpu);
    }
    if any {
        kick_hogs(); // those on whose CPUs nobody else waits
    }
}
