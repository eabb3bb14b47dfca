//! The machine contract: all that the executive asks of what it runs on.
//!
//! Implement [`Machine`] for a unit type and say `executive::machine!(MyMachine);` once in your
//! crate. The binding is made at link time, as `critical-section` does it: nothing above this file
//! is generic over the machine, and link-time optimisation inlines the calls.
//!
//! **A new machine begins with six hooks**, which have no default: [`Machine::start_cpu`],
//! [`Machine::now`], [`Machine::alloc_stack`], [`Machine::free_stack`], [`Machine::write`] and
//! [`Machine::exit`]. It then has one CPU, which spins where it could sleep and preempts nobody.
//! Each other hook says what its default costs.
//!
//! What the machine calls in return is listed in `executive::machine::up`; what a program needs
//! besides, in `executive::machine`.
//!
//! Words used here: a **CPU** is a hardware thread or an OS thread, numbered from 0 without holes,
//! in the order in which they came up; CPU 0 is the one that called [`crate::start`]. Times are
//! nanoseconds of one monotonic clock that all CPUs share. **From a handler** means from an
//! interrupt or signal handler, whatever it interrupted.
#![allow(unsafe_code)] // The contract's promises, and symbols bound at link time.
#![allow(improper_ctypes)] // Those are Rust on both sides. In "C", nothing unwinds through them.

use crate::ground::atomic::{self, AtomicU32, Ordering};
use alloc::boxed::Box;
use core::{any::Any, fmt};

/// What [`Machine::raise`] gives to [`Machine::catch`].
pub type Raised = Box<dyn Any + Send>;

/// No deadline: later than any time. A timer's is never this (timers.rs), however far it lies.
pub const NEVER: u64 = u64::MAX;

/// A goroutine's stack: `[lo, hi)` may be used, `hi` is 16-byte aligned, and at least a page below
/// `lo` faults (the guard).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// The lowest usable address.
    pub lo: usize,
    /// The address after the highest usable one.
    pub hi: usize,
}

impl Stack {
    /// Usable bytes.
    pub const fn size(&self) -> usize {
        self.hi - self.lo
    }
    /// Whether `address` is usable.
    pub const fn contains(&self, address: usize) -> bool {
        self.lo <= address && address < self.hi
    }
}

/// Where an interrupted CPU was, as its handler found it. Changing `pc` changes where it goes on.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Interrupted {
    /// The next instruction.
    pub pc: usize,
    /// The stack pointer.
    pub sp: usize,
    /// Frame pointer (rbp), for a backtrace.
    pub fp: usize,
}

