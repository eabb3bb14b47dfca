//! The goroutine that reads the serial port, byte by byte.
//!
//! It can be ended, because a goroutine that waits for an interrupt is one that may still be woken:
//! while it lives, goroutines that all sleep are no deadlock.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use executive::chan::Sender;
use executive::irq::Irq;
use executive::percpu::Pin;
use kernel::serial;
use kernel::vectors::ISA_COM1;

/// Says to stop the keyboard: from then on nobody can type, and goroutines that all sleep are dead.
static HUNG_UP: AtomicBool = AtomicBool::new(false);

/// Sends what arrives at the port, parked until its interrupt comes.
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
    // As the port's handler does, so that the reader looks. Pinned, as a handler is.
    let _pin = Pin::new();
    executive::on_irq(ISA_COM1 as usize);
}
