//! The services' tunable numbers, with their reasons. Units are in the names.

/// A waiter that has lost for longer than this makes its mutex starving (Go:
/// starvationThresholdNs).
pub const STARVATION_NS: u64 = 1_000_000;

/// How often a goroutine that may get a mutex soon spins before it parks (Go: active_spin).
pub const MUTEX_SPINS: u32 = 4;
/// For how many pauses each time (Go: active_spin_cnt). The models look once.
pub const MUTEX_SPIN_PAUSES: u32 = if cfg!(loom) { 1 } else { 30 };

/// How many goroutines a monitor's `ready_all` takes off while it holds the lock once: what another
/// waits for the lock, and what lies on the stack.
pub const READY_BATCH: usize = 16;

/// When there is no memory for the goroutine of an `after_func`, it is tried again after this time.
pub const AFTER_FUNC_RETRY_NS: u64 = 1_000_000;
