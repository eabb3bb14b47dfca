//! Waiting for each other without a channel: Go's package `sync`, in Rust's shapes. All of them park; none spins for long.
//!
//! Every object is a few words and a queue of waiters (waitq.rs) under a spin lock of its own, can be a `static`, and allocates nothing but where it says so. They are first come first served,
//! but for [`Mutex`], which lets a running goroutine go first for up to 1 ms, as Go's does.
//!
//! **Rule:** guards stay in their goroutine (they are not `Send`), and a goroutine may park while it holds one. The executive's own spin locks
//! ([`executive_core::lock`]) are something else: to park with one held throws `schedule: holding locks`.

mod barrier;
mod cond;
pub(crate) mod lockword;
mod mutex;
mod once;
pub(crate) mod readers;
mod rwlock;
mod sema;
mod waitgroup;

pub use barrier::Barrier;
pub use cond::Condvar;
pub use mutex::owner_of;
pub use mutex::{Mutex, MutexGuard};
pub use once::{LazyLock, Once, OnceLock};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use sema::Semaphore;
pub(crate) use waitgroup::Count;
pub use waitgroup::WaitGroup;
