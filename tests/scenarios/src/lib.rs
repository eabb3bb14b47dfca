//! The one list of scenarios: claims about goroutines and what they talk with, each a function that
//! panics if the claim is wrong.
//!
//! Every machine runs the same list, with 1, 2 and 4 CPUs. A scenario is called in a goroutine,
//! once in a run, and cleans up behind itself, so that many can be called one after the other
//! (in the kernel they share a boot); those in [`ALONE`] want a run of their own, and to be
//! goroutine 1. They wait for events, never for time to pass: a scenario that hangs has failed, and
//! its runner says so.
#![no_std]
#![allow(clippy::unit_arg)] // channels of `()` are signals
extern crate alloc;

/// Functions that are scenarios, under their module's name, and the module's list of them.
macro_rules! scenarios {
    ($module:ident: $($(#[$meta:meta])* fn $name:ident() $body:block)*) => {
        $($(#[$meta])* fn $name() $body)*
        pub(crate) const LIST: &[$crate::Scenario] =
            &[$((concat!(stringify!($module), "::", stringify!($name)), $name)),*];
    };
}

mod help;

mod addresses;
mod affinity;
mod cancel;
mod channels;
mod close;
mod deaths;
mod futures;
mod goroutines;
mod interrupts;
mod memory;
mod network;
mod panics;
mod points;
mod procs;
mod recover;
mod registers;
mod scope;
mod selects;
mod stacks;
mod stress;
mod sync;
mod time;
mod traces;
mod web;

/// A name, and what panics if its claim is wrong.
pub type Scenario = (&'static str, fn());

const LISTS: [&[Scenario]; 23] = [
    goroutines::LIST,
    channels::LIST,
    close::LIST,
    selects::LIST,
    sync::LIST,
    time::LIST,
    scope::LIST,
    cancel::LIST,
    futures::LIST,
    recover::LIST,
    panics::LIST,
    affinity::LIST,
    procs::LIST,
    interrupts::LIST,
    memory::LIST,
    points::LIST,
    traces::LIST,
    stacks::LIST,
    registers::LIST,
    network::LIST,
    web::LIST,
    addresses::LIST,
    stress::LIST,
];

const N: usize = {
    let (mut n, mut i) = (0, 0);
    while i < LISTS.len() {
        n += LISTS[i].len();
        i += 1;
    }
    n
};

/// All of them.
pub static SCENARIOS: &[Scenario] = &{
    fn none() {}
    let mut all: [Scenario; N] = [("", none); N];
    let (mut n, mut i) = (0, 0);
    while i < LISTS.len() {
        let mut j = 0;
        while j < LISTS[i].len() {
            all[n] = LISTS[i][j];
            n += 1;
            j += 1;
        }
        i += 1;
    }
    all
};

pub use deaths::{DEATHS, DEBUG_DEATHS, says};
pub use stress::stress;
pub use time::SLEEPERS;

/// Those that want a run of their own.
pub static ALONE: &[Scenario] = goroutines::ALONE;

/// The scenario, death or sleeper of that name; the last two are called `deaths::NAME` and
/// `sleepers::NAME`.
pub fn find(name: &str) -> Option<fn()> {
    if let Some(sleeper) = name.strip_prefix("sleepers::") {
        return SLEEPERS.iter().find(|s| s.0 == sleeper).map(|s| s.1);
    }
    if let Some(death) = name.strip_prefix("deaths::") {
        return DEATHS.iter().chain(DEBUG_DEATHS).find(|d| d.0 == death).map(|d| d.1);
    }
    SCENARIOS.iter().chain(ALONE).find(|s| s.0 == name).map(|s| s.1)
}
