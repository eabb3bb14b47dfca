//! Every tunable number of the kernel, with its reason. (The executive has its own; layout.rs has
//! addresses.)

use core::time::Duration;

// Frames.

/// Below, memory belongs to the firmware, or starts CPUs.
pub const LOW_MEMORY: u64 = 0x10_0000;

/// Frames in a CPU's reserve, 64 KiB. The lock is taken once in about as many allocations.
pub const RESERVE: usize = 16;
/// Places of a reserve that only the page-fault handler empties: more pages than the code of
/// frames.rs uses of a stack.
pub const FOR_FAULTS: usize = 4;
/// Frames that only the page-fault handler takes: when every other request is refused, running
/// goroutines can still use their stacks.
pub const MARGIN: usize = 256;
/// Frames kept back from new stacks, so that existing goroutines can still allocate and report the
/// failure.
pub const STACKS_LEAVE: usize = 1024;
/// Stacks that the heap's larger blocks leave frames for, at least.
pub const SOME_STACKS: usize = 64;

// Stacks.

/// CPU 0's g0 has the bootloader's stack.
pub const BOOT_STACK_BYTES: u64 = 128 * 1024;
/// The other g0s' stacks. A g0 runs the scheduler, a crash report, and `systemstack` work.
pub const G0_STACK_BYTES: u64 = 64 * 1024;
/// An interrupt stack: room for a crash report with its backtrace, in a debug build.
pub const IST_STACK_BYTES: u64 = 32 * 1024;
/// Pages of free stacks that wait for a flush. It interrupts every CPU, so it should be worth 2
/// MiB.
pub const MOST_DIRTY_PAGES: usize = 512;

// The heap.

/// The backing heap grows by at least this, if there is as much memory.
pub const GROWTH: usize = 1024 * 1024;
/// A new large block gives back what its slot has kept beyond the block's end, if it is more than
/// this: that interrupts every CPU.
pub const MOST_KEPT: usize = 2 * 1024 * 1024;
/// So many pages of large blocks that gave up their memory may wait for one flush.
pub const MOST_STALE: usize = 512;

// Reclaiming: how much at a time, so that nobody waits long.

/// Free stacks that are stripped at a time: 4 MiB, at a page each.
pub const STACKS_AT_A_TIME: usize = 1024;
/// Pages of free large blocks that are taken at a time.
pub const PAGES_AT_A_TIME: usize = 1024;
/// Goroutines that are trimmed at a time. No other CPU runs meanwhile, for a millisecond at the
/// most.
pub const TRIMMED_AT_A_TIME: usize = 256;

// Start-up, and the serial port.

/// How long a CPU may take to come (ns), and again to set itself up. On a loaded host a virtual CPU
/// may not run at all for a second.
pub const CPU_PATIENCE_NS: u64 = 5_000_000_000;
/// How long a CPU may take that is called alone (ns), before it is called together with the others:
/// a real one comes within a millisecond.
pub const CPU_FIRST_PATIENCE_NS: u64 = 200_000_000;
/// Bytes that were printed and have not left the serial port, a power of two: as many lines as a
/// person reads at once. They leave within 1.5 s at 115200 baud, which is how long a crash report
/// may have to wait for them.
pub const SERIAL_OUTPUT: usize = 16 * 1024;
/// How often a serial line that takes nothing is looked at before it is given up, about a second:
/// a reader on a busy host may not run for as long. 16 bytes leave within 1.4 ms at 115200 baud,
/// and a look takes about a microsecond.
pub const SERIAL_PATIENCE: usize = 1_000_000;
/// How long a goroutine waits for such a line (ns). It holds up nobody else meanwhile.
pub const SERIAL_PATIENCE_NS: u64 = 2_000_000_000;
/// Bytes that have arrived at the serial port and were not read yet.
pub const SERIAL_RING: usize = 1024;

// Devices.

/// Memory for devices is taken from the frames by this much at least: no device's rings are longer
/// than a few of its parts.
pub const DMA_RUN: usize = 512 * 1024;
/// So many interrupts of a device while its driver never looks are a storm: the device is masked
/// until the driver looks. A driver that is only late has seen fewer: at a million a second it
/// would be late by 10 ms.
pub const STORM: u32 = 10_000;
/// How long the firmware's code may take to say where pins lead. It takes milliseconds; a host
/// that is busy makes it longer.
pub const AML_PATIENCE: Duration = Duration::from_secs(5);
/// The stack on which it is run, in bytes.
pub const AML_STACK: usize = 256 * 1024;

// The keyboard and the screen.

/// How long the keyboard's controller may take for a step (ns). A keyboard answers within 20 ms.
pub const I8042_PATIENCE_NS: u64 = 50_000_000;

/// From one drawing of the screen to the next, at least (ns): 30 a second look smooth, and leave
/// the CPU to the others. What is printed faster is seen when it has scrolled past.
pub const FRAME_NS: u64 = 33_000_000;
/// So many times as long as a drawing took the drawer rests: a large screen that scrolls takes a
/// tenth of a CPU.
pub const RESTS: u64 = 9;
/// But no longer than this (ns), because a drawing that waited for a CPU takes long too.
pub const FRAME_MOST_NS: u64 = 300_000_000;
