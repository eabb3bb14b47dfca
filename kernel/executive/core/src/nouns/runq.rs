//! A P's queue of runnable g's: `runnext`, and a ring that its owner fills and thieves take from.
//!
//! **Rule (ONE-QUEUE, PINNED):** only the owner writes `tail` and the slots between tail and head +
//! N; owner and thieves move `head` by compare-and-swap; the owner alone turns `runnext` from null
//! into a g, and whoever wins an exchange takes that g. The two roles are two types, [`Owner`] and
//! [`Thief`]: a thief cannot even name the owner's half.
//!
//! Partners: the Release store of `tail` publishes a slot, and a thief's Acquire load of it sees
//! that. The Release half of an exchange of `head` gives slots back, and the owner's Acquire load
//! of `head` sees that before it uses them again. The orderings are Go's (proc.go).
//!
//! On the only CPU there are no thieves, and the owner's exchanges are loads and stores (`alone`):
//! a round trip through a channel then takes two thirds of the time.

use crate::ground::atomic::{AtomicBool, AtomicRef, AtomicU32, Ordering, atomics, with_new};
use crate::ground::param::RUNQ_SIZE;

const N: u32 = RUNQ_SIZE as u32;

/// What can stand in a [`List`].
pub trait Linked: Sized + Sync + 'static {
    /// Its one link.
    fn link(&self) -> &AtomicRef<Self>;
    /// A hint that it will be used soon: asks for its cache lines.
    fn soon(&self) {}
}

/// A singly linked queue through the elements themselves; whoever has the list has its elements.
#[doc(alias("gQueue", "gList"))]
pub struct List<T: Linked> {
    head: Option<&'static T>,
    tail: Option<&'static T>,
    len: usize,
}

impl<T: Linked> List<T> {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "const is what it is for")]
    pub const fn new() -> Self {
        List { head: None, tail: None, len: 0 }
    }
    /// A list of one.
    pub fn of(t: &'static T) -> Self {
        // Relaxed throughout: the list is published by whatever lock or queue hands it over.
        t.link().store(None, Ordering::Relaxed);
        List { head: Some(t), tail: Some(t), len: 1 }
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }
    /// The one that `pop_front` would take.
    pub fn first(&self) -> Option<&'static T> {
        self.head
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Puts `t` behind the others.
    pub fn push_back(&mut self, t: &'static T) {
        self.append(List::of(t));
    }
    /// Puts `t` before the others.
    pub fn push_front(&mut self, t: &'static T) {
        t.link().store(self.head, Ordering::Relaxed);
        self.head = Some(t);
        self.tail = self.tail.or(Some(t));
        self.len += 1;
    }
    /// Takes the first.
    pub fn pop_front(&mut self) -> Option<&'static T> {
        let t = self.head?;
        self.head = t.link().load(Ordering::Relaxed);
        if self.head.is_none() {
            self.tail = None;
        }
        self.len -= 1;
        Some(t)
    }
    /// Moves all of `other` behind what is here.
    pub fn append(&mut self, other: List<T>) {
        let Some(first) = other.head else { return };
        match self.tail {
            Some(tail) => tail.link().store(Some(first), Ordering::Relaxed),
            None => self.head = Some(first),
        }
        self.tail = other.tail;
        self.len += other.len;
    }
    /// Takes up to `n` from the front.
    pub fn take(&mut self, n: usize) -> List<T> {
        let mut taken = List::new();
        while taken.len < n {
            let Some(t) = self.pop_front() else { break };
            t.soon();
            taken.push_back(t);
        }
        taken
    }
}

with_new! {
/// The queue itself; what one may do with it is in `Owner` and `Thief`.
#[repr(C, align(64))]
pub struct Runq<T: Linked> {
    head: AtomicU32 = AtomicU32::new(0),
    tail: AtomicU32 = AtomicU32::new(0),
    /// Runs next, on the rest of the current slice: one that the running g readied. So a pair that
    /// talks costs one hop instead of a whole queue's.
    runnext: AtomicRef<T> = AtomicRef::new(),
    /// There is one CPU, and so no thief.
    alone: AtomicBool = AtomicBool::new(false),
    slots: [AtomicRef<T>; RUNQ_SIZE] = atomics![AtomicRef::new(); RUNQ_SIZE],
}
}

