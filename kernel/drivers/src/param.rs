//! Every tunable number of the drivers, with its reason.

use core::time::Duration;

/// How long a device may take for its reset. It takes microseconds, and on a host that is busy as
/// long as its threads do not run.
pub const RESET_PATIENCE: Duration = Duration::from_secs(1);

/// How often a device that has not answered is asked whether it is still there: by a read of its
/// configuration space, which one goroutine does of those that wait. A person who has pulled it out
/// does not wait long for that second; most requests never come to it.
pub const CHECK_EVERY: Duration = Duration::from_secs(1);

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

/// How long a USB controller may take for its reset, to stop, for a command, and for the reset of
/// a port; and how long the firmware may take to give it away. They take milliseconds, a device
/// that does not answer its address takes half a second, and a host may be busy.
pub const USB_PATIENCE: Duration = Duration::from_secs(5);

/// How long a USB device may take to answer (USB 2.0, 9.2.6.1).
pub const USB_DEVICE_PATIENCE: Duration = Duration::from_secs(5);

/// From power to a port, or from when a device is plugged in, until the device is used (USB 2.0,
/// 7.1.7.3).
pub const USB_SETTLES: Duration = Duration::from_millis(100);

/// From power to a hub's ports until they are looked at. A port whose power takes longer to be good
/// tells of its device when that is seen.
pub const HUB_SETTLES: Duration = Duration::from_millis(200);

/// How often a port that is being reset is looked at, which takes at least 10 ms.
pub const USB_LOOKS: Duration = Duration::from_millis(5);

/// From the reset of a port until its device must answer (USB 2.0, 7.1.7.5).
pub const USB_RECOVERS: Duration = Duration::from_millis(10);

/// A USB keyboard that cannot be read so many times in a row is given up.
pub const USB_FAILURES: u32 = 3;

/// How many events of a USB controller are taken before its driver looks at other things.
pub const USB_EVENTS_AT_A_TIME: usize = 256;

/// A key that is held for so long repeats, and then at this interval: the numbers that a PS/2
/// keyboard begins with, but for its 11 a second, which most people find slow.
pub const KEY_REPEATS_AFTER: Duration = Duration::from_millis(500);
pub const KEY_REPEATS_EVERY: Duration = Duration::from_nanos(1_000_000_000 / 30);

/// How long a network card may take for a question about itself, which it answers at once; but a
/// host may be busy.
pub const CARD_PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of a frame that a network card cuts, with what stands before it: two full windows of TCP
/// without scaling would not come sooner in longer ones.
pub const LONG_FRAME: usize = 32 * 1024;

/// How many of them a queue has room for; of other frames it has as many as fit beside them.
pub const LONG_FRAMES: usize = 16;

/// Bytes of the stack on which a network card is started: its rings have 8 KiB each, and are moved
/// a few times.
pub const CARD_STACK: usize = 256 * 1024;
