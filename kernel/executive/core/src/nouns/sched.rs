//! What all CPUs share: the global queue, free g's, who is idle, and the list of all g's.
//!
//! **Rule:** each list has a lock, which is taken only when a ring overflows or runs dry, or a P
//! has too many or too few free g's: never in the common path of a spawn, an exit, a park or a
//! ready. What is known without a lock is atomic, and a hint.

use crate::ground::atomic::{
    AtomicBool, AtomicRef, AtomicU32, AtomicU64, AtomicUsize, Ordering, Owned, with_new,
};
use crate::ground::machine;
use crate::nouns::arrivals::Expected;
use crate::nouns::freelist::Everyone;
use crate::nouns::g::{ANY_CPU, BY_POLICY, G};
use crate::nouns::idle::Idle;
use crate::nouns::m::p_of;
use crate::nouns::p::P;
use crate::nouns::runq::List;
use crate::tools::lock::{CountedLock, Rank};
use crate::tools::percpu;

/// Another policy than Go's: it has all runnable goroutines that are locked to no CPU, and says
/// which one runs next. It is called under the global queue's lock, so it takes no lock below
/// [`Rank::Stacks`], and does not park. Interrupts' goroutines, and locked ones, pass it by.
pub trait Policy: Send {
    /// `g`, which may be new, is runnable now (ns).
    fn put(&mut self, g: &'static G, new: bool, now: u64);
    /// What `cpu` ran last (which may have been put since) it runs no more. Who is next there?
    fn take(&mut self, cpu: usize, now: u64) -> Option<&'static G>;
}

/// The global queue: a list, and those that another policy has.
type Global = (List<G>, Option<&'static mut dyn Policy>);

with_new! {
/// See the head of this file.
#[doc(alias = "schedt")]
pub struct Sched {
    runq: CountedLock<Global> = CountedLock::counted(Rank::Sched, (List::new(), None)),
    /// The global queue's length, for those without its lock (Release, for `has_global`'s Acquire).
    runq_len: AtomicUsize = AtomicUsize::new(0),
    /// Free g's that some P had too many of.
    pub(crate) gfree: Everyone<G> = Everyone::new(),
    /// Free g's whose stacks were given back when memory was short.
    #[doc(alias = "noStack")]
    pub(crate) gfree_bare: Everyone<G> = Everyone::new(),
    pub(crate) idle: Idle = Idle::new(),
    /// Wakes from outside that may come.
    pub(crate) expected: Expected = Expected::new(),
    pub(crate) allgs: AtomicRef<G> = AtomicRef::new(),
    pub(crate) allgs_len: AtomicUsize = AtomicUsize::new(0),
    /// Bytes of all g's stacks.
    pub(crate) stack_bytes: AtomicUsize = AtomicUsize::new(0),
    pub(crate) goid: AtomicU64 = AtomicU64::new(1),
    /// How many CPUs there are, numbered from 0.
    #[doc(alias = "ncpu")]
    cpus: Owned<usize> = Owned::new(),
    /// How many of them run goroutines: the first ones.
    #[doc(alias = "gomaxprocs")]
    pub(crate) procs: Owned<usize> = Owned::new(),
    /// Whether a new goroutine runs next: main has started, and there is no policy.
    pub(crate) born_next: AtomicBool = AtomicBool::new(false),
    /// What `G::locked_to` is for who is locked to no CPU: BY_POLICY if there is a policy.
    pub(crate) anywhere: AtomicU32 = AtomicU32::new(ANY_CPU),
}
}

/// The one.
pub static SCHED: Sched = Sched::new();

impl Sched {
    /// How many CPUs there are.
    pub fn cpus(&self) -> usize {
        self.cpus.get()
    }
    /// While CPUs are started: all run goroutines.
    pub(crate) fn set_cpus(&self, n: usize) {
        self.cpus.set(n);
        self.procs.set(n);
    }
    /// Puts goroutines at the global queue's end, in one hold of the lock.
    #[doc(alias = "globrunqputbatch")]
    pub(crate) fn put_batch(&self, mut batch: List<G>) {
        let (list, policy) = &mut *self.runq.lock();
        self.runq_len.store(self.global_len() + batch.len(), Ordering::Release);
        let Some(policy) = policy else { return list.append(batch) };
        while let Some(g) = batch.pop_front() {
            let new = g.locked_to.load(Ordering::Relaxed) == ANY_CPU;
            g.locked_to.store(BY_POLICY, Ordering::Relaxed);
            policy.put(g, new, machine::now());
        }
    }

    pub(crate) fn put(&self, g: &'static G) {
        self.put_batch(List::of(g));
    }

    /// Whether the global queue has something: a hint, and after `Idle`'s fence the truth.
    #[inline]
    pub(crate) fn has_global(&self) -> bool {
        self.runq_len.load(Ordering::Acquire) != 0 // partner: `put_batch`
    }

    /// The global queue's length: a snapshot.
    pub fn global_len(&self) -> usize {
        self.runq_len.load(Ordering::Relaxed)
    }

    /// Each CPU's part if the global queue were handed out now; the rest is for those that run dry.
    pub(crate) fn global_share(&self) -> usize {
        self.global_len() / self.procs.get() // a hint
    }

    /// A fair share of the global queue: its length over the number of P's, but at most `max`.
    #[doc(alias("globrunqget", "globrunqgetbatch"))]
    pub(crate) fn get_batch(&self, max: usize) -> List<G> {
        if !self.has_global() && !self.has_policy() {
            return List::new();
        }
        let (list, policy) = &mut *self.runq.lock();
        let mut batch = list.take((self.global_share() + 1).min(max));
        if batch.is_empty() && max > 0 {
            let next = policy.as_mut().and_then(|p| p.take(percpu::cpu(), machine::now()));
            batch = next.map_or_else(List::new, List::of);
        }
        self.runq_len.store(self.global_len() - batch.len(), Ordering::Release);
        batch
    }

    /// Whether another policy than Go's was set.
    pub fn has_policy(&self) -> bool {
        self.anywhere.load(Ordering::Relaxed) == BY_POLICY
    }

    /// Once those that are queued have run `policy` decides; `false`: one does so already.
    pub fn set_policy(&self, policy: &'static mut dyn Policy) -> bool {
        let (_, none @ None) = &mut *self.runq.lock() else { return false };
        *none = Some(policy);
        self.anywhere.store(BY_POLICY, Ordering::Relaxed);
        self.born_next.store(false, Ordering::Relaxed);
        // Whoever is born meanwhile, and overlooked, comes to the policy when it is preempted.
        for to in self.all().map(|g| &g.locked_to) {
            let _ = to.compare_exchange(ANY_CPU, BY_POLICY, Ordering::Relaxed, Ordering::Relaxed);
        }
        true
    }

    /// Gives this P's queue and free g's to all; whether its queue had any. The owner then wakes.
    pub(crate) fn give_all(&self, p: &P) -> bool {
        let mut batch = List::new();
        while let Some(g) = p.runq().get() {
            batch.push_back(g);
        }
        let any = !batch.is_empty();
        if any {
            self.put_batch(batch);
        }
        self.give_free(p);
        any
    }

    /// Gives this P's free g's to all. By its owner.
    #[cold]
    pub(crate) fn give_free(&self, p: &P) {
        p.give_free.store(false, Ordering::Relaxed);
        self.gfree.give(p.gfree.take_all());
    }

    /// Enters a new g into the list of all.
    #[doc(alias = "allgadd")]
    pub(crate) fn add_g(&self, g: &'static G) {
        self.allgs.push(g, |g| &g.alllink); // partner: the Acquire in `all_after`
        self.allgs_len.fetch_add(1, Ordering::Relaxed);
    }

    /// Every g ever made, dead ones too, newest first. Takes no lock.
    #[doc(alias = "allgs")]
    pub fn all(&self) -> impl Iterator<Item = &'static G> {
        self.all_after(None)
    }

    /// Those that come after this one; `None`: all.
    pub fn all_after(&self, g: Option<&'static G>) -> impl Iterator<Item = &'static G> {
        let first = g.map_or(&self.allgs, |g| &g.alllink).load(Ordering::Acquire);
        core::iter::successors(first, |g| g.alllink.load(Ordering::Relaxed))
    }

    /// How many goroutines have not ended: a snapshot.
    pub fn goroutines(&self) -> u64 {
        let of = |cpu| {
            let stats = &p_of(cpu).stats;
            stats.born.get().wrapping_sub(stats.died.get())
        };
        (0..self.cpus()).fold(0, |sum, cpu| sum.wrapping_add(of(cpu)))
    }

    /// How many g's were made, how many of them are on everyone's lists of free ones (each P has
    /// some more), and the bytes of all their stacks.
    pub fn sizes(&self) -> (usize, usize, usize) {
        let free = self.gfree.len() + self.gfree_bare.len();
        (self.allgs_len.load(Ordering::Relaxed), free, self.stack_bytes.load(Ordering::Relaxed))
    }

    /// Acquisitions and contended acquisitions of the scheduler's locks, by name.
    pub fn locks(&self) -> [(&'static str, (u64, u64)); 3] {
        let timers = (0..self.cpus()).map(|cpu| p_of(cpu).timers.stats());
        let timers = timers.fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
        [
            ("sched.runq", self.runq.stats()),
            ("sched.gfree", self.gfree.stats()),
            ("p.timers", timers),
        ]
    }
}
