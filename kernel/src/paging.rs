//! Mapping of device registers, video memory, the heap's pages, and the CPUs' own stacks. (The
//! trampoline has tables of its own.)
//!
//! Goroutines' stacks and large blocks are mapped in pages.rs, by every CPU at once, without the
//! lock that this file has. The two never meet, because they own different entries of the top-level
//! table.
//!
//! All CPUs share one set of tables. Other CPUs need not hear of a page that becomes present: a TLB
//! keeps no not-present translations (Intel SDM vol. 3A, 5.10.2.3). No page is taken away here.
#![allow(unsafe_code)] // Page tables are memory that the CPU reads behind the language's back.

use crate::frames;
use crate::layout;
use executive::lock::{CountedLock, Rank};
use x86_64::registers::control::Cr3;
use x86_64::structures::paging::mapper::MapToError;
use x86_64::structures::paging::{
    FrameAllocator, Mapper, OffsetPageTable, Page, PageTable, PageTableFlags as Flags, PhysFrame,
    Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

pub use crate::window::phys_to_virt;

/// What the lock protects: all tables but those of pages.rs, and the next free address for device
/// registers.
struct Tables {
    mmio: u64,
}

static TABLES: CountedLock<Tables> =
    CountedLock::counted(Rank::Paging, Tables { mmio: layout::MMIO });

/// Page tables come from the frame allocator.
struct Source;

// SAFETY: `frames::alloc` gives each frame to one owner.
unsafe impl FrameAllocator<Size4KiB> for Source {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        frames::alloc().map(|frame| PhysFrame::containing_address(PhysAddr::new(frame)))
    }
}

/// The tables in use, for the holder of `TABLES`.
fn mapper(_held: &mut Tables) -> OffsetPageTable<'_> {
    let top = Cr3::read().0.start_address().as_u64();
    let table = phys_to_virt(top).cast::<PageTable>();
    let offset = VirtAddr::from_ptr(phys_to_virt(0));
    // SAFETY: the window maps every table at `offset`; the borrow of `TABLES` keeps others out.
    unsafe { OffsetPageTable::new(&mut *table, offset) }
}

/// Physical address of the top-level table.
pub fn top_table() -> u64 {
    Cr3::read().0.start_address().as_u64()
}

/// Makes the P3 tables of all our slots (layout.rs), so that the top-level table never changes
/// again.
pub fn init() {
    let mut tables = TABLES.lock();
    let mut mapper = mapper(&mut tables);
    let many = [layout::STACKS..layout::STACKS_END, layout::LARGE..layout::LARGE_END];
    let many = many.into_iter().flat_map(|slots| slots.step_by(layout::P4_SLOT as usize));
    let ours = many.chain([layout::HEAP, layout::MMIO, layout::CPU_STACKS]);
    for address in ours {
        let entry = &mut mapper.level_4_table_mut()[VirtAddr::new(address).p4_index()];
        assert!(entry.is_unused(), "the bootloader used a slot of ours: {address:#x}");
        let frame = frames::alloc().expect("no memory for the first page tables");
        entry.set_addr(PhysAddr::new(frame), Flags::PRESENT | Flags::WRITABLE);
    }
}

/// Maps one page; `false`: out of memory for the tables, nothing is mapped.
fn map(tables: &mut Tables, address: u64, frame: u64, flags: Flags) -> bool {
    let page = Page::<Size4KiB>::containing_address(VirtAddr::new(address));
    let frame = PhysFrame::containing_address(PhysAddr::new(frame));
    let parents = Flags::PRESENT | Flags::WRITABLE;
    // SAFETY: the page lies in a slot of ours and is mapped once; the frame is the caller's.
    match unsafe {
        mapper(tables).map_to_with_table_flags(page, frame, flags, parents, &mut Source)
    } {
        // Nothing to flush: the page was not present.
        Ok(flush) => flush.ignore(),
        Err(MapToError::FrameAllocationFailed) => return false,
        Err(e) => panic!("mapping {address:#x}: {e:?}"),
    }
    true
}

/// Maps `len` bytes of device registers at `phys`, uncached, and returns where. They stay mapped.
///
/// # Panics
/// When there is no memory for page tables.
pub fn map_mmio(phys: u64, len: u64) -> *mut u8 {
    map_device(phys, len, Flags::NO_CACHE | Flags::WRITE_THROUGH)
}

/// The same for video memory: writes are combined (cpu.rs has set up what `WRITE_THROUGH` means).
pub fn map_video(phys: u64, len: u64) -> *mut u8 {
    map_device(phys, len, Flags::WRITE_THROUGH)
}

fn map_device(phys: u64, len: u64, caching: Flags) -> *mut u8 {
    let first = phys / frames::FRAME * frames::FRAME;
    let pages = (phys + len - first).div_ceil(frames::FRAME);
    let mut tables = TABLES.lock();
    let at = tables.mmio;
    assert!(at + pages * frames::FRAME <= layout::MMIO_END);
    tables.mmio += pages * frames::FRAME;
    let flags = Flags::PRESENT | Flags::WRITABLE | Flags::NO_EXECUTE | caching;
    for page in (0..pages).map(|n| n * frames::FRAME) {
        assert!(
            map(&mut tables, at + page, first + page, flags),
            "no memory to map device registers"
        );
    }
    (at + (phys - first)) as *mut u8
}

/// Backs the pages `[start, end)` by zeroed frames: ordinary memory, never executable. Returns the
/// end of what was backed: less than `end` means out of memory.
pub fn map_fresh(start: u64, end: u64) -> u64 {
    let mut tables = TABLES.lock();
    let mut at = start;
    while at < end {
        let Some(frame) = frames::alloc() else { break };
        if !map(&mut tables, at, frame, Flags::PRESENT | Flags::WRITABLE | Flags::NO_EXECUTE) {
            // SAFETY: just allocated, mapped nowhere.
            unsafe { frames::free(frame) };
            break;
        }
        at += frames::FRAME;
    }
    at
}

/// The physical address behind a mapped virtual one.
pub fn virt_to_phys(address: u64) -> Option<u64> {
    use x86_64::structures::paging::Translate;
    let mut tables = TABLES.lock();
    mapper(&mut tables).translate_addr(VirtAddr::new(address)).map(PhysAddr::as_u64)
}

/// How often the tables' lock was taken, and how often someone had to spin for it.
pub fn lock_stats() -> (u64, u64) {
    TABLES.stats()
}
