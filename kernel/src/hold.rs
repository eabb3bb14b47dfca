//! Makes all other CPUs stand still for a moment, each between two of its instructions.
//!
//! Only so can a CPU touch the stack of a parked goroutine, which could be made to run at any time.
//! It is for rare things: it costs an interrupt on every CPU, and nobody runs meanwhile.
//!
//! **Rule:** a CPU that holds the lock of frames.rs does not stand still, but says so and is asked
//! again. Otherwise another CPU's page-fault handler, which spins for that lock with interrupts
//! off, would never stand still. (All other locks are spun for with interrupts on.)

#![allow(unsafe_code)] // Says that CPUs stand still.

use crate::{apic, flush, frames, vectors};
use core::sync::atomic::{AtomicU64, Ordering};
use executive::crash::{Still, stands_still};
use executive::lock::{Lock, Rank};
use executive::machine::Interrupted;
use executive::param::MAX_CPUS;
use executive::percpu::cpu;
use x86_64::instructions::tlb;

/// One at a time.
static HOLDER: Lock<()> = Lock::new(Rank::Stacks, ());

/// Odd while CPUs are held; each hold has a number of its own.
static ROUND: AtomicU64 = AtomicU64::new(0);

/// What each CPU answered in the last round that it heard of.
#[repr(align(64))]
struct Answer {
    /// The round in which it stands, or stood, still.
    stands: AtomicU64,
    /// The round in which it could not.
    cannot: AtomicU64,
}

static ANSWERS: [Answer; MAX_CPUS] =
    [const { Answer { stands: AtomicU64::new(0), cannot: AtomicU64::new(0) } }; MAX_CPUS];

/// From here on the calling CPU, whose interrupt gates are set up, answers flushes and holds.
pub fn join() {
    flush::join();
    // As in `flush::join`: a CPU that holds just now has seen us, or we see its round here. On g0
    // already, of which nothing is told.
    on_interrupt(&Interrupted { pc: 0, sp: 0, fp: 0 });
}

/// Another CPU asks this one to stand still, which was at `at`. From the interrupt's handler,
/// interrupts off.
pub fn on_interrupt(at: &Interrupted) {
    let round = ROUND.load(Ordering::Acquire);
    if round.is_multiple_of(2) {
        return; // over already: another CPU could not
    }
    let answer = &ANSWERS[cpu()];
    if frames::is_busy_here() {
        answer.cannot.store(round, Ordering::Release);
        return;
    }
    stands_still(at, || {
        // Release: all that this CPU did comes before what the holder does.
        answer.stands.store(round, Ordering::Release);
        while ROUND.load(Ordering::Acquire) == round {
            core::hint::spin_loop();
        }
    });
    // Before it uses any translation that the holder took away.
    tlb::flush_all();
}

/// Calls `f` while all other CPUs stand still. Afterwards every CPU flushes its TLB, the others
/// before they go on. `f` is called once, must take no lock, and must be short.
pub fn others(mut f: impl FnMut()) {
    let _one = HOLDER.lock();
    let me = cpu(); // the lock pins
    let others = || flush::answering().filter(|&n| n != me);
    loop {
        let round = ROUND.fetch_add(1, Ordering::AcqRel) + 1;
        others().for_each(|n| apic::send_ipi(n, vectors::HOLD));
        // Acquire: partner of both stores in `on_interrupt`.
        let stands = |n: usize| ANSWERS[n].stands.load(Ordering::Acquire) == round;
        let cannot = |n: usize| ANSWERS[n].cannot.load(Ordering::Acquire) == round;
        let all = others().all(|n| {
            while !stands(n) && !cannot(n) {
                core::hint::spin_loop();
            }
            stands(n)
        });
        if all {
            f();
            tlb::flush_all();
        }
        // Release: what `f` did comes before what they do.
        ROUND.fetch_add(1, Ordering::AcqRel);
        if all {
            return;
        }
        core::hint::spin_loop();
    }
}

/// Calls `f` while all other CPUs stand still: for whoever looks at what they leave behind
/// (`executive::stacks`, `executive::leaks`). As for [`others`]; they always come to stand still.
pub fn still(f: &mut dyn FnMut(Still)) -> bool {
    // SAFETY: all others stand still, and this CPU executes `f`: its caller is pinned by the lock.
    others(|| f(unsafe { Still::new() }));
    true
}
