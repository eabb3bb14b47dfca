//! The PC as the executive's [`Machine`]: each hook, and why it keeps its promise.
#![allow(unsafe_code)] // `unsafe impl Machine`; sti and hlt.

#[cfg(panic = "unwind")]
use crate::unwind;
use crate::vectors::{KICK, WAKE};
use crate::{apic, clock, pages, power, reclaim, screen, serial, smp, stacks, symbols, trap};
use core::arch::asm;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use executive::atomic::full_fence;
#[cfg(panic = "unwind")]
use executive::machine::Raised;
use executive::machine::{Machine, NEVER, Stack};
use executive::param::MAX_CPUS;
use executive::percpu::cpu;
use executive::sampling;
use x86_64::instructions::interrupts;

/// The PC this kernel runs on.
pub struct Pc;

executive::machine!(Pc);

/// The CPU is in `hlt` or about to be: a CPU that changes its word must send an interrupt. A cache
/// line each, because a waker writes its target's.
#[repr(align(64))]
struct Halted(AtomicBool);
static HALTED: [Halted; MAX_CPUS] = [const { Halted(AtomicBool::new(false)) }; MAX_CPUS];

// SAFETY: each hook says how it keeps what the contract asks.
unsafe impl Machine for Pc {
    fn cpus() -> usize {
        smp::cpus()
    }

    unsafe fn start_cpu(cpu: usize, block: *const (), entry: extern "C" fn() -> !) -> bool {
        if cpu == 0 {
            // This is CPU 0, on the bootloader's stack (start.rs has asked for its size); start.rs
            // has set GS.
            interrupts::enable();
            entry()
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { smp::start_cpu(cpu, block, entry) }
    }

    /// Interrupts are off from before the check until `hlt`. So an interrupt that comes between
    /// them stays pending and ends the `hlt`. After `sti` the CPU begins one more instruction
    /// before it takes an interrupt: hence `hlt` right behind it.
    fn wait(word: &AtomicU32, expect: u32, deadline: u64) {
        let halted = &HALTED[cpu()].0;
        interrupts::disable();
        halted.store(true, Ordering::Relaxed);
        // Partner of the fence in `wake`: either the waker sees the flag, or we see its change of
        // the word.
        full_fence();
        let unchanged = word.load(Ordering::Acquire) == expect;
        if unchanged && (deadline == NEVER || clock::now_ns() < deadline) {
            clock::arm_timer(deadline);
            // SAFETY: on g0, which interrupt gates do not touch. Not `nomem`: handlers change
            // memory.
            unsafe { asm!("sti", "hlt", options(nostack)) };
        } else {
            interrupts::enable();
        }
        halted.store(false, Ordering::Relaxed);
        sampling::has_slept(clock::arm_timer);
    }

    fn wake(cpu: usize, _word: &AtomicU32) {
        // The caller changed the word. Partner of the fence in `wait`.
        full_fence();
        // Clearing the flag makes one interrupt enough for several wakers. A handler on the very
        // CPU that halts needs none: its own interrupt has ended the `hlt`.
        let halted = &HALTED[cpu].0;
        let halts = halted.load(Ordering::Relaxed) && halted.swap(false, Ordering::Relaxed);
        if halts && cpu != executive::percpu::cpu() {
            apic::send_ipi(cpu, WAKE);
        }
    }

    fn now() -> u64 {
        clock::now_ns()
    }

    fn tick_at(deadline: u64) -> bool {
        sampling::tick_at(deadline, clock::arm_timer);
        true
    }

    fn kick(cpu: usize) {
        apic::send_ipi(cpu, KICK);
    }

    fn alloc_stack(size: usize) -> Option<Stack> {
        let class = stacks::class_for(size)?;
        reclaim::until(|| stacks::alloc(class))
    }

    unsafe fn free_stack(stack: Stack) {
        // SAFETY: the caller's promise, passed on.
        unsafe { stacks::free(stack) }
    }

    fn refill() {
        reclaim::refill();
    }

    fn stack_committed(stack: Stack) -> usize {
        pages::committed(stack)
    }

    fn stack_is_deep(stack: Stack) -> bool {
        pages::is_present(stack.hi - 2 * pages::PAGE) // stacks grow page by page
    }

    fn write(bytes: &[u8]) {
        serial::write_raw(bytes);
        screen::write_raw(bytes);
    }

    fn print(bytes: &[u8]) {
        screen::write(bytes); // first: the serial line may make its printer wait
        serial::write(bytes);
    }

    fn freeze_others() {
        trap::freeze_others();
    }

    fn symbol(pc: usize, out: &mut dyn fmt::Write) -> bool {
        symbols::name(pc, out)
    }

    fn exit(code: i32) -> ! {
        exit(code)
    }

    #[cfg(panic = "unwind")]
    fn catch(body: &mut dyn FnMut()) -> Option<Raised> {
        unwind::catch(body)
    }

    #[cfg(panic = "unwind")]
    fn raise(value: Raised, to_the_end: bool) -> Raised {
        unwind::raise(value, to_the_end)
    }
}

/// Ends the run ([`power::end`]). A machine that cannot be switched off, or whose crash report is
/// to be read, halts.
fn exit(code: i32) -> ! {
    screen::end(b"");
    interrupts::disable();
    serial::finish();
    power::end(code);
    if executive::crash::reporter().is_none() {
        let by_hand = b"it cannot be switched off by software: switch it off by hand\n";
        serial::write_raw(by_hand);
        screen::end(by_hand);
    }
    serial::write_raw(b"halted\n");
    screen::end(b"halted\n");
    trap::freeze_others();
    trap::halt()
}
