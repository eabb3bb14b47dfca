//! Segments and stacks of a CPU: its GDT, its TSS, and the stacks that its interrupt gates switch
//! to.
//!
//! A fault in ring 0 pushes on the current stack unless its gate names an entry of the interrupt
//! stack table (IST). A goroutine's stack may be full, or not there yet. So every gate names one: a
//! fault never needs the stack that it reports on, and an interrupt never pushes on a goroutine's
//! stack (IRQ-CLEAN).
//!
//! The CPU starts at the top of an entry's stack each time, so a handler that may interrupt another
//! has an entry of its own. The deepest nesting is an NMI in a page fault in an interrupt.
//!
//! **Rule:** GS and FS selectors are never loaded. That would clear the base that GS-CURRENT stands
//! on.
#![allow(unsafe_code)] // Descriptor tables.

use crate::layout::{CPU_STACKS, CPU_STACKS_END};
use crate::paging;
use crate::param::{G0_STACK_BYTES, IST_STACK_BYTES};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering};
use executive::param::MAX_CPUS;
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, DS, ES, SS, Segment};
use x86_64::instructions::tables::load_tss;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::tss::TaskStateSegment;

/// Which IST entry a gate uses: an index into the TSS's table. (The gate holds the index plus one.)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Ist {
    /// Device, timer and inter-processor interrupts. Their gates keep interrupts off, so there is
    /// one at a time.
    Interrupt = 0,
    /// Page faults, also those of an interrupt handler that writes to a goroutine's stack.
    PageFault = 1,
    /// Faults that end the run.
    Fault = 2,
    DoubleFault = 3,
    Nmi = 4,
    MachineCheck = 5,
}
const ISTS: usize = 6;

/// Distance between the stacks of a CPU; the lower part of each slot is the guard.
const SLOT: u64 = 256 * 1024;
/// g0's slot, then one per IST entry, rounded up to a power of two.
const CPU_SPAN: u64 = SLOT * 8;
const _: () = assert!(ISTS < 8 && MAX_CPUS as u64 * CPU_SPAN <= CPU_STACKS_END - CPU_STACKS);

struct Tables {
    gdt: GlobalDescriptorTable,
    tss: TaskStateSegment,
}

struct PerCpu(UnsafeCell<Tables>);
// SAFETY: element n is written by CPU n, once, in `load`; after that only its hardware looks at it.
unsafe impl Sync for PerCpu {}

static TABLES: [PerCpu; MAX_CPUS] = [const {
    PerCpu(UnsafeCell::new(Tables {
        gdt: GlobalDescriptorTable::new(),
        tss: TaskStateSegment::new(),
    }))
}; MAX_CPUS];

/// Memory in all CPUs' own stacks, for reports.
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// Bytes of memory in the CPUs' own stacks. (The boot CPU's g0 is not among them: it runs on the
/// bootloader's stack.)
pub fn stack_bytes() -> usize {
    BYTES.load(Ordering::Relaxed)
}

/// Maps the stack in `slot` of CPU `cpu` and returns its top. Below it lies the unmapped rest of
/// the slot.
fn stack(cpu: usize, slot: u64, bytes: u64) -> Option<u64> {
    let top = CPU_STACKS + cpu as u64 * CPU_SPAN + (slot + 1) * SLOT;
    let got = paging::map_fresh(top - bytes, top) == top;
    BYTES.fetch_add(got as usize * bytes as usize, Ordering::Relaxed);
    got.then_some(top)
}

/// Makes a stack of 64 KiB with a guard for the g0 of CPU `cpu`; returns its top, 16-byte aligned.
/// Once per CPU. `None`: out of memory.
pub fn boot_stack_for(cpu: usize) -> Option<usize> {
    stack(cpu, 0, G0_STACK_BYTES).map(|top| top as usize)
}

/// Gives the calling CPU its segments and interrupt stacks. Once per CPU; it runs as `cpu` from
/// here on.
///
/// # Panics
/// When there is no memory for the stacks.
pub fn load(cpu: usize) {
    // SAFETY: this CPU's own element, and `load` runs once on it.
    let tables: &'static mut Tables = unsafe { &mut *TABLES[cpu].0.get() };
    #[expect(clippy::needless_range_loop, reason = "the TSS is packed: no references into it")]
    for ist in 0..ISTS {
        let top =
            stack(cpu, ist as u64 + 1, IST_STACK_BYTES).expect("no memory for interrupt stacks");
        tables.tss.interrupt_stack_table[ist] = VirtAddr::new(top);
    }
    let code = tables.gdt.append(Descriptor::kernel_code_segment());
    let data = tables.gdt.append(Descriptor::kernel_data_segment());
    let tss = tables.gdt.append(Descriptor::tss_segment(&tables.tss));
    tables.gdt.load();
    // SAFETY: the selectors are the ones just made, in the table just loaded. GS and FS are left
    // alone.
    unsafe {
        CS::set_reg(code);
        SS::set_reg(data);
        DS::set_reg(data);
        ES::set_reg(data);
        load_tss(tss);
    }
}
