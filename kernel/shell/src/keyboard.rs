//! The goroutines that read what a person types: one for the serial port, one for the PS/2
//! keyboard, one for each USB controller. All send to the same console.
//!
//! They are the system's: that they wait for interrupts hides no deadlock. While a person may do
//! something about it (Ctrl-C), goroutines that all wait are none, so the console holds an
//! `Outside`, until somebody hangs up.

use alloc::vec::Vec;
use drivers::xhci;
use executive::Builder;
use executive::chan::Sender;
use executive::foreign::Outside;
use executive::irq::Irq;
use executive::sync::Mutex;
use kernel::keyboard::Keyboard;
use kernel::vectors::{ISA_COM1, ISA_KEYBOARD};
use kernel::{i8042, isa_irq, println, serial};

/// While it is there goroutines that all wait are no deadlock: somebody may type.
static TYPES: Mutex<Option<Outside>> = Mutex::new(None);

/// What a person types at.
enum Device {
    Serial,
    Keyboard(Keyboard),
}

impl Device {
    /// Takes what has arrived, as a terminal sends it.
    fn take(&mut self, bytes: &mut Vec<u8>) {
        match self {
            Device::Serial => {
                let mut some = [0; 64];
                let n = serial::try_read(&mut some);
                bytes.extend(&some[..n]);
            }
            Device::Keyboard(keyboard) => {
                // A controller that is broken may have another for ever.
                for code in core::iter::from_fn(i8042::try_read).take(64) {
                    keyboard.arrived(code, bytes);
                }
            }
        }
    }
}

/// Starts a goroutine for each device that a person can type at; returns how many. From here on
/// somebody may type.
pub fn start(keys: &Sender<u8>) -> usize {
    *TYPES.lock() = Some(Outside::new());
    let serial = serial::is_present().then(|| Irq::new(ISA_COM1 as usize));
    let keyboard = if i8042::is_present() { isa_irq(ISA_KEYBOARD) } else { None };
    if i8042::is_present() && keyboard.is_none() {
        println!("the keyboard is not used: its interrupt cannot be");
    }
    let devices = [
        ("serial", serial, Device::Serial),
        ("keyboard", keyboard, Device::Keyboard(Keyboard::default())),
    ];
    let mut started = 0;
    for (name, arrived, device) in devices {
        let Some(arrived) = arrived else { continue };
        let keys = keys.clone();
        let reader = Builder::new().system(name);
        let reader = reader.spawn(move || read(device, arrived, keys));
        drop(reader.expect("memory at the start"));
        started += 1;
    }
    started + xhci::start(|| scan_codes(keys.clone()))
}

/// Sends what a terminal would send for a USB keyboard's scan codes. Parks while the console takes
/// no more.
fn scan_codes(keys: Sender<u8>) -> impl FnMut(u8) + Send + 'static {
    let (mut keyboard, mut bytes) = (Keyboard::default(), Vec::new());
    move |code| {
        keyboard.arrived(code, &mut bytes);
        for byte in bytes.drain(..) {
            let _ = keys.send(byte); // an error: the console has ended
        }
    }
}

/// Sends the bytes that arrive at the device; parks while there are none.
fn read(mut device: Device, arrived: Irq, keys: Sender<u8>) {
    let mut bytes = Vec::new();
    loop {
        device.take(&mut bytes);
        if bytes.is_empty() {
            arrived.wait();
        }
        for byte in bytes.drain(..) {
            if keys.send(byte).is_err() {
                return;
            }
        }
    }
}

/// Nobody types any more who could help: goroutines that all wait are a deadlock.
pub fn hang_up() {
    let typed = TYPES.lock().take();
    drop(typed);
}
