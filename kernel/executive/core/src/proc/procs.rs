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

use super::wake::look;
use crate::nouns::m::m_of;
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
