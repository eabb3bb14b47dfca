//! A monitor: a value under a lock, and the goroutines that wait for it to change.
//!
//! **Rule:** a goroutine that waits is queued before the lock is released, so whoever changes the
//! value finds it. Whoever takes it off the queue readies it, and nobody else does.
//!
//! A goroutine that waits with a deadline is not parked yet when the lock is released: its timer
//! may not be started under the lock (RANK). So it is *claimed*, as a select is (waitq.rs), either
//! by the timer or by whoever takes it off the queue.
#![allow(unsafe_code)] // Waiters on stacks.

use crate::alarm::Alarm;
use crate::param::READY_BATCH;
use core::ops::{Deref, DerefMut};
use core::pin::pin;
use executive_core::g::WaitReason;
use executive_core::lock::{Lock, LockGuard, Rank};
use executive_core::percpu::Pin;
use executive_core::wait::{
    Claim, Parked, WaitQ, Waiter, claim_without_lock, may_park_holding, park, park_unlock, prepare,
    unlock_ready,
};

/// A `T` that goroutines change in turn, and in which they wait for each other. It can be a
/// `static`, and allocates nothing.
///
/// ```
/// # hosted::run(|| {
/// use executive::g::WaitReason;
/// use executive::wait::Monitor;
///
/// static OPEN: Monitor<bool> = Monitor::new(false);
/// executive::go(|| {
///     let mut open = OPEN.lock();
///     *open = true;
///     open.ready_all();
/// });
/// let open = OPEN.lock();
/// if !*open {
///     open.wait(WaitReason::Monitor); // until `ready_all`
/// }
/// # });
/// ```
#[repr(transparent)] // a waiter's g names the lock, by which a mutex finds its owner
pub struct Monitor<T> {
    state: Lock<State<T>>,
}

struct State<T> {
    queue: WaitQ,
    /// How many waits have begun: the ticket of the next one. Go: `notifyList.wait`.
    #[doc(alias = "notifyList.wait")]
    tickets: usize,
    value: T,
}

/// What a waiter's slot points at, on the same stack.
struct Place {
    ticket: usize,
    tag: usize,
    /// The goroutine had not parked when the lock was released, and may have a deadline: whoever
    /// takes it off must claim it.
    must_claim: bool,
}

/// Refuses the reasons for which only the semaphores of a `Mutex` or `RwLock` may park. `park` does
/// so too, but when the waiter is queued already.
#[inline(always)]
fn refuse_locks(reason: WaitReason) {
    assert!(!reason.is_for_a_lock(), "monitor: only Mutex and RwLock wait for this reason");
}

/// The monitor is locked while this guard lives, and the goroutine is pinned: be short, and park
/// only by [`wait`](Self::wait) and its like.
pub struct MonitorGuard<'a, T> {
    monitor: &'a Monitor<T>,
    state: LockGuard<'a, State<T>>,
}

/// A goroutine that was taken off the queue. Pass it to [`MonitorGuard::ready`], or it waits for
/// ever.
#[must_use = "it waits for ever if it is not readied"]
pub struct Taken {
    /// `None`: it had not parked, and will not.
    parked: Option<Parked>,
    tag: usize,
}

impl Taken {
    /// The tag that the goroutine gave to [`wait_as`](MonitorGuard::wait_as); 0 for other waits.
    pub fn tag(&self) -> usize {
        self.tag
    }
}

impl<T> Monitor<T> {
    /// A monitor for which nobody waits.
    pub const fn new(value: T) -> Self {
        let state = State { queue: WaitQ::new(), tickets: 0, value };
        Monitor { state: Lock::new(Rank::Wait, state) }
    }

    /// Locks the monitor. Spins while another CPU has it; never parks.
    #[inline]
    pub fn lock(&self) -> MonitorGuard<'_, T> {
        MonitorGuard { monitor: self, state: self.state.lock() }
    }
}

impl<T> State<T> {
    #[inline]
    fn next_place(&mut self, tag: usize, must_claim: bool) -> Place {
        let ticket = self.tickets;
        self.tickets = ticket.wrapping_add(1);
        Place { ticket, tag, must_claim }
    }
}

