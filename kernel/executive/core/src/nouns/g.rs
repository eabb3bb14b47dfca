//! The g: a goroutine. A stack, a saved stack pointer, and who may touch them.
//!
//! **Rule (STACK-OWNER):** the status says who may run on or write the stack. `Running`: the
//! goroutine; `Waiting`: whatever it waits for, by what it left there; else: the m or list with it.
//!
//! **Rule (SEEN-WHOLE):** what others read of a g is one atomic word each, with three exceptions: a
//! name and a stack take two words, and these and the place where it was started belong to one
//! goroutine. All three change only while `id` is 0: `is_nobody` clears it before, `is_born` sets
//! the new goroutine's number afterwards, and no number is used twice. So a reader that finds the
//! same number before and after has read what belongs to that goroutine ([`G::seen`]).
//!
//! A g is never freed, only reused, so everybody holds a `&'static G`. It lives in the heap and not
//! at its stack's end: the stack's pages may go back to the machine while others look at the g.
#![allow(unsafe_code)] // References from GS, a name in two words.

use crate::ground::atomic::{
    AtomicPtr, AtomicRef, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, Owned,
    prefetch_for_write, with_new,
};
use crate::ground::machine::Stack;
use crate::nouns::joiner::Joiner;
use crate::nouns::runq::Linked;
use crate::tools::fatal::throw;
use crate::tools::percpu;
use crate::tools::trace::Event;
use core::panic::Location;
use core::ptr::null_mut;

/// What a goroutine is doing. Go: `_Gidle` .. `_Gdead`.
#[doc(alias = "_Gidle")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Status {
    /// Just made, never used.
    #[doc(alias = "_Gidle")]
    Idle = 0,
    /// On a run queue (ONE-QUEUE).
    #[doc(alias = "_Grunnable")]
    Runnable = 1,
    /// On its stack, on some CPU.
    #[doc(alias = "_Grunning")]
    Running = 2,
    /// Parked; somebody has it and will ready it.
    #[doc(alias = "_Gwaiting")]
    Waiting = 4,
    /// On a free list, or ended and not yet joined.
    #[doc(alias = "_Gdead")]
    Dead = 6,
}

macro_rules! wait_reasons {
    ($($name:ident $words:literal,)*) => {
        /// Why a goroutine waits. Go: `waitReason`, and its words.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum WaitReason { $(#[doc = concat!("In reports: \"", $words, "\".")] $name,)* }

        impl WaitReason {
            const ALL: &[(Self, &str)] = &[$((WaitReason::$name, $words),)*];
        }
    };
}
wait_reasons! {
    None "",
    ChanReceive "chan receive",
    ChanSend "chan send",
    Select "select",
    SelectNoCases "select (no cases)",
    Sleep "sleep",
    Join "join",
    Irq "IRQ wait",
    MutexLock "sync.Mutex.Lock",
    RwLockRead "sync.RWMutex.RLock",
    RwLockWrite "sync.RWMutex.Lock",
    CondWait "sync.Cond.Wait",
    Semacquire "semacquire",
    WaitGroup "sync.WaitGroup.Wait",
    Barrier "barrier",
    Future "future",
    Monitor "monitor",
}

impl WaitReason {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// As reports print it.
    pub const fn words(self) -> &'static str {
        Self::ALL[self as usize].1
    }
    /// The reason of this number. Panics if there is none.
    pub const fn from_u8(n: u8) -> Self {
        Self::ALL[n as usize].0
    }
    /// Whether reports tell who holds what it waits for ([`G::behind`]).
    pub const fn is_for_a_lock(self) -> bool {
        matches!(self, Self::MutexLock | Self::RwLockRead | Self::RwLockWrite)
    }
}

/// In `G::waiting_since`: the recorder is told when it runs next.
pub const TELL: u64 = 1 << 63;

/// `G::locked_to`: it may run on any CPU.
pub const ANY_CPU: u32 = u32::MAX;
/// The same, and a [`Policy`](crate::kit::Policy) says when.
pub const BY_POLICY: u32 = u32::MAX - 1;

