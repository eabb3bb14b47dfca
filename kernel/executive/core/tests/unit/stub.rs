//! A machine for linking: nothing above the nouns is called in unit tests.
use crate::ground::machine::{Machine, Stack, bind_machine};
use crate::nouns::g::G;
use crate::tools::trace::Event;

struct Stub;

bind_machine!(Stub);

// SAFETY: nothing leans on it.
unsafe impl Machine for Stub {
    unsafe fn start_cpu(_: usize, _: *const (), _: extern "C" fn() -> !) -> bool {
        false
    }
    fn now() -> u64 {
        0
    }
    fn alloc_stack(_: usize) -> Option<Stack> {
        None
    }
    unsafe fn free_stack(_: Stack) {}
    fn write(_: &[u8]) {}
    fn exit(code: i32) -> ! {
        panic!("exit({code})")
    }
}

/// Nobody records.
#[unsafe(no_mangle)]
fn _executive_event(_: Event, _: Option<&'static G>, _: u64) -> u64 {
    0
}

#[unsafe(no_mangle)]
fn _executive_runs(g: &'static G) -> &'static G {
    g
}