impl<T: Linked> Runq<T> {
    /// The owner's half. PINNED: the caller is the one owner, pinned or on g0, while it uses this.
    #[inline]
    pub fn owner(&self) -> Owner<'_, T> {
        Owner(self)
    }

    /// The half for everyone else.
    #[inline]
    pub fn thief(&self) -> Thief<'_, T> {
        Thief(self)
    }

    /// There is one CPU: nobody will ever use the thief's half. Before the first put.
    pub fn leave_alone(&self) {
        self.alone.store(true, Ordering::Relaxed);
    }

    /// Whether it is empty, seen by anyone. Head, tail and runnext are read as of one moment: else
    /// a g that the owner moves from runnext to the ring could be missed.
    #[doc(alias = "runqempty")]
    pub fn is_empty(&self) -> bool {
        loop {
            let head = self.head.load(Ordering::Acquire);
            let tail = self.tail.load(Ordering::Acquire);
            let next = self.runnext.load(Ordering::Acquire);
            if tail == self.tail.load(Ordering::Acquire) {
                return head == tail && next.is_none();
            }
        }
    }

    /// Whether the ring is empty. A g on its way there from runnext is missed; its owner tells.
    pub fn ring_is_empty(&self) -> bool {
        self.head.load(Ordering::Acquire) == self.tail.load(Ordering::Acquire) // the owner's
    }

    /// How many g's are here, for reports.
    pub fn len(&self) -> usize {
        let ring =
            self.tail.load(Ordering::Relaxed).wrapping_sub(self.head.load(Ordering::Relaxed));
        (ring as i32).max(0) as usize + usize::from(self.runnext.load(Ordering::Relaxed).is_some())
    }

    fn slot(&self, index: u32) -> &AtomicRef<T> {
        &self.slots[(index % N) as usize]
    }
}