with_new! {
/// One goroutine. `repr(C)`: assembly reads `sched_sp` at its offset.
#[repr(C, align(64))]
pub struct G {
    // For the switch: guarded by STACK-OWNER.
    /// The saved rsp while the goroutine is off its CPU (switch.rs draws what lies there).
    #[doc(alias = "gobuf")]
    pub(crate) sched_sp: AtomicUsize = AtomicUsize::new(0),

    // Written by the owner, read by anyone for reports.
    status: AtomicU8 = AtomicU8::new(Status::Idle as u8),
    pub(crate) wait_reason: AtomicU8 = AtomicU8::new(WaitReason::None as u8),
    /// The stack is of the usual size, and stays with the g when the goroutine ends.
    pub(crate) usual_stack: Owned<bool> = Owned::new(),
    /// Whether its panics are caught, and whether it unwinds (services' recover.rs). Its own.
    pub catching: AtomicU8 = AtomicU8::new(0),
    /// The CPU that it must run on, ANY_CPU or BY_POLICY. Written by itself and, the last, `Sched`.
    pub(crate) locked_to: AtomicU32 = AtomicU32::new(ANY_CPU),
    /// Coarse time (ns) of its last park; or what the recorder keeps here, with [`TELL`].
    #[doc(alias = "waitsince")]
    pub waiting_since: AtomicU64 = AtomicU64::new(0),
    /// 0: it is nobody's (SEEN-WHOLE).
    id: AtomicU64 = AtomicU64::new(0),

    // For the list that has the g (ONE-QUEUE).
    pub(crate) schedlink: AtomicRef<G> = AtomicRef::new(),

    // For the goroutine itself.
    /// What its waker tells it: which select arm won, whether a channel was closed.
    pub(crate) param: Owned<*mut ()> = Owned::new(),
    /// Where it is in a select: see waitq.rs.
    #[doc(alias = "selectDone")]
    pub(crate) select_done: AtomicU32 = AtomicU32::new(0),
    /// Bytes left free at the stack's top (see `STACK_COLORS`).
    pub(crate) color: Owned<u32> = Owned::new(),
    /// See [`G::waits_for`].
    pub(crate) waits_for: AtomicUsize = AtomicUsize::new(0),
    // (All that a switch or a hand-over touches stands above: one cache line.)
    /// In an inbox: its place in the CPU's line, as `Owner::end` gave it.
    pub(crate) place: Owned<u32> = Owned::new(),
    /// As `policy_time`.
    pub policy_mark: AtomicU32 = AtomicU32::new(0),
    /// The next in the list of all g's, which only grows.
    pub(crate) alllink: AtomicRef<G> = AtomicRef::new(),
    // The stack's ends (SEEN-WHOLE); 0 and 0: none.
    stack_lo: AtomicUsize = AtomicUsize::new(0),
    stack_hi: AtomicUsize = AtomicUsize::new(0),
    /// For a [`Policy`](crate::kit::Policy), under the global queue's lock. 0 for the first.
    pub policy_time: AtomicU64 = AtomicU64::new(0),
    /// See [`G::deepest`].
    deepest: AtomicU64 = AtomicU64::new(0),
    /// See [`G::behind`].
    behind: AtomicUsize = AtomicUsize::new(0),
    /// The word in which its future meets wakers (services' wakeword.rs).
    pub(crate) future: AtomicU64 = AtomicU64::new(0),
    /// The number of its last system goroutine.
    pub(crate) system: Owned<u64> = Owned::new(),
    /// Where it goes on after a preemption. Written by the tick handler while it stands still.
    pub preempt_pc: Owned<usize> = Owned::new(),

    // For birth and join.
    started_at: AtomicRef<Location<'static>> = AtomicRef::new(),
    /// Null: it has no name. gdb.py reads pointer and length as a `&str`.
    name: AtomicPtr<u8> = AtomicPtr::new(null_mut()),
    name_len: AtomicUsize = AtomicUsize::new(0),
    /// Where its end meets its handle.
    pub(crate) joiner: Joiner<G> = Joiner::new(),
    /// Where closure and result lie, on its own stack.
    pub(crate) body: Owned<*mut ()> = Owned::new(),
    /// Drops a result that nobody will take.
    pub(crate) drop_result: Owned<*mut ()> = Owned::new(),
}
}

/// What a goroutine is known by, from its birth to its end.
#[derive(Clone, Copy)]
pub struct Seen {
    /// Its number.
    pub id: u64,
    /// The name it was started with.
    pub name: Option<&'static str>,
    /// The `go` that started it.
    pub started_at: &'static Location<'static>,
    /// Its stack.
    pub stack: Stack,
}

