//! The memory types by address (MTRRs), which must be the same on every CPU (Intel SDM vol. 3A,
//! 13.11). Firmware sets them on the boot CPU; some forgets the others.
//!
//! Each CPU that starts compares its own with the boot CPU's, and takes those over if they differ.
#![allow(unsafe_code)] // MSRs and control registers.

use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::sync::atomic::{AtomicUsize, Ordering};
use spin::Once;
use x86_64::instructions::tlb;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};
use x86_64::registers::model_specific::Msr;

const CAPABILITIES: u32 = 0xfe;
const DEFAULT_TYPE: u32 = 0x2ff;
const ENABLED: u64 = 1 << 11;
const VARIABLE: u32 = 0x200;
const FIXED: [u32; 11] =
    [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];
/// Pairs of variable ones that are kept; no CPU has more than 10.
const PAIRS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtrrs {
    pub default_type: u64,
    pub fixed: [u64; FIXED.len()],
    /// Base and mask in turn; what the CPU does not have is 0.
    pub variable: [u64; 2 * PAIRS],
}

static BOOT: Once<Option<Mtrrs>> = Once::new();
/// CPUs that had others.
static DIFFERED: AtomicUsize = AtomicUsize::new(0);

/// Keeps the boot CPU's. On it, before others start.
pub fn init() {
    BOOT.call_once(read);
}

/// What the boot CPU has; `None`: it has no MTRRs.
pub fn of_boot_cpu() -> Option<&'static Mtrrs> {
    BOOT.get()?.as_ref()
}

/// How many CPUs came with others than the boot CPU's.
pub fn differed() -> usize {
    DIFFERED.load(Ordering::Relaxed)
}

/// Makes this CPU's those of the boot CPU. With interrupts off, before it does anything with
/// others.
pub fn join() {
    let Some(wanted) = of_boot_cpu() else { return };
    if read().as_ref() != Some(wanted) {
        DIFFERED.fetch_add(1, Ordering::Relaxed);
        take_over(wanted);
    }
}

/// The MSRs that this CPU has, and where each belongs.
fn registers() -> Option<(bool, usize)> {
    const MTRR: u32 = 1 << 12;
    if __cpuid(1).edx & MTRR == 0 {
        return None;
    }
    let capabilities = get(CAPABILITIES);
    Some((capabilities & 1 << 8 != 0, 2 * ((capabilities & 0xff) as usize).min(PAIRS)))
}

fn read() -> Option<Mtrrs> {
    let (has_fixed, variable) = registers()?;
    let mut found = Mtrrs {
        default_type: get(DEFAULT_TYPE),
        fixed: [0; FIXED.len()],
        variable: [0; 2 * PAIRS],
    };
    if has_fixed {
        found.fixed = FIXED.map(get);
    }
    for (msr, value) in (VARIABLE..).zip(&mut found.variable[..variable]) {
        *value = get(msr);
    }
    Some(found)
}

/// As Intel SDM vol. 3A, 13.11.8 says it: with caches off and emptied, and no translation kept.
fn take_over(wanted: &Mtrrs) {
    let Some((has_fixed, variable)) = registers() else { return };
    let (cr0, cr4) = (Cr0::read(), Cr4::read());
    // SAFETY: the same control registers come back at the end. In between this CPU is slow, and
    // runs this code alone.
    unsafe {
        Cr0::write((cr0 | Cr0Flags::CACHE_DISABLE) - Cr0Flags::NOT_WRITE_THROUGH);
        asm!("wbinvd", options(nostack, preserves_flags));
        Cr4::write(cr4 - Cr4Flags::PAGE_GLOBAL);
        tlb::flush_all();
        set(DEFAULT_TYPE, get(DEFAULT_TYPE) & !ENABLED);
        if has_fixed {
            FIXED.iter().zip(wanted.fixed).for_each(|(&msr, value)| set(msr, value));
        }
        for (msr, &value) in (VARIABLE..).zip(&wanted.variable[..variable]) {
            set(msr, value);
        }
        set(DEFAULT_TYPE, wanted.default_type);
        asm!("wbinvd", options(nostack, preserves_flags));
        tlb::flush_all();
        Cr0::write(cr0);
        Cr4::write(cr4);
    }
}

fn get(msr: u32) -> u64 {
    // SAFETY: CPUID and the capabilities say that the MSR is there; reading changes nothing.
    unsafe { Msr::new(msr).read() }
}

/// # Safety
/// The value is the boot CPU's, or the default type without its enable bit.
unsafe fn set(msr: u32, value: u64) {
    // SAFETY: the MSR is there, as in `get`, and takes what the boot CPU has.
    unsafe { Msr::new(msr).write(value) }
}
