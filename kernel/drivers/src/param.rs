//! Every tunable number of the drivers, with its reason.

use core::time::Duration;

/// How long a device may take for its reset. It takes microseconds, and on a host that is busy as
/// long as its threads do not run.
pub const RESET_PATIENCE: Duration = Duration::from_secs(1);

/// How many requests are looked at under the lock of a queue before those who wait are woken.
pub const AT_A_TIME: usize = 8;

/// How long random numbers may take. A host that has none ready makes them wait.
pub const RNG_PATIENCE: Duration = Duration::from_secs(10);

/// How long a disk may take for a request: one that has to start its motor, or whose host is busy.
pub const DISK_PATIENCE: Duration = Duration::from_secs(30);

/// The longest request to a disk, in bytes: what is longer is cut. A request has as much memory
/// for itself.
pub const MOST_AT_ONCE: usize = 64 * 1024;

/// How long a host may take for a request to a directory of its. It may have to start a disk's
/// motor, or ask another host.
pub const SHARE_PATIENCE: Duration = Duration::from_secs(60);

/// The longest message to and from a directory of the host, in bytes. Each request that is out has
/// as much memory for itself.
pub const MOST_MESSAGE: u32 = 64 * 1024;
