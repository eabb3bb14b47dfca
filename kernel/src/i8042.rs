//! The keyboard's controller, the i8042 of the first PCs: two ports, and a byte at a time.
//!
//! Every chip set has one, or pretends to: for a USB keyboard the firmware plays it, until somebody
//! drives the USB controller (package `drivers`). So little is asked of it: no self-test, no
//! reset, and its scan codes are those of set 1, into which it translates.
//!
//! **Rule:** every wait has an end. A machine without one reads as 0xff, and costs one read.
#![allow(unsafe_code)] // Ports.

use crate::clock::now_ns;
use crate::param::I8042_PATIENCE_NS;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, Ordering};
use executive::println;
use x86_64::instructions::port::Port;

const DATA: u16 = 0x60;
/// Read: the status. Written: a command to the controller.
const STATUS: u16 = 0x64;

/// Status: there is a byte for us; the controller has not taken ours yet; the byte is the mouse's.
const OUTPUT_FULL: u8 = 1 << 0;
const INPUT_FULL: u8 = 1 << 1;
const FROM_MOUSE: u8 = 1 << 5;

/// Commands to the controller.
const READ_CONFIG: u8 = 0x20;
const WRITE_CONFIG: u8 = 0x60;
const MOUSE_OFF: u8 = 0xa7;
const KEYBOARD_OFF: u8 = 0xad;
const KEYBOARD_ON: u8 = 0xae;
const PULSE_RESET: u8 = 0xfe;

/// Bits of its configuration.
const KEYBOARD_INTERRUPT: u8 = 1 << 0;
const MOUSE_INTERRUPT: u8 = 1 << 1;
const KEYBOARD_CLOCK_OFF: u8 = 1 << 4;
const TRANSLATE: u8 = 1 << 6;

/// A command to the keyboard, and its answer.
const SEND_KEYS: u8 = 0xf4;
const ACKNOWLEDGED: u8 = 0xfa;

/// Whether [`init`] found a controller. Written once, before any other CPU.
static PRESENT: AtomicBool = AtomicBool::new(false);

/// Whether there is a controller, so that keys may come.
pub fn is_present() -> bool {
    PRESENT.load(Ordering::Relaxed)
}

/// Sets the controller up: from here on keys raise ISA interrupt 1. When the clock runs. Tells what
/// it found.
pub fn init() {
    let answered = set_up();
    PRESENT.store(answered.is_some(), Ordering::Relaxed);
    println!(
        "keyboard: {}",
        match answered {
            Some(true) => "PS/2",
            Some(false) => "PS/2, but none has answered",
            None => "no PS/2",
        }
    );
}

/// `None`: no controller; else whether a keyboard has answered.
fn set_up() -> Option<bool> {
    if status() == 0xff {
        return None;
    }
    command(MOUSE_OFF);
    command(KEYBOARD_OFF);
    flush();
    command(READ_CONFIG);
    let config = answer()?;
    command(WRITE_CONFIG);
    send(config & !(MOUSE_INTERRUPT | KEYBOARD_CLOCK_OFF) | KEYBOARD_INTERRUPT | TRANSLATE);
    command(KEYBOARD_ON);
    send(SEND_KEYS);
    // What a person typed before may come first.
    let acknowledged = core::iter::from_fn(answer).take(16).any(|byte| byte == ACKNOWLEDGED);
    flush();
    Some(acknowledged)
}

/// The next scan code, if there is one.
pub fn try_read() -> Option<u8> {
    // A mouse that the firmware has left on is not listened to; but not for ever.
    for _ in 0..16 {
        let status = status();
        if status & OUTPUT_FULL == 0 || status == 0xff {
            return None;
        }
        let byte = data();
        if status & FROM_MOUSE == 0 {
            return Some(byte);
        }
    }
    None
}

/// Asks the controller to reset the machine, which it may do a little later. Also without [`init`].
pub fn pulse_reset() {
    command(PULSE_RESET);
}

fn status() -> u8 {
    // SAFETY: reading it changes nothing, whatever is there.
    unsafe { Port::new(STATUS).read() }
}

fn data() -> u8 {
    // SAFETY: takes the controller's byte, which is ours.
    unsafe { Port::new(DATA).read() }
}

/// Forgets what waits to be read.
fn flush() {
    while_patient(|| {
        let empty = status() & OUTPUT_FULL == 0;
        if !empty {
            data();
        }
        empty
    });
}

fn command(byte: u8) {
    while_patient(|| status() & INPUT_FULL == 0);
    // SAFETY: the commands above. The one that resets the machine is sent where it is asked for.
    unsafe { Port::new(STATUS).write(byte) };
}

/// To the keyboard, or what a command wants.
fn send(byte: u8) {
    while_patient(|| status() & INPUT_FULL == 0);
    // SAFETY: the controller's data port.
    unsafe { Port::new(DATA).write(byte) };
}

fn answer() -> Option<u8> {
    while_patient(|| status() & OUTPUT_FULL != 0).then(data)
}

/// Waits for it, but not long; whether it came.
fn while_patient(done: impl Fn() -> bool) -> bool {
    let end = now_ns() + I8042_PATIENCE_NS;
    while !done() {
        if now_ns() >= end {
            return false;
        }
        spin_loop();
    }
    true
}
