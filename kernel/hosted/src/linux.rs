//! The hooks of the machine; each names the file that keeps its promises.
#![allow(unsafe_code)] // an unsafe trait

use crate::{cpu, crash, fuzz, sleep, stack, symbols, tick, unwind};
use core::fmt;
use executive::atomic::AtomicU32;
use executive::machine::{Machine, Raised, Stack};
use executive::sampling;

/// This process.
pub struct Linux;

executive::machine!(Linux);

// SAFETY: the files named keep the promises; each has a test (crate contract, run by
// tests/contract.rs).
unsafe impl Machine for Linux {
    fn cpus() -> usize {
        cpu::count()
    }
    unsafe fn start_cpu(cpu: usize, block: *const (), entry: extern "C" fn() -> !) -> bool {
        if cpu == 0 {
            debug_assert!(cpu::this() == Some(0));
            entry()
        }
        cpu::start(cpu, block, entry)
    }
    fn wait(word: &AtomicU32, expect: u32, deadline: u64) {
        if !fuzz::wait(word, expect, deadline) {
            sampling::sleeps(tick::arm);
            sleep::wait(word, expect, deadline);
            sampling::has_slept(tick::arm);
        }
    }
    fn wake(cpu: usize, word: &AtomicU32) {
        sleep::wake(cpu, word)
    }
    fn now() -> u64 {
        fuzz::now().unwrap_or_else(sleep::now)
    }
    fn tick_at(deadline: u64) -> bool {
        if !fuzz::tick_at(deadline) {
            tick::tick_at(deadline)
        }
        true
    }
    fn kick(cpu: usize) {
        tick::kick(cpu)
    }
    fn alloc_stack(size: usize) -> Option<Stack> {
        stack::alloc(size)
    }
    unsafe fn free_stack(stack: Stack) {
        // SAFETY: the caller's promise, passed on.
        unsafe { stack::free(stack) }
    }
    fn refill() {} // Linux cares for its pages: nobody calls it
    fn stack_committed(stack: Stack) -> usize {
        stack::committed(stack)
    }
    fn stack_is_deep(_: Stack) -> bool {
        false // finding out takes a system call for each goroutine that ends
    }

    fn write(bytes: &[u8]) {
        crash::write(bytes)
    }
    /// Straight to standard output, as `std`'s does.
    fn print(bytes: &[u8]) {
        use std::io::Write;
        let _ = std::io::stdout().write_all(bytes); // nobody reads it
    }
    fn freeze_others() {
        crash::freeze_others()
    }
    fn catch(body: &mut dyn FnMut()) -> Option<Raised> {
        unwind::catch(body)
    }
    fn raise(value: Raised, to_the_end: bool) -> Raised {
        unwind::raise(value, to_the_end)
    }
    fn symbol(pc: usize, out: &mut dyn fmt::Write) -> bool {
        symbols::write(pc, out)
    }
    fn exit(code: i32) -> ! {
        fuzz::on_exit(code);
        crash::exit(code)
    }
}
