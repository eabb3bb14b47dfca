//! The data, and who may touch it.
pub mod runq;
pub mod freelist;
pub mod arrivals;
pub mod joiner;
pub mod g;
pub mod waitq;
pub mod timers;
pub mod idle;
pub mod steal;
#[cfg(not(loom))]
pub(crate) mod p;
#[cfg(not(loom))]
pub(crate) mod m;
#[cfg(not(loom))]
pub(crate) mod sched;
