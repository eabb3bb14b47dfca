//! The machine contract: all that the executive asks of what it runs on.
//!
//! Implement [`Machine`] for a unit type and say `executive::machine!(MyMachine);` once in your
//! crate. The binding is made at link time, as `critical-section` does it: nothing above this file
//! is generic over the machine, and link-time optimisation inlines the calls.
//!
//! The machine calls up through these alone: [`crate::start`], [`crate::on_tick`], `on_irq`; when memory is short,
//! [`crate::reclaim`] and [`crate::on_low_memory`]; if it sees stacks grow, it may tell `on_growth`. A thread
//! of its own that is no CPU may call what never parks, once its GS base is at a block of [`crate::foreign`]'s.
//!
//! Words used here: a **CPU** is a hardware thread or an OS thread, numbered from 0 without holes,
//! in the order in which they came up; CPU 0 is the one that called [`crate::start`]. Times are
//! nanoseconds of one monotonic clock that all CPUs share.
//! **From a handler** means from an interrupt or signal handler, whatever it interrupted.
//!
//! # What a program needs besides the hooks
//!
//! - **GS first.** A CPU's GS base is its [`percpu_block`](crate::percpu::percpu_block) before that CPU takes its
//!   first lock or makes its first allocation.
//! - **A global allocator that pins its holder, and may be called pinned and on g0**, where the array of
//!   timers grows and new g's are made. A goroutine that was preempted with a bare spin lock in its hands
//!   goes on when its CPU schedules. A CPU that spins for that lock pinned or on g0 does not schedule: the
//!   two wait for each other for ever. `lock::Pinned` makes a right one of any
//!   allocator, and the crate `contract` finds a wrong one. A machine that never writes
//!   [`Interrupted::pc`] back, such as a Linux process, preempts nobody there, and needs no pin.
//! - **So with every lock that a hook takes**, if goroutines take it too: a frame allocator's, a
//!   serial port's. Use [`lock::Lock`](crate::tools::lock::Lock), or keep interrupts off while it is held.
//! - **Frame pointers**, if crash reports shall have backtraces: `-C force-frame-pointers=yes` in the
//!   program's `rustflags`. A report says so where they are missing.

#![allow(unsafe_code)] // The contract's promises, and symbols bound at link time.

use crate::ground::atomic::AtomicU32;
use core::fmt;

/// No deadline: later than any time. A timer's deadline is never this (timers.rs), however far it lies.
pub const NEVER: u64 = u64::MAX;

/// A goroutine's stack: `[lo, hi)` may be used, `hi` is 16-byte aligned, and at least a page below
/// `lo` faults (the guard).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Its lowest usable address.
    pub lo: usize,
    /// The address behind its highest.
    pub hi: usize,
}

impl Stack {
    /// Usable bytes.
    pub const fn size(&self) -> usize {
        self.hi - self.lo
    }
    /// Whether `address` is a usable one of it.
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

/// What a machine promises. Every hook has a contract test, run on every machine.
///
/// # Safety
/// The executive's soundness rests on the promises told at each hook.
pub unsafe trait Machine {
    /// How many CPUs there may be: at least 1, at most [`crate::ground::param::MAX_CPUS`], always the same
    /// answer. CPU 0 is the boot CPU. Fewer come up if [`start_cpu`](Self::start_cpu) says so:
    /// `affinity::cpus` counts those that did.
    fn cpus() -> usize;

    /// Makes the next CPU that was not tried yet CPU `cpu`: it runs `entry` on a stack of the
    /// machine's own (that CPU's g0 stack, at least 64 KiB), with its GS base at `block`, and
    /// interrupts or signals ready to be taken. From then on every hook means it by that number.
    ///
    /// Cpu 0 is the caller: there `entry` is called on the spot and this never returns. For another
    /// CPU it returns once that CPU has been seen running, or `false` when it did not come up in
    /// time: it has then been reported, and is never to be heard of again, whatever it does later.
    /// The same number is asked for again, for the next one, so that numbers have no holes. `false`
    /// too, if there is none left to try.
    ///
    /// # Safety
    /// `block` is that CPU's per-CPU block, used by no other that runs. Called from CPU 0, for 0
    /// first, then for 1, and for the number that follows the last CPU that came up.
    unsafe fn start_cpu(cpu: usize, block: *const (), entry: extern "C" fn() -> !) -> bool;

    /// The calling CPU sleeps while `*word == expect`, until [`wake`](Self::wake)d, or until `deadline`.
    /// May return early at any time (an interrupt came). The check and the sleep are atomic towards `wake`:
    /// a `wake` that follows a change of the word ends the sleep, however close the two come.
    /// Sleeping costs no cycles. Called on g0 only.
    fn wait(word: &AtomicU32, expect: u32, deadline: u64);

