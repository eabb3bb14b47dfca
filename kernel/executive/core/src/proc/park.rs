//! A goroutine leaves its CPU: because it waits, or to let others run.
//!
//! **Rule (PARK-COMMIT):** what makes it findable for its waker (releasing a lock, publishing a pointer) happens on g0, after the g is saved. Otherwise
//! another CPU could run it while it still stands on its stack.
#![allow(unsafe_code)] // Calls of `mcall`, and moving a closure to g0.

use super::schedule::{Turn, execute, schedule, schedule_inline};
use super::wake::{put_last, slice_begins, wakep};
use crate::ground::chaos;
use crate::nouns::g::{ANY_CPU, G, Status, WaitReason};
use crate::nouns::m::{M, m};
use crate::nouns::p::{P, p};
use crate::nouns::sched::SCHED;
use crate::tools::lock::{Lock, LockGuard};
use crate::tools::trace::{self, Event};
use crate::{switch, tools::percpu};
use core::mem::ManuallyDrop;
use core::sync::atomic::Ordering::Relaxed;

/// Parks the calling goroutine, which is `me`. `commit` runs on g0 once it is saved, and gives it to its waker; if it says `false` there is nothing
/// to wait for, and the goroutine goes on. Throws on g0, and if a lock is still held after `commit`. Go: `gopark`.
#[doc(alias = "gopark")]
pub(crate) fn park<F: FnOnce(&'static G) -> bool>(me: &G, reason: WaitReason, commit: F) {
    unsafe extern "C" fn park_m<F: FnOnce(&'static G) -> bool>(g: &'static G, arg: *mut ()) -> ! {
        // SAFETY: `arg` is `commit` on the stack of g, which is saved and still ours; it is read once and forgotten there.
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
    me.set_wait_reason(reason);
    let mut commit = ManuallyDrop::new(commit);
    // SAFETY: `park_m::<F>` fits `commit` and does not return.
    unsafe { switch::call_mcall(park_m::<F>, (&raw mut commit).cast()) }
}

/// Parks the calling goroutine, which is `me`, and releases the lock under which its waker will find it. Go: `goparkunlock`.
#[doc(alias = "goparkunlock")]
#[inline(always)]
pub fn park_unlock<T>(me: &G, reason: WaitReason, guard: LockGuard<'_, T>) {
    #[unsafe(link_section = "executive_switch")]
    unsafe extern "C" fn park_m<T>(g: &'static G, lock: *mut ()) -> ! {
        g.waits_for.store(lock.expose_provenance(), Relaxed);
        let (p, lock) = waits(p(), g, lock);
        // SAFETY: `keep` gave it. Nothing of it is used afterwards: its owner may have gone on.
        unsafe { (*lock.cast::<Lock<T>>()).release_held(true) };
        schedule_inline(p, m())
    }
    me.set_wait_reason(reason);
    // SAFETY: `park_m::<T>` fits the lock and does not return.
    unsafe { switch::call_mcall(park_m::<T>, guard.keep().cast_mut().cast()) }
}

/// `g` is off its stack and waits; nobody can find it yet. Gives back what the caller goes on with.
#[inline(always)]
fn waits<K>(p: &'static P, g: &'static G, keep: K) -> (&'static P, K) {
    chaos::stall(); // off its stack, and does not wait yet
    g.waiting_since.store(p.coarse_now.get(), Relaxed);
    g.set_status(Status::Running, Status::Waiting, "park: goroutine is not running");
    trace::record_keeping(Event::Park, (p, keep), || g.id())
}

/// When it is not just a place in the ring: others are in the global queue already, or there is no room, and it goes there, behind them. Nothing in `yield_m` returns to it, so it saves no registers.
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

/// Lets the other goroutines of this P run before this one goes on. Goes to the end of this P's queue, as Go's `goyield` does, or of the global one if
/// that is not empty; Go's `Gosched` takes the global one, and its lock, each time. Throws when pinned.
///
/// In the first case it wakes nobody: one goroutine goes on the queue and one comes off, and whoever had to hear of the queued ones has been told.
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
    // SAFETY: `yield_m` takes no argument and does not return.
    unsafe { switch::call_mcall(yield_m, core::ptr::null_mut()) }
}
