//! Switching the machine off and on again, and its power button: ACPI's fixed hardware, as the
//! firmware's tables describe it.
//!
//! The button's interrupt ends the run, in the handler (trap.rs): no goroutine has to be well for
//! it, and there is nothing that must be saved first.
#![allow(unsafe_code)] // Ports, and an IDT that has no gates.

use crate::acpi;
use crate::clock::busy_wait_ns;
use crate::i8042;
use crate::ioapic;
use crate::paging;
use crate::serial;
use crate::tables::{Power, Register};
use core::arch::asm;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use x86_64::VirtAddr;
use x86_64::instructions::interrupts;
use x86_64::instructions::port::Port;
use x86_64::structures::DescriptorTablePointer;

/// Bits of the registers (ACPI specification 4.8.3.1 and 4.8.3.2).
const BUTTON: u16 = 1 << 8;
const WOKEN: u16 = 1 << 15;
const SCI_ENABLED: u16 = 1 << 0;
const SLEEP_TYPE: u16 = 0b111 << 10;
const SLEEP: u16 = 1 << 13;

const MS: u64 = 1_000_000;
/// How long the firmware may take to hand the registers over, and the machine to obey.
const PATIENCE_MS: u64 = 1000;

/// The interrupt of power events; 0: none. Written by [`init`].
static SCI: AtomicU8 = AtomicU8::new(0);
/// Interrupts that were not the button's. Only the handler writes it.
static STRAY: AtomicU32 = AtomicU32::new(0);
/// So many in all mean that something else pulls the line, which nobody here can quiet.
const MOST_STRAY: u32 = 1000;

/// Takes the registers over from the firmware, and lets the power button interrupt, nothing else.
/// After [`ioapic::init`] and [`crate::clock::init`].
pub fn init() {
    let power = &acpi::platform().power;
    let Some(control) = power.control[0] else { return };
    if read(control) & SCI_ENABLED == 0 {
        let Some((port, value)) = power.enable else { return };
        // SAFETY: the firmware's tables say that this port takes this value.
        unsafe { Port::<u8>::new(port).write(value) };
        for _ in 0..PATIENCE_MS {
            if read(control) & SCI_ENABLED != 0 {
                break;
            }
            busy_wait_ns(MS);
        }
    }
    for &(first, count) in power.general.iter().flatten() {
        for port in first..first.saturating_add(count) {
            // SAFETY: enable bits of events that need AML, which is not run.
            unsafe { Port::<u8>::new(port).write(0) };
        }
    }
    let button = if power.button { BUTTON } else { 0 };
    for event in power.events.into_iter().flatten() {
        write(event, read(event)); // ones clear
        write(event + power.enable_offset, button);
    }
    if power.button && power.sci != 0 && ioapic::route_isa(power.sci, 0) {
        SCI.store(power.sci, Ordering::Relaxed);
    }
}

/// Whether an ISA interrupt is the one of power events.
pub fn is_sci(irq: u8) -> bool {
    irq == SCI.load(Ordering::Relaxed)
}

/// The handler of that interrupt; `true`: the power button was pressed. It is level-triggered: it
/// comes again until its cause is cleared.
pub fn on_interrupt() -> bool {
    let power = &acpi::platform().power;
    let mut pressed = false;
    for event in power.events.into_iter().flatten() {
        let status = read(event);
        write(event, status);
        pressed |= status & BUTTON != 0;
    }
    if !pressed && STRAY.fetch_add(1, Ordering::Relaxed) == MOST_STRAY {
        ioapic::mask_isa(power.sci);
    }
    pressed
}

/// Ends the run. QEMU's device `isa-debug-exit` ends QEMU with status `(value << 1) | 1`. The value
/// is `code + 0x10`, so that no code of ours looks like one of QEMU's own statuses. Elsewhere
/// nothing is at that port, and the machine is switched off. Returns if it cannot be, and after a
/// crash, so that the report can be read. Takes no lock.
pub fn end(code: i32) {
    const DEBUG_EXIT: u16 = 0xf4;
    // SAFETY: QEMU's exit device, or nothing.
    unsafe { Port::<u32>::new(DEBUG_EXIT).write(code as u32 + 0x10) };
    if executive::crash::reporter().is_none() {
        off();
    }
}

/// Switches the machine off (ACPI's state S5). Returns if it cannot be switched off so.
fn off() {
    let Some(platform) = acpi::known() else { return };
    let power: &Power = &platform.power;
    let Some(types) = power.soft_off else { return };
    for event in power.events.into_iter().flatten() {
        write(event, WOKEN);
    }
    let controls = || power.control.into_iter().zip(types);
    // First the type alone, then with the bit that acts (ACPI specification 16.1.7).
    for sleep in [0, SLEEP] {
        for (port, kind) in controls().filter_map(|(port, kind)| Some((port?, kind))) {
            let kept = read(port) & !(SLEEP_TYPE | SLEEP);
            write(port, kept | u16::from(kind) << 10 | sleep);
        }
    }
    busy_wait_ns(PATIENCE_MS * MS);
}

/// Resets the machine: by the register that the firmware names, else by the keyboard controller,
/// else by a fault that no CPU survives.
pub fn reboot() -> ! {
    interrupts::disable();
    serial::finish();
    if let Some((register, value)) = acpi::known().and_then(|platform| platform.reset) {
        write_register(register, value);
        busy_wait_ns(100 * MS);
    }
    i8042::pulse_reset();
    busy_wait_ns(100 * MS);
    let none = DescriptorTablePointer { limit: 0, base: VirtAddr::zero() };
    loop {
        // SAFETY: the machine is to end here. No gate: the fault's handler, the double fault's
        // handler and that one's are missing, which resets the CPU, and a PC with it.
        unsafe {
            x86_64::instructions::tables::lidt(&none);
            asm!("int3");
        }
    }
}

fn write_register(register: Register, value: u8) {
    // SAFETY: the firmware's tables say that this register resets the machine; tables.rs has
    // checked that memory is a device's.
    unsafe {
        match register {
            Register::Port(port) => Port::<u8>::new(port).write(value),
            Register::Memory(at) => paging::map_mmio(at, 1).write_volatile(value),
            Register::Pci { device, function, offset } => {
                let (device, function) = (u32::from(device), u32::from(function));
                let (dword, byte) = (u32::from(offset & !3), u16::from(offset & 3));
                let address = 1 << 31 | device << 11 | function << 8 | dword;
                Port::<u32>::new(0xcf8).write(address);
                Port::<u8>::new(0xcfc + byte).write(value);
            }
        }
    }
}

fn read(port: u16) -> u16 {
    // SAFETY: the power management's registers, as the firmware's tables name them. Reading changes
    // nothing.
    unsafe { Port::new(port).read() }
}

fn write(port: u16, value: u16) {
    // SAFETY: as above; the callers write what the specification says.
    unsafe { Port::new(port).write(value) }
}