impl<T> MonitorGuard<'_, T> {
    /// Unlocks and parks, in one step, until another goroutine takes the caller off the queue and
    /// readies it. A primitive of your own gives the reason [`WaitReason::Monitor`]. Panics if the
    /// reason is one of `Mutex` and `RwLock`. Go: `goparkunlock`.
    #[doc(alias = "goparkunlock")]
    #[inline]
    pub fn wait(self, reason: WaitReason) {
        self.wait_as(0, reason);
    }

    /// As [`wait`](Self::wait); `tag` tells others what the goroutine waits for
    /// ([`take_first_if`](Self::take_first_if), [`Taken::tag`]).
    #[inline]
    pub fn wait_as(self, tag: usize, reason: WaitReason) {
        refuse_locks(reason);
        self.wait_for(tag, reason);
    }

    /// As [`wait_as`](Self::wait_as), for any reason.
    #[inline]
    pub(crate) fn wait_for(self, tag: usize, reason: WaitReason) {
        // SAFETY: `queue_and_park` says where the waiter stays.
        self.queue_and_park(tag, reason, |queue, w| unsafe { queue.enqueue(w) });
    }

    /// As [`wait`](Self::wait), for any reason, and before all others in the queue: for a goroutine
    /// that has waited before.
    pub(crate) fn wait_in_front(self, reason: WaitReason) {
        // SAFETY: as above.
        self.queue_and_park(0, reason, |queue, w| unsafe { queue.enqueue_front(w) });
    }

    /// Queues the caller by `enqueue`, unlocks and parks. The waiter and its place stay here while
    /// the caller is parked, and whoever readies the caller has taken the waiter off.
    #[inline(always)]
    fn queue_and_park(self, tag: usize, reason: WaitReason, enqueue: impl FnOnce(&WaitQ, &Waiter)) {
        let (parking, mut state) = may_park_holding(self.state);
        // SAFETY: a lock's reason comes from `Semaphore::acquire_for` alone, which `RawMutex` calls
        // for `MutexLock`.
        let parking = unsafe { parking.for_a_lock() };
        let place = state.next_place(tag, false);
        let w = Waiter::new(parking.g(), (&raw const place).cast_mut().cast());
        enqueue(&state.queue, &w);
        park_unlock(parking, reason, state);
    }

    /// As [`wait`](Self::wait), but only until `deadline` (ns of the machine's clock), or a little
    /// later. `false`: the deadline passed first.
    pub fn wait_until(self, deadline: u64, reason: WaitReason) -> bool {
        refuse_locks(reason);
        self.unlock_and_wait(Some(deadline), reason, || ())
    }

    /// As [`wait_until`](Self::wait_until), with a deadline or without. `unlocked` is called when
    /// the goroutine is queued and the monitor is unlocked. It is called pinned: it must not park.
    #[inline(never)] // or every condition variable's `wait` would be 200 bytes
    pub(crate) fn unlock_and_wait(
        self,
        deadline: Option<u64>,
        reason: WaitReason,
        unlocked: impl FnOnce(),
    ) -> bool {
        let (parking, mut state) = may_park_holding(self.state);
        let (me, monitor) = (parking.g(), self.monitor);
        prepare(me);
        let place = state.next_place(0, true);
        let alarm = pin!(Alarm::new());
        let w = Waiter::new(me, (&raw const place).cast_mut().cast());
        // SAFETY: `w` and `place` stay here until `w` was taken off: by whoever readies us, or
        // below.
        unsafe { state.queue.enqueue(&w) };
        let pin = Pin::new();
        drop(state);
        unlocked();
        if let Some(when) = deadline {
            alarm.as_ref().set(when);
        }
        drop(pin);
        park(parking, reason, Parked::open);
        if deadline.is_none() {
            return true;
        }
        alarm.stop();
        monitor.state.lock().queue.remove(&w);
        !alarm.has_won()
    }

    /// Whether a goroutine waits. One whose deadline has just passed may still be counted.
    pub fn has_waiters(&self) -> bool {
        !self.state.queue.is_empty()
    }

    /// Takes off the goroutine that has waited longest. The caller changes the value for it, and
    /// [`ready`](Self::ready)s it.
    #[inline]
    pub fn take_first(&mut self) -> Option<Taken> {
        self.take_first_if(|_, _| true)
    }

    /// As [`take_first`](Self::take_first), only if `admits` returns true for the value and that
    /// goroutine's tag. `admits` is called again, for the next goroutine, if the deadline of the
    /// first has just passed.
    #[inline]
    pub fn take_first_if(&mut self, admits: impl Fn(&T, usize) -> bool) -> Option<Taken> {
        loop {
            let tag = self.first_place()?.tag;
            if !admits(&self.state.value, tag) {
                return None;
            }
            let w = self.state.queue.dequeue()?;
            // SAFETY: this file queued it, so its slot is a `Place` on the stack of a goroutine
            // that goes on only after it was readied, or after it held the lock.
            if !unsafe { &*w.slot.get().cast::<Place>() }.must_claim {
                return Some(Taken { parked: Some(w.parked()), tag });
            }
            match claim_without_lock(w.g) {
                Claim::Parked(parked) => return Some(Taken { parked: Some(parked), tag }),
                Claim::Early => return Some(Taken { parked: None, tag }),
                Claim::Lost => {} // its deadline has passed; it waits for our lock
            }
        }
    }

    /// Unlocks, and readies the goroutine that was taken off, if any. Never parks.
    #[inline]
    pub fn ready(self, taken: Option<Taken>) {
        unlock_ready(self.state, taken.and_then(|taken| taken.parked));
    }

    /// Unlocks, and readies the goroutine that has waited longest. Never parks.
    /// Go: `notifyListNotifyOne`.
    #[doc(alias = "notifyListNotifyOne")]
    #[inline]
    pub fn ready_first(mut self) {
        let first = self.take_first();
        self.ready(first);
    }

    /// Unlocks, and readies all goroutines that wait now. Never parks. After the last of them goes
    /// on, the monitor is not touched any more. Go: `notifyListNotifyAll`.
    #[doc(alias = "notifyListNotifyAll")]
    pub fn ready_all(mut self) {
        // A goroutine that waits again meanwhile has a later ticket, and is left in the queue.
        let (end, monitor) = (self.state.tickets, self.monitor);
        loop {
            let batch: [Option<Taken>; READY_BATCH] =
                core::array::from_fn(
                    |_| if self.has_below(end) { self.take_first() } else { None },
                );
            let more = self.has_below(end);
            drop(self);
            batch.into_iter().flatten().filter_map(|taken| taken.parked).for_each(Parked::ready);
            if !more {
                return;
            }
            self = monitor.lock();
        }
    }

    /// Whether the first waiter has a ticket below `end`.
    fn has_below(&self, end: usize) -> bool {
        // Live tickets lie close together: compare by difference; the counter may wrap.
        self.first_place().is_some_and(|place| (place.ticket.wrapping_sub(end) as isize) < 0)
    }

    fn first_place(&self) -> Option<&Place> {
        // SAFETY: as in `take_first`; it stays while it is queued and we have the lock.
        self.state.queue.first().map(|w| unsafe { &*w.slot.get().cast::<Place>() })
    }
}

impl<T> Deref for MonitorGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.state.value
    }
}

impl<T> DerefMut for MonitorGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.state.value
    }
}
