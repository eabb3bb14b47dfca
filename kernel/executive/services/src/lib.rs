//! What goroutines use: channels, `select!`, sync, time, scopes, cancellation, futures. Made of the
//! core's waist ([`executive_core::wait`]) alone. Programs use it through the crate `executive`.
//!
//! The modules stand in reading order, and each uses only what stands above it (a test holds that).
#![no_std]
#![warn(missing_docs)]
#![deny(unsafe_code)] // allowed in the files that say why at their top
extern crate alloc;

pub mod param;
pub mod recover;
pub mod alarm;
pub mod monitor;
pub mod irq;
pub mod chan;
pub mod select;
pub mod time;
pub mod sync;
pub mod scope;
pub mod cancel;
pub mod outside;
pub mod wakeword;
pub mod future;
pub mod affinity;
pub mod current;
pub mod pinned;
pub mod printing;
