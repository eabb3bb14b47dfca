//! A driver for a device on the ISA bus: the PC's clock chip (a Motorola MC146818), which
//! interrupts eight times a second here. `cargo run`.
//!
//! The driver is a goroutine of the system's: that it waits for ever is no reason to think that
//! the others go on. Whoever waits for the device has an `Outside` meanwhile.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use executive::foreign::Outside;
use executive::{Builder, chan};
use kernel::device::{self, Registers};
use kernel::println;

kernel::entry!(main);

/// Its interrupt and its ports: one chooses a register, the other reads or writes it.
const IRQ: u8 = 8;
const PORTS: u16 = 0x70;
/// Its registers, and what we write there (MC146818 data sheet).
const A: u8 = 10;
const B: u8 = 11;
const C: u8 = 12;
const RATE_8_HZ: u8 = 13;
const PERIODIC: u8 = 1 << 6;

struct Clock(Registers);

impl Clock {
    fn read(&mut self, register: u8) -> u8 {
        self.0.write(0, register);
        self.0.read(1)
    }

    fn write(&mut self, register: u8, value: u8) {
        self.0.write(0, register);
        self.0.write(1, value);
    }
}

fn main() {
    const TICKS: usize = 4;
    let (ticks, told) = chan(0);
    let mut clock = Clock(device::ports(PORTS, 2).expect("nobody else has them"));
    let serve = move || {
        let interrupt = kernel::isa_irq(IRQ).expect("every PC has one");
        let rate = clock.read(A) & 0xf0 | RATE_8_HZ;
        clock.write(A, rate);
        let events = clock.read(B) | PERIODIC;
        clock.write(B, events);
        loop {
            // Look first: an interrupt that came before `isa_irq` is not told again.
            if clock.read(C) & PERIODIC != 0 && ticks.send(()).is_err() {
                return clock.write(B, events & !PERIODIC);
            }
            interrupt.wait();
        }
    };
    drop(Builder::new().system("clock").spawn(serve).expect("memory for a goroutine"));
    let _the_device_may_wake_us = Outside::new();
    println!("{} interrupts of the clock", told.iter().take(TICKS).count());
}
