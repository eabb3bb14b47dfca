//! A queue of goroutines that wait for the same thing, first come first served.
//!
//! **Rule:** everything here is guarded by the lock of what is waited for, or was taken whole under
//! it. A [`Waiter`] lies on the stack of its parked goroutine. Whoever takes it off the queue,
//! under that lock, may write through `slot` and must then ready the goroutine, which cannot run
//! before: so the waiter stays alive.
//!
//! A goroutine in a select stands in several queues at once. The first to take it off one *claims*
//! it by setting `G::select_done`; others pass over its waiters, which it removes once it runs.
#![allow(unsafe_code)] // Intrusive links to waiters on other goroutines' stacks.

use crate::ground::atomic::Ordering;
use crate::nouns::g::G;
use core::cell::Cell;
use core::ptr::null;

/// One goroutine's place in one queue. Go: `sudog`.
#[doc(alias = "sudog")]
pub struct Waiter {
    /// The goroutine.
    pub g: &'static G,
    /// Where the value that is handed over lies or goes; null if none is. Go: `elem`.
    #[doc(alias = "elem")]
    pub slot: Cell<*mut ()>,
    /// One of several in a select, which the waker must claim first.
    is_select: bool,
    state: Cell<State>,
    prev: Cell<*const Waiter>,
    next: Cell<*const Waiter>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Queued,
    /// Not queued (any more), and nothing was handed over.
    Off,
    Succeeded,
}

impl Waiter {
    /// In no queue yet.
    pub fn new(g: &'static G, slot: *mut ()) -> Self {
        let (state, prev, next) = (Cell::new(State::Off), Cell::new(null()), Cell::new(null()));
        Waiter { g, slot: Cell::new(slot), is_select: false, state, prev, next }
    }
    /// For a select; the goroutine calls [`prepare`] before it queues the first.
    pub fn of_select(g: &'static G, slot: *mut ()) -> Self {
        Waiter { is_select: true, ..Self::new(g, slot) }
    }

    /// Its goroutine. For whoever has taken it off the queue.
    #[inline]
    pub fn parked(&self) -> Parked {
        Parked(self.g)
    }

    /// Woken because something was handed over, not because of a close. Go: `success`.
    #[inline]
    pub fn success(&self) -> bool {
        self.state.get() == State::Succeeded
    }
}

// `G::select_done`: where a goroutine is in its select.
/// Parked, for the first who claims it.
const OPEN: u32 = 0;
/// Claimed, or not in a select.
const DONE: u32 = 1;
/// Not parked yet. Timers and interrupts, which need none of its locks, may claim it already.
const PREPARING: u32 = 2;

/// A goroutine that waits, and is the holder's alone to ready.
#[must_use = "it waits for ever if it is not readied"]
pub struct Parked(pub(crate) &'static G);

impl Parked {
    /// # Safety
    /// `g` waits, and is the caller's: taken off its queue, claimed, or left by its park's commit.
    #[inline(always)]
    pub unsafe fn new(g: &'static G) -> Self {
        Parked(g)
    }

    /// In a park's commit: from here on it can be claimed as parked. Gives it back if it was
    /// claimed since [`prepare`]: then it goes on.
    #[inline]
    pub fn open(self) -> Option<Parked> {
        // AcqRel: partner of `claim` and `claim_without_lock`: the claimer finds it saved.
        let done = &self.0.select_done;
        match done.compare_exchange(PREPARING, OPEN, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => None,
            Err(_) => Some(self),
        }
    }
    /// The goroutine, which is the caller's.
    #[inline(always)]
    pub fn into_g(self) -> &'static G {
        self.0
    }
}

/// `me` begins a select. Relaxed: published by what it then queues or starts.
#[inline]
pub fn prepare(me: &G) {
    me.param.set(core::ptr::null_mut());
    me.select_done.store(PREPARING, Ordering::Relaxed);
}

