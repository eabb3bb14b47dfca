//! A goroutine leaves its CPU: because it waits, or to let others run.
//!
//! **Rule (PARK-COMMIT):** what makes it findable for its waker (releasing a lock, publishing a
//! pointer) happens on g0, after it is saved: else another CPU could run it on its very stack.
//!
//! **Rule (PARKING):** whoever is about to park makes a [`Parking`] first, while nothing is changed
//! yet that a panic would leave behind: before the caller is in a queue, or counted. There
//! `mcall`'s check is made, so that parking enters `mcall` behind it. Where there is no goroutine
//! to park, a foreign thread (foreign.rs) panics, and a CPU's g0 throws.

use super::schedule::{Turn, execute, schedule, schedule_inline};
use super::wake::{becomes_runnable, put_last, slice_begins, wakep};
use crate::ground::chaos;
use crate::nouns::g::{ANY_CPU, BY_POLICY, G, Status, WaitReason};
use crate::nouns::m::{M, m};
use crate::nouns::sched::SCHED;
use crate::nouns::waitq::Parked;
use crate::switch::{OnG0, Parking};
use crate::tools::fatal::throw;
use crate::tools::lock::LockGuard;
use crate::tools::percpu;
use crate::tools::trace::Event;
use core::sync::atomic::Ordering::Relaxed;

/// The caller is about to park, and holds no lock. Panics on a thread that is no CPU.
#[inline(always)]
pub fn may_park() -> Parking {
    Parking::here().unwrap_or_else(|| cannot_park())
}

/// The caller is about to park, and holds this lock. Gives the guard back; or releases the lock,
/// and panics, on a thread that is no CPU.
#[inline(always)]
pub fn may_park_holding<T>(guard: LockGuard<'_, T>) -> (Parking, LockGuard<'_, T>) {
    let Some(parking) = Parking::here() else {
        guard.release_rarely();
        cannot_park()
    };
    (parking, guard)
}

/// Panics on a thread that is no CPU, and throws on a CPU's g0, where it is a bug of ours. The
/// caller ([`Parking::here`] gave it `None`) holds no lock any more: a panic's hook may take long.
#[cold]
#[inline(never)]
pub fn cannot_park() -> ! {
    if percpu::is_foreign() {
        panic!("not on a goroutine: this thread is no CPU, and cannot park")
    }
    throw("mcall: called on g0")
}

/// Parks the calling goroutine. `give` runs on g0 once it is saved (PARK-COMMIT), must not park,
/// and leaves it with whoever will ready it; if it gives it back there is nothing to wait for, and
/// the goroutine goes on. Panics if the reason is that of a `Mutex` or `RwLock`, and throws if a
/// lock is held after `give`. Go: `gopark`.
#[doc(alias = "gopark")]
#[inline]
pub fn park(parking: Parking, reason: WaitReason, give: impl FnOnce(Parked) -> Option<Parked>) {
    struct Give<F>(F);
    impl<F: FnOnce(Parked) -> Option<Parked>> OnG0 for Give<F> {
        #[inline(always)]
        fn run(self, g: &'static G) -> ! {
            let (m, g) = waits(m(), g, g);
            if self.0(Parked(g)).is_some() {
                let g = becomes_runnable(g);
                if percpu::is_calm() {
                    execute(m, g, Turn::Inherited);
                }
                put_last(m, g); // whoever never parks, though it would, yields when it shall
            }
            schedule_inline(m)
        }
    }
    parking.because(reason);
    parking.leave(Give(give));
}

/// Parks the calling goroutine, and releases the lock that keeps its waker away until then. Panics
/// if the reason is that of a `Mutex` or `RwLock`. Go: `goparkunlock`.
#[doc(alias = "goparkunlock")]
#[inline(always)]
pub fn park_unlock<T>(parking: Parking, reason: WaitReason, guard: LockGuard<'_, T>) {
    struct Release<'a, T>(LockGuard<'a, T>);
    impl<T> OnG0 for Release<'_, T> {
        #[inline(always)]
        fn run(self, g: &'static G) -> ! {
            g.waits_for.store(self.0.address(), Relaxed);
            let (m, guard) = waits(m(), g, self.0);
            guard.release_on_g0(); // from here on its owner may be gone
            schedule_inline(m)
        }
    }
    parking.because(reason);
    parking.leave(Release(guard));
}

/// `g` is off its stack and waits; nobody can find it yet. Gives back what the caller needs.
#[inline(always)]
fn waits<K>(m: &'static M, g: &'static G, keep: K) -> (&'static M, K) {
    chaos::stall(); // off its stack, and does not wait yet
    g.waiting_since.store(m.p.coarse_now.get(), Relaxed);
    g.set_status(Status::Running, Status::Waiting, "park: goroutine is not running");
    g.count(Event::Park, (m, keep))
}

/// The slow half of `yield_now`: the ring is full, or others wait in the global queue, and it goes
/// there, behind them; or a slice begins. It does not return, so `yield_m` saves no registers.
#[cold]
fn yield_slow(m: &'static M, unqueued: Option<&'static G>) -> ! {
    match unqueued {
        Some(g) if g.locked_to.load(Relaxed) >= BY_POLICY => {
            SCHED.put(g);
            wakep();
            slice_begins(m);
        }
        Some(g) => put_last(m, g),
        None => slice_begins(m),
    }
    schedule(m)
}

/// Lets the other goroutines of this P run before this one goes on. Goes to the end of this P's
/// queue, as Go's `goyield` does, or of the global one if that is not empty; Go's `Gosched` takes
/// the global one, and its lock, each time. Throws when pinned.
///
/// On this P's queue it wakes nobody: one goroutine goes on and one comes off, and all that had to
/// hear of the queued ones have been told.
#[doc(alias("Gosched", "goyield"))]
#[inline]
pub fn yield_now() {
    struct Yield;
    impl OnG0 for Yield {
        #[inline(always)]
        fn run(self, g: &'static G) -> ! {
            g.set_status(Status::Running, Status::Runnable, "yield: goroutine is not running");
            let m = m();
            let queued = g.locked_to.load(Relaxed) == ANY_CPU
                && !SCHED.has_global()
                && m.p.runq().put_in_room(g);
            if !queued || !m.in_slice() {
                yield_slow(m, (!queued).then_some(g))
            }
            schedule_inline(m)
        }
    }
    may_park().leave(Yield);
}
