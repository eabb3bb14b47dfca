//! A goroutine leaves its CPU: because it waits, or to let others run.
//!
//! **Rule (PARK-COMMIT):** what makes it findable for its waker (releasing a lock, publishing a
//! pointer) happens on g0, after it is saved: else another CPU could run it while it is on its
//! stack.
//!
//! **Rule (PARKING):** whoever is about to park makes a [`Parking`] first, while nothing is changed
//! yet that a panic would leave behind: before the caller is in a queue, or counted. There
//! `mcall`'s check is made, so that parking enters `mcall` behind it. Where there is no goroutine
//! to park, a foreign thread (foreign.rs) panics, and a CPU's g0 throws.
#![allow(unsafe_code)] // Leaving a goroutine, and moving a closure to g0.

use super::schedule::{Turn, execute, schedule, schedule_inline};
use super::wake::{put_last, slice_begins, wakep};
use crate::ground::chaos;
use crate::nouns::g::{ANY_CPU, G, Status, WaitReason, getg};
use crate::nouns::m::{M, m};
use crate::nouns::p::{P, p};
use crate::nouns::sched::SCHED;
use crate::tools::fatal::throw;
use crate::tools::lock::{Lock, LockGuard};
use crate::tools::trace::{self, Event};
use crate::{switch, tools::percpu};
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::sync::atomic::Ordering::Relaxed;

/// The caller's goroutine, about to park (PARKING): proof that the caller is on that goroutine's
/// own stack. It is not `Send`, so it stays in the goroutine. What runs on g0 in between must not
/// use it: what is given to `systemstack`, or to [`park`](crate::wait::park). (Debug builds look.)
pub struct Parking {
    g: &'static G,
    _not_send: PhantomData<*const ()>,
}

impl Parking {
    /// `None`: the caller is on no goroutine. It releases what it holds, and calls [`cannot_park`].
    #[inline(always)]
    pub fn here() -> Option<Parking> {
        let g = getg();
        let on_g0 = percpu::is_g0(core::ptr::from_ref(g).cast());
        if on_g0 { None } else { Some(Parking { g, _not_send: PhantomData }) }
    }

    /// The goroutine.
    #[inline(always)]
    pub fn g(&self) -> &'static G {
        self.g
    }

    /// Leaves it, as `mcall` does.
    ///
    /// # Safety
    /// `f` is sound with this arg, and does not return.
    #[inline(always)]
    unsafe fn leave(self, f: unsafe extern "C" fn(&'static G, *mut ()) -> !, arg: *mut ()) {
        debug_assert!(core::ptr::eq(self.g, getg()), "park: called on g0");
        // SAFETY: the caller's promise; the g is the caller's, for the token has not left it.
        unsafe { switch::call_mcall_from(self.g, f, arg) }
    }
}

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
/// caller ([`Parking::here`] gave it `None`) holds no lock any more: a panic's hook may take its
/// time.
#[cold]
#[inline(never)]
pub fn cannot_park() -> ! {
    if percpu::is_foreign() {
        panic!("not on a goroutine: this thread is no CPU, and cannot park")
    }
    throw("park: called on g0")
}

/// Parks the calling goroutine. `commit` runs on g0 once it is saved, and gives it to its waker; if
/// it returns `false` there is nothing to wait for, and the goroutine goes on. Throws if a lock is
/// still held after `commit`.
#[doc(alias = "gopark")]
pub(crate) fn park<F: FnOnce(&'static G) -> bool>(parking: Parking, reason: WaitReason, commit: F) {
    unsafe extern "C" fn park_m<F: FnOnce(&'static G) -> bool>(g: &'static G, arg: *mut ()) -> ! {
        // SAFETY: `commit` lies on the stack of g, which is saved and ours; it is read once.
        let commit = unsafe { arg.cast::<F>().read() };
        let (p, g) = waits(p(), g, g);
        if !commit(g) {
            g.set_status(Status::Waiting, Status::Runnable, "park: goroutine was readied by two");
            if percpu::is_calm() {
                execute(p, m(), g, Turn::Inherited);
            }
            put_last(p, m(), g); // whoever never parks, though it would, yields when it shall
        }
        schedule_inline(p, m())
    }
    parking.g.set_wait_reason(reason);
    let mut commit = ManuallyDrop::new(commit);
    // SAFETY: `park_m::<F>` fits `commit` and does not return.
    unsafe { parking.leave(park_m::<F>, (&raw mut commit).cast()) }
}

