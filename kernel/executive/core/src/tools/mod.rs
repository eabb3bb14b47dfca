//! The tools of which the nouns are made. Unit tests, Miri and loom have some of them in `model/`.
#[cfg_attr(any(loom, miri, test), path = "../model/fatal.rs")]
pub mod fatal;
#[cfg_attr(any(loom, miri, test), path = "../model/percpu.rs")]
pub mod percpu;
#[cfg_attr(loom, path = "../model/lock.rs")]
pub mod lock;
pub mod note;
pub mod trace;
