//! The time stamp counter: reading it, and finding out whether two CPUs' counters agree.
//!
//! One time for all CPUs needs counters that started together. On recent machines they do, but some
//! firmware spoils it. So each CPU's counter is compared with the boot CPU's when the CPU starts
//! ([`Rally`]).
#![allow(unsafe_code)] // One instruction.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

/// Ticks of this CPU's counter. It is read after everything that precedes it in the program, so
/// that a CPU that hears of our event reads a later time (Intel SDM vol. 2B, RDTSC).
#[inline]
pub fn read() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter. Not `nomem`: memory accesses must not move across.
    unsafe {
        asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags))
    };
    u64::from(high) << 32 | u64::from(low)
}

/// Two CPUs, the boot CPU and a starting one, send each other the time, to and fro. If time goes
/// backwards on the way, their counters differ by more than the way takes. Each direction is tried
/// once: more tries would find smaller differences, but on a host with more virtual CPUs than cores
/// each can cost a time slice. A place is used once, so that neither CPU waits for the other to
/// clear it.
pub struct Rally {
    /// The strokes in order: the starting CPU's, the boot CPU's, and so on. 0: not yet played. One
    /// CPU stores each (Release); the other waits for it (Acquire, its partner).
    strokes: [AtomicU64; 3],
}

impl Rally {
    #[expect(clippy::new_without_default, reason = "made once, in a static")]
    pub const fn new() -> Self {
        Rally { strokes: [const { AtomicU64::new(0) }; 3] }
    }

    /// The starting CPU's half. If time went backwards, `disagree` is called before the boot CPU
    /// can go on: the last stroke is this CPU's, and its last use of `self`. Waits for the boot CPU
    /// without end, because one that gives up stops this CPU.
    pub fn serve(&self, disagree: impl FnOnce()) {
        let [first, answer, last] = &self.strokes;
        let begin = read();
        first.store(begin, Ordering::Release);
        let middle = wait_for(answer, || false).unwrap_or(0);
        let end = read();
        if backwards([begin, middle, end]) > 0 {
            disagree();
        }
        last.store(end, Ordering::Release);
    }

    /// The boot CPU's half. `None`: `gave_up` was true while it waited.
    pub fn answer(&self, mut gave_up: impl FnMut() -> bool) -> Option<Compared> {
        let [first, answer, last] = &self.strokes;
        let begin = wait_for(first, &mut gave_up)?;
        let middle = read();
        answer.store(middle, Ordering::Release);
        let end = wait_for(last, &mut gave_up)?;
        // The starting CPU's counter when this one's showed `middle`, if both ways took as long.
        let there = begin.wrapping_add(end.wrapping_sub(begin) / 2);
        Some(Compared {
            backwards: backwards([begin, middle, end]),
            ahead: there.wrapping_sub(middle) as i64,
            way: end.saturating_sub(begin) / 2,
        })
    }
}

/// How a starting CPU's counter compares with the boot CPU's, in ticks.
pub struct Compared {
    /// By how many time went backwards.
    pub backwards: u64,
    /// By how many the starting CPU's is ahead, give or take `way`.
    pub ahead: i64,
    /// How many a message took.
    pub way: u64,
}

fn wait_for(stroke: &AtomicU64, mut gave_up: impl FnMut() -> bool) -> Option<u64> {
    loop {
        match stroke.load(Ordering::Acquire) {
            0 if gave_up() => return None,
            0 => core::hint::spin_loop(),
            time => return Some(time),
        }
    }
}

fn backwards(times: [u64; 3]) -> u64 {
    times[0].saturating_sub(times[1]).max(times[1].saturating_sub(times[2]))
}