impl Linked for G {
    fn link(&self) -> &AtomicRef<G> {
        &self.schedlink
    }
    /// Its saved frame (a free g's will be about where its last one was), and the g's second line.
    #[inline(always)]
    fn soon(&self) {
        let sp = self.sched_sp.load(Ordering::Relaxed);
        prefetch_for_write(sp);
        prefetch_for_write(sp + 64);
        prefetch_for_write(core::ptr::from_ref(self).addr() + 64);
    }
}

impl G {
    /// Its number: 1 is main; never used again.
    #[doc(alias = "goid")]
    pub fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed)
    }
    /// The name it was started with.
    pub fn name(&self) -> Option<&'static str> {
        self.seen()?.name
    }

    /// It is nobody's until the next `is_born`; its stack may change. By whoever frees it.
    #[inline]
    pub(crate) fn is_nobody(&self) {
        // Relaxed: what is stored below is stored with Release; a reader of that sees this, too.
        self.id.store(0, Ordering::Relaxed);
    }
    /// It becomes goroutine `id`. By the owner of the g, which is nobody's.
    #[inline]
    pub(crate) fn is_born(
        &self,
        id: u64,
        name: Option<&'static str>,
        system: bool,
        at: &'static Location<'static>,
    ) {
        // All Release: partners of the Acquires in `seen`.
        match name {
            Some(name) => {
                self.name.store(name.as_ptr().cast_mut(), Ordering::Release);
                self.name_len.store(name.len(), Ordering::Release);
                self.system.set(if system { id } else { 0 }); // who is the system's has a name
            }
            None => self.name.store(null_mut(), Ordering::Release),
        }
        self.started_at.store(Some(at), Ordering::Release);
        self.id.store(id, Ordering::Release);
    }
    /// Gives it another stack, or takes it away. By the owner of the g, which is nobody's.
    pub(crate) fn set_stack(&self, stack: Stack) {
        self.stack_lo.store(stack.lo, Ordering::Release); // partners: the Acquires in `seen`
        self.stack_hi.store(stack.hi, Ordering::Release);
    }
    /// Its stack, for its owner. Others use [`seen`](Self::seen).
    pub fn stack(&self) -> Stack {
        Stack { lo: self.stack_lo.load(Ordering::Relaxed), hi: self.stack_top() }
    }
    /// The stack's upper end, for its owner; 0: it has none.
    pub(crate) fn stack_top(&self) -> usize {
        self.stack_hi.load(Ordering::Relaxed)
    }

    /// What anyone may know of its goroutine. `None`: it is nobody's, or has become another's.
    pub fn seen(&self) -> Option<Seen> {
        // Acquire: partner of the last Release in `is_born`: what follows is this one's or later.
        let id = self.id.load(Ordering::Acquire);
        // Acquire: partners of the Releases in `is_born`, `set_stack`: a later's: `id` was 0.
        let name = self.name.load(Ordering::Acquire).cast_const();
        let name_len = self.name_len.load(Ordering::Acquire);
        let started_at = self.started_at.load(Ordering::Acquire);
        let stack = Stack {
            lo: self.stack_lo.load(Ordering::Acquire),
            hi: self.stack_hi.load(Ordering::Acquire),
        };
        if id == 0 || self.id.load(Ordering::Relaxed) != id {
            return None;
        }
        // SAFETY: SEEN-WHOLE: the name is whole, as `is_born` stored it.
        let name = (!name.is_null()).then(|| unsafe {
            core::str::from_utf8_unchecked(core::slice::from_raw_parts(name, name_len))
        });
        Some(Seen { id, name, started_at: started_at?, stack })
    }

    /// What it is doing: a snapshot. Go: `readgstatus`.
    #[doc(alias = "readgstatus")]
    pub fn status(&self) -> Status {
        match self.status.load(Ordering::Relaxed) {
            0 => Status::Idle,
            1 => Status::Runnable,
            2 => Status::Running,
            4 => Status::Waiting,
            _ => Status::Dead,
        }
    }

    /// The owner changes the status. Throws `otherwise` unless it is `from`. Go exchanges it,
    /// because its garbage collector changes it too; here queues and locks order the store.
    #[doc(alias = "casgstatus")]
    #[inline]
    pub(crate) fn set_status(&self, from: Status, to: Status, otherwise: &'static str) {
        if self.status.load(Ordering::Relaxed) != from as u8 {
            throw(otherwise);
        }
        // An interrupt handler on this CPU that reads the status finds what was stored before it.
        core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::Release);
        self.status.store(to as u8, Ordering::Relaxed);
    }

    /// Why it waits, if it does.
    pub fn wait_reason(&self) -> WaitReason {
        WaitReason::from_u8(self.wait_reason.load(Ordering::Relaxed))
    }

    /// While it waits for one thing: the address of that thing's lock, the same for all waiters.
    pub fn waits_for(&self) -> usize {
        self.waits_for.load(Ordering::Relaxed)
    }
    /// While it waits: the coarse time (ns) of its last park.
    pub fn waiting_since(&self) -> u64 {
        self.waiting_since.load(Ordering::Relaxed) & !TELL
    }
    /// Something that happens often: each CPU counts such events down, and tells the one that makes
    /// it 0. Returns `keep`, which callers need not save over the seldom call. Pinned or on g0.
    #[inline(always)]
    pub(crate) fn count<K>(&'static self, event: Event, keep: K) -> K {
        #[cold]
        #[inline(never)]
        fn tell_keeping<K>(g: &'static G, event: Event, keep: K) -> K {
            tell(event, Some(g), 0);
            keep
        }
        if percpu::counts_down() { tell_keeping(self, event, keep) } else { keep }
    }
    /// Whether the recorder is to hear that it runs.
    #[inline(always)]
    pub(crate) fn run_is_told(&self) -> bool {
        self.waiting_since.load(Ordering::Relaxed).cast_signed() < 0
    }
    /// Before it waits for a lock, or in a select: as [`behind`](Self::behind) says.
    #[inline]
    pub fn set_behind(&self, behind: usize) {
        self.behind.store(behind, Ordering::Relaxed);
    }
    /// While it waits for a lock, who held it when this one queued. For a mutex, or to read what an
    /// `RwLock` guards: an address on the (next) holder's stack. To write: the number of readers.
    /// While it waits in a select: where its stack tells the arms.
    pub fn behind(&self) -> usize {
        self.behind.load(Ordering::Relaxed)
    }
    /// Whether its goroutine has ended, and its result may still be asked for.
    pub fn has_ended(&self) -> bool {
        self.joiner.has_ended()
    }
    /// Whether it serves the system: its waits for what is outside hide no deadlock (SYSTEM-G).
    #[doc(alias = "isSystemGoroutine")]
    pub fn is_system(&self) -> bool {
        self.system.get() == self.id()
    }
    /// Its stack pointer, if it is off its CPU.
    pub fn saved_sp(&self) -> usize {
        self.sched_sp.load(Ordering::Relaxed)
    }

    /// The word in which reports keep how deep its stack went (the face's depth.rs).
    pub fn deepest(&self) -> &AtomicU64 {
        &self.deepest
    }
}

