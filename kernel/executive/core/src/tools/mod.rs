//! What the nouns are made with. `model/` has what unit tests, Miri and models get in place of GS.
#[cfg_attr(any(loom, miri, test), path = "../model/fatal.rs")]
pub mod fatal;
#[cfg_attr(any(loom, miri, test), path = "../model/percpu.rs")]
pub mod percpu;
#[cfg_attr(loom, path = "../model/lock.rs")]
pub mod lock;
pub mod note;
#[cfg(not(loom))]
pub mod trace;
