//! The goroutine that reads the serial port, byte by byte.
//!
//! It can be ended: while a goroutine waits for an interrupt, something may still wake the others,
//! so that goroutines that all wait are no deadlock.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use executive::chan::Sender;
use executive::irq::Irq;
use executive::percpu::Pin;
use kernel::serial;
use kernel::vectors::ISA_COM1;

/// The keyboard is to end: nobody can type any more, and goroutines that all wait are a deadlock.
static HUNG_UP: AtomicBool = AtomicBool::new(false);

/// Sends the bytes that arrive at the port; parks while there are none.
pub fn read(keys: Sender<u8>) {
    let arrived = Irq::new(ISA_COM1 as usize);
    let mut bytes = [0; 64];
    while !HUNG_UP.load(Relaxed) {
        let n = serial::try_read(&mut bytes);
        if n == 0 {
            arrived.wait();
        }
        for &byte in &bytes[..n] {
            if keys.send(byte).is_err() {
                return;
            }
        }
    }
}

/// Ends the goroutine that reads the keyboard.
pub fn hang_up() {
    HUNG_UP.store(true, Relaxed);
    // As the port's interrupt handler does, so that the reader looks. Pinned, as a handler is.
    let _pin = Pin::new();
    executive::on_irq(ISA_COM1 as usize);
}
