//! A machine for linking: nothing above the nouns is called in unit tests.
use crate::ground::atomic::AtomicU32;
use crate::ground::machine::{Machine, Stack};
use core::fmt;

struct Stub;

crate::machine!(Stub);

// SAFETY: nothing leans on it.
unsafe impl Machine for Stub {
    fn cpus() -> usize {
        1
    }
    unsafe fn start_cpu(_: usize, _: *const (), _: extern "C" fn() -> !) -> bool {
        false
    }
    fn wait(_: &AtomicU32, _: u32, _: u64) {}
    fn wake(_: usize, _: &AtomicU32) {}
    fn now() -> u64 {
        0
    }
    fn tick_at(_: u64) {}
    fn kick(_: usize) {}
    fn alloc_stack(_: usize) -> Option<Stack> {
        None
    }
    unsafe fn free_stack(_: Stack) {}
    fn refill() {}
    fn stack_committed(_: Stack) -> usize {
        0
    }
    fn stack_is_deep(_: Stack) -> bool {
        false
    }
    fn write(_: &[u8]) {}
    fn freeze_others() {}
    fn symbol(_: usize, _: &mut dyn fmt::Write) -> bool {
        false
    }
    fn exit(code: i32) -> ! {
        panic!("exit({code})")
    }
}
