//! What goroutines use, on the core's verbs.
pub mod irq;
pub mod chan;
pub mod select;
pub mod time;
pub mod sync;
pub mod scope;
pub mod cancel;
pub mod future;
pub mod affinity;
