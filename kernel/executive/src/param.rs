//! Every tunable number, with its reason: the core's, the services' and, below, those of reports.
//! Units are in the names.

pub use executive_core::param::*;
pub use executive_services::param::*;

/// How many groups of goroutines a crash report lists: some screens.
pub const REPORT_GROUPS: usize = 100;
/// How many frames it lists of each. Equal ones that follow each other count as one.
pub const REPORT_FRAMES: usize = 32;
/// How many frames it follows, listed or not: more than a stack has, unless it is damaged.
pub const REPORT_FOLLOWS: usize = 1 << 20;
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