/// The owner's half.
pub struct Owner<'a, T: Linked + 'static>(&'a Runq<T>);

impl<'a, T: Linked> Owner<'a, T> {
    /// Makes `t` the next to run, by an exchange (see `full_fence_after_exchange`), and gives back
    /// the one that was: the caller [`put`](Self::put)s it.
    #[doc(alias = "runqput")]
    #[must_use = "who is dropped here is lost"]
    #[inline]
    pub fn swap_next(&self, t: &'static T) -> Option<&'static T> {
        // AcqRel: partner of `take_runnext`'s exchange. But for thieves a store would do.
        self.0.runnext.swap(Some(t), Ordering::AcqRel)
    }

    /// The same on the only CPU.
    #[must_use = "who is dropped here is lost"]
    #[inline]
    pub fn swap_next_alone(&self, t: &'static T) -> Option<&'static T> {
        let old = self.0.runnext.load(Ordering::Relaxed);
        self.0.runnext.store(Some(t), Ordering::Relaxed);
        old
    }

    /// Whether there are no thieves.
    #[inline]
    pub fn is_alone(&self) -> bool {
        self.0.alone.load(Ordering::Relaxed)
    }

    /// Moves head on from what was read of it, unless a thief was faster.
    #[inline]
    fn moves_head(&self, from: u32, to: u32) -> bool {
        let q = self.0;
        if self.is_alone() {
            q.head.store(to, Ordering::Relaxed);
            return true;
        }
        q.head.compare_exchange(from, to, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Puts `t` at the ring's tail. From a full ring half and `t` come back, for the global queue.
    #[doc(alias = "runqput")]
    #[must_use = "a batch that is dropped is goroutines lost"]
    #[inline]
    pub fn put(&self, t: &'static T) -> Option<List<T>> {
        while !self.put_in_room(t) {
            if let Some(batch) = self.spill(t) {
                return Some(batch);
            }
            // A thief took some meanwhile: there is room now.
        }
        None
    }

    /// Puts `t` at the ring's tail; `false`: the ring is full.
    #[must_use = "who found no room is in no queue"]
    #[inline]
    pub fn put_in_room(&self, t: &'static T) -> bool {
        let q = self.0;
        let head = q.head.load(Ordering::Acquire); // partner: a consumer's Release of head
        let tail = q.tail.load(Ordering::Relaxed); // ours
        let room = tail.wrapping_sub(head) < N;
        if room {
            q.slot(tail).store(Some(t), Ordering::Relaxed);
            q.tail.store(tail.wrapping_add(1), Ordering::Release); // partner: a thief's Acquire
        }
        room
    }

    #[cold]
    fn spill(&self, t: &'static T) -> Option<List<T>> {
        let q = self.0;
        let (head, tail) = (q.head.load(Ordering::Acquire), q.tail.load(Ordering::Relaxed));
        if tail.wrapping_sub(head) < N {
            return None;
        }
        // Read first, own afterwards: if a thief was faster the exchange fails: this is not ours.
        let half: [_; RUNQ_SIZE / 2] =
            core::array::from_fn(|i| q.slot(head.wrapping_add(i as u32)).load(Ordering::Relaxed));
        q.head
            .compare_exchange(head, head.wrapping_add(N / 2), Ordering::Release, Ordering::Relaxed)
            .ok()?;
        let mut batch = List::new();
        for spilled in half {
            batch.push_back(spilled?);
        }
        batch.push_back(t);
        Some(batch)
    }

    /// The next to run: `runnext`, which inherits its predecessor's slice, or the ring's first.
    #[doc(alias = "runqget")]
    pub fn get(&self) -> Option<&'static T> {
        self.get_next().or_else(|| self.get_from_ring())
    }

    /// The half of [`get`](Self::get) that looks at `runnext`.
    #[inline]
    pub fn get_next(&self) -> Option<&'static T> {
        let q = self.0;
        let next = q.runnext.load(Ordering::Relaxed)?;
        if self.is_alone() {
            q.runnext.store(None, Ordering::Relaxed);
            return Some(next);
        }
        // Unless a thief was faster. Only the owner makes runnext anything but null: no ABA.
        if q.runnext.replace(Some(next), None, Ordering::AcqRel, Ordering::Relaxed) {
            return Some(next);
        }
        None
    }

    /// The half of [`get`](Self::get) that looks at the ring.
    #[inline]
    pub fn get_from_ring(&self) -> Option<&'static T> {
        let q = self.0;
        loop {
            let head = q.head.load(Ordering::Acquire); // partner: other consumers
            let tail = q.tail.load(Ordering::Relaxed); // ours
            if head == tail {
                return None;
            }
            let t = q.slot(head).load(Ordering::Relaxed);
            if self.moves_head(head, head.wrapping_add(1)) {
                return t;
            }
        }
    }

    /// The place behind all that are in the ring: see [`has_passed`](Self::has_passed).
    pub fn end(&self) -> u32 {
        self.0.tail.load(Ordering::Relaxed) // ours
    }

    /// Whether all have left that were in the ring when its [`end`](Self::end) was this.
    pub fn has_passed(&self, end: u32) -> bool {
        // Relaxed: if a thief is seen late, somebody waits for one more turn.
        self.0.head.load(Ordering::Relaxed).wrapping_sub(end) as i32 >= 0
    }

    /// How many more fit into the ring; thieves only make it more.
    pub fn room(&self) -> usize {
        let used =
            self.0.tail.load(Ordering::Relaxed).wrapping_sub(self.0.head.load(Ordering::Acquire));
        (N - used) as usize
    }

    /// Puts as much of a batch into the ring as fits, and leaves the rest in `batch`.
    #[doc(alias = "runqputbatch")]
    pub fn put_batch(&self, batch: &mut List<T>) {
        let q = self.0;
        let head = q.head.load(Ordering::Acquire); // partner: a consumer's Release of head
        let mut tail = q.tail.load(Ordering::Relaxed); // ours
        while tail.wrapping_sub(head) < N {
            let Some(t) = batch.pop_front() else { break };
            q.slot(tail).store(Some(t), Ordering::Relaxed);
            tail = tail.wrapping_add(1);
        }
        q.tail.store(tail, Ordering::Release); // partner: a thief's Acquire of tail
    }

    /// Steals half of the victim's ring into this one, which is empty; returns one to run at once.
    #[doc(alias = "runqsteal")]
    pub fn steal_from(&self, victim: Thief<'_, T>) -> Option<&'static T> {
        let q = self.0;
        let tail = q.tail.load(Ordering::Relaxed); // ours
        let n = victim.grab_into(q, tail)?;
        // The last one is run; the others are published.
        let t = q.slot(tail.wrapping_add(n - 1)).load(Ordering::Relaxed);
        if n > 1 {
            q.tail.store(tail.wrapping_add(n - 1), Ordering::Release); // partner: a thief's Acquire
        }
        t
    }

    /// Whether the ring or runnext has something.
    #[inline]
    pub fn has_work(&self) -> bool {
        let q = self.0;
        q.head.load(Ordering::Relaxed) != q.tail.load(Ordering::Relaxed)
            || q.runnext.load(Ordering::Relaxed).is_some()
    }
}

/// Everyone else's half.
pub struct Thief<'a, T: Linked + 'static>(&'a Runq<T>);

impl<T: Linked> Thief<'_, T> {
    /// Copies half of the victim's ring to `into`'s slots from `at` on; an exchange moves it.
    #[doc(alias = "runqgrab")]
    fn grab_into(&self, into: &Runq<T>, at: u32) -> Option<u32> {
        let q = self.0;
        loop {
            let head = q.head.load(Ordering::Acquire); // partner: other consumers
            let tail = q.tail.load(Ordering::Acquire); // partner: the owner's Release of tail
            let available = tail.wrapping_sub(head);
            let n = available - available / 2;
            if n == 0 {
                return None;
            }
            if n > N / 2 {
                continue; // head and tail were not read as of one moment
            }
            for i in 0..n {
                let t = q.slot(head.wrapping_add(i)).load(Ordering::Relaxed);
                into.slot(at.wrapping_add(i)).store(t, Ordering::Relaxed);
            }
            if q.head
                .compare_exchange(head, head.wrapping_add(n), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                return Some(n);
            }
        }
    }

    /// The victim's `runnext`, which a thief could [take](Self::take_runnext).
    pub fn runnext(&self) -> Option<&'static T> {
        self.0.runnext.load(Ordering::Relaxed) // the exchange that takes it acquires
    }

    /// Takes the victim's `runnext`, a thief's last choice (see steal.rs), if it is `next` still.
    pub fn take_runnext(&self, next: &'static T) -> bool {
        self.0.runnext.replace(Some(next), None, Ordering::AcqRel, Ordering::Relaxed)
    }
}
