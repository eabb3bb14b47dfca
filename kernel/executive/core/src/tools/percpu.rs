//! What GS points at: a block for each CPU, with the current g, the number of pins, and which CPU
//! it is.
//!
//! **Rule (GS-CURRENT):** `gs:[0]` is the g whose stack rsp is on, except between two instructions
//! of `switch.rs`. It is read by one instruction that is not `pure`, every time: the compiler may
//! neither repeat nor remember it, because a goroutine that switches away may come back on another
//! CPU.
//!
//! A goroutine that is not pinned changes its CPU's block by single `gs:` instructions, which no
//! interrupt can split. Rejected: `&PerCpu` handed around (it would be kept over a switch), and a
//! thread-local address (LLVM keeps those over calls: llvm-project#98479).
#![allow(unsafe_code)] // GS-relative instructions.

use crate::ground::arch;
use crate::ground::atomic::{Owned, with_new};
use crate::ground::chaos;
use crate::ground::param::MAX_CPUS;
use crate::proc::preempt::preempted; // a call upward; fatal.rs has the only other
use core::mem::offset_of;

with_new! {
/// One CPU's block, to which its GS base is set for good. (Two cache lines, because the prefetcher
/// fetches lines in pairs: two CPUs must not share a pair.)
#[repr(C, align(128))]
pub struct PerCpu {
    /// The current g (`*const G`; typed in g.rs).
    g: Owned<*mut ()> = Owned::new(),
    /// This CPU's g0.
    g0: Owned<*mut ()> = Owned::new(),
    /// The goroutine that this CPU runs, also while it is on g0 on its behalf.
    #[doc(alias = "m.curg")]
    curg: Owned<*mut ()> = Owned::new(),
    /// The number of pins (Go: `m.locks`) times [`PIN`], plus [`CALM`] unless the goroutine shall
    /// yield as soon as it can (Go: `g.preempt`). So an unpin needs one subtraction: 0 is left when
    /// the last pin is gone and a yield is wanted. Linux: `preempt_count`. The word has 64 bits
    /// because pins can be forgotten (`mem::forget`): a loop would overflow 32 within seconds, and
    /// its goroutine would count as not pinned.
    #[doc(alias("m.locks", "g.preempt"))]
    pins: Owned<u64> = Owned::new(),
    /// This CPU's m and number.
    m: Owned<*mut ()> = Owned::new(),
    cpu: Owned<u64> = Owned::new(),
    /// Ranks of the locks held, a bit each (debug builds; RANK).
    ranks: Owned<u64> = Owned::new(),
    /// How many events come until one is told (trace.rs).
    events: Owned<u64> = Owned::new(),
}
}

pub(crate) const G: usize = offset_of!(PerCpu, g);
pub(crate) const G0: usize = offset_of!(PerCpu, g0);
pub(crate) const CURG: usize = offset_of!(PerCpu, curg);
const PINS: usize = offset_of!(PerCpu, pins);
const M: usize = offset_of!(PerCpu, m);
const CPU: usize = offset_of!(PerCpu, cpu);
const RANKS: usize = offset_of!(PerCpu, ranks);
const EVENTS: usize = offset_of!(PerCpu, events);
/// In `pins`: nobody wants a yield.
const CALM: u64 = 1;
/// In `pins`: one pin.
const PIN: u64 = 2;
const _: () = assert!(G == 0, "GS-CURRENT says gs:[0]");

impl PerCpu {
    /// Says whose block this is, before GS points at it (the boot CPU's GS does so already). A
    /// foreign thread is never calm: each last unpin there hands over what the thread has readied.
    pub(crate) fn fill(&self, cpu: usize, g0: *const (), m: *const ()) {
        self.pins.set(if cpu < MAX_CPUS { CALM } else { 0 });
        self.g.set(g0.cast_mut());
        self.g0.set(g0.cast_mut());
        self.m.set(m.cast_mut());
        self.cpu.set(cpu as u64);
        self.events.set(1);
    }
    /// The goroutine that the CPU runs (null: none). A snapshot, for reports.
    pub(crate) fn curg(&self) -> *mut () {
        self.curg.get()
    }
}

macro_rules! gs_word {
    ($($name:ident, $offset:ident, $doc:literal;)*) => { $(
        #[doc = $doc]
        #[inline(always)]
        pub(crate) fn $name() -> *const () {
            // SAFETY: GS-CURRENT: the GS base is this CPU's block from its start on.
            unsafe { arch::gs_load::<$offset>() as *const () }
        }
    )* };
}
gs_word! {
    raw_g, G, "The current g. Go: `getg`, `get_tls`.";
    raw_curg, CURG, "The goroutine this CPU runs. Pinned or on g0.";
    raw_m, M, "This CPU's m. Pinned or on g0.";
}

/// The word `pins`: the number of pins, and CALM.
#[inline(always)]
fn raw_pins() -> u64 {
    // SAFETY: GS-CURRENT.
    unsafe { arch::gs_load::<PINS>() }
}

/// This CPU's number; on a thread that is no CPU a number from [`MAX_CPUS`] on. Stale at once,
/// unless the caller is pinned: it has a [`Lock`](crate::tools::lock::Lock) or a [`Pin`].
pub fn cpu() -> usize {
    // SAFETY: GS-CURRENT.
    unsafe { arch::gs_load::<CPU>() as usize }
}

