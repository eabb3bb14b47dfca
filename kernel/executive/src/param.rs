//! Every tunable number, with its reason: the core's, the services' and, below, those of reports.
//! Units are in the names.

pub use executive_core::param::*;
pub use executive_services::param::*;

/// Events that a CPU's recorder keeps (a power of two): 192 KiB. Seconds of what is always told,
/// and some milliseconds of a busy CPU while all is.
pub const TRACE_EVENTS: usize = 4096;
/// Of so many events that happen often one is told, and of so many wakes one is measured: an event
/// then costs an instruction for it.
pub const TRACE_ONE_IN: u64 = 64;

/// Of each CPU's last events a crash report lists so many at the most: a screen, for 1 CPU.
pub const REPORT_EVENTS: usize = 32;
/// How old they may be (ns).
pub const REPORT_EVENTS_NS: u64 = 5_000_000_000;

/// How many groups of goroutines a crash report lists: some screens.
pub const REPORT_GROUPS: usize = 100;
/// How many frames it lists of each. Equal ones that follow each other count as one.
pub const REPORT_FRAMES: usize = 32;
/// How many frames it follows, listed or not: more than a stack has, unless it is damaged.
pub const REPORT_FOLLOWS: usize = 1 << 20;
/// So many goroutines' stacks are read while all CPUs stand still: some tens of microseconds.
pub const STACKS_AT_ONCE: usize = 64;
/// If more g's than this were ever made, stacks are not compared: a report must not take minutes.
pub const REPORT_COMPARES: usize = 100_000;

/// A report takes the frame of a caller for one if it is no further above than this, on the same
/// stack.
pub const FRAME_REACH: usize = 1024 * 1024;

/// An access that far below a stack still counts as its overflow: a large frame may step over the
/// guard's first page.
pub const GUARD_REACH: usize = 64 * 1024;

/// Room for that many places at which goroutines are started that outgrow their first page. Few
/// programs have as many `go`s.
pub const DEPTH_SITES: usize = 256;