/// Parks the calling goroutine, and releases the lock that keeps its waker away until then. Go:
/// `goparkunlock`.
#[doc(alias = "goparkunlock")]
#[inline(always)]
pub fn park_unlock<T>(parking: Parking, reason: WaitReason, guard: LockGuard<'_, T>) {
    #[unsafe(link_section = "executive_switch")]
    unsafe extern "C" fn park_m<T>(g: &'static G, lock: *mut ()) -> ! {
        g.waits_for.store(lock.expose_provenance(), Relaxed);
        let (p, lock) = waits(p(), g, lock);
        // SAFETY: `keep` gave it. Nothing of it is used afterwards: its owner may have gone on.
        unsafe { (*lock.cast::<Lock<T>>()).release_held(true) };
        schedule_inline(p, m())
    }
    parking.g.set_wait_reason(reason);
    // SAFETY: `park_m::<T>` fits the lock and does not return.
    unsafe { parking.leave(park_m::<T>, guard.keep().cast_mut().cast()) }
}

/// `g` is off its stack and waits; nobody can find it yet. Gives back what the caller needs.
#[inline(always)]
fn waits<K>(p: &'static P, g: &'static G, keep: K) -> (&'static P, K) {
    chaos::stall(); // off its stack, and does not wait yet
    g.waiting_since.store(p.coarse_now.get(), Relaxed);
    g.set_status(Status::Running, Status::Waiting, "park: goroutine is not running");
    trace::record_keeping(Event::Park, (p, keep), || g.id())
}

/// The slow half of `yield_now`: the ring is full, or others wait in the global queue, and it goes
/// there, behind them; or a slice begins. It does not return, so `yield_m` saves no registers.
#[cold]
fn yield_slow(p: &'static P, m: &'static M, unqueued: Option<&'static G>) -> ! {
    match unqueued {
        Some(g) if g.locked_to.load(Relaxed) == ANY_CPU => {
            SCHED.put(g);
            wakep();
            slice_begins(m);
        }
        Some(g) => put_last(p, m, g),
        None => slice_begins(m),
    }
    schedule(p, m)
}

/// Lets the other goroutines of this P run before this one goes on. Goes to the end of this P's
/// queue, as Go's `goyield` does, or of the global one if that is not empty; Go's `Gosched` takes
/// the global one, and its lock, each time. Throws when pinned.
///
/// On this P's queue it wakes nobody: one goroutine goes on and one comes off, and all that had to
/// hear of the queued ones have been told.
#[doc(alias = "Gosched")]
#[doc(alias = "goyield")]
#[inline]
pub fn yield_now() {
    #[unsafe(link_section = "executive_switch")]
    unsafe extern "C" fn yield_m(g: &'static G, _: *mut ()) -> ! {
        g.set_status(Status::Running, Status::Runnable, "yield: goroutine is not running");
        trace::record(Event::Yield, || g.id());
        let (p, m) = (p(), m());
        let queued =
            g.locked_to.load(Relaxed) == ANY_CPU && !SCHED.has_global() && p.runq().put_in_room(g);
        if !queued || !m.in_slice() {
            yield_slow(p, m, (!queued).then_some(g))
        }
        schedule_inline(p, m)
    }
    let parking = may_park();
    // SAFETY: `yield_m` takes no argument and does not return.
    unsafe { parking.leave(yield_m, core::ptr::null_mut()) }
}
