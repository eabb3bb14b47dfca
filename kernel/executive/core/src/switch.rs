//! The switch: `gogo`, `mcall`, `systemstack`, and the first and last instructions of a goroutine.
//!
//! **How a switch works.** A goroutine that leaves its CPU pushes what our ABI wants kept (rbx rbp
//! r12-r15) on its own stack and stores rsp in its g. That one word is our gobuf. (Go has no
//! callee-saved registers, and keeps sp, pc, bp and more in the g.) No vector register is saved: a
//! call keeps none (VECTOR-CLEAN). MXCSR and x87's control word are the same in all goroutines.
//!
//! ```text
//!   a stack that is off its CPU                     a newborn's
//!   higher  | caller's frame        |               | closure, later result |
//!           |-----------------------|               |-----------------------|
//!           | return address        | -- `pc` --+   | goexit + 1            | <- what f returns to
//!           | rbp                   |           |   | gostart               | <- `pc`
//!           | rbx                   |           |   | rbp = 0               |
//!           | r12                   |               | rbx = f               |
//!           | r13                   |               | r12 = closure         |
//!           | r14                   |               | r13, r14, r15 = 0     |
//!   lower   | r15                   | <- sched_sp   |                       | <- sched_sp
//! ```
//!
//! **Rule (GS-CURRENT):** `gs:[0]` and rsp change in two neighbouring instructions, and all code
//! here lies in one section, `executive_switch`: the tick handler preempts nobody whose pc is in
//! it. What a park or a yield does on g0 until the next goroutine runs is inlined in `on_g0`, which
//! lies there too, only for locality: the section begins at a page, and a switch touches no other.
#![allow(unsafe_code)] // This is the switch.

use crate::ground::arch::frame_pointer;
use crate::nouns::g::{_executive_runs, G, Status, WaitReason, getg};
use crate::proc::preempt::preempt_yield;
use crate::tools::fatal::throw;
use crate::tools::percpu::{self, CURG, G as CURRENT, G0};
use core::arch::naked_asm;
use core::marker::PhantomData;
use core::mem::{ManuallyDrop, offset_of};
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

const SP: usize = offset_of!(G, sched_sp);

/// Words of a newborn's first frame, from sched_sp up.
const NEWBORN_FRAME: usize = 8;

core::arch::global_asm!(
    ".pushsection executive_switch, \"ax\", @progbits",
    ".p2align 12",
    ".popsection"
);

