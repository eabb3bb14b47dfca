//! Goroutines that wait for each other without a channel: Go's package `sync`, in Rust's shapes.
//! Whatever waits here parks; nothing spins for long.
//!
//! Each object is a few words and a queue of waiters (waitq.rs) under a spin lock of its own. It
//! can be a `static`, and allocates nothing except where it says so. All serve waiters first come,
//! first served, except for [`Mutex`], which lets a running goroutine go first for up to 1 ms, as
//! Go's does.
//!
//! **Rule:** guards stay in their goroutine (they are not `Send`), and a goroutine may park while
//! it holds one. The executive's own spin locks ([`executive_core::lock`]) are different: parking
//! while one is held throws `schedule: holding locks`.

mod barrier;
mod cond;
mod guard;
pub(crate) mod lockword;
mod mutex;
mod once;
pub(crate) mod readers;
mod rwlock;
mod sema;
mod waitgroup;

use crate::param; // for lockword.rs, which the core's tests include elsewhere as a module
pub use barrier::Barrier;
pub use cond::Condvar;
pub use mutex::{Mutex, MutexGuard, RawMutex};
pub use once::{LazyLock, Once, OnceLock};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use sema::Semaphore;
pub(crate) use waitgroup::Count;
pub use waitgroup::WaitGroup;
