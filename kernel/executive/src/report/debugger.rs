//! A map for debuggers: where the list of all g's is, and at which offsets a g keeps what a
//! debugger shows. gdb.py reads it.
//!
//! A kernel is built without types in its debug information, which would make the image several
//! times larger to load. So a debugger is told offsets here.
#![allow(unsafe_code)] // `Sync` for an address.

use executive_core::g::{G, WaitReason};
use executive_core::kit;

#[repr(C)]
pub struct Map {
    /// The newest g: the address of its address.
    allgs: *const (),
    /// Offsets in a g, in the order of [`G::FIELDS`].
    fields: [usize; G::FIELDS.len()],
    /// The words of each wait reason, and how many there are.
    reasons: [&'static str; WaitReason::COUNT],
    count: usize,
}

// SAFETY: an address that is never followed here.
unsafe impl Sync for Map {}

/// The symbol that gdb.py looks for.
#[used]
#[unsafe(no_mangle)]
static EXECUTIVE_DEBUGGER: Map = Map {
    allgs: kit::ALLGS,
    fields: G::FIELDS,
    reasons: {
        let mut words = [""; WaitReason::COUNT];
        let mut n = 0;
        while n < words.len() {
            words[n] = WaitReason::from_u8(n as u8).words();
            n += 1;
        }
        words
    },
    count: WaitReason::COUNT,
};

/// Keeps the linker from dropping the map, which no code reads.
pub(crate) fn keep() {
    core::hint::black_box(&EXECUTIVE_DEBUGGER);
}
