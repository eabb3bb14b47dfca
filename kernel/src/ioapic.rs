//! The I/O APICs: which device interrupt goes to which CPU, as which vector.
//!
//! Everything starts masked, whatever the firmware had set up; what is wanted is routed one by one. The one
//! rule: the index and the data register are a pair, so they are used under the lock.
#![allow(unsafe_code)] // Device registers.

use crate::acpi::{self, IsaOverride};
use crate::apic;
use crate::paging;
use alloc::vec::Vec;
use spin::Mutex;
use x86_64::instructions::interrupts::without_interrupts;

/// Registers, by index (Intel 82093AA data sheet, 3.2).
const VERSION: u32 = 1;
const REDIRECTION: u32 = 0x10;

const MASKED: u32 = 1 << 16;
const LEVEL: u32 = 1 << 15;
const ACTIVE_LOW: u32 = 1 << 13;

struct IoApic {
    registers: *mut u8,
    first_gsi: u32,
    inputs: u32,
}

// SAFETY: plain addresses of device registers, used under the lock.
unsafe impl Send for IoApic {}

static IO_APICS: Mutex<Vec<IoApic>> = Mutex::new(Vec::new());

/// Maps them and masks every input. After [`acpi::init`] and the boot CPU's [`apic::init_this_cpu`].
pub fn init() {
    let found = acpi::platform().io_apics.iter().map(|io| {
        let mut io = IoApic { registers: paging::map_mmio(io.address, 0x20), first_gsi: io.first_gsi, inputs: 0 };
        io.inputs = (io.read(VERSION) >> 16 & 0xff) + 1;
        for input in 0..io.inputs {
            io.write(REDIRECTION + 2 * input, MASKED);
        }
        io
    });
    let found = found.collect();
    without_interrupts(|| *IO_APICS.lock() = found);
}

/// ISA interrupt `irq` interrupts `cpu` with `vector` from now on. `false`: no I/O APIC has that input, or the CPU's APIC
/// id is beyond the one byte that fits here.
pub fn route_irq(irq: u8, vector: u8, cpu: usize) -> bool {
    let Ok(destination) = u8::try_from(apic::id_of(cpu)) else {
        return false;
    };
    let overrides = &acpi::platform().overrides;
    let as_wired = IsaOverride { irq, gsi: irq.into(), active_low: false, level: false };
    let wire = overrides.iter().find(|o| o.irq == irq).copied().unwrap_or(as_wired);
    without_interrupts(|| {
        let mut all = IO_APICS.lock();
        let Some(io) = all.iter_mut().find(|io| wire.gsi.wrapping_sub(io.first_gsi) < io.inputs) else {
            return false;
        };
        let low = REDIRECTION + 2 * (wire.gsi - io.first_gsi);
        let flags = if wire.active_low { ACTIVE_LOW } else { 0 } | if wire.level { LEVEL } else { 0 };
        // Masked while the halves disagree; the half with the mask comes last.
        io.write(low, MASKED);
        io.write(low + 1, u32::from(destination) << 24);
        io.write(low, flags | u32::from(vector));
        true
    })
}

impl IoApic {
    fn read(&mut self, index: u32) -> u32 {
        // SAFETY: `init` mapped the registers: index at 0, data at 0x10, both 32 bits. `&mut` keeps the pair whole.
        unsafe {
            self.registers.cast::<u32>().write_volatile(index);
            self.registers.add(0x10).cast::<u32>().read_volatile()
        }
    }

    fn write(&mut self, index: u32, value: u32) {
        // SAFETY: as in `read`.
        unsafe {
            self.registers.cast::<u32>().write_volatile(index);
            self.registers.add(0x10).cast::<u32>().write_volatile(value);
        }
    }
}
