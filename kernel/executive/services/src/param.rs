//! The services' tunable numbers, with their reasons. Units are in the names.

/// A waiter that has not got its mutex for longer than this makes the mutex starving (Go:
/// starvationThresholdNs).
pub const STARVATION_NS: u64 = 1_000_000;

/// How often a goroutine spins and looks at the mutex again before it parks (Go: active_spin).
pub const MUTEX_SPINS: u32 = 4;
/// How many pauses it spins each time (Go: active_spin_cnt). The models need only one.
pub const MUTEX_SPIN_PAUSES: u32 = if cfg!(loom) { 1 } else { 30 };

/// How many goroutines a monitor's `ready_all` takes off while it holds the lock. Others wait for
/// the lock meanwhile, and the batch lies on the stack.
pub const READY_BATCH: usize = 16;

/// How many frames a caught panic keeps of where it was raised.
pub const PANIC_FRAMES: usize = 32;

/// An `after_func` that has no memory for its goroutine tries again after this time.
pub const AFTER_FUNC_RETRY_NS: u64 = 1_000_000;
