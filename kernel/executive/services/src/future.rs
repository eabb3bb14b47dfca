//! Futures on goroutines: a goroutine runs one by polling it and parking, and its waker readies the goroutine.
//!
//! A waker *is* its goroutine, and g's are never freed; so wakers cost no memory, may be kept for ever, and one that is called too late does no more than make
//! somebody poll once too often, which every future allows.
//!
//! **Rule:** `G::future` goes from IDLE to WOKEN by a waker, or to PARKED by the goroutine, on g0, after it was saved; from PARKED to WOKEN by one waker, which then has the goroutine.
#![allow(unsafe_code)] // A raw waker's table.

use crate::ground::atomic::Ordering;
use crate::nouns::g::{G, WaitReason, getg, on_g0};
use crate::nouns::sched::SCHED;
use crate::proc::join::{JoinHandle, go};
use crate::proc::{park::park, preempt::look_soon, wake::ready, wake::wakep};
use crate::tools::percpu;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

const IDLE: u32 = 0;
const WOKEN: u32 = 1;
const PARKED: u32 = 2;

/// Runs a future to its end; parks the calling goroutine while it is pending.
///
/// ```no_run
/// assert_eq!(executive::block_on(async { 6 * 7 }), 42);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let me = getg();
    // SAFETY: the table fits, and g's are never freed.
    let waker = unsafe { Waker::from_raw(raw(me)) };
    let mut context = Context::from_waker(&waker);
    loop {
        // AcqRel: partner of the swap in `wake`: the poll sees what the waker did before.
        me.future.swap(IDLE, Ordering::AcqRel);
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            // If we run within another future's poll its wakers may have called while we took no notice.
            me.future.store(WOKEN, Ordering::Relaxed);
            percpu::point();
            return output;
        }
        park(me, WaitReason::Future, |me| {
            // Nobody knows who has the waker; it may be a handler, so that sleeping CPUs are no deadlock.
            SCHED.injected.expect();
            // AcqRel: the waker that finds PARKED finds it saved.
            let parked = me.future.compare_exchange(IDLE, PARKED, Ordering::AcqRel, Ordering::Acquire).is_ok();
            if !parked {
                SCHED.injected.expect_no_more();
            }
            parked
        });
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
    static TABLE: RawWakerVTable = RawWakerVTable::new(
        // SAFETY: the data is a g, as `raw` made it.
        |g| raw(unsafe { &*g.cast::<G>() }),
        wake,
        wake,
        |_| {},
    );
    RawWaker::new(core::ptr::from_ref(g).cast(), &TABLE)
}

/// May be called from anywhere: a goroutine, a timer's firing, an interrupt handler, a foreign thread.
fn wake(g: *const ()) {
    // SAFETY: as above.
    let g: &'static G = unsafe { &*g.cast::<G>() };
    // AcqRel: partner of the swap in `block_on`, and of the exchange in its park.
    if g.future.swap(WOKEN, Ordering::AcqRel) != PARKED {
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

/// Whether we run on the stack of the goroutine that this CPU runs. A handler has a stack of its own (IRQ-CLEAN).
fn on_own_stack() -> bool {
    let here = 0u8;
    !on_g0() && getg().stack().contains((&raw const here).addr())
}
