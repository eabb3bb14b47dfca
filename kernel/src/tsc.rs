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
    unsafe {
        asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags))
    };
    u64::from(high) << 32 | u64::from(low)
}

/// Times served to and fro between the boot CPU and a starting one. Time that goes backwards on the way shows that the
/// counters differ by more than the way takes. Slots are used once, so neither waits for the other to forget.
pub struct Rally {
    /// Strokes in order: the starting CPU's, the boot CPU's, ... 0: not yet played. Each is written by one CPU and waited
    /// for by the other; the partner of each Release store is the other's Acquire load.
    strokes: [AtomicU64; Rally::STROKES],
}

impl Rally {
    /// To and fro and to again: each direction once. More would find smaller differences on cold caches; but on a host
    /// with more virtual CPUs than cores a stroke can cost a time slice.
    const STROKES: usize = 3;

    pub const fn new() -> Self {
        Rally {
            strokes: [const { AtomicU64::new(0) }; Rally::STROKES],
        }
    }

    /// The starting CPU's half. Waits for the other without end: a boot CPU that gives up stops this CPU.
    pub fn serve(&self) {
        for (i, stroke) in self.strokes.iter().enumerate() {
            if i % 2 == 0 {
                stroke.store(read(), Ordering::Release);
            } else {
                while stroke.load(Ordering::Acquire) == 0 {
                    core::hint::spin_loop();
                }
            }
        }
    }

    /// The boot CPU's half: `None` if `gave_up` says so while waiting, else by how many ticks time was seen to go backwards.
    pub fn answer(&self, mut gave_up: impl FnMut() -> bool) -> Option<u64> {
        for (i, stroke) in self.strokes.iter().enumerate() {
            if i % 2 == 1 {
                stroke.store(read(), Ordering::Release);
            }
            while stroke.load(Ordering::Acquire) == 0 {
                if gave_up() {
                    return None;
                }
                core::hint::spin_loop();
            }
        }
        let times = self
            .strokes
            .each_ref()
            .map(|stroke| stroke.load(Ordering::Relaxed));
        let backwards = times.windows(2).map(|pair| pair[0].saturating_sub(pair[1]));
        Some(backwards.max().unwrap_or(0))
    }
}
