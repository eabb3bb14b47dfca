//! TLB shootdown: every CPU forgets translations that were removed.
//!
//! Each flush has a number. A CPU that took pages away draws the next number, interrupts all
//! others, and waits until each has written that it has flushed for this number or a later one.
//! Only taking pages away needs it; making them present does not.
//!
//! **Rule:** wait with interrupts on. Two CPUs that flush at the same time then serve each other.

use crate::{apic, vectors};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use executive::param::MAX_CPUS;
use executive::percpu::{Pin, cpu};
use x86_64::instructions::{interrupts, tlb};

/// The last number drawn.
static DRAWN: AtomicU64 = AtomicU64::new(0);

struct Cpu {
    /// This CPU has its gates and answers.
    online: AtomicBool,
    /// The last number it has flushed for.
    flushed: AtomicU64,
}

static CPUS: [Cpu; MAX_CPUS] =
    [const { Cpu { online: AtomicBool::new(false), flushed: AtomicU64::new(0) } }; MAX_CPUS];

/// From here on the calling CPU answers flushes. By [`hold::join`](crate::hold::join) alone.
pub(crate) fn join() {
    CPUS[cpu()].online.store(true, Ordering::SeqCst);
    // A CPU that flushes just now may or may not have seen us. If not, our read of its number comes
    // after its write, and this flush is our answer. (A CPU walks page tables ahead of what it
    // runs: the flush also forgets what it found there before.)
    on_interrupt();
}

/// The CPUs that answer.
pub fn answering() -> impl Iterator<Item = usize> {
    CPUS.iter().enumerate().filter(|(_, cpu)| cpu.online.load(Ordering::Acquire)).map(|(n, _)| n)
}

/// How many CPUs answer.
pub fn online() -> usize {
    answering().count()
}

/// This CPU flushes. Interrupts off, or pinned.
pub fn on_interrupt() {
    // Acquire: partner of the increment in `everywhere`. Page walks after this load see the entries
    // cleared that were cleared before the number was drawn.
    let number = DRAWN.load(Ordering::Acquire);
    tlb::flush_all();
    // Release: partner of the Acquire in `everywhere`. Our use of the old translations came before.
    // If an interrupt in between has stored a higher number, that one stays.
    CPUS[cpu()].flushed.fetch_max(number, Ordering::Release);
}

/// When it returns, no CPU uses a translation that was removed before the call. Spins for as long
/// as it takes to interrupt every CPU, so gather pages first.
pub fn everywhere() {
    debug_assert!(interrupts::are_enabled());
    let _pin = Pin::new();
    let number = DRAWN.fetch_add(1, Ordering::AcqRel) + 1;
    let others =
        || CPUS.iter().enumerate().filter(|(n, c)| *n != cpu() && c.online.load(Ordering::Acquire));
    for (n, _) in others() {
        apic::send_ipi(n, vectors::FLUSH);
    }
    on_interrupt();
    for (_, other) in others() {
        while other.flushed.load(Ordering::Acquire) < number {
            core::hint::spin_loop();
        }
    }
}
