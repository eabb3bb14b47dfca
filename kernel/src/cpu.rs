//! The state that every CPU must be in before it runs our code: control registers, EFER, PAT.
//!
//! Firmware leaves them in any state, and in another one on the boot CPU than on the others, which
//! come out of INIT with their caches off. So they are written whole, not patched. SSE is on before
//! the first Rust function (start.rs, trampoline.rs), and xsave.rs does the rest.
#![allow(unsafe_code)] // Control registers.

use crate::xsave;
use x86_64::VirtAddr;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags, Efer, EferFlags};
use x86_64::registers::model_specific::{GsBase, Msr};

const IA32_PAT: u32 = 0x277;
/// The power-on value (Intel SDM vol. 3A, 13.12.4), in which entry 3, which PCD and PWT choose, is
/// uncached; but entry 1, which PWT alone chooses, is write-combining (1), for video memory.
const PAT: u64 = 0x0007_0406_0007_0106;

/// Points GS at this CPU's per-CPU block. Everything that takes a lock needs it.
///
/// # Safety
/// `block` is `executive::percpu_block` of the calling CPU.
pub unsafe fn set_gs(block: *const ()) {
    GsBase::write(VirtAddr::from_ptr(block));
}

/// Brings the calling CPU into our state.
pub fn init() {
    let cr0 = Cr0Flags::PROTECTED_MODE_ENABLE
        | Cr0Flags::MONITOR_COPROCESSOR
        | Cr0Flags::EXTENSION_TYPE // always 1
        | Cr0Flags::NUMERIC_ERROR
        | Cr0Flags::WRITE_PROTECT // read-only pages are so for the kernel too
        | Cr0Flags::PAGING; // caching on: CD and NW clear
    // LA57 cannot be changed here and must stay as it is.
    let cr4 = Cr4::read() & Cr4Flags::L5_PAGING
        | Cr4Flags::PHYSICAL_ADDRESS_EXTENSION
        | Cr4Flags::PAGE_GLOBAL
        | Cr4Flags::MACHINE_CHECK_EXCEPTION;
    // SAFETY: the bootloader has set up paging for these modes, and its tables use NX.
    unsafe {
        Efer::update(|efer| efer.insert(EferFlags::NO_EXECUTE_ENABLE));
        Cr4::write_raw(cr4.bits() | xsave::cr4());
        Cr0::write_raw(cr0.bits());
        let mut pat = Msr::new(IA32_PAT);
        if pat.read() != PAT {
            pat.write(PAT);
            // Forget what was cached under the old types.
            core::arch::asm!("wbinvd", options(nostack, preserves_flags));
            x86_64::instructions::tlb::flush_all();
        }
    }
    xsave::init();
}