    /// A [`wait`](Self::wait) by `cpu` on `word` returns. The caller has changed the word before. Costs an
    /// interrupt only if `cpu` really sleeps. May be called from a handler.
    fn wake(cpu: usize, word: &AtomicU32);

    /// Monotonic nanoseconds. May be called from a handler.
    fn now() -> u64;

    /// [`crate::on_tick`] runs on the calling CPU once, at `deadline` or a little later. Replaces what was
    /// asked before; [`NEVER`] takes it back. A [`wait`](Self::wait) in between may use the timer up, so
    /// the executive asks anew after a wait. Called pinned or on g0.
    fn tick_at(deadline: u64);

    /// [`crate::on_tick`] runs on `cpu` soon. May be called from a handler.
    fn kick(cpu: usize);

    /// A stack of at least `size` usable bytes, in whole pages, committed on first touch, its topmost page
    /// committed at once. `None`: out of memory or of addresses, after free goroutines' stacks were asked back
    /// ([`crate::reclaim`]). Called pinned or on g0; takes only locks of its own, from [`Rank::Reclaim`](crate::tools::lock::Rank) on.
    fn alloc_stack(size: usize) -> Option<Stack>;

    /// Gives a stack back: its memory can serve anything else, at the latest when there is no other.
    ///
    /// # Safety
    /// It came from [`alloc_stack`](Self::alloc_stack), and nothing runs on it or points into it.
    unsafe fn free_stack(stack: Stack);

    /// Gets memory back, if it is low: the machine asked for this call by [`crate::on_low_memory`]. Changes nothing that is in use. On g0.
    fn refill();

    /// How many bytes of this stack are backed by memory now. For reports; may be called while it grows.
    fn stack_committed(stack: Stack) -> usize;

    /// Whether more than the topmost page of this stack, on which nothing runs, is backed by memory. `false` where it costs as much to
    /// know as to keep it. Called pinned or on g0, for exited goroutines.
    fn stack_is_deep(stack: Stack) -> bool;

    /// Gets the bytes out to wherever a crash report goes, whatever state the machine is in: takes no
    /// lock that a crashed CPU could hold, allocates nothing. May be called from a handler.
    fn write(bytes: &[u8]);

    /// Gets the bytes out to where ordinary output goes, in one piece: nobody else's come between. Not called
    /// from handlers, or with a lock of a rank above [`Rank::Output`](crate::tools::lock::Rank). The default is
    /// [`write`](Self::write), which mixes the bytes of CPUs that print at the same time.
    fn print(bytes: &[u8]) {
        Self::write(bytes)
    }

    /// The other CPUs stop as soon as they can, so that a crash report sees a world that
    /// stands still; each calls `crash::stopped` first. Returns whether or not they did. May be called from a handler.
    fn freeze_others();

    /// Writes the name of the function that contains `pc`, and `+0x..`, if known; `false` if not. Allocates
    /// nothing if it can help it; for crash reports.
    fn symbol(pc: usize, out: &mut dyn fmt::Write) -> bool;

