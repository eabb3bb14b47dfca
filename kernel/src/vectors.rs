//! Interrupt vectors: which number means what. The one rule: a vector is named here or not used.
//!
//! The local APIC takes a higher number first (Intel SDM vol. 3A, 12.8.3.1), in classes of 16; all of ours that
//! matter share one class, so none starves another. 0..32 are the CPU's exceptions.

/// The local APIC's one-shot timer ran out.
pub const TIMER: u8 = 0x20;
/// Ends the `hlt` of a CPU that waits; does nothing else.
pub const WAKE: u8 = 0x21;
/// Another CPU wants `executive::on_tick` to run here.
pub const KICK: u8 = 0x22;
/// Another CPU took pages back: forget what the TLB holds of them.
pub const FLUSH: u8 = 0x23;
/// Another CPU wants this one to stand still for a moment (hold.rs).
pub const HOLD: u8 = 0x25;
/// The first serial port (ISA IRQ 4) has bytes for us.
pub const COM1: u8 = 0x24;
/// The local APIC's spurious vector: not acknowledged. Its low four bits must be set on old APICs.
pub const SPURIOUS: u8 = 0xff;

/// The first vector that is not an exception of the CPU's.
pub const FIRST_IRQ: u8 = 0x20;

/// Lines of [`executive::on_irq`]: what a goroutine can wait for.
pub const LINE_COM1: usize = 4;
