//! What all else stands on: the instruction set, core's atomics or loom's, the machine's contract,
//! every tunable number.
#[cfg_attr(any(loom, miri), path = "../model/arch.rs")]
#[cfg_attr(not(any(loom, miri)), path = "arch/x86_64.rs")]
pub mod arch;
pub mod atomic;
pub mod machine;
pub mod param;
#[path = "../model/chaos.rs"]
pub mod chaos;