    /// The run is over; 0 is success.
    fn exit(code: i32) -> !;
}

/// Binds a [`Machine`] to the executive. Exactly one crate of a program says this, once.
#[macro_export]
macro_rules! machine {
    ($t:ty) => {
        const _: () = {
            use $crate::machine::{Machine, Stack};
            type M = $t;
            #[unsafe(no_mangle)]
            extern "Rust" fn _executive_cpus() -> usize {
                <M as Machine>::cpus()
            }
            #[unsafe(no_mangle)]
            unsafe extern "Rust" fn _executive_start_cpu(
                cpu: usize,
                block: *const (),
                entry: extern "C" fn() -> !,
            ) -> bool {
                // SAFETY: the caller's promise, passed on.
                unsafe { <M as Machine>::start_cpu(cpu, block, entry) }
            }
            #[unsafe(no_mangle)]
            extern "Rust" fn _executive_wait(
                word: &$crate::atomic::AtomicU32,
                expect: u32,
                deadline: u64,
            ) {
                <M as Machine>::wait(word, expect, deadline)
            }
            #[unsafe(no_mangle)]
            extern "Rust" fn _executive_wake(cpu: usize, word: &$crate::atomic::AtomicU32) {
                <M as Machine>::wake(cpu, word)
            }
            #[unsafe(no_mangle)]
            extern "Rust" fn _executive_now() -> u64 {
                <M as Machine>::now()
            }
            #[unsafe(no_mangle)]
            extern "Rust" fn _executive_tick_at(deadline: u64) {
                <M as Machine>::tick_at(deadline)
            }
            #[unsafe(no_mangle)]
            extern "Rust" fn _executive_kick(cpu: usize) {
                <M as Machine>::kick(cpu)
            }
            #[unsafe(no_mangle)]
            extern "Rust" fn _executive_alloc_stack(size: usize) -> Option<Stack> {
                <M as Machine>::alloc_stack(size)
            }
            #[unsafe(no_mangle)]
            unsafe extern "Rust" fn _executive_free_stack(stack: Stack) {
                // SAFETY: the caller's promise, passed on.
                unsafe { <M as Machine>::free_stack(stack) }
            }
            #[unsafe(no_mangle)]
            extern "Rust" fn _executive_refill() {
                <M as Machine>::refill()
            }
            #[unsafe(no_mangle)]
            extern "Rust" fn _executive_stack_committed(stack: Stack) -> usize {
                <M as Machine>::stack_committed(stack)
            }
            #[unsafe(no_mangle)]
            extern "Rust" fn _executive_stack_is_deep(stack: Stack) -> bool {
                <M as Machine>::stack_is_deep(stack)
            }
            #[unsafe(no_mangle)]
            extern "Rust" fn _executive_write(bytes: &[u8]) {
                <M as Machine>::write(bytes)
            }
            #[unsafe(no_mangle)]
            extern "Rust" fn _executive_print(bytes: &[u8]) {
                <M as Machine>::print(bytes)
            }
            #[unsafe(no_mangle)]
            extern "Rust" fn _executive_freeze_others() {
                <M as Machine>::freeze_others()
            }
            #[unsafe(no_mangle)]
            extern "Rust" fn _executive_symbol(
                pc: usize,
                out: &mut dyn ::core::fmt::Write,
            ) -> bool {
                <M as Machine>::symbol(pc, out)
            }
            #[unsafe(no_mangle)]
            extern "Rust" fn _executive_exit(code: i32) -> ! {
                <M as Machine>::exit(code)
            }
        };
    };
}

/// The hooks as functions, for the executive; the safe ones are safe because a [`Machine`]'s implementor
/// promised what stands there.
mod link {
    use super::*;
    unsafe extern "Rust" {
        /// [`Machine::cpus`].
        pub safe fn _executive_cpus() -> usize;
        /// [`Machine::start_cpu`].
        pub unsafe fn _executive_start_cpu(
            cpu: usize,
            block: *const (),
            entry: extern "C" fn() -> !,
        ) -> bool;
        /// [`Machine::wait`].
        pub safe fn _executive_wait(word: &AtomicU32, expect: u32, deadline: u64);
        /// [`Machine::wake`].
        pub safe fn _executive_wake(cpu: usize, word: &AtomicU32);
        /// [`Machine::now`].
        pub safe fn _executive_now() -> u64;
        /// [`Machine::tick_at`].
        pub safe fn _executive_tick_at(deadline: u64);
        /// [`Machine::kick`].
        pub safe fn _executive_kick(cpu: usize);
        /// [`Machine::alloc_stack`].
        pub safe fn _executive_alloc_stack(size: usize) -> Option<Stack>;
        /// [`Machine::free_stack`].
        pub unsafe fn _executive_free_stack(stack: Stack);
        /// [`Machine::refill`].
        pub safe fn _executive_refill();
        /// [`Machine::stack_committed`].
        pub safe fn _executive_stack_committed(stack: Stack) -> usize;
        /// [`Machine::stack_is_deep`].
        pub safe fn _executive_stack_is_deep(stack: Stack) -> bool;
        /// [`Machine::write`].
        pub safe fn _executive_write(bytes: &[u8]);
        /// [`Machine::print`].
        pub safe fn _executive_print(bytes: &[u8]);
        /// [`Machine::freeze_others`].
        pub safe fn _executive_freeze_others();
        /// [`Machine::symbol`].
        pub safe fn _executive_symbol(pc: usize, out: &mut dyn fmt::Write) -> bool;
        /// [`Machine::exit`].
        pub safe fn _executive_exit(code: i32) -> !;
    }
}
pub use link::{
    _executive_alloc_stack as alloc_stack, _executive_cpus as cpus, _executive_exit as exit,
    _executive_free_stack as free_stack, _executive_freeze_others as freeze_others,
    _executive_kick as kick, _executive_now as now, _executive_print as print,
    _executive_refill as refill, _executive_stack_committed as stack_committed,
    _executive_stack_is_deep as stack_is_deep, _executive_start_cpu as start_cpu,
    _executive_symbol as symbol, _executive_tick_at as tick_at, _executive_wait as wait,
    _executive_wake as wake, _executive_write as write,
};
