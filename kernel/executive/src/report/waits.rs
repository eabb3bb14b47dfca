//! Waits that end: who waited, for what and how long, and who ended it. For profiles of contention.
//!
//! It stands on the events that the core tells (trace.rs has them all, and passes them on). An
//! event has a goroutine's number, and its g is wanted: so a table has the g of each goroutine that
//! parked, at its number modulo the table's size. Numbers are given out in order, so two meet there
//! only if so many goroutines were started between them: then the one that parked first is not told
//! of.
//!
//! **Rule (STACK-OWNER):** a wait is told when the g is runnable and in no queue yet. Its waker has
//! it, and so may read its stack, which stays as it was saved.
//!
//! What lies in a slot is published by whatever leads the waker to the g: the lock of what is
//! waited for, or a claim. So all of it is Relaxed; a slot that another goroutine has taken is
//! noticed by the number.

use super::{crash, trace};
use alloc::boxed::Box;
use executive_core::atomic::{AtomicRef, AtomicU64, Ordering::*};
use executive_core::g::{G, WaitReason};
use executive_core::kit::curg;
use executive_core::machine;
use executive_core::trace::Event;
use spin::Once;

/// Slots of the table.
const SLOTS: usize = 1 << 14;

struct Slot {
    g: AtomicRef<G>,
    /// When it parked (ns); 0: it was not seen.
    parked: AtomicU64,
}

static TABLE: Once<Box<[Slot]>> = Once::new();
static TELL: Once<fn(&Wait)> = Once::new();

/// A wait that has ended: its goroutine is runnable. (It is told while that stands still, and
/// cannot be kept.)
pub struct Wait {
    g: &'static G,
    /// What the goroutine waited for.
    pub reason: WaitReason,
    /// How long it waited (ns), until it was made runnable.
    pub ns: u64,
}

impl Wait {
    /// The calls that led to the wait, innermost first. `tell` returns whether a frame counts
    /// against the limit of those that a report lists.
    pub fn waiter(&self, tell: impl FnMut(usize) -> bool) {
        crash::saved_frames(self.g, tell);
    }
    /// The calls that led to its end, innermost first: this module's own come before them. Nothing
    /// on a thread that is no CPU.
    pub fn waker(&self, tell: impl FnMut(usize) -> bool) {
        crash::own_frames(tell);
    }
}

/// From here on the ends of waits are told to `tell`: pinned or on g0, so it takes no lock and
/// allocates nothing. Waits that have begun already are not told. Each call gives the same
/// function. Allocates a table the first time.
pub fn start(tell: fn(&Wait)) {
    let slot = || Slot { g: AtomicRef::new(), parked: AtomicU64::new(0) };
    for slot in TABLE.call_once(|| (0..SLOTS).map(|_| slot()).collect()) {
        slot.parked.store(0, Relaxed);
    }
    TELL.call_once(|| tell);
    trace::listen(event);
}

/// They are told no more, except for those under way on other CPUs.
pub fn stop() {
    trace::listen_no_more();
}

/// An event of a goroutine. Pinned or on g0.
fn event(event: Event, goid: u64) {
    let (Some(table), Some(tell)) = (TABLE.get(), TELL.get()) else { return };
    let slot = &table[goid as usize % SLOTS];
    match event {
        Event::Park => {
            slot.g.store(curg(), Relaxed);
            slot.parked.store(machine::now(), Relaxed);
        }
        Event::Ready => {
            if let Some(g) = slot.g.load(Relaxed)
                && g.id() == goid
                && let parked @ 1.. = slot.parked.swap(0, Relaxed)
            {
                let ns = machine::now().saturating_sub(parked);
                tell(&Wait { g, reason: g.wait_reason(), ns });
            }
        }
        _ => {}
    }
}
