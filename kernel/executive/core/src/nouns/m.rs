//! The m: what runs goroutines. A CPU on bare metal, a thread on Linux. Each has a g0 and a p.
//!
//! **Rule:** an m's cells are touched by its own CPU, on g0 or pinned. Others wake its note, and
//! put g's that are locked to it into its inbox.
#![allow(unsafe_code)] // References from GS.

use crate::ground::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, Owned, with_new};
use crate::ground::machine::{self, NEVER};
use crate::ground::param::MAX_CPUS;
use crate::nouns::g::G;
use crate::nouns::p::P;
use crate::nouns::runq::{List, Owner};
use crate::tools::lock::{Lock, Rank};
use crate::tools::note::{Note, Sleeper};
use crate::tools::percpu::{self, PerCpu};
use core::ptr::from_ref;

/// What a CPU is doing: for reports, and a hint to others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum CpuState {
    /// Not started; or switched off ([`set_procs`](crate::procs::set_procs)), and asleep.
    Offline = 0,
    /// Runs a goroutine.
    Running = 1,
    /// Looks for work.
    Searching = 2,
    /// Sleeps until it is woken.
    Idle = 3,
    /// Idle for a moment, after which it searches: the napper of nouns/idle.rs.
    Napping = 4,
}

with_new! {
/// See the head of this file.
#[repr(C, align(128))]
pub struct M {
    /// What GS points at on its CPU.
    pub(crate) block: PerCpu = PerCpu::new(),
    /// The g on whose stack the scheduler runs here.
    pub(crate) g0: G = G::new(),
    /// Its p, for good (docs/decisions/0001).
    pub(crate) p: P = P::new(),

    // For its own CPU.
    /// It counts as searching in `Idle`.
    pub(crate) spinning: Owned<bool> = Owned::new(),
    /// The earliest tick requested on this CPU, or NEVER. The handler may write it at any time.
    tick: AtomicU64 = AtomicU64::new(NEVER),
    /// A tick that should preempt and cannot comes again after this time (ns); 0: after the least.
    pub(crate) retry: Owned<u64> = Owned::new(),
    /// When the slice ends (ns); NEVER: there is none. Others may look.
    pub(crate) slice_end: AtomicU64 = AtomicU64::new(NEVER),
    /// The schedtick when the slice began.
    pub(crate) slice_tick: Owned<u32> = Owned::new(),
    /// A slice has ended, and nobody has gone behind the others for it yet.
    pub(crate) slice_over: Owned<bool> = Owned::new(),
    random: Owned<u32> = Owned::new(),

    // For others.
    state: AtomicU8 = AtomicU8::new(CpuState::Offline as u8),
    pub(crate) park: Note = Note::new(),
    /// Goroutines that are locked to this CPU and runnable.
    inbox: Lock<Inbox> = Lock::new(Rank::Sched, Inbox::new()),
    /// A summary of the inbox ([`Inbox::state`]), which needs no lock.
    inbox_state: AtomicU8 = AtomicU8::new(Inbox::EMPTY),
}
}

with_new! {
/// Runnable goroutines that are locked to one CPU. (Thieves would take them from the ring.)
struct Inbox {
    /// Readied, or come from another CPU. Like a runnext they go first, on the current slice.
    readied: List<G> = List::new(),
    /// Those that have had a slice. They and the ring's stand in one line: the turn of one comes
    /// when all that were in the ring before it (`G::place`) have left.
    in_line: List<G> = List::new(),
    /// The CPU is switched off: it runs these, and no others (proc/procs.rs).
    off: bool = false,
}
}

impl Inbox {
    const EMPTY: u8 = 0;
    const IN_LINE: u8 = 1;
    const READIED: u8 = 2;
    const IS_OFF: u8 = 4;

    fn state(&self) -> u8 {
        u8::from(!self.in_line.is_empty()) * Self::IN_LINE
            + u8::from(!self.readied.is_empty()) * Self::READIED
            + u8::from(self.off) * Self::IS_OFF
    }
}

/// Each CPU's m, by its number.
pub static MS: [M; MAX_CPUS] = [const { M::new() }; MAX_CPUS];

