//! Breaks the rules on purpose: for tests of what is said then, and for the console's `crash`.
//! Nothing else may use it.
//!
//! Each of these throws; that it cannot return is the claim under test, and so its type.
#![allow(unsafe_code)] // Calls of the switch that it must refuse.

use core::ptr::null_mut;
use executive::fatal::throw;
use executive::g::{G, getg};
use executive::kit::{self, systemstack};
use executive::wait::{Parked, may_park};
use executive::yield_now;

type OnG0 = unsafe extern "C" fn(&'static G, *mut ()) -> !;

/// `mcall` where there is no goroutine to leave.
pub fn mcall_on_g0() -> ! {
    systemstack(|| _ = may_park());
    throw("provoke: mcall on g0 came back")
}

/// `mcall` with a function that returns.
pub fn mcall_returns() -> ! {
    unsafe extern "C" fn returns(_: &'static G, _: *mut ()) {}
    // SAFETY: the same but for what it does at its end, which is what `mcall` must catch.
    let returns =
        unsafe { core::mem::transmute::<unsafe extern "C" fn(&'static G, *mut ()), OnG0>(returns) };
    // SAFETY: none; see above.
    unsafe { may_park().mcall(returns, null_mut()) };
    throw("provoke: mcall came back")
}

/// `systemstack` from a g that is neither g0 nor what its m runs.
pub fn systemstack_wrong_g() -> ! {
    kit::pin_for_good();
    // Now the m runs nobody, and we are still here.
    // SAFETY: the run ends below.
    unsafe { kit::forget_curg() };
    systemstack(|| ());
    throw("provoke: systemstack served a stranger")
}

/// Schedules with so many locks held; a pin is all that `schedule` sees of one.
pub fn schedule_holding_locks(locks: u64) -> ! {
    kit::pin_times(locks);
    yield_now();
    // It was queued before `schedule` looked, so another CPU may run it by now: that the CPU which
    // it left throws is the claim, and it ends the run.
    loop {
        core::hint::spin_loop();
    }
}

/// Readies a goroutine that does not wait: the caller.
pub fn ready_not_waiting() -> ! {
    // SAFETY: none: this is what `ready` must notice.
    unsafe { Parked::new(getg()) }.ready();
    throw("provoke: a running goroutine was made ready")
}