/// Whether the caller is on a thread that is no CPU (proc/foreign.rs).
#[inline]
pub fn is_foreign() -> bool {
    cpu() >= MAX_CPUS
}

/// Whether `g`, the current g, is this CPU's g0: one comparison.
#[inline(always)]
pub(crate) fn is_g0(g: *const ()) -> bool {
    // SAFETY: GS-CURRENT.
    unsafe { arch::gs_equals::<G0>(g as u64) }
}

/// The number of pins on this CPU.
#[inline(always)]
pub(crate) fn pins() -> u64 {
    raw_pins() / PIN
}

/// Whether nothing is pinned and nobody wants a yield: the two in one comparison.
#[inline(always)]
pub(crate) fn is_calm() -> bool {
    // SAFETY: GS-CURRENT.
    unsafe { arch::gs_is::<PINS, { CALM as i32 }>() }
}

/// Whether the goroutine shall yield at its next unpin.
pub(crate) fn preempt() -> bool {
    raw_pins() & CALM == 0
}

/// The goroutine that runs here shall yield as soon as it can.
pub(crate) fn want_preempt() {
    // SAFETY: GS-CURRENT.
    unsafe { arch::gs_and::<PINS, { !CALM as i32 }>() }
}

/// A slice begins: nobody wants a yield yet. On g0, without pins.
#[inline(always)]
pub(crate) fn calm() {
    // SAFETY: GS-CURRENT.
    unsafe { arch::gs_set::<PINS, { CALM as i32 }>() }
}

/// The caller's stack is that of `g` from here on. For kit.rs alone, before anything else runs
/// here: elsewhere only switch.rs changes the current g, together with rsp (GS-CURRENT).
pub(crate) fn set_g(g: *const ()) {
    // SAFETY: GS-CURRENT.
    unsafe { arch::gs_store::<G>(g as u64) }
}

/// Notes which goroutine this CPU runs. On g0 only.
#[inline(always)]
pub(crate) fn set_curg(g: *const ()) {
    // SAFETY: GS-CURRENT.
    unsafe { arch::gs_store::<CURG>(g as u64) }
}

/// Until the matching `unpin` the caller is neither preempted nor moved to another CPU.
#[inline(always)]
pub fn pin() {
    // SAFETY: GS-CURRENT.
    unsafe { arch::gs_add::<PINS, { PIN as i32 }>() }
}

/// Does `n` [`pin`]s at once. For whoever ends the run.
pub fn pin_times(n: u64) {
    // SAFETY: GS-CURRENT. An interrupt may come between the two instructions: the run ends anyway.
    unsafe { arch::gs_store::<PINS>(raw_pins() + n * PIN) }
}

/// Undoes one [`pin`]. The last one yields if a preemption came meanwhile.
#[inline(always)]
pub(crate) fn unpin() {
    // SAFETY: GS-CURRENT.
    if unsafe { arch::gs_sub_to_zero::<PINS, { PIN as i32 }>() } || chaos::one_in(16) && pins() == 0
    {
        preempted();
    }
}

/// A point of preemption, for functions that pin nothing: a goroutine that shall yield does so
/// here. On a machine that cannot preempt, a loop around such a function would keep the CPU.
#[inline(always)]
pub fn point() {
    // SAFETY: GS-CURRENT.
    if unsafe { arch::gs_is_seldom::<PINS, 0>() } || chaos::one_in(16) && pins() == 0 {
        preempted();
    }
}

/// Undoes one [`pin`], and leaves a preemption that came meanwhile to the next unpin or switch.
#[inline(always)]
pub(crate) fn unpin_quietly() {
    // SAFETY: GS-CURRENT.
    unsafe { arch::gs_add::<PINS, { -(PIN as i32) }>() }
}

/// Counts an event down; whether it is one to be told (trace.rs).
#[inline(always)]
pub(crate) fn counts_down() -> bool {
    // SAFETY: GS-CURRENT.
    unsafe { arch::gs_sub_to_zero::<EVENTS, 1>() }
}

/// So many events come until one is told.
pub(crate) fn count_down_from(events: u64) {
    // SAFETY: GS-CURRENT.
    unsafe { arch::gs_store::<EVENTS>(events) }
}

/// RANK, in debug builds: notes that a lock of this rank is taken; `false`: one higher is. Pinned.
pub(crate) fn rank_taken(rank: u32) -> bool {
    // SAFETY: GS-CURRENT.
    let held = unsafe { arch::gs_load::<RANKS>() };
    // SAFETY: GS-CURRENT.
    unsafe { arch::gs_store::<RANKS>(held | 1 << rank) };
    held >> (rank + 1) == 0
}

/// RANK, in debug builds: a lock of this rank was released, the first if several are held. Pinned.
pub(crate) fn rank_released(rank: u32) {
    // SAFETY: GS-CURRENT.
    unsafe { arch::gs_store::<RANKS>(arch::gs_load::<RANKS>() & !(1 << rank)) }
}

/// While it lives, its goroutine stays on its CPU and is not preempted. Parking then throws
/// `schedule: holding locks`.
pub struct Pin(core::marker::PhantomData<*const ()>);

impl Pin {
    /// Pins the calling goroutine, until this is dropped.
    #[inline]
    #[expect(clippy::new_without_default, reason = "pinning is an action, not a value")]
    pub fn new() -> Self {
        pin();
        Pin(core::marker::PhantomData)
    }
}

impl Drop for Pin {
    #[inline]
    fn drop(&mut self) {
        unpin();
    }
}
