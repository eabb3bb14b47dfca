//! A look into a running system, in the forms that Go's tools read.
//!
//! | what | who reads it |
//! | --- | --- |
//! | [`cpu::profile`], [`goroutine::profile`] | `go tool pprof` |
//! | [`contention::profile`], [`heap::profile`] | `go tool pprof` |
//! | [`handler`]: `/debug/pprof/..`, as in Go's `net/http/pprof` | `go tool pprof http://..` |
//! | [`leaks::find`]: who can never run again | a person, `go tool pprof` |
//! | [`handler`]: `/debug/`, a live page | a browser |
//! | [`gotrace::encode`] | `go tool trace` |
//! | [`schedtrace::Line`] | whoever knows Go's `GODEBUG=schedtrace=1000` |
//! | [`top::Top`] | a person at a console |
//!
//! All of it runs beside the program. What reads stacks of goroutines, and looks for leaks, makes
//! all CPUs stand still for some microseconds at a time; the rest stops nobody. There is no
//! hardware in here: CPUs are sampled by [`executive::sampling`], and functions have the names that
//! the machine tells.
#![no_std]
#![warn(missing_docs)]
#![forbid(unsafe_code)]
extern crate alloc;

mod proto;
mod place;
mod pprof;
pub mod cpu;
pub mod goroutine;
pub mod leaks;
mod stacks;
pub mod heap;
pub mod contention;
pub mod gotrace;
pub mod schedtrace;
pub mod top;
mod live;
pub mod handler;
