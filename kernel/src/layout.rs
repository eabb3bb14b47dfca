//! Where everything lies in the virtual address space. Each purpose has one P4 slot (512 GiB) or
//! more, above the addresses that the bootloader hands out.
//!
//! **Rule:** the P3 tables of these slots are made at start-up and stay ([`crate::paging::init`]).
//! So the top-level table never changes again, and a copy of it (which an AP starts on) stays true.

/// Bytes behind one entry of the top-level table.
pub const P4_SLOT: u64 = 1 << 39;

/// The first address of P4 slot `index`, in the upper half.
pub const fn slot(index: u64) -> u64 {
    assert!(index >= 256 && index < 512);
    0xffff_0000_0000_0000 | index << 39
}

/// The bootloader's own choices (boot info, the boot stack, the physical window) end here.
pub const DYNAMIC_START: u64 = slot(256);
pub const DYNAMIC_END: u64 = slot(384) - 1;

/// Goroutines' stacks, by size class: [`STACK_SLOTS_SMALLEST`] P4 slots for the smallest class, one
/// for each of the others.
pub const STACKS: u64 = slot(384);
/// 8 TiB of 68 KiB stacks, 30 to a page table: 125 million.
pub const STACK_SLOTS_SMALLEST: u64 = 16;
/// 68 KiB, 128 KiB, .. 128 MiB: a stack of 64 MiB with its guard fits too.
pub const STACK_CLASSES: usize = 12;
pub const STACKS_END: u64 = slot(384 + STACK_SLOTS_SMALLEST + STACK_CLASSES as u64 - 1);

/// The heap, growing upwards. It starts six pages in, so that the first g and the stack of CPU 0's
/// g0 (the bootloader's, at the start of its own slot) share no TLB set: a set is chosen by the
/// last bits of the page number.
pub const HEAP: u64 = slot(448) + 6 * 4096;
pub const HEAP_END: u64 = slot(449);

/// Device registers.
pub const MMIO: u64 = slot(449);
pub const MMIO_END: u64 = slot(450);

/// Each CPU's own stacks (its g0's, and those of its interrupt gates).
pub const CPU_STACKS: u64 = slot(450);
pub const CPU_STACKS_END: u64 = slot(451);

/// The heap's large blocks: 4 TiB.
pub const LARGE: u64 = slot(452);
pub const LARGE_END: u64 = slot(460);

/// Where the kernel is loaded. It is fixed for the sake of debuggers: `add-symbol-file kernel -o
/// 0xffffffff80000000`.
pub const KERNEL: u64 = 0xffff_ffff_8000_0000;
