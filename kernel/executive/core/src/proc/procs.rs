//! How many CPUs run goroutines can be changed while they do: CPUs are switched off and on
//! (docs/decisions/0007). A CPU sees its own mark (`M::is_off`) when it comes to `schedule`, which
//! it does soon, being woken or kicked; idle.rs tells why nothing is lost.
//!
//! **Rule:** one at a time changes marks, then looks whether that CPU sleeps. CPU 0 is never off.

use super::wake::look;
use crate::nouns::g::{BY_POLICY, getg};
use crate::nouns::m::{m, m_of};
use crate::nouns::sched::SCHED;
use crate::tools::lock::{Lock, Rank};
use crate::tools::percpu::Pin;
use core::sync::atomic::Ordering::Relaxed;

/// One change at a time.
static TURN: Lock<()> = Lock::new(Rank::User, ());

/// From here on the first `n` CPUs run goroutines, or all, if there are fewer; returns how many
/// did. The others come to `schedule` soon. `n` is not 0. Go: `GOMAXPROCS`, `procresize`.
#[doc(alias("GOMAXPROCS", "procresize"))]
pub fn set_procs(n: usize) -> usize {
    let _turn = TURN.lock();
    let (before, n) = (SCHED.procs.get(), n.min(SCHED.cpus()));
    SCHED.procs.set(n);
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

/// How many CPUs run goroutines.
pub fn procs() -> usize {
    SCHED.procs.get()
}

/// How many CPUs there are.
pub fn cpus() -> usize {
    SCHED.cpus()
}

/// From its next park or yield on the caller runs on this CPU alone, or on any. Returns the last.
#[doc(alias = "LockOSThread")]
pub fn lock_to(cpu: Option<usize>) -> Option<usize> {
    let cpu = cpu.map_or_else(|| SCHED.anywhere.load(Relaxed), |cpu| cpu as u32);
    let before = getg().locked_to.swap(cpu, Relaxed);
    (before < BY_POLICY).then_some(before as usize)
}

/// Whether the calling goroutine, which is not locked, runs on a CPU that is switched off.
pub fn should_leave() -> bool {
    let _pin = Pin::new();
    m().is_off() && getg().locked_to.load(Relaxed) >= BY_POLICY
}
