//! A goroutine that is given up: it parks for good, and keeps what it has.
//!
//! Code that the firmware wrote is run by goroutines (device/pins.rs). It may go on for ever, or
//! want more memory than there is; and neither can be unwound. But a goroutine that is preempted,
//! or that panics because memory has run out, is on its own stack, where it may park.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use executive::sync::Semaphore;
use executive::wait::can_park;
use executive::{goid, preempt_yield};

/// The goroutine that parks when memory runs out for it; 0: none does. Written by itself.
static EXPENDABLE: AtomicU64 = AtomicU64::new(0);
/// The goroutine that parks when it is preempted. Whoever sees the number late parks a little
/// later: nothing else hangs on it.
static GIVEN_UP: AtomicU64 = AtomicU64::new(0);

/// From here on the calling goroutine parks for good where the run would end because memory has
/// run out.
pub fn expend() {
    EXPENDABLE.store(goid(), Relaxed);
}

/// From its next preemption on that goroutine runs no more.
pub fn give_up(goid: u64) {
    GIVEN_UP.store(goid, Relaxed);
}

/// What a preempted goroutine calls, its vector registers saved.
pub extern "C" fn yield_or_stay() {
    preempt_yield();
    if goid() == GIVEN_UP.load(Relaxed) {
        stay();
    }
}

/// Memory has run out for the calling goroutine. Returns if that is the end of the run.
pub fn out_of_memory() {
    if can_park() && goid() == EXPENDABLE.load(Relaxed) {
        stay();
    }
}

fn stay() -> ! {
    static NEVER: Semaphore = Semaphore::new(0);
    loop {
        NEVER.acquire();
    }
}
