//! The time stamp counter: reading it, and finding out whether two CPUs' counters agree.
//!
//! One time for all CPUs rests on counters that started together. They do on any recent machine, and firmware
//! still spoils it now and then; so each CPU's counter is compared with the boot CPU's as it starts ([`Rally`]).
#![allow(unsafe_code)] // One instruction.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

/// Ticks of this CPU's counter. Not read before what precedes it in the program is done, so that who
/// hears of an event after us also reads a later time (Intel SDM vol. 2B, RDTSC).
#[inline]
pub fn read() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter. Not `nomem`: memory accesses must not move across.
    unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Times served to and fro between the boot CPU and a starting one. Time that goes backwards on the way shows that the
/// counters differ by more than the way takes. Each direction is tried once: more would find smaller differences, but on a host with
/// more virtual CPUs than cores a stroke can cost a time slice. Slots are used once, so neither waits for the other to forget.
pub struct Rally {
    /// Strokes in order: the starting CPU's, the boot CPU's, ... 0: not yet played. Each is written by one CPU and waited
    /// for by the other; the partner of each Release store is the other's Acquire load.
    strokes: [AtomicU64; 3],
}

impl Rally {
    #[expect(clippy::new_without_default, reason = "made once, in a static")]
    pub const fn new() -> Self {
        Rally { strokes: [const { AtomicU64::new(0) }; 3] }
    }

    /// The starting CPU's half. `disagree` is called if time was seen to go backwards, before the boot CPU can go on: the last
    /// stroke is this CPU's, and its last use of `self`. Waits for the other without end: a boot CPU that gives up stops
    /// this CPU.
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

    /// The boot CPU's half: by how many ticks time was seen to go backwards. `None`: `gave_up` said so while waiting.
    pub fn answer(&self, mut gave_up: impl FnMut() -> bool) -> Option<u64> {
        let [first, answer, last] = &self.strokes;
        let begin = wait_for(first, &mut gave_up)?;
        let middle = read();
        answer.store(middle, Ordering::Release);
        let end = wait_for(last, &mut gave_up)?;
        Some(backwards([begin, middle, end]))
    }
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
