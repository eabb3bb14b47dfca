//! Futures on goroutines: a goroutine runs a future by polling it and parking, and the waker
//! readies the goroutine.
//!
//! A waker *is* its goroutine, and g's are never freed. So wakers cost no memory and may be kept
//! for ever. One that is called too late only causes a superfluous poll, which every future allows.
//!
//! Wakers are counted (wakeword.rs): as long as there is one, the goroutine that waits for the
//! future may be woken. If there is none, and all other goroutines wait, that is a deadlock.
#![allow(unsafe_code)] // A raw waker's table.

use crate::outside::ready_from_anywhere;
use crate::wakeword::WakeWord;
use core::future::Future;
use core::mem::ManuallyDrop;
use core::pin::pin;
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use executive_core::g::{G, WaitReason, getg};
use executive_core::join::{JoinHandle, go};
use executive_core::percpu;
use executive_core::wait::{Parked, may_park, outside, park, word_of};

/// Runs a future to its end; parks the calling goroutine while it is pending.
///
/// It waits for whatever keeps a clone of its [`Waker`]: a goroutine, an interrupt handler, a
/// thread. When all goroutines wait, there is no clone, and nothing else is expected, that is a
/// deadlock, and the run ends.
///
/// ```
/// # hosted::run(|| {
/// assert_eq!(executive::block_on(async { 6 * 7 }), 42);
/// # });
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let me = getg();
    // SAFETY: the table fits, and g's are never freed. The waker is lent to the polls and not
    // counted, so it is never dropped.
    let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw(me)) });
    let mut context = Context::from_waker(&waker);
    loop {
        word(me).begin_poll();
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            word(me).is_done();
            percpu::point();
            return output;
        }
        let parking = may_park();
        park(parking, WaitReason::Future, |parked| {
            if word(me).park(me.is_system(), outside::expected()) { None } else { Some(parked) }
        });
    }
}

/// Starts a goroutine that runs a future to its end. Panics when there is no memory for a stack.
///
/// ```
/// # hosted::run(|| {
/// let h = executive::go_future(async { 6 * 7 });
/// assert_eq!(h.join(), 42);
/// # });
/// ```
#[track_caller]
pub fn go_future<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    go(move || block_on(future))
}

fn word(g: &'static G) -> WakeWord<'static> {
    // SAFETY: the word belongs to this protocol.
    WakeWord(unsafe { word_of(g) })
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
    word(of(waker)).add_waker(outside::expected());
    raw(of(waker))
}

fn wake(waker: *const ()) {
    wake_by_ref(waker);
    drop_waker(waker);
}

fn wake_by_ref(waker: *const ()) {
    let g = of(waker);
    if word(g).wake(outside::expected()) {
        // SAFETY: it had parked, and `wake` has given it to us.
        ready_from_anywhere(unsafe { Parked::new(g) });
    }
}

fn drop_waker(waker: *const ()) {
    if word(of(waker)).drop_waker(outside::expected()) {
        outside::look_again();
    }
}
