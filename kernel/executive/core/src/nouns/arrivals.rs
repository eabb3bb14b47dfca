//! What interrupts bring: how handlers hand over goroutines without locks and P's queues, and
//! whether more may come.
//!
//! **Rule:** handlers push; a taker takes all, so there is no ABA.

use crate::ground::atomic::{AtomicRef, AtomicU32, Ordering, with_new};
use crate::nouns::runq::{Linked, List};

with_new! {
/// The goroutines that handlers have handed over to one P, newest first.
pub struct Arrivals<T: Linked> {
    head: AtomicRef<T> = AtomicRef::new(),
}
}

impl<T: Linked> Arrivals<T> {
    /// Adds one. By anyone, who then tells a CPU.
    pub fn push(&self, t: &'static T) {
        self.head.push(t, T::link); // partner: the Acquire in `take_all`
    }

    /// Whether nothing is here: a hint, and after `Idle`'s fence the truth.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Acquire: partner of `take_all`: who has emptied it is not idle (`Idle::is_dead`).
        self.head.load(Ordering::Acquire).is_none()
    }

    /// All that was handed over, oldest first.
    pub fn take_all(&self) -> List<T> {
        let mut list = List::new();
        // Acquire: partner of the Release of the newest push, and of all pushes below it, which are
        // read-modify-writes. Release: partner of the Acquire in `is_empty`.
        let mut next = self.head.swap(None, Ordering::AcqRel);
        while let Some(t) = next {
            next = t.link().load(Ordering::Relaxed);
            list.push_front(t);
        }
        list
    }
}

with_new! {
/// How many wakes from outside may come: while there are any, sleeping CPUs are no deadlock.
pub struct Expected {
    count: AtomicU32 = AtomicU32::new(0),
}
}

impl Expected {
    /// One may come. Before anybody outside can find whom to wake.
    pub fn expect(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// It will not come any more; or it has, and what it brought was published before.
    pub fn expect_no_more(&self) {
        // Release: partner of the Acquire in `any`, which then sees what led to this.
        self.count.fetch_sub(1, Ordering::Release);
    }

    /// Whether any may come. Asked before what they may have brought is looked at.
    pub fn any(&self) -> bool {
        self.count.load(Ordering::Acquire) != 0 // partner: `expect_no_more`
    }
}