unsafe extern "Rust" {
    /// The recorder hears of an event, and says which of those that happen often it hears of next:
    /// the first (1), the second, ..; 0: as it was. Defined by whoever links the core.
    safe fn _executive_event(event: Event, g: Option<&'static G>, number: u64) -> u64;
    /// The recorder hears that a goroutine runs here from now on, as it has asked to. Returns it.
    pub(crate) safe fn _executive_runs(g: &'static G) -> &'static G;
}

/// Tells an event, of a goroutine or of the CPU itself. Pinned, on g0, or in a handler.
pub fn tell(event: Event, g: Option<&'static G>, number: u64) {
    let next = _executive_event(event, g, number);
    if next != 0 {
        percpu::count_down_from(next);
    }
}

/// The current g: the calling goroutine, or its CPU's g0. Go: `getg`, `get_tls`.
#[doc(alias = "get_tls")]
#[inline(always)]
pub fn getg() -> &'static G {
    // SAFETY: GS-CURRENT.
    unsafe { &*percpu::raw_g().cast::<G>() }
}

/// The goroutine that this CPU runs, also seen from g0. Pinned or on g0.
pub fn curg() -> Option<&'static G> {
    // SAFETY: written by `run` alone, with a g or null.
    unsafe { percpu::raw_curg().cast::<G>().as_ref() }
}

/// Whether the caller is on its CPU's g0.
#[inline]
pub fn on_g0() -> bool {
    percpu::is_g0(percpu::raw_g())
}
