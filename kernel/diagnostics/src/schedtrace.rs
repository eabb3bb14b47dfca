//! What all P's have queued, in a line: Go's `GODEBUG=schedtrace=1000`.

use core::fmt;
use executive::{CpuState, affinity, census, machine};

/// The line, as of when it is displayed: `SCHED 1004ms: gomaxprocs=4 idleprocs=2 ..`. The list in
/// brackets is how many goroutines each P has queued.
///
/// The words are Go's. A P stays with its M here, so `idlethreads` is `idleprocs`, and nobody
/// leaves a mark for a searcher to come: `needspinning` is 0. Takes no lock; a snapshot.
#[doc(alias = "schedtrace")]
pub struct Line;

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let procs = affinity::cpus();
        let in_state = |state| census::cpu_reports().filter(move |cpu| cpu.state == state);
        let idle = in_state(CpuState::Idle).count() + in_state(CpuState::Napping).count();
        write!(
            f,
            "SCHED {}ms: gomaxprocs={procs} idleprocs={idle} threads={} spinningthreads={} \
             needspinning=0 idlethreads={idle} runqueue={} [ ",
            machine::now() / 1_000_000,
            affinity::num_cpus(),
            in_state(CpuState::Searching).count(),
            census::global_queue(),
        )?;
        for cpu in census::cpu_reports().take(procs) {
            write!(f, "{} ", cpu.queued)?;
        }
        f.write_str("]")
    }
}
