//! The I/O APICs: which device interrupt goes to which CPU, as which vector.
//!
//! Every input is masked first, whatever the firmware had set up; those that are wanted are routed
//! one by one.
//!
//! **Rule:** the index and the data register are a pair, so they are used under the lock.
#![allow(unsafe_code)] // Device registers.

use crate::acpi::{self, IsaOverride};
use crate::apic;
use crate::paging;
use crate::vectors::{ISA, ISA_END};
use alloc::vec::Vec;
use executive::irq::Irq;
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

/// Maps them and masks every input. After [`acpi::init`] and the boot CPU's
/// [`apic::init_this_cpu`].
pub fn init() {
    let found = acpi::platform().io_apics.iter().map(|io| {
        let mut io = IoApic {
            registers: paging::map_mmio(io.address, 0x20),
            first_gsi: io.first_gsi,
            inputs: 0,
        };
        io.inputs = (io.read(VERSION) >> 16 & 0xff) + 1;
        for input in 0..io.inputs {
            io.write(REDIRECTION + 2 * input, MASKED);
        }
        io
    });
    let found = found.collect();
    without_interrupts(|| *IO_APICS.lock() = found);
}

/// ISA interrupt `irq` (0 to 15) as something that a goroutine can wait for, such as a driver. The
/// interrupts come to CPU 0, and several may count as one, as in [`on_irq`](executive::on_irq):
/// wait, then look at the device until it has nothing more to tell. Look before the first wait too:
/// an interrupt that came earlier is not repeated.
///
/// `None`: the machine has no such input, or the firmware says that it is level-triggered. (Such an
/// interrupt comes again until its device is quiet, so no goroutine would run to quiet it.) 4 is
/// the first serial port's, which [`serial::read`](crate::serial::read) reads.
///
/// # Panics
/// If `irq` is more than 15.
pub fn isa_irq(irq: u8) -> Option<Irq> {
    assert!(irq < ISA_END - ISA, "isa_irq: {irq} is not one of 0 to 15");
    (!wire(irq).level && route_isa(irq, 0)).then(|| Irq::new(irq.into()))
}

/// How an ISA interrupt is wired. Where the firmware says nothing, it is as on the first PCs.
fn wire(irq: u8) -> IsaOverride {
    let as_on_isa = IsaOverride { irq, gsi: irq.into(), active_low: false, level: false };
    acpi::platform().overrides.iter().find(|o| o.irq == irq).copied().unwrap_or(as_on_isa)
}

/// From here on ISA interrupt `irq` interrupts `cpu`, with its vector. `false`: no I/O APIC has
/// that input, or the CPU's APIC id does not fit into one byte.
pub fn route_isa(irq: u8, cpu: usize) -> bool {
    let wire = wire(irq);
    route(wire.gsi, ISA + irq, cpu, wire.level, wire.active_low)
}

/// The input that ISA interrupt `irq` comes in at when a PCI device's pin is wired to it, and
/// whether it is active low, as such pins are unless the firmware says otherwise.
pub fn isa_input(irq: u8) -> (u32, bool) {
    let found = acpi::platform().overrides.iter().find(|o| o.irq == irq);
    found.map_or((irq.into(), true), |o| (o.gsi, o.active_low || !o.level))
}

/// From here on input `gsi` interrupts `cpu` with `vector`. `false`: no I/O APIC has that input, or
/// the CPU's APIC id does not fit into one byte.
pub fn route(gsi: u32, vector: u8, cpu: usize, level: bool, active_low: bool) -> bool {
    let Ok(destination) = u8::try_from(apic::id_of(cpu)) else {
        return false;
    };
    let flags = if active_low { ACTIVE_LOW } else { 0 } | if level { LEVEL } else { 0 };
    at_input(gsi, |io, low| {
        // Masked while the halves disagree; the half with the mask comes last.
        io.write(low, MASKED);
        io.write(low + 1, u32::from(destination) << 24);
        io.write(low, flags | u32::from(vector));
    })
    .is_some()
}

/// From here on ISA interrupt `irq` interrupts nobody. May be called in a handler, as [`mask`].
pub fn mask_isa(irq: u8) {
    mask(wire(irq).gsi);
}

/// From here on input `gsi` interrupts nobody. May be called in a handler: whoever holds the lock
/// does so for a few instructions, with interrupts off.
pub fn mask(gsi: u32) {
    at_input(gsi, |io, low| {
        let now = io.read(low);
        io.write(low, now | MASKED);
    });
}

/// Undoes [`mask`]. If the input is a level that is active, it interrupts at once.
pub fn unmask(gsi: u32) {
    at_input(gsi, |io, low| {
        let now = io.read(low);
        io.write(low, now & !MASKED);
    });
}

/// Acts on the I/O APIC that has this input, and on the lower half of the input's register.
fn at_input<T>(gsi: u32, act: impl FnOnce(&mut IoApic, u32) -> T) -> Option<T> {
    without_interrupts(|| {
        let mut all = IO_APICS.lock();
        let io = all.iter_mut().find(|io| gsi.wrapping_sub(io.first_gsi) < io.inputs)?;
        let low = REDIRECTION + 2 * (gsi - io.first_gsi);
        Some(act(io, low))
    })
}

impl IoApic {
    fn read(&mut self, index: u32) -> u32 {
        // SAFETY: `init` mapped the registers: index at 0, data at 0x10, both of 32 bits. `&mut`
        // keeps the pair whole.
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
