//! The machine: the six hooks that have no default, and `wait`, so that an idle CPU halts. What the
//! defaults cost is told at each: one CPU, no preemption, and reports without names.

use alloc::boxed::Box;
use core::arch::{asm, naked_asm};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use executive::machine::{Machine, NEVER, Stack};
use x86_64::VirtAddr;
use x86_64::instructions::port::Port;
use x86_64::registers::control::Cr3;
use x86_64::structures::idt::InterruptDescriptorTable;
use x86_64::structures::paging::mapper::{Mapper, OffsetPageTable};
use x86_64::structures::paging::{Page, Size4KiB};

struct Mine;
executive::machine!(Mine);

// SAFETY: each hook keeps its promise for one CPU that is interrupted in `wait` alone.
unsafe impl Machine for Mine {
    unsafe fn start_cpu(_: usize, _: *const (), entry: extern "C" fn() -> !) -> bool {
        entry() // CPU 0 is the caller, and has set GS
    }

    /// `sti` takes effect after the `hlt` has begun, so the timer's interrupt always ends it.
    fn wait(word: &AtomicU32, expect: u32, deadline: u64) {
        let left = deadline.saturating_sub(Self::now());
        if word.load(Relaxed) == expect && left > 0 {
            if deadline != NEVER {
                start_timer(left);
            }
            // SAFETY: on g0; the handler does nothing. Not `nomem`: others change memory meanwhile.
            unsafe { asm!("sti", "hlt", "cli", options(nostack)) }
        }
    }

    fn wake(_: usize, _: &AtomicU32) {} // the only CPU is awake if it calls this

    fn now() -> u64 {
        // SAFETY: the HPET's registers, which `init` found.
        let (period, count) =
            unsafe { (hpet(0).read_volatile() >> 32, hpet(0xf0).read_volatile()) };
        (u128::from(count) * u128::from(period) / 1_000_000) as u64 // the period is in femtoseconds
    }

    fn alloc_stack(size: usize) -> Option<Stack> {
        let take = |free: u64| (free != 0).then_some(free & free.wrapping_sub(1));
        if size > SLOT - PAGE {
            return None;
        }
        let slot = FREE.try_update(Relaxed, Relaxed, take).ok()?.trailing_zeros() as usize;
        let lo = (&raw const STACKS).addr() + slot * SLOT;
        Some(Stack { lo: lo + PAGE, hi: lo + SLOT })
    }

    unsafe fn free_stack(stack: Stack) {
        FREE.fetch_or(1 << ((stack.lo - (&raw const STACKS).addr()) / SLOT), Relaxed);
    }

    fn write(bytes: &[u8]) {
        for &byte in bytes {
            // SAFETY: the first serial port; its line status says when it takes a byte.
            unsafe {
                while Port::<u8>::new(0x3fd).read() & 0x20 == 0 {}
                Port::new(0x3f8).write(byte);
            }
        }
    }

    fn exit(code: i32) -> ! {
        // SAFETY: QEMU's isa-debug-exit, as qemu-run.sh sets it up. Elsewhere nothing is there.
        unsafe { Port::<u32>::new(0xf4).write(code as u32 + 0x10) };
        loop {
            x86_64::instructions::hlt();
        }
    }
}

// Stacks: 64 of 60 KiB, committed from the start, each with a guard page below it.

const PAGE: usize = 4096;
const SLOT: usize = 64 << 10;

#[repr(align(4096))]
struct Stacks(#[expect(dead_code, reason = "only its addresses are used")] [u8; 64 * SLOT]);
static mut STACKS: Stacks = Stacks([0; 64 * SLOT]);
static FREE: AtomicU64 = AtomicU64::new(u64::MAX);

/// Where all physical memory is mapped.
static WINDOW: AtomicU64 = AtomicU64::new(0);

/// A register of the HPET, which is where every PC's firmware puts it.
fn hpet(register: u64) -> *mut u64 {
    core::ptr::with_exposed_provenance_mut((WINDOW.load(Relaxed) + 0xfed0_0000 + register) as usize)
}

fn start_timer(ns: u64) {
    let counts = (ns / 838).clamp(1, 0xffff) as u16; // `wait` may end early
    // SAFETY: the PIT's channel 0: mode 0, an interrupt when the count is over.
    unsafe {
        Port::new(0x43).write(0x30u8);
        Port::new(0x40).write(counts as u8);
        Port::new(0x40).write((counts >> 8) as u8);
    }
}

/// Ends the `hlt`. The PIC is in automatic-EOI mode: there is nothing else to do.
#[unsafe(naked)]
extern "C" fn interrupted() {
    naked_asm!("iretq")
}

/// Everything that the hooks need. Once.
pub fn init(window: u64) {
    let idt = Box::leak(Box::new(InterruptDescriptorTable::new()));
    WINDOW.store(window, Relaxed);
    // SAFETY: called once, with interrupts off; the boot loader has mapped all physical memory at
    // `window`, and this kernel in pages of 4 KiB. Nobody uses the stacks yet.
    unsafe {
        hpet(0x10).write_volatile(1); // it counts
        let table = (window + Cr3::read().0.start_address().as_u64()) as usize;
        let table = &mut *core::ptr::with_exposed_provenance_mut(table);
        let mut mapper = OffsetPageTable::new(table, VirtAddr::new(window));
        for slot in 0..64 {
            let guard = VirtAddr::from_ptr((&raw const STACKS).byte_add(slot * SLOT));
            mapper.unmap(Page::<Size4KiB>::containing_address(guard)).unwrap().1.flush();
        }
        for vector in 32..40 {
            idt[vector].set_handler_addr(VirtAddr::new(interrupted as *const () as u64));
        }
        idt.load();
        Port::new(0x20).write(0x11u8); // the PIC: four words follow at the next port:
        for word in [32, 4, 3u8] {
            Port::new(0x21).write(word); // vectors from 32 on, cascade, automatic EOI
        }
        Port::new(0x21).write(0xfeu8); // all but the timer are masked
    }
}