/// Claims a goroutine in a select, under a lock of its queues. `true` for one, who readies it.
pub fn claim(g: &G) -> bool {
    // AcqRel: partner of the same exchange by the others.
    g.select_done.compare_exchange(OPEN, DONE, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// As `claim`, by a timer or an interrupt, which may come before the goroutine has parked. Before
/// it leaves the select the goroutine waits for claimers to be done, so none claims a later one.
pub fn claim_without_lock(g: &'static G) -> Claim {
    match g.select_done.swap(DONE, Ordering::AcqRel) {
        OPEN => Claim::Parked(Parked(g)),
        PREPARING => Claim::Early,
        _ => Claim::Lost,
    }
}

/// As `claim_without_lock`; the winner leaves `mark` for the goroutine.
pub fn claim_as(g: &'static G, mark: *mut ()) -> Claim {
    let claim = claim_without_lock(g);
    if !matches!(claim, Claim::Lost) {
        g.param.set(mark);
    }
    claim
}

/// What an attempt to claim came to.
pub enum Claim {
    /// The caller readies it.
    Parked(Parked),
    /// It is the caller's, but has not parked and will not.
    Early,
    /// Another has it.
    Lost,
}

/// A waiter was taken off and got its value: its goroutine, to ready once the lock is released.
#[inline]
pub fn succeed(w: &Waiter) -> Parked {
    w.state.set(State::Succeeded);
    woken(w)
}

/// The same for another reason than a value (close).
#[inline]
pub fn woken(w: &Waiter) -> Parked {
    let g = w.g; // read once: the store below might change it, for all that the compiler knows
    g.param.set(core::ptr::from_ref(w).cast_mut().cast());
    Parked(g)
}

/// The queue. Go: `waitq`.
#[derive(Default)]
pub struct WaitQ {
    first: Cell<*const Waiter>,
    /// Without meaning while there is no first.
    last: Cell<*const Waiter>,
}

// SAFETY: used under the lock of what is waited for (the rule above).
unsafe impl Send for WaitQ {}

impl WaitQ {
    /// Nobody waits.
    pub const fn new() -> Self {
        WaitQ { first: Cell::new(null()), last: Cell::new(null()) }
    }
    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.first.get().is_null()
    }

    /// The one that has waited longest.
    #[inline]
    pub fn first(&self) -> Option<&Waiter> {
        self.get(self.first.get())
    }

    /// Queues a waiter behind the others.
    ///
    /// # Safety
    /// The waiter stays where it is until it was taken off, by [`dequeue`](Self::dequeue) or
    /// [`remove`](Self::remove).
    pub unsafe fn enqueue(&self, w: &Waiter) {
        if self.is_empty() {
            self.link(null(), w, null())
        } else {
            self.link(self.last.get(), w, null())
        }
    }

    /// Queues a waiter before the others: a starving mutex gives a woken one its place back.
    ///
    /// # Safety
    /// As for [`enqueue`](Self::enqueue).
    pub unsafe fn enqueue_front(&self, w: &Waiter) {
        self.link(null(), w, self.first.get());
    }

    #[inline(always)]
    fn link(&self, prev: *const Waiter, w: &Waiter, next: *const Waiter) {
        w.state.set(State::Queued);
        w.prev.set(prev);
        w.next.set(next);
        self.set_ends([prev, w, w, next]);
    }

    /// Takes the first one off, for the caller to ready. Passes over those that won elsewhere.
    #[doc(alias = "waitq.dequeue")]
    #[inline]
    pub fn dequeue(&self) -> Option<&Waiter> {
        loop {
            let w = self.first()?;
            let next = w.next.get();
            self.first.set(next);
            if let Some(next) = self.get(next) {
                next.prev.set(null());
            }
            w.state.set(State::Off);
            if !w.is_select || claim(w.g) {
                return Some(w);
            }
        }
    }

    /// Takes this one off; `false` if it is not queued any more.
    #[doc(alias = "dequeueSudoG")]
    pub fn remove(&self, w: &Waiter) -> bool {
        if w.state.get() != State::Queued {
            return false;
        }
        let (prev, next) = (w.prev.get(), w.next.get());
        self.set_ends([prev, next, prev, next]);
        w.state.set(State::Off);
        true
    }

    /// What follows `prev` is `first`, and what precedes `next` is `last`. Null: the queue's end.
    #[inline(always)]
    fn set_ends(&self, [prev, first, last, next]: [*const Waiter; 4]) {
        self.get(prev).map_or(&self.first, |w| &w.next).set(first);
        self.get(next).map_or(&self.last, |w| &w.prev).set(last);
    }

    fn get(&self, w: *const Waiter) -> Option<&Waiter> {
        // SAFETY: queued waiters are alive (`enqueue`'s promise).
        unsafe { w.as_ref() }
    }
}
