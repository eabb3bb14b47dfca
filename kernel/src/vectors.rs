//! Interrupt vectors: which number means what.
//!
//! **Rule:** a vector is named here or not used.
//!
//! The local APIC takes a higher number first (Intel SDM vol. 3A, 12.8.3.1), in classes of 16. The
//! kernel's own vectors share the highest class, so that none starves another; the devices' are in
//! the classes below. 0..32 are the CPU's exceptions.

/// The first vector that is not a CPU exception.
pub const FIRST_IRQ: u8 = 0x20;

/// ISA interrupts 0 to 15, in order. Their lines ([`executive::on_irq`]) have the same numbers.
pub const ISA: u8 = 0x20;
pub const ISA_END: u8 = ISA + 16;
/// The keyboard has bytes for us.
pub const ISA_KEYBOARD: u8 = 1;
/// The first serial port has bytes for us, or takes more of ours.
pub const ISA_COM1: u8 = 4;

/// Those of the devices that are on no ISA bus: 192 on each CPU (device/irq.rs).
pub const DEVICES: u8 = ISA_END;
pub const DEVICES_END: u8 = TIMER;

/// The local APIC's one-shot timer ran out.
pub const TIMER: u8 = 0xf0;
/// Ends the `hlt` of a CPU that waits; does nothing else.
pub const WAKE: u8 = 0xf1;
/// Another CPU wants `executive::on_tick` to run here.
pub const KICK: u8 = 0xf2;
/// Another CPU took pages back: forget what the TLB holds of them.
pub const FLUSH: u8 = 0xf3;
/// Another CPU wants this one to stand still for a moment (hold.rs).
pub const HOLD: u8 = 0xf4;

/// The local APIC's spurious vector, which gets no EOI. Its low four bits must be set on old APICs.
pub const SPURIOUS: u8 = 0xff;
