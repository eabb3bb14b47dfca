//! `--cfg fuzz`: a seed from the environment, which on one CPU decides the clock too. Without the
//! cfg nothing of it is compiled.
//!
//! The clock goes on by a little whenever it is read, and now and then by more. A sleep until a
//! deadline moves it there at once. A sleep for good ends the run, because nothing could wake the
//! only CPU. `on_tick` runs when the clock is read at or after the time asked for, at a point where
//! a signal could have come.
//!
//! Threads that are no CPU must not call the executive under a seed on one CPU: nothing here thinks
//! of them.
//!
//! So a run is a function of its seed, unless the program depends on the outer world (the real
//! clock, `HashMap`'s keys, addresses).

#[cfg(not(fuzz))]
mod real {
    use core::sync::atomic::AtomicU32;

    pub fn init() {}
    #[inline(always)]
    pub fn now() -> Option<u64> {
        None
    }
    #[inline(always)]
    pub fn wait(_: &AtomicU32, _: u32, _: u64) -> bool {
        false
    }
    #[inline(always)]
    pub fn tick_at(_: u64) -> bool {
        false
    }
    pub fn on_exit(_: i32) {}
}
#[cfg(not(fuzz))]
pub use real::*;

#[cfg(fuzz)]
mod seeded {
    use crate::{cpu, tick};
    use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
    use executive::kit::chaos::{one_in, random, seed};
    use executive::machine::{Interrupted, NEVER};

    /// There is one CPU, and the clock is ours.
    static VIRTUAL: AtomicBool = AtomicBool::new(false);
    static NOW: AtomicU64 = AtomicU64::new(1_000_000_000);
    static TICK: AtomicU64 = AtomicU64::new(NEVER);
    static SEED: AtomicU64 = AtomicU64::new(0);
    /// A sleep until later is for good: the clock could not go on from there.
    const END_OF_TIME: u64 = NEVER / 2;

    pub fn init() {
        let Ok(text) = std::env::var("EXECUTIVE_SEED") else { return };
        let value =
            text.trim().parse().unwrap_or_else(|_| panic!("EXECUTIVE_SEED={text}: not a number"));
        SEED.store(value, Relaxed);
        seed(value);
        VIRTUAL.store(cpu::count() == 1, Relaxed);
    }

    pub fn now() -> Option<u64> {
        if !VIRTUAL.load(Relaxed) {
            return None;
        }
        let step = match random() {
            r if r.is_multiple_of(5000) => 20_000_000, // more than a slice
            r if r.is_multiple_of(100) => r % 100_000,
            r => r % 100,
        };
        let now = NOW.fetch_add(u64::from(step), Relaxed) + u64::from(step);
        // There is one thread. Only `on_tick` reads the clock in between, with no tick asked for.
        if TICK.load(Relaxed) <= now {
            TICK.store(NEVER, Relaxed);
            executive::on_tick(&mut Interrupted { pc: 0, sp: 0, fp: 0 });
        }
        Some(now)
    }

    pub fn wait(word: &AtomicU32, expect: u32, deadline: u64) -> bool {
        // A wait may use up the timer. A futex does not, but some machines do.
        if one_in(2) && !tick_at(NEVER) {
            tick::tick_at(NEVER);
        }
        if !VIRTUAL.load(Relaxed) {
            return false;
        }
        // It may return early, and no wakeup can come meanwhile: there is no other CPU.
        if word.load(Relaxed) == expect && !one_in(4) {
            if deadline > END_OF_TIME {
                executive::fatal::throw("hosted: the only CPU sleeps for good");
            }
            NOW.fetch_max(deadline, Relaxed);
        }
        true
    }

    pub fn tick_at(deadline: u64) -> bool {
        let ours = VIRTUAL.load(Relaxed);
        if ours {
            TICK.store(deadline, Relaxed);
        }
        ours
    }

    /// Says how to repeat a run that failed; and, if asked, the time: a digest of all choices.
    pub fn on_exit(code: i32) {
        if std::env::var_os("EXECUTIVE_DIGEST").is_some() {
            eprintln!("digest {}", NOW.load(Relaxed));
        }
        if code != 0 && executive::kit::chaos::is_seeded() {
            eprintln!(
                "EXECUTIVE_SEED={} EXECUTIVE_CPUS={} makes this run again",
                SEED.load(Relaxed),
                cpu::count()
            );
        }
    }
}
#[cfg(fuzz)]
pub use seeded::*;