/// That CPU's m.
pub fn m_of(cpu: usize) -> &'static M {
    &MS[cpu]
}
/// That CPU's p.
pub fn p_of(cpu: usize) -> &'static P {
    &m_of(cpu).p
}

/// CPU `cpu`'s block, to set its GS base to. The boot CPU's machine does so before it takes the
/// first lock. Panics unless `cpu < MAX_CPUS`.
pub fn percpu_block(cpu: usize) -> *const () {
    from_ref(&m_of(cpu).block).cast()
}

/// This CPU's m. Pinned or on g0.
#[inline]
pub(crate) fn m() -> &'static M {
    // SAFETY: set up before this CPU started, and never changed.
    unsafe { &*percpu::raw_m().cast::<M>() }
}

/// This CPU's p. Pinned or on g0.
#[inline]
pub(crate) fn p() -> &'static P {
    &m().p
}

impl P {
    /// The owner's half of the queue. Called on [`p()`](p) alone.
    #[inline]
    pub(crate) fn runq(&self) -> Owner<'_, G> {
        debug_assert!(core::ptr::eq(self, p()), "PINNED");
        self.runq.owner()
    }
}

/// The machine, as a CPU's note sees it.
pub(crate) struct Cpu(pub usize);
impl Sleeper for Cpu {
    fn wait(&self, word: &AtomicU32, expect: u32, deadline: u64) {
        machine::wait(word, expect, deadline)
    }
    fn wake(&self, word: &AtomicU32) {
        machine::wake(self.0, word)
    }
}

impl M {
    /// Before its CPU or thread, which has this number, runs.
    pub(crate) fn set_up(&'static self, number: usize) {
        self.random.set((number as u32 + 1).wrapping_mul(0x85eb_ca6b) | 1); // no two alike
        self.block.fill(number, from_ref(&self.g0).cast(), from_ref(self).cast());
    }

    /// Starts the CPU whose m it is, number `cpu`; `false`: it did not come up. By CPU 0, for
    /// itself first, then for one after the other.
    pub(crate) fn start(&'static self, cpu: usize, entry: extern "C" fn() -> !) -> bool {
        // SAFETY: this CPU's block; a CPU that did not come up runs nothing of ours.
        unsafe { machine::start_cpu(cpu, from_ref(&self.block).cast(), entry) }
    }

