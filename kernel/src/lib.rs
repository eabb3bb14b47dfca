//! The PC as a machine for goroutines: start-up, and what [`executive`] asks of what it runs on.
//!
//! With `kernel::entry!(main)` in a `no_std`, `no_main` binary, `fn main()` is goroutine 1 of a
//! bootable kernel.
//!
//! The modules below stand in layer order, each using only those above it: read from the top.
#![no_std]
#![deny(unsafe_code)] // allowed in the files that say why at their top

extern crate alloc;

// Numbers.
pub mod layout;
pub mod vectors;
pub mod param;
// Memory.
pub mod window;
pub mod frames;
pub mod paging;
// Where text goes.
pub mod font;
pub mod terminal;
pub mod framebuffer;
pub mod screen;
pub mod outgoing;
pub mod serial;
// The CPU and what surrounds it.
pub mod given_up;
pub mod xsave;
pub mod cpu;
pub mod mtrr;
pub mod gdt;
pub mod tables;
pub mod acpi;
pub mod apic;
pub mod ioapic;
pub mod tsc;
pub mod calibrate;
pub mod clock;
pub mod i8042;
pub mod keyboard;
pub mod power;
pub mod calendar;
pub mod rtc;
pub mod flush;
pub mod hold;
pub mod pages;
pub mod slots;
pub mod stacks;
pub mod large;
pub mod heap;
pub mod reclaim;
pub mod memory;
pub mod device;
#[cfg(panic = "unwind")]
pub mod unwind;
pub mod trap;
pub mod idt;
pub mod trampoline;
pub mod smp;
pub mod fwcfg;
pub mod lines;
pub mod symbols;
pub mod report;
// The machine, and its start.
pub mod pc;
pub mod start;

pub use bootloader_api;
pub use executive::{print, println};
pub use fwcfg::{archive, command_line};
pub use ioapic::isa_irq;
#[doc(hidden)]
pub use x86_64;
