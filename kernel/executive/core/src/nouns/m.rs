//! The m: what runs goroutines. A CPU on bare metal, a thread on Linux. One per CPU, with its g0 and its p.
//!
//! **Rule:** an m's cells are its own, on g0 or pinned; others wake its note, and put g's that are locked to it into its inbox.
#![allow(unsafe_code)] // `Sync` for cells of the owner.

use crate::ground::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use crate::ground::machine::{self, NEVER};
use crate::ground::param::{MAX_CPUS, RETRY_NS};
use crate::nouns::g::G;
use crate::nouns::runq::{List, Owner};
use crate::tools::lock::{Lock, Rank};
use crate::tools::note::{Note, Sleeper};
use crate::tools::percpu;
use core::cell::Cell;

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
}

#[repr(C, align(128))]
pub struct M {
    /// The g whose stack the scheduler itself runs on here.
    pub(crate) g0: G,

    // Its own.
    /// Counts as searching in `Idle`. Go: `m.spinning`.
    pub(crate) spinning: Cell<bool>,
    /// When `on_tick` is due here, as far as we asked for it; NEVER: not at all. Written by this CPU alone, and by the handler between any two of its instructions.
    tick: AtomicU64,
    /// After so long (ns) a tick that preempts nobody comes again.
    pub(crate) retry: Cell<u64>,
    /// A slice under contention ends at this time (ns); NEVER: none was begun.
    pub(crate) slice_end: AtomicU64,
    /// The schedtick that was seen when the slice began.
    pub(crate) slice_tick: Cell<u32>,
    /// A slice has ended, and nobody has gone behind the others for it yet.
    pub(crate) slice_over: Cell<bool>,
    random: Cell<u32>,

    // For others.
    state: AtomicU8,
    pub(crate) park: Note,
    /// Goroutines that are locked to this CPU and runnable.
    inbox: Lock<Inbox>,
    /// What the inbox holds, and whether the CPU is switched off, without its lock: see
    /// [`Inbox::state`].
    inbox_state: AtomicU8,
}

/// Runnable goroutines that are locked to one CPU. The ring can't hold them: thieves take from it.
struct Inbox {
    /// Those who were readied, or came from another CPU. Like a runnext they go first and run on
    /// the current slice.
    readied: List<G>,
    /// Those who have had a slice. Each stands in one line with the ring's: its turn comes when all
    /// who were in the ring before it (`G::place`) have left.
    in_line: List<G>,
    /// The CPU is switched off: it runs these, and no others (proc/procs.rs).
    off: bool,
}

impl Inbox {
    const EMPTY: u8 = 0;
    const IN_LINE: u8 = 1;
    const READIED: u8 = 2;
    const IS_OFF: u8 = 4;

    fn state(&self) -> u8 {
        let holds = match (self.readied.is_empty(), self.in_line.is_empty()) {
            (false, _) => Self::READIED,
            (true, false) => Self::IN_LINE,
            (true, true) => Self::EMPTY,
        };
        holds | if self.off { Self::IS_OFF } else { 0 }
    }
}

// SAFETY: cells are the owner's; the rest is atomic or locked.
unsafe impl Sync for M {}

static MS: [M; MAX_CPUS] = [const { M::new() }; MAX_CPUS];

/// CPU `cpu`'s m.
pub(crate) fn m_of(cpu: usize) -> &'static M {
    &MS[cpu]
}

/// This CPU's m. Pinned or on g0.
#[inline]
pub(crate) fn m() -> &'static M {
    // SAFETY: set up before this CPU started, and never changed.
    unsafe { &*percpu::raw_m().cast::<M>() }
}

/// The machine, as CPU n's note sees it.
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
    pub(crate) const fn new() -> Self {
        M {
            g0: G::new(),
            spinning: Cell::new(false),
            tick: AtomicU64::new(NEVER),
            retry: Cell::new(RETRY_NS),
            slice_end: AtomicU64::new(NEVER),
            slice_tick: Cell::new(0),
            slice_over: Cell::new(false),
            random: Cell::new(1),
            state: AtomicU8::new(CpuState::Offline as u8),
            park: Note::new(),
            inbox: Lock::new(
                Rank::Sched,
                Inbox { readied: List::new(), in_line: List::new(), off: false },
            ),
            inbox_state: AtomicU8::new(Inbox::EMPTY),
        }
    }

    pub(crate) fn seed(&self, seed: u32) {
        self.random.set(seed | 1);
    }

    /// A fast random number, for choosing victims and arms. Go: `cheaprand`.
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
    pub(crate) fn state(&self) -> CpuState {
        match self.state.load(Ordering::Relaxed) {
            0 => CpuState::Offline,
            1 => CpuState::Running,
            2 => CpuState::Searching,
            _ => CpuState::Idle,
        }
    }

    /// Asks for `on_tick` at `deadline` unless one comes earlier. On its own CPU, pinned, on g0 or in the handler. What `deadline` was made of is written before: if the
    /// handler comes meanwhile, it is the handler that sees to it.
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
        // A handler that comes before the timer is set asks for a tick of its own, which ours must not replace.
        loop {
            let tick = self.tick.load(Ordering::Relaxed);
            machine::tick_at(tick);
            if self.tick.load(Ordering::Relaxed) == tick {
                return;
            }
        }
    }
    /// No tick is asked for any more: it came, or a wait has used the timer up.
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
    /// A slice is over: those who would have run on it stand in line, too. By this CPU.
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
    /// The first of those who were readied. By this CPU.
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
        // Release: partner of the Acquire in `has_inbox`.
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

    /// Marks this CPU as switched off, or on again. The caller then sees to it that the CPU looks.
    pub(crate) fn set_off(&self, off: bool) {
        self.with_inbox(|inbox| inbox.off = off);
    }
    pub(crate) fn is_off(&self) -> bool {
        self.inbox_state.load(Ordering::Acquire) & Inbox::IS_OFF != 0 // as above
    }
    /// Whether `schedule` must look at more than this P's queue: there is an inbox, or the CPU is
    /// switched off.
    #[inline]
    pub(crate) fn is_special(&self) -> bool {
        self.inbox_state.load(Ordering::Acquire) != Inbox::EMPTY // as above
    }
}