    /// The goroutine that its CPU ran a moment ago.
    pub fn curg(&self) -> Option<&'static G> {
        // SAFETY: `curg` is a g or null, and g's are never freed.
        unsafe { self.block.curg().cast::<G>().as_ref() }
    }

    /// A fast random number, for choosing victims and arms.
    #[doc(alias("cheaprand", "fastrand"))]
    #[inline]
    pub(crate) fn random(&self) -> u32 {
        #[cfg(fuzz)]
        if crate::ground::chaos::is_seeded() {
            return crate::ground::chaos::random();
        }
        let mut x = self.random.get(); // xorshift32 (Marsaglia 2003)
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.random.set(x);
        x
    }

    #[inline]
    pub(crate) fn set_state(&self, state: CpuState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }
    /// What its CPU does.
    pub fn state(&self) -> CpuState {
        match self.state.load(Ordering::Relaxed) {
            0 => CpuState::Offline,
            1 => CpuState::Running,
            2 => CpuState::Searching,
            4 => CpuState::Napping,
            _ => CpuState::Idle,
        }
    }

    /// Requests `on_tick` at `deadline`, unless one comes earlier. By this CPU, pinned, on g0 or in
    /// the handler. The reason for `deadline` is written before: the handler may come meanwhile.
    #[inline]
    pub(crate) fn tick_by(&self, deadline: u64) {
        if deadline < self.tick.load(Ordering::Relaxed) {
            self.tick_by_slow(deadline);
        }
    }
    #[cold]
    fn tick_by_slow(&self, deadline: u64) {
        if self.tick.fetch_min(deadline, Ordering::Relaxed) <= deadline {
            return;
        }
        // A handler that comes meanwhile requests a tick of its own, which ours must not replace.
        let mut asked = NEVER;
        while asked != self.tick.load(Ordering::Relaxed) {
            asked = self.tick.load(Ordering::Relaxed);
            if !machine::tick_at(asked) {
                return self.tick_is_gone();
            }
        }
    }
    /// Whether a tick comes by then.
    #[inline(always)]
    pub(crate) fn ticks_by(&self, deadline: u64) -> bool {
        self.tick.load(Ordering::Relaxed) <= deadline
    }
    /// No tick is requested any more: it came, or a wait has used the timer up.
    pub(crate) fn tick_is_gone(&self) {
        self.tick.store(NEVER, Ordering::Relaxed);
    }
    /// Whether a slice runs here: others wait, and `on_tick` will see to them. Anyone may ask.
    pub(crate) fn in_slice(&self) -> bool {
        self.slice_end.load(Ordering::Relaxed) != NEVER
    }

    /// Puts a goroutine that is locked to this CPU where this CPU alone looks. By anyone.
    pub(crate) fn put_readied(&self, g: &'static G) {
        self.with_inbox(|inbox| inbox.readied.push_back(g));
    }
    /// The same for one that has had its slice: it goes behind those in the ring. By this CPU.
    pub(crate) fn put_in_line(&self, runq: &Owner<'_, G>, g: &'static G) {
        g.place.set(runq.end());
        self.with_inbox(|inbox| inbox.in_line.push_back(g));
    }
    /// A slice is over: those that would have run on it stand in line, too. By this CPU.
    pub(crate) fn line_up(&self, runq: &Owner<'_, G>) {
        if self.has_readied() {
            self.with_inbox(|inbox| {
                while let Some(g) = inbox.readied.pop_front() {
                    g.place.set(runq.end());
                    inbox.in_line.push_back(g);
                }
            });
        }
    }
    /// The first of those that were readied. By this CPU.
    #[inline]
    pub(crate) fn take_readied(&self) -> Option<&'static G> {
        if self.has_readied() { self.with_inbox(|inbox| inbox.readied.pop_front()) } else { None }
    }
    /// The first of those in line, if its turn has come. By this CPU.
    #[inline]
    pub(crate) fn take_in_line(&self, runq: &Owner<'_, G>) -> Option<&'static G> {
        if !self.has_inbox() {
            return None;
        }
        self.with_inbox(|inbox| {
            let first = inbox.in_line.first()?;
            if runq.has_passed(first.place.get()) { inbox.in_line.pop_front() } else { None }
        })
    }

    fn with_inbox<R>(&self, change: impl FnOnce(&mut Inbox) -> R) -> R {
        let mut inbox = self.inbox.lock();
        let result = change(&mut inbox);
        // Release: partner of the Acquires below.
        self.inbox_state.store(inbox.state(), Ordering::Release);
        result
    }

    /// Whether a goroutine that is locked to this CPU is runnable. Anyone may ask.
    #[inline]
    pub(crate) fn has_inbox(&self) -> bool {
        // Acquire: partner of the Release in `with_inbox`.
        self.inbox_state.load(Ordering::Acquire) & !Inbox::IS_OFF != Inbox::EMPTY
    }
    /// Whether one of them goes first. Anyone may ask.
    #[inline]
    pub(crate) fn has_readied(&self) -> bool {
        self.inbox_state.load(Ordering::Acquire) & Inbox::READIED != 0 // as above
    }

    /// Marks this CPU as switched off, or on again. The caller sees to it that the CPU looks.
    pub(crate) fn set_off(&self, off: bool) {
        self.with_inbox(|inbox| inbox.off = off);
    }
    pub(crate) fn is_off(&self) -> bool {
        self.inbox_state.load(Ordering::Acquire) & Inbox::IS_OFF != 0 // as above
    }
    /// Whether `schedule` must look beyond this P's queue: at an inbox, or the CPU is switched off.
    #[inline]
    pub(crate) fn is_special(&self) -> bool {
        self.inbox_state.load(Ordering::Acquire) != Inbox::EMPTY // as above
    }
}