macro_rules! switch_section {
    ($(#[$meta:meta])* $vis:vis unsafe extern "C" fn $name:ident($($arg:ident: $ty:ty),*)
        $(-> $ret:ty)? { $($body:tt)* }) => {
        $(#[$meta])*
        #[unsafe(naked)]
        #[unsafe(link_section = "executive_switch")]
        $vis unsafe extern "C" fn $name($($arg: $ty),*) $(-> $ret)? { naked_asm!($($body)*) }
    };
}

switch_section! {
/// Resumes a goroutine on this CPU, where it left off; does not come back.
///
/// *Takes* rdi = g. *Leaves* gs:[0] = g, rsp = its saved rsp, callee-saved registers as it pushed
/// them. Ends in a jump: the CPU would predict that a `ret` goes back to the last call on g0.
/// *From* g0 alone. Go: `gogo` (asm_amd64.s).
///
/// # Safety
/// STACK-OWNER: the caller's m owns g's stack (it is Running), saved by `mcall` or by `newborn`.
pub(crate) unsafe extern "C" fn gogo(g: *const G) -> ! {
    "mov gs:[{g}], rdi",        // GS-CURRENT: these
    "mov rsp, [rdi + {sp}]",    //   two
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "pop rcx",                  // pc
    "jmp rcx",
    g = const CURRENT,
    sp = const SP,
}
}

switch_section! {
/// Leaves the goroutine and calls `f(g, arg)` on this CPU's g0; `f` must not return. Comes back
/// when a CPU `gogo`es to the g.
///
/// *Takes* rax = the caller's g, rdx = f, rsi = arg. (Not rdi, where the caller may have its lock.)
/// *Leaves* the g saved (see the picture), `gs:[0]` = g0, rsp = g0's base. *Clobbers* all
/// caller-saved registers. Go: `mcall` (asm_amd64.s).
///
/// # Safety
/// The caller is not on g0 (a [`Parking`] proves that). `f` is sound with this arg.
#[doc(alias = "mcall")]
unsafe extern "C" fn raw_mcall() {
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov [rax + {sp}], rsp",
    "mov rcx, gs:[{g0}]",       // rcx = g0
    "mov gs:[{g}], rcx",        // GS-CURRENT: these
    "mov rsp, [rcx + {sp}]",    //   two
    "mov rdi, rax",             // f's 1st argument: g; its 2nd is in rsi already
    "xor ebp, ebp",             // backtraces of g0 end here
    "call rdx",
    "call {returned}",
    g = const CURRENT,
    g0 = const G0,
    sp = const SP,
    returned = sym mcall_returned,
}
}

extern "C" fn mcall_returned() -> ! {
    throw("mcall: function returned")
}

switch_section! {
/// Calls `f(arg)` on this CPU's g0 and comes back. On g0 already it is a plain call; from the m's
/// curg it switches there and back; from any other g it throws. The goroutine keeps its CPU
/// meanwhile, for g0 is never preempted.
///
/// *Takes* rdi = f, rsi = arg. rbp keeps the goroutine's rsp, so that backtraces run through.
///
/// # Safety
/// `f` is sound with this arg, and does not park.
unsafe extern "C" fn systemstack_raw(f: unsafe extern "C" fn(*mut ()), arg: *mut ()) {
    "mov rax, gs:[{g}]",        // rax = g
    "mov rcx, gs:[{g0}]",       // rcx = g0
    "mov rdx, rdi",             // rdx = f
    "mov rdi, rsi",             // f's argument
    "cmp rax, rcx",
    "je 2f",
    "cmp rax, gs:[{curg}]",
    "jne 3f",
    "push rbp",
    "mov rbp, rsp",             // rbp = the goroutine's rsp
    "mov gs:[{g}], rcx",        // GS-CURRENT: these
    "mov rsp, [rcx + {sp}]",    //   two
    "call rdx",
    "mov rax, gs:[{curg}]",     // rax = g: g0 has switched to no other
    "mov gs:[{g}], rax",        // GS-CURRENT: these
    "mov rsp, rbp",             //   two
    "pop rbp",
    "ret",
    "2:",                       // on g0 already
    "jmp rdx",
    "3:",                       // on neither
    "push rbp",                 // a frame, so that the report names the caller
    "mov rbp, rsp",
    "call {wrong_g}",
    g = const CURRENT,
    g0 = const G0,
    curg = const CURG,
    sp = const SP,
    wrong_g = sym systemstack_wrong_g,
}
}

extern "C" fn systemstack_wrong_g() -> ! {
    throw("systemstack: called from unexpected goroutine")
}

/// Calls `f` on this CPU's g0 and returns its result. `f` must not park: that throws, as does a
/// call from a g that is neither g0 nor the m's curg. Go: `systemstack`.
#[inline]
pub fn systemstack<R>(f: impl FnOnce() -> R) -> R {
    struct Call<F, R> {
        f: ManuallyDrop<F>,
        result: core::mem::MaybeUninit<R>,
    }
    unsafe extern "C" fn call<F: FnOnce() -> R, R>(arg: *mut ()) {
        // SAFETY: `arg` is the `Call` below, alive and ours alone until `systemstack_raw` returns.
        let call = unsafe { &mut *arg.cast::<Call<F, R>>() };
        // SAFETY: taken once.
        let f = unsafe { ManuallyDrop::take(&mut call.f) };
        call.result.write(f());
    }
    fn pick<F: FnOnce() -> R, R>(_: &Call<F, R>) -> unsafe extern "C" fn(*mut ()) {
        call::<F, R>
    }
    let mut c = Call { f: ManuallyDrop::new(f), result: core::mem::MaybeUninit::uninit() };
    let call = pick(&c);
    // SAFETY: `call` fits `c`; `systemstack_raw` keeps what the ABI wants kept.
    unsafe {
        core::arch::asm!(
            "call {raw}",
            raw = sym systemstack_raw,
            in("rdi") call,
            in("rsi") &raw mut c,
            clobber_abi("C"),
        );
    }
    // SAFETY: `call` has written it.
    unsafe { c.result.assume_init() }
}

/// A CPU's first instructions: the stack on which the machine started it becomes g0's, and
/// [`mstart1`](crate::proc::boot::mstart1) is called at its base. For the machine, once per CPU.
#[doc(alias = "rt0_go")]
#[unsafe(naked)]
pub(crate) extern "C" fn mstart() -> ! {
    naked_asm!(
        "and rsp, -16",
        "mov rax, gs:[{g0}]",
        "mov [rax + {sp}], rsp",    // g0's base; it never changes
        "xor ebp, ebp",
        "call {mstart1}",
        "ud2",
        g0 = const G0,
        sp = const SP,
        mstart1 = sym crate::proc::boot::mstart1,
    )
}

switch_section! {
/// A goroutine's first instructions: calls rbx with r12, as `newborn` left them there.
unsafe extern "C" fn gostart() -> ! {
    "mov rdi, r12",
    "jmp rbx",
}
}

switch_section! {
/// Where a goroutine's function returns to: one byte in, for backtraces. Go: `goexit`.
/// # Safety
/// It is only returned to.
pub unsafe extern "C" fn goexit() -> ! {
    "nop",
    "call {goexit1}",
    "ud2",
    goexit1 = sym crate::proc::birth::goexit1,
}
}

/// This function has a module only for its address: functions lie in the order of their symbols'
/// names, and a long one before `gogo` would move that over the end of a cache line.
mod preemption {
    use core::arch::naked_asm;

    switch_section! {
    /// What a preempted goroutine runs: it saves all general registers and the flags, yields,
    /// restores them, and goes on where it was interrupted. Go: `asyncPreempt`.
    ///
    /// A second preemption before `preempt_pc` is on the stack would overwrite it: so this lies in
    /// the section that is never preempted; what it calls does not. The target has no red zone.
    /// If code uses vector registers, the machine saves them around the yield (`preempt_by`).
    ///
    /// ```text
    ///   | (interrupted code's stack)   |
    ///   | pc at which it goes on       | <- `ret` takes it
    ///   | flags                        |
    ///   | rax rcx rdx rbx rsi rdi rbp r8..r15 |
    /// ```
    #[doc(alias = "asyncPreempt")]
    pub(super) unsafe extern "C" fn async_preempt() {
        "push rax",                 // place for pc
        "pushfq",
        "push rax", "push rcx", "push rdx", "push rbx", "push rsi", "push rdi", "push rbp",
        "push r8", "push r9", "push r10", "push r11",
        "push r12", "push r13", "push r14", "push r15",
        "mov rax, gs:[{g}]",
        "mov rax, [rax + {pc}]",
        "mov [rsp + 16*8], rax",    // 15 registers and the flags above us
        "mov rbx, rsp",             // rbx keeps rsp over the call
        "and rsp, -16",
        "cld",
        "call [rip + {yield}]",
        "mov rsp, rbx",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop r11", "pop r10", "pop r9", "pop r8",
        "pop rbp", "pop rdi", "pop rsi", "pop rbx", "pop rdx", "pop rcx", "pop rax",
        "popfq",
        "ret",
        g = const super::CURRENT,
        pc = const core::mem::offset_of!(super::G, preempt_pc),
        yield = sym super::YIELD,
    }
    }
}
use preemption::async_preempt;

/// Where a preempted goroutine goes on: [`async_preempt`].
pub(crate) const ASYNC_PREEMPT: *const () = async_preempt as *const ();

/// What [`async_preempt`] calls.
static YIELD: AtomicPtr<()> = AtomicPtr::new(preempt_yield as *const () as *mut ());

/// From here on preempted goroutines call `keep` in place of [`preempt_yield`]. For a machine whose
/// code uses vector registers, before [`start`](crate::start).
///
/// # Safety
/// `keep` calls [`preempt_yield`], on the same stack; when it returns, no vector register and no
/// callee-saved one has changed.
pub unsafe fn preempt_by(keep: unsafe extern "C" fn()) {
    YIELD.store(keep as *mut (), Relaxed);
}

// The section is entered by `asm!`: the compiler would call it through the linker's table (GOT).

/// Proof that the caller is on its goroutine's own stack, and may park (PARKING, in park.rs). It is
/// not `Send`, so it stays in the goroutine. A closure that runs on g0 (by `systemstack` or
/// `leave`) must not use it; debug builds check that.
pub struct Parking {
    g: &'static G,
    for_a_lock: bool,
    _not_send: PhantomData<*const ()>,
}

impl Parking {
    /// `None`: the caller is on a g0, that of a CPU or of a foreign thread.
    #[inline(always)]
    pub fn here() -> Option<Parking> {
        let g = getg();
        let on_g0 = percpu::is_g0(core::ptr::from_ref(g).cast());
        if on_g0 { None } else { Some(Parking { g, for_a_lock: false, _not_send: PhantomData }) }
    }

    /// Lets the goroutine park for the reason of a `Mutex` or `RwLock`, too.
    ///
    /// # Safety
    /// For `MutexLock` it releases the lock in a `RawMutex`: a report reads the owner beside that.
    #[inline(always)]
    pub unsafe fn for_a_lock(self) -> Self {
        Parking { for_a_lock: true, ..self }
    }

    /// Notes why the goroutine parks. Panics if it may not park for this reason.
    #[inline(always)]
    pub(crate) fn because(&self, reason: WaitReason) {
        let may = self.for_a_lock || !reason.is_for_a_lock();
        assert!(may, "park: only Mutex and RwLock wait for this reason");
        self.g.wait_reason.store(reason as u8, Relaxed);
    }

    /// The goroutine.
    #[inline(always)]
    pub fn g(&self) -> &'static G {
        self.g
    }

    /// Saves the goroutine, and calls `f(g, arg)` on this CPU's g0; throws if `f` returns. Comes
    /// back when a CPU runs the goroutine again.
    ///
    /// # Safety
    /// `f` is sound with this arg.
    #[inline(always)]
    pub unsafe fn mcall(self, f: unsafe extern "C" fn(&'static G, *mut ()) -> !, arg: *mut ()) {
        debug_assert!(core::ptr::eq(self.g, getg()), "mcall: called on g0");
        // SAFETY: the caller's promise; `raw_mcall` keeps what the ABI wants kept. The caller is on
        // the g's stack, for the token has not left the goroutine.
        unsafe {
            core::arch::asm!(
                "call {mcall}",
                mcall = sym raw_mcall,
                in("rax") self.g,
                in("rsi") arg,
                in("rdx") f,
                clobber_abi("C"),
            )
        }
    }

    /// As [`mcall`](Self::mcall): moves `then` to g0 and runs it there.
    #[inline(always)]
    pub(crate) fn leave<F: OnG0>(self, then: F) {
        /// Whether it goes by value, as one word: that saves a store and a load.
        const fn is_word<F>() -> bool {
            size_of::<F>() == size_of::<*mut ()>() && align_of::<F>() == align_of::<*mut ()>()
        }
        #[unsafe(link_section = "executive_switch")]
        unsafe extern "C" fn on_g0<F: OnG0>(g: &'static G, mut arg: *mut ()) -> ! {
            let place = if is_word::<F>() { (&raw mut arg).cast::<F>() } else { arg.cast() };
            // SAFETY: PARK-COMMIT: `then` lies in `arg`, or on the stack of g, which is saved and
            // ours. It is read once.
            unsafe { place.read() }.run(g)
        }
        let mut then = ManuallyDrop::new(then);
        let place = (&raw mut then).cast::<*mut ()>();
        // SAFETY: a word that has no padding; `on_g0::<F>` fits `then`.
        unsafe {
            let arg = if is_word::<F>() { place.read() } else { place.cast() };
            self.mcall(on_g0::<F>, arg);
        }
    }
}

/// What is done on g0 when a goroutine has left its CPU and is saved; it ends by scheduling.
/// (No closure: the compiler does not inline closures that do not return.)
pub(crate) trait OnG0 {
    fn run(self, g: &'static G) -> !;
}

/// Runs a runnable g that was taken off its queue; else throws. On g0. Go: the end of `execute`.
#[inline(always)]
pub(crate) fn run(g: &'static G) -> ! {
    g.set_status(Status::Runnable, Status::Running, "execute: goroutine is not runnable");
    percpu::set_curg(core::ptr::from_ref(g).cast());
    let g = if g.run_is_told() {
        core::hint::cold_path();
        _executive_runs(g)
    } else {
        g
    };
    // SAFETY: STACK-OWNER: it is Running, here; it was saved by `mcall` or is newborn.
    unsafe { core::arch::asm!("jmp {gogo}", gogo = sym gogo, in("rdi") g, options(noreturn)) }
}

/// Lays out the first frame of a goroutine that will run `f(arg)` and return to `goexit`, below
/// `top` (16-byte aligned), and gives its sched_sp. Go: the `gostartcallfn` part of `newproc1`.
///
/// # Safety
/// The words below `top` are the new goroutine's, and its owner is the caller (STACK-OWNER). `f` is
/// an `unsafe extern "C" fn(*mut ())`, and sound with `arg`.
pub(crate) unsafe fn newborn(top: usize, f: *const (), arg: *mut ()) -> usize {
    debug_assert!(top.is_multiple_of(16));
    // At its first instruction a function expects rsp to be 8 less than a multiple of 16, at its
    // return address: the frame's last word is just below `top`.
    let frame = (top - NEWBORN_FRAME * 8) as *mut usize;
    let words: [usize; NEWBORN_FRAME] = [
        0,                                // r15
        0,                                // r14
        0,                                // r13
        arg as usize,                     // r12
        f as usize,                       // rbx
        0,                                // rbp: backtraces end here
        gostart as *const () as usize,    // pc
        goexit as *const () as usize + 1, // what f returns to
    ];
    // SAFETY: within the new goroutine's stack (the caller's promise).
    unsafe { frame.cast::<[usize; NEWBORN_FRAME]>().write(words) };
    frame as usize
}

/// Where a stack that is off its CPU was left: (pc, frame pointer), for backtraces.
///
/// # Safety
/// `sched_sp` is that of a g that has its stack. If the g runs meanwhile, the result is nonsense.
pub unsafe fn left_at(sched_sp: usize) -> (usize, usize) {
    let frame = sched_sp as *const usize;
    // SAFETY: the frame of the picture.
    unsafe { (frame.add(6).read_volatile(), frame.add(5).read_volatile()) }
}

/// The frame at `at`, if it is one of the calling goroutine's: its caller's frame, and the return
/// address.
pub fn own_frame(at: usize) -> Option<(usize, usize)> {
    let stack = getg().stack();
    let own = at >= frame_pointer() && at.is_multiple_of(8) && at + 16 <= stack.hi;
    // SAFETY: the goroutine's own stack, above its stack pointer.
    (own && stack.contains(at))
        .then(|| unsafe { (*(at as *const usize), *((at + 8) as *const usize)) })
}

/// Whether `pc` lies in the switch's section.
pub fn contains(pc: usize) -> bool {
    unsafe extern "C" {
        // Made by the linker for a section whose name is a C identifier.
        static __start_executive_switch: u8;
        static __stop_executive_switch: u8;
    }
    let (start, stop) =
        (&raw const __start_executive_switch as usize, &raw const __stop_executive_switch as usize);
    (start..stop).contains(&pc)
}
