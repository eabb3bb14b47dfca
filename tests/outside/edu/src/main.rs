//! A driver for a PCI device: QEMU's `edu`, which calculates factorials and copies memory
//! (docs/specs/edu.rst in QEMU's sources). `cargo run -- -- -device edu`.
//!
//! The device says by an interrupt that it is done. A goroutine waits for that. With `--run pin`
//! the device may not reach memory: then it copies nothing, and has its pin for interrupts. With
//! `--run storm` it interrupts again and again while nobody looks.
#![no_std]
#![no_main]

extern crate alloc;

use executive::trace::{self, Event, Recorded};
use kernel::device::{self, Device, Dma, Irq, Registers};
use kernel::println;

kernel::entry!(main);

/// Registers, by their offsets.
const LIVENESS: usize = 0x04;
const FACTORIAL: usize = 0x08;
const STATUS: usize = 0x20;
const INTERRUPT_STATUS: usize = 0x24;
const INTERRUPT_RAISE: usize = 0x60;
const INTERRUPT_ACKNOWLEDGE: usize = 0x64;
const DMA_SOURCE: usize = 0x80;
const DMA_DESTINATION: usize = 0x88;
const DMA_COUNT: usize = 0x90;
const DMA_COMMAND: usize = 0x98;

const BUSY: u32 = 1 << 0;
const INTERRUPT_WHEN_DONE: u32 = 1 << 7;
/// Where the device's own 4 KiB of memory are, for its DMA.
const BUFFER: u32 = 0x40000;
const DMA_START: u32 = 1 << 0;
const DMA_FROM_DEVICE: u32 = 1 << 1;
const DMA_INTERRUPT: u32 = 1 << 2;

struct Edu {
    registers: Registers,
    interrupt: Irq,
    _device: Device,
}

impl Edu {
    fn open(masters: bool) -> Result<Edu, device::Error> {
        let mut device = device::take(0x1234, 0x11e8)?;
        let registers = device.bar(0)?;
        if masters {
            // SAFETY: the device is told the addresses of `Dma` memory alone, and `copy` keeps that
            // until the device is done.
            unsafe { device.master() };
        }
        let interrupt = device.irqs(1)?.remove(0);
        registers.write(STATUS, INTERRUPT_WHEN_DONE);
        Ok(Edu { registers, interrupt, _device: device })
    }

    /// Parks until the device has interrupted, and is no longer busy.
    fn done(&self, register: usize, busy: u32) {
        loop {
            let came: u32 = self.registers.read(INTERRUPT_STATUS);
            if came != 0 {
                self.registers.write(INTERRUPT_ACKNOWLEDGE, came);
                if self.registers.read::<u32>(register) & busy == 0 {
                    return;
                }
            }
            self.interrupt.wait();
        }
    }

    fn factorial(&self, n: u32) -> u32 {
        self.registers.write(FACTORIAL, n);
        self.done(STATUS, BUSY);
        self.registers.read(FACTORIAL)
    }

    /// Has the device copy `bytes` into its own memory and back.
    fn copy(&self, bytes: &mut [u8]) -> Result<(), device::Error> {
        let memory = Dma::new(bytes.len())?;
        memory.write(0, bytes);
        let (ours, count) = (memory.address() as u32, bytes.len() as u32);
        for (from, to, way) in [(ours, BUFFER, 0), (BUFFER, ours, DMA_FROM_DEVICE)] {
            self.registers.write(DMA_SOURCE, from);
            self.registers.write(DMA_DESTINATION, to);
            self.registers.write(DMA_COUNT, count);
            self.registers.write(DMA_COMMAND, DMA_START | way | DMA_INTERRUPT);
            self.done(DMA_COMMAND, DMA_START);
            if way == 0 {
                memory.write(0, &[0; 8]); // what is there in the end comes from the device
            }
        }
        memory.read(0, bytes);
        Ok(())
    }
}

fn main() {
    let masters = kernel::command_line() != "pin";
    let edu = Edu::open(masters).expect("a device `edu`");
    edu.registers.write(LIVENESS, 0x1234_5678u32);
    assert_eq!(edu.registers.read::<u32>(LIVENESS), !0x1234_5678);
    if kernel::command_line() == "storm" {
        trace::start();
        (0..50_000).for_each(|_| edu.registers.write(INTERRUPT_RAISE, 1u32));
        trace::stop();
        let events = trace::recorded().0;
        let woke_nobody = |one: &&Recorded| one.event == Event::Interrupt && one.goid == 0;
        let some = events.iter().find(woke_nobody).expect("nobody waited for the interrupts");
        assert!((0x20..0xf0).contains(&some.number), "{some}: no device's vector");
    }
    let factorials = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(|n| edu.factorial(n));
    println!("edu: 10! is {}", factorials[9]);
    if masters {
        let mut text = *b"there and back again";
        edu.copy(&mut text).expect("memory");
        println!("edu: {}", text.escape_ascii());
    }
    let how = alloc::format!("{:?}", edu.interrupt);
    let (how, storms) = (how.split([' ', ',']).next(), how.rsplit(',').next());
    println!("edu interrupts by {}{}", how.expect("a word"), storms.expect("a word"));
}
