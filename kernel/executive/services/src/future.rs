//! Futures on goroutines: a goroutine runs one by polling it and parking, and its waker readies the goroutine.
//!
//! A waker *is* its goroutine, and g's are never freed; so wakers cost no memory, may be kept for ever, and one that is called too late does no more than make
//! somebody poll once too often, which every future allows.
//!
//! Wakers are counted (wakeword.rs): a goroutine that waits for a future may be woken by somebody as
//! long as there is one. If there is none, and all else waits, that is a deadlock.
#![allow(unsafe_code)] // A raw waker's table.

use crate::nouns::g::{G, WaitReason, getg, on_g0};
use crate::nouns::sched::SCHED;
use crate::proc::join::{JoinHandle, go};
use crate::proc::{park::park, preempt::look_soon, wake::ready, wake::wakep};
use crate::tools::percpu;
use core::future::Future;
use core::mem::ManuallyDrop;
use core::pin::pin;
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

/// Runs a future to its end; parks the calling goroutine while it is pending.
///
/// It waits for whoever keeps a clone of its [`Waker`]: a goroutine, an interrupt handler, a thread.
/// When all goroutines wait and there is no clone, nor anything else to come, that is a deadlock, and
/// the run ends.
///
/// ```no_run
/// assert_eq!(executive::block_on(async { 6 * 7 }), 42);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let me = getg();
    // SAFETY: the table fits, and g's are never freed. Not dropped: it is lent, and not counted.
    let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw(me)) });
    let mut context = Context::from_waker(&waker);
    loop {
        me.future.begin_poll();
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            me.future.is_done();
            percpu::point();
            return output;
        }
        park(me, WaitReason::Future, |me| me.future.park(&SCHED.injected));
    }
}

/// Starts a goroutine that runs a future to its end.
///
/// ```no_run
/// let h = executive::go_future(async { 6 * 7 });
/// assert_eq!(h.join(), 42);
/// ```
#[track_caller]
pub fn go_future<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    go(move || block_on(future))
}

fn raw(g: &'static G) -> RawWaker {
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);
    RawWaker::new(core::ptr::from_ref(g).cast(), &TABLE)
}

// The table's functions may be called from anywhere: by a goroutine, a timer's firing, an interrupt
// handler, a foreign thread.

fn of(waker: *const ()) -> &'static G {
    // SAFETY: a waker's data is a g, as `raw` made it.
    unsafe { &*waker.cast::<G>() }
}

fn clone(waker: *const ()) -> RawWaker {
    let g = of(waker);
    g.future.add_waker(&SCHED.injected);
    raw(g)
}

fn wake(waker: *const ()) {
    wake_by_ref(waker);
    drop_waker(waker);
}

fn wake_by_ref(waker: *const ()) {
    let g = of(waker);
    if !g.future.wake(&SCHED.injected) {
        return;
    }
    if on_own_stack() {
        ready(g);
        SCHED.injected.expect_no_more();
    } else {
        // In a handler, perhaps: no queue of this P and no lock may be touched. Or on a foreign thread.
        SCHED.injected.hand_over(g);
        wakep();
        look_soon();
    }
}

fn drop_waker(waker: *const ()) {
    if of(waker).future.drop_waker(&SCHED.injected) {
        // Quietly unpinned: in a handler there must be no switch.
        percpu::pin();
        wakep(); // whoever sleeps has counted on us, and looks again whether it is a deadlock
        percpu::unpin_quietly();
    }
}

/// Whether we run on the stack of the goroutine that this CPU runs. A handler has a stack of its own (IRQ-CLEAN).
fn on_own_stack() -> bool {
    let here = 0u8;
    !on_g0() && getg().stack().contains((&raw const here).addr())
}