/// Makes of one list of hooks the trait, the symbols that bind a machine, and the functions that
/// the executive calls, each of that ABI. `safe`, `unsafe` mean the caller; `=` gives a default.
macro_rules! hooks {
    ($d:tt $(#[$about:meta])* trait $Machine:ident { $($abi:literal: $(
        $(#[$doc:meta])*
        $safety:ident fn $hook:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?
            $(= $default:expr)?;
    )*)* }) => {
        $(#[$about])*
        #[allow(unused_variables)] // a default's
        pub unsafe trait $Machine { $($(
            method! { $safety [$(#[$doc])*] [fn $hook($($arg: $ty),*) $(-> $ret)?] $($default)? }
        )*)* }

        $(unsafe extern $abi { $(
            #[doc = concat!("[`Machine::", stringify!($hook), "`].")]
            #[link_name = concat!("_executive_", stringify!($hook))]
            pub $safety fn $hook($($arg: $ty),*) $(-> $ret)?;
        )* })*

        /// Binds a [`Machine`] to the executive. Exactly one crate of a program says this, once.
        #[macro_export]
        macro_rules! bind_machine {
            ($d machine:ty) => {
                const _: () = {
                    use ::core::fmt;
                    use $crate::{atomic::AtomicU32, machine::{Machine, Raised, Stack}};
                    $($(
                        #[unsafe(export_name = concat!("_executive_", stringify!($hook)))]
                        #[allow(unused_unsafe, improper_ctypes_definitions)]
                        unsafe extern $abi fn $hook($($arg: $ty),*) $(-> $ret)? {
                            // SAFETY: the caller's promise, passed on.
                            unsafe { <$d machine as Machine>::$hook($($arg),*) }
                        }
                    )*)*
                };
            };
        }
    };
}
macro_rules! method {
    (safe [$($doc:tt)*] [$($head:tt)*]) => { $($doc)* $($head)*; };
    (safe [$($doc:tt)*] [$($head:tt)*] $default:expr) => { $($doc)* $($head)* { $default } };
    (unsafe [$($doc:tt)*] [$($head:tt)*]) => { $($doc)* unsafe $($head)*; };
}

hooks! { $
/// What a machine promises. Every hook has a contract test, run on every machine.
///
/// # Safety
/// The executive's soundness rests on the promises told at each hook.
trait Machine {
    "C":
    /// How many CPUs there may be: at least 1, at most
    /// [`MAX_CPUS`](crate::ground::param::MAX_CPUS), always the same answer. CPU 0 is the boot CPU.
    /// Fewer come up if [`start_cpu`](Self::start_cpu) says so (`affinity::cpus`). Default: 1.
    safe fn cpus() -> usize = 1;

    /// Makes the next CPU that was not tried yet CPU `cpu`: it runs `entry` on a stack of the
    /// machine's own (that CPU's g0 stack, at least 64 KiB), with its GS base at `block`, and
    /// interrupts or signals ready to be taken. From then on every hook means it by that number.
    ///
    /// CPU 0 is the caller: there `entry` is called on the spot and this never returns. For another
    /// CPU it returns `true` once that CPU has been seen running, or `false` when it did not come
    /// up in time: the machine has then reported it, and never lets it run anything of the
    /// executive's later. The next call has the same number, for the next CPU, so that numbers have
    /// no holes. `false` too, if there is none left to try.
    ///
    /// # Safety
    /// `block` is that CPU's per-CPU block, used by no other that runs. Called from CPU 0, for 0
    /// first, then for 1, and for the number that follows the last CPU that came up.
    unsafe fn start_cpu(cpu: usize, block: *const (), entry: extern "C" fn() -> !) -> bool;

    /// The calling CPU sleeps while `*word == expect`, until [`wake`](Self::wake)d, or until
    /// `deadline`. May return early at any time (an interrupt came). The check and the sleep are
    /// atomic towards `wake`: a `wake` that follows a change of the word ends the sleep, however
    /// close the two come. Sleeping costs no cycles. Called on g0 only.
    ///
    /// Default: spins. An idle CPU costs power, and what runs beside it time.
    safe fn wait(word: &AtomicU32, expect: u32, deadline: u64) = {
        // The note on which this CPU sleeps reads the word again, with Acquire.
        while word.load(Ordering::Relaxed) == expect && Self::now() < deadline {
            atomic::relax();
        }
    };

    /// A [`wait`](Self::wait) by `cpu` on `word` returns. The caller has changed the word before.
    /// Costs an interrupt only if `cpu` really sleeps. May be called from a handler.
    ///
    /// Default: nothing, which is enough for the default `wait`, and for no other.
    safe fn wake(cpu: usize, word: &AtomicU32) = {};

    /// Monotonic nanoseconds. May be called from a handler.
    safe fn now() -> u64;

    /// `up::on_tick` runs on the calling CPU once, at `deadline` or a little later. Replaces what
    /// was asked before; [`NEVER`] takes it back. A [`wait`](Self::wait) in between may use the
    /// timer up, so the executive asks anew after a wait. Called pinned or on g0. Returns whether
    /// it will: always the same answer.
    ///
    /// Default: `false`, never. A goroutine keeps its CPU until it parks or yields, and a timer
    /// fires late, when a CPU next looks for a goroutine to run: then it reads the clock each time.
    safe fn tick_at(deadline: u64) -> bool = false;

    /// `up::on_tick` runs on `cpu` soon. May be called from a handler.
    ///
    /// Default: it does not. A CPU whose goroutine runs hears of others that may run only when that
    /// goroutine parks or yields, or at its own next tick.
    safe fn kick(cpu: usize) = {};

    /// A stack of at least `size` usable bytes, in whole pages, committed on first touch, its
    /// topmost page committed at once. `None`: out of memory or of addresses, after free
    /// goroutines' stacks were asked back ([`reclaim`](crate::reclaim)). Called pinned or on g0;
    /// takes only locks of its own, from [`Rank::Reclaim`](crate::tools::lock::Rank) on.
    safe fn alloc_stack(size: usize) -> Option<Stack>;

    /// Gives a stack back: its memory can serve anything else, at the latest when memory is short.
    ///
    /// # Safety
    /// It came from [`alloc_stack`](Self::alloc_stack), and nothing runs on it or points into it.
    unsafe fn free_stack(stack: Stack);

    /// Gets memory back, if it is low: the machine asked for this call by `up::on_low_memory`.
    /// Changes nothing that is in use. On g0. Default: nothing, for machines that never ask.
    safe fn refill() = {};

    /// How many bytes of this stack are backed by memory now. For reports; may be called while it
    /// grows. Default: all. Reports then tell what stacks reserve, not what they take.
    safe fn stack_committed(stack: Stack) -> usize = stack.size();

    /// Whether more than the topmost page of this stack, on which nothing runs, is backed by
    /// memory. Called pinned or on g0, for exited goroutines: deep stacks are given back sooner.
    ///
    /// Default: `false`, which is right too where it costs as much to know as to keep it. Free
    /// goroutines then keep all the memory that their stacks ever took.
    safe fn stack_is_deep(stack: Stack) -> bool = false;

    /// Gets the bytes out to wherever a crash report goes, whatever state the machine is in: takes
    /// no lock that a crashed CPU could hold, allocates nothing. May be called from a handler.
    safe fn write(bytes: &[u8]);

    /// Gets the bytes out to where ordinary output goes, in one piece: no other CPU's bytes come
    /// between. May park where the caller may. Not called from handlers, or with a lock of a rank
    /// above [`Rank::Output`](crate::tools::lock::Rank).
    ///
    /// Default: [`write`](Self::write), which mixes the bytes of CPUs that print at the same time.
    safe fn print(bytes: &[u8]) = Self::write(bytes);

    /// The other CPUs stop as soon as they can, so that a crash report sees a world that stands
    /// still; each calls `up::stopped` first. Returns whether or not they did. May be called from a
    /// handler. Default: nothing. The report is then of CPUs that go on meanwhile.
    safe fn freeze_others() = {};

    /// Writes the name of the function that contains `pc`, and `+0x..`, if known; `false` if not.
    /// For crash reports, so better allocates nothing. Default: `false`: they have addresses only.
    safe fn symbol(pc: usize, out: &mut dyn fmt::Write) -> bool = false;

    /// The run is over; 0 is success.
    safe fn exit(code: i32) -> !;

    "Rust":
    /// Calls `body`. `Some`: a [`raise`](Self::raise) in it gave this value; all frames between the
    /// two are gone, their destructors have run. These and `body` may go on on another CPU.
    ///
    /// Default: nothing is caught. A panic is the end of the run, whoever would recover.
    safe fn catch(body: &mut dyn FnMut()) -> Option<Raised> = (body(), None).1;

    /// Unwinds the goroutine's stack to its innermost [`catch`](Self::catch); or if there is none
    /// to its end, and calls `up::unwound`. A frame that must not be unwound (`extern "C"`) panics.
    /// Gives the value back, as the default does, if there is no way: no destructor has run then.
    safe fn raise(value: Raised, to_the_end: bool) -> Raised = value;
}
}
#[cfg(all(test, not(loom)))]
pub(crate) use bind_machine;

unsafe extern "C" {
    /// What [`throw`](crate::tools::fatal::throw) calls upward: the report needs every noun there
    /// is, and everything needs `throw`.
    pub(crate) safe fn _executive_throw(words: &'static str) -> !;
}
