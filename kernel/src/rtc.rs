//! What time it is: the battery-backed clock chip is read once, at start-up, and the TSC counts on.
//!
//! The chip changes its registers once a second, and says shortly before that it will ("update in
//! progress"). They are read twice, until both readings are the same: so an interruption between
//! the question and the reading does no harm.
#![allow(unsafe_code)] // Ports.

use crate::acpi;
use crate::calendar::{Date, Registers};
use crate::clock::now_ns;
use spin::Once;
use x86_64::instructions::interrupts::without_interrupts;
use x86_64::instructions::port::Port;

/// The chip's status registers (Motorola MC146818 data sheet).
const STATUS_A: u8 = 10;
const STATUS_B: u8 = 11;
const UPDATING: u8 = 1 << 7;
/// An update takes 2 ms, a reading of a register a microsecond or more.
const READINGS: u32 = 10_000;
const TRIES: u32 = 10;

/// Seconds since 1970 when the kernel's clock was 0.
static BEGAN: Once<Option<u64>> = Once::new();

/// Reads the chip. After [`crate::clock::init`].
pub fn init() {
    BEGAN.call_once(|| {
        let century = acpi::platform().century;
        let unix = registers(century)?.date()?.unix();
        Some(unix - now_ns() / 1_000_000_000)
    });
}

/// The date and the time, UTC, if the machine's clock is set to that, as most are; to about a
/// second. `None`: the chip has no date.
pub fn now() -> Option<Date> {
    BEGAN.get()?.map(|began| Date::of_unix(began + now_ns() / 1_000_000_000))
}

fn registers(century: Option<u8>) -> Option<Registers> {
    let once = || {
        (0..READINGS).find(|_| read(STATUS_A) & UPDATING == 0)?;
        Some(Registers {
            second: read(0),
            minute: read(2),
            hour: read(4),
            day: read(7),
            month: read(8),
            year: read(9),
            century: century.map(read),
            status_b: read(STATUS_B),
        })
    };
    (0..TRIES).find_map(|_| once().filter(|&first| once() == Some(first)))
}

fn read(register: u8) -> u8 {
    // SAFETY: the chip's two ports on every PC: a register is chosen, and then read. Reading these
    // changes nothing.
    without_interrupts(|| unsafe {
        Port::<u8>::new(0x70).write(register);
        Port::<u8>::new(0x71).read()
    })
}
