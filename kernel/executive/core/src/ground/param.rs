//! Every tunable number, with its reason. Units are in the name.

/// The most CPUs we run: APIC ids of one byte (xAPIC) give 255; a power of two keeps masks whole.
pub const MAX_CPUS: usize = 256;

/// A P's ring of runnable g's. Go's value: large enough that spilling is rare, small enough that
/// half of it is moved in one go under the scheduler lock. The models use 4: they see it full.
pub const RUNQ_SIZE: usize = if cfg!(loom) { 4 } else { 256 };

/// Every so many schedules the global queue is looked at first, so that two g's which keep readying
/// each other cannot starve it. Go's value: a prime, so that it falls in step with no loop.
pub const GLOBAL_QUEUE_EVERY_TICKS: u32 = 61;

/// How many are taken then, for as many times: an eighth of the trips to the lock that all share.
pub const GLOBAL_QUEUE_BATCH: usize = 8;

/// Rounds over all P's that a searcher makes before it gives up (Go: stealTries); in models one.
pub const STEAL_ROUNDS: usize = if cfg!(loom) { 1 } else { 4 };

/// How long a thief leaves a running P alone with its runnext (in Go, 3 us).
pub const RUNNEXT_PAUSE_NS: u64 = 3_000;

/// How long a CPU naps that saw nothing but hand-overs: the longest that a runnext waits for a
/// thief while its P runs something else. A hundredth of a slice; searching more often costs
/// goroutines that talk a few percent.
pub const NAP_NS: u64 = 100_000;

/// Free g's a P may keep; above it half go to the global list (Go: 64 and 32; ours makes half as
/// many trips to its lock). The models have fewer, to see them move.
pub const GFREE_MAX: usize = if cfg!(loom) { 2 } else { 128 };
/// What it keeps of them.
pub const GFREE_KEEP: usize = GFREE_MAX / 2;

/// How long a goroutine may run while others wait on its P (Go: forcePreemptNS).
pub const SLICE_NS: u64 = 10_000_000;

/// Goroutine numbers that a P takes from the global counter at once.
#[doc(alias = "_GoidCacheBatch")]
pub const GOID_BATCH: u64 = 16;

/// Timers that fire under one hold of their heap's lock, at the most: what another waits for it.
pub const TIMERS_BATCH: usize = 64;

/// A goroutine's usual stack: reserved addresses, of which only touched pages cost memory.
pub const STACK_BYTES: usize = 60 * 1024;

/// How much later than a sleeper's deadline a *running* CPU is interrupted for it, so that
/// deadlines close to each other cost one interrupt; an idle CPU wakes at it. Linux's default.
pub const TIMER_SLACK_NS: u64 = 50_000;

/// A tick that finds nobody it may preempt, but should, comes again after so long, and each further
/// one after twice that, up to the second number.
pub const RETRY_NS: u64 = 100_000;
/// See [`RETRY_NS`].
pub const RETRY_MOST_NS: u64 = 1_000_000_000;

/// All stacks begin at the same offset in a page, and all their tops would compete for the same few
/// sets of the caches (64 sets of 64 bytes are one page): so each g leaves 0 to STACK_COLORS - 1
/// lines free at its top. Half a page: the other half is enough for a small goroutine.
pub const STACK_COLORS: usize = 32;
