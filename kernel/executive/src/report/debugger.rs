//! A map for debuggers: where the scheduler's data lie, and at which offsets their fields. gdb.py
//! reads it.
//!
//! A kernel is built without types in its debug information, and a program of one's own may be. So
//! a debugger is told offsets here.

use crate::param::RUNQ_SIZE;
use core::sync::atomic::AtomicPtr;
use executive_core::g::{G, WaitReason};
use executive_core::kit::{M, MS, P, PerCpu, Runq, SCHED, Sched, Stats};

/// A type: its size, and the names and offsets of its fields.
#[repr(C)]
struct Type {
    name: &'static str,
    size: usize,
    names: &'static [&'static str],
    offsets: &'static [usize],
}

macro_rules! types {
    ($($Type:ident $(<$T:ident>)?),*) => {
        &[$(Type {
            name: stringify!($Type),
            size: size_of::<$Type $(<$T>)?>(),
            names: $Type::$(<$T>::)?FIELDS.0,
            offsets: $Type::$(<$T>::)?FIELDS.1,
        }),*]
    };
}

#[repr(C)]
pub struct Map {
    /// All CPUs' m's, of which the first `Sched::cpus` are used.
    ms: AtomicPtr<M>,
    sched: AtomicPtr<Sched>,
    types: &'static [Type],
    /// The words of each wait reason.
    reasons: &'static [&'static str],
    /// How many g's fit into a P's ring.
    ring: usize,
}

const REASONS: [&str; WaitReason::COUNT] = {
    let mut words = [""; WaitReason::COUNT];
    let mut n = 0;
    while n < words.len() {
        words[n] = WaitReason::from_u8(n as u8).words();
        n += 1;
    }
    words
};

/// gdb.py looks for this name.
#[used]
static EXECUTIVE_DEBUGGER: Map = Map {
    ms: AtomicPtr::new((&raw const MS).cast_mut().cast()),
    sched: AtomicPtr::new((&raw const SCHED).cast_mut()),
    types: types!(G, PerCpu, M, P, Runq<G>, Stats, Sched),
    reasons: &REASONS,
    ring: RUNQ_SIZE,
};

/// Keeps the linker from dropping the map, which no code reads.
pub(crate) fn keep() {
    core::hint::black_box(&EXECUTIVE_DEBUGGER);
}
