//! A driver in a kernel of one's own, for the PC's clock chip: `./qemu-run.sh --example rtc`.
//!
//! A driver is a goroutine that waits for its device's interrupt, and then looks at the device. Of
//! the kernel it needs `isa_irq`. The chip (a Motorola MC146818; "RTC") interrupts eight times a
//! second here, and each time waits until its register C has been read.
#![no_std]
#![no_main]

use executive::time::Instant;
use executive::{chan, go};
use kernel::println;
use kernel::x86_64::instructions::interrupts::without_interrupts;
use kernel::x86_64::instructions::port::Port;

kernel::entry!(main);

/// ISA interrupt 8 is the chip's on every PC.
const IRQ: u8 = 8;
/// Its registers, and what we write there (MC146818 data sheet).
const A: u8 = 10;
const B: u8 = 11;
const C: u8 = 12;
const RATE_8_HZ: u8 = 13;
const PERIODIC: u8 = 1 << 6;

fn main() {
    const TICKS: usize = 8;
    let (ticks, told) = chan(0);
    go(move || {
        let interrupt = kernel::isa_irq(IRQ).expect("every PC has one");
        write(A, read(A) & 0xf0 | RATE_8_HZ);
        write(B, read(B) | PERIODIC);
        loop {
            // Look first: an interrupt that came before `isa_irq` is not told again.
            if read(C) & PERIODIC != 0 && ticks.send(Instant::now()).is_err() {
                return write(B, read(B) & !PERIODIC);
            }
            interrupt.wait();
        }
    });
    let begin = Instant::now();
    for tick in told.iter().take(TICKS) {
        println!("{} ms", (tick - begin).as_millis());
    }
    println!("{TICKS} interrupts");
}

fn read(register: u8) -> u8 {
    with_register(register, |data| {
        // SAFETY: the chip's data port; none of its registers means anything to the kernel.
        unsafe { data.read() }
    })
}

fn write(register: u8, value: u8) {
    with_register(register, |data| {
        // SAFETY: as above.
        unsafe { data.write(value) }
    });
}

/// The register is chosen at one port, and read or written at the next: both in one go.
fn with_register<T>(register: u8, f: impl FnOnce(&mut Port<u8>) -> T) -> T {
    without_interrupts(|| {
        // SAFETY: as above.
        unsafe { Port::new(0x70).write(register) };
        f(&mut Port::new(0x71))
    })
}
