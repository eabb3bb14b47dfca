//! A map for debuggers: where the list of all g's is, and at which offsets a g keeps what a
//! debugger shows. gdb.py reads it.
//!
//! A kernel is built without types in its debug information, which would make the image several
//! times larger to load. So a debugger is told offsets here.

use core::sync::atomic::AtomicPtr;
use executive_core::g::{G, WaitReason};
use executive_core::kit;

#[repr(C)]
pub struct Map {
    /// The newest g: the address of its address. It never changes.
    allgs: AtomicPtr<()>,
    /// Offsets in a g, in the order of [`G::FIELDS`].
    fields: [usize; G::FIELDS.len()],
    /// The words of each wait reason, and how many there are.
    reasons: [&'static str; WaitReason::COUNT],
    count: usize,
}

/// gdb.py looks for this name.
#[used]
static EXECUTIVE_DEBUGGER: Map = Map {
    allgs: AtomicPtr::new(kit::ALLGS.cast_mut()),
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
