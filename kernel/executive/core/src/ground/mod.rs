//! What all else stands on: core's atomics or loom's, the machine's contract, every tunable number.
pub mod atomic;
pub mod machine;
pub mod param;
#[path = "../model/chaos.rs"]
pub mod chaos;
