//! Start-up: a list, one call a line. Go: `rt0_go`, `schedinit`, `runtime.main`.

use super::join::go_detached;
use super::schedule::schedule;
use crate::ground::param::MAX_CPUS;
use crate::nouns::g::Status;
use crate::nouns::m::{CpuState, m, m_of, p_of};
use crate::nouns::sched::SCHED;
use crate::{ground::machine, switch, tools::percpu};
use core::panic::Location;
use core::sync::atomic::Ordering::Relaxed;
use spin::Once;

static MAIN: Once<fn()> = Once::new();

/// Runs `main` as goroutine 1, on CPU 0, which is the caller, and starts the other CPUs. When
/// `main` returns the run is over, with status 0, whatever the other goroutines do (as in Go).
///
/// Called by the machine, once.
#[doc(alias("rt0_go", "schedinit"))]
pub fn start(main: fn()) -> ! {
    MAIN.call_once(|| main);
    let cpus = machine::cpus().clamp(1, MAX_CPUS);
    for cpu in 0..cpus {
        set_up(cpu);
    }
    if cpus == 1 {
        p_of(0).runq.leave_alone();
    }
    SCHED.set_cpus(1);
    m_of(0).start(0, switch::mstart);
    unreachable!("start_cpu(0) does not return")
}

/// A CPU's m, g0 and p, before it runs.
pub fn set_up(cpu: usize) {
    let m = m_of(cpu);
    m.set_up(cpu);
    m.g0.set_status(Status::Idle, Status::Running, "set_up: g0 was used");
}

/// What a CPU does first, on its g0 ([`switch::mstart`] calls it).
pub(crate) extern "C" fn mstart1() -> ! {
    m().set_state(CpuState::Running);
    if percpu::cpu() == 0 {
        start_others();
        start_main();
    }
    schedule(m())
}

/// One call for each CPU that there may be. If one does not come up, the next gets its number.
fn start_others() {
    for _ in 1..machine::cpus().min(MAX_CPUS) {
        let cpu = SCHED.cpus();
        // Counted before it can go idle: else it could find everyone asleep.
        SCHED.set_cpus(cpu + 1);
        m_of(cpu).set_state(CpuState::Searching); // from here on others may count on it
        if !m_of(cpu).start(cpu, switch::mstart) {
            m_of(cpu).set_state(CpuState::Offline);
            SCHED.set_cpus(cpu); // reported by the machine; we go on without it
        }
    }
}

/// Goroutine 1.
#[doc(alias = "runtime.main")]
fn start_main() {
    let main = || {
        SCHED.born_next.store(!SCHED.has_policy(), Relaxed);
        MAIN.get().expect("`start` sets it")();
        machine::exit(0)
    };
    if go_detached(Location::caller(), "main", main).is_err() {
        crate::tools::fatal::throw("start: no memory for the main goroutine");
    }
}
