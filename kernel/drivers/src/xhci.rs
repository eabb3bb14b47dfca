//! USB keyboards, at a controller of the kind that every PC has since 2012 (xHCI). QEMU: `-device
//! qemu-xhci -device usb-kbd`.
//!
//! A goroutine serves each controller. It parks until the controller interrupts or a held key
//! repeats. Of USB it knows what a keyboard needs: the boot protocol, which every keyboard has so
//! that firmware can read it. What else is plugged in is left alone. A keyboard behind a hub is not
//! used. Keyboards may come and go at any time; several are as one.

mod error;
mod descriptors;
mod keys;
mod ring;
mod controller;

pub use error::Error;

use crate::param::{
    KEY_REPEATS_AFTER, KEY_REPEATS_EVERY, USB_FAILURES, USB_PATIENCE, USB_RECOVERS, USB_SETTLES,
};
use alloc::vec::Vec;
use controller::{
    ANSWER_BYTES, CHANGES, CONNECT_CHANGE, CONNECTED, Controller, ENABLED, PORT_RESET, POWER,
    RESET_CHANGE, SHORT, SUCCESS, Slot,
};
use core::convert::Infallible;
use core::mem;
use descriptors::{CONFIGURATION, DEVICE, HUB};
use executive::Builder;
use executive::chan::{Sender, chan};
use executive::foreign::Outside;
use executive::time::{Instant, sleep};
use kernel::device::{Function, Place, functions};
use kernel::println;
use keys::Keys;

/// Requests to a device: their types and numbers (USB 2.0, 9.4; HID 1.11, 7.2).
const GET_DESCRIPTOR: [u8; 2] = [0x80, 6];
const SET_CONFIGURATION: [u8; 2] = [0x00, 9];
const SET_IDLE: [u8; 2] = [0x21, 0x0a];
const SET_PROTOCOL: [u8; 2] = [0x21, 0x0b];
const BOOT_PROTOCOL: u16 = 0;

/// Starts a goroutine for each controller, and waits until each has looked at its ports, of which
/// it tells in a line. Returns how many controllers there are that can be used. `keys` makes a
/// controller's receiver of scan codes (PS/2, set 1), who may hold the keyboards back.
pub fn start<K: FnMut(u8) + Send + 'static>(keys: impl Fn() -> K) -> usize {
    let is_xhci = |f: &Function| (f.class, f.subclass, f.interface) == (0x0c, 0x03, 0x30);
    let _answers = Outside::new(); // we wait for devices
    let mut running = 0;
    for function in functions().into_iter().filter(is_xhci) {
        let (looked, has_looked) = chan(1);
        let keys = keys();
        let reader = Builder::new().system("usb").spawn(move || run(function, keys, looked));
        match reader {
            Ok(reader) => drop(reader),
            Err(error) => println!("USB: no goroutine for {}: {error}", Place(function.address)),
        }
        running += usize::from(has_looked.recv().is_some());
    }
    running
}

fn run(function: Function, keys: impl FnMut(u8), looked: Sender<()>) {
    let place = Place(function.address);
    let served = Controller::open(function).and_then(|controller| {
        Host { place, controller, keyboards: Vec::new(), keys }.serve(looked)
    });
    let Err(error) = served;
    println!("USB: the controller {place} is not used: {error}");
}

/// A controller, and the keyboards that are plugged in.
struct Host<K> {
    place: Place,
    controller: Controller,
    keyboards: Vec<Keyboard>,
    keys: K,
}

struct Keyboard {
    slot: Slot,
    held: Keys,
    /// How often in a row it could not be read.
    failures: u32,
}

impl<K: FnMut(u8)> Host<K> {
    /// Until an error of the controller.
    fn serve(&mut self, looked: Sender<()>) -> Result<Infallible, Error> {
        for port in self.controller.ports() {
            if self.controller.port(port) & POWER == 0 {
                self.controller.set_port(port, POWER);
            }
        }
        sleep(USB_SETTLES);
        for port in self.controller.ports() {
            self.acknowledge(port);
            self.attach(port)?;
        }
        match self.keyboards.len() {
            0 => println!("keyboard: USB ({}), none is plugged in", self.place),
            1 => println!("keyboard: USB ({})", self.place),
            n => println!("keyboard: USB ({}), {n} of them", self.place),
        }
        let _ = looked.send(());
        loop {
            self.controller.look()?;
            if mem::take(&mut self.controller.ports_changed) {
                self.look_at_ports()?;
            }
            while let Some(event) = self.controller.reports.pop() {
                let mut answers = self.keyboards.iter().enumerate();
                let answer = answers.find_map(|(n, k)| Some((n, k.slot.report(event)?)));
                if let Some((n, (code, report))) = answer {
                    self.reported(n, code, &report)?;
                }
            }
            let every = KEY_REPEATS_EVERY.as_nanos() as u64;
            for keyboard in &mut self.keyboards {
                keyboard.held.repeat(Instant::now().as_nanos(), every, &mut self.keys);
            }
            if !self.controller.ports_changed && self.controller.reports.is_empty() {
                let due = self.keyboards.iter().filter_map(|k| k.held.due()).min();
                self.controller.pause(due.map(Instant::from_nanos));
            }
        }
    }

    /// A report of keyboard `n` has come, or has not.
    fn reported(&mut self, n: usize, code: u8, report: &[u8; keys::REPORT]) -> Result<(), Error> {
        let Keyboard { slot, held, failures } = &mut self.keyboards[n];
        let port = slot.port;
        if matches!(code, SUCCESS | SHORT) {
            *failures = 0;
            let repeats_at = Instant::now() + KEY_REPEATS_AFTER;
            held.report(report, repeats_at.as_nanos(), &mut self.keys);
            self.controller.ask(slot);
            return Ok(());
        }
        *failures += 1;
        let recovered = match *failures {
            USB_FAILURES.. => Err(Error::Failed(code)),
            _ => self.controller.recover(slot, code),
        };
        match recovered {
            Ok(()) => self.controller.ask(slot),
            Err(error) if error.is_controllers() => return Err(error),
            Err(error) => {
                self.detach(port)?;
                self.tell(port, error);
            }
        }
        Ok(())
    }

    /// Clears a port's changes, and returns what they were. It tells of a change only if there was
    /// none before.
    fn acknowledge(&self, port: u8) -> u32 {
        let mut changes = 0;
        for _ in 0..16 {
            match self.controller.port(port) & CHANGES {
                0 => break,
                more => {
                    self.controller.set_port(port, more);
                    changes |= more;
                }
            }
        }
        changes
    }

    /// Something was plugged in or out.
    fn look_at_ports(&mut self) -> Result<(), Error> {
        for port in self.controller.ports() {
            if self.acknowledge(port) & CONNECT_CHANGE == 0 {
                continue;
            }
            self.detach(port)?;
            if self.is_connected(port) {
                sleep(USB_SETTLES);
                self.acknowledge(port);
                self.attach(port)?;
            }
        }
        Ok(())
    }

    fn is_connected(&self, port: u8) -> bool {
        self.controller.port(port) & CONNECTED != 0
    }

    /// A device that is used no more is forgotten.
    fn detach(&mut self, port: u8) -> Result<(), Error> {
        let Some(n) = self.keyboards.iter().position(|k| k.slot.port == port) else {
            return Ok(());
        };
        let Keyboard { slot, mut held, .. } = self.keyboards.swap_remove(n);
        held.release(&mut self.keys);
        self.disable(slot)
    }

    fn disable(&mut self, slot: Slot) -> Result<(), Error> {
        match self.controller.disable(slot) {
            Err(error) if error.is_controllers() => Err(error),
            _ => Ok(()), // there was none any more
        }
    }

    /// Uses what is plugged in there, if it is a keyboard.
    fn attach(&mut self, port: u8) -> Result<(), Error> {
        if !self.is_connected(port) {
            return Ok(());
        }
        // Some want to be reset twice.
        let begun = self.begin(port).or_else(|error| match error {
            Error::Failed(_) | Error::Refused(..) => self.begin(port),
            error => Err(error),
        });
        match begun {
            Ok(()) => {}
            Err(error) if error.is_controllers() => return Err(error),
            Err(error) => self.tell(port, error),
        }
        Ok(())
    }

    /// Says why what is at a port is not used, if it is still there.
    fn tell(&self, port: u8, error: Error) {
        if self.is_connected(port) {
            let place = self.place;
            println!("USB: what is plugged in at port {port} of {place} is not used: {error}");
        }
    }

    fn begin(&mut self, port: u8) -> Result<(), Error> {
        self.reset(port)?;
        let mut slot = self.controller.enable(port)?;
        match self.set_up(&mut slot) {
            Ok(true) => {
                self.controller.ask(&mut slot);
                self.keyboards.push(Keyboard { slot, held: Keys::default(), failures: 0 });
                Ok(())
            }
            Ok(false) => self.disable(slot),
            Err(error) => {
                self.disable(slot)?;
                Err(error)
            }
        }
    }

    /// The device at a port answers to address 0 from here on. (At USB 3's ports it does so by
    /// itself.)
    fn reset(&mut self, port: u8) -> Result<(), Error> {
        if self.controller.port(port) & ENABLED == 0 {
            self.controller.set_port(port, PORT_RESET);
            let done = |c: &Controller| {
                let status = c.port(port);
                (status & RESET_CHANGE != 0 || status & CONNECTED == 0).then_some(())
            };
            self.controller.until(USB_PATIENCE, done)?.ok_or(Error::Port)?;
            self.controller.set_port(port, CHANGES & !CONNECT_CHANGE);
            sleep(USB_RECOVERS);
        }
        match self.controller.port(port) {
            status if status & CONNECTED == 0 => Err(Error::PulledOut),
            status if status & ENABLED == 0 => Err(Error::Port),
            _ => Ok(()),
        }
    }

    /// Asks a device what it is. A keyboard reports its keys from here on; `false`: it is none.
    fn set_up(&mut self, slot: &mut Slot) -> Result<bool, Error> {
        let controller = &mut self.controller;
        let descriptor = |kind: u8| [u16::from(kind) << 8, 0];
        let device = controller.request(slot, GET_DESCRIPTOR, descriptor(DEVICE), 8)?;
        if device[4] == HUB {
            return Err(Error::Hub);
        }
        controller.set_packet(slot, device[7])?;
        let configuration = descriptor(CONFIGURATION);
        let head = controller.request(slot, GET_DESCRIPTOR, configuration, 9)?;
        let length = usize::from(u16::from_le_bytes([head[2], head[3]])).min(ANSWER_BYTES);
        let all = controller.request(slot, GET_DESCRIPTOR, configuration, length)?;
        let Some(keyboard) = descriptors::keyboard(&all) else { return Ok(false) };
        controller.configure(slot, keyboard.endpoint, keyboard.packet, keyboard.interval)?;
        let interface = u16::from(keyboard.interface);
        controller.request(slot, SET_CONFIGURATION, [keyboard.configuration.into(), 0], 0)?;
        controller.request(slot, SET_PROTOCOL, [BOOT_PROTOCOL, interface], 0)?;
        // It reports changes alone. Who cannot do that repeats what is known, which does no harm.
        match controller.request(slot, SET_IDLE, [0, interface], 0) {
            Ok(_) | Err(Error::Failed(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }
}
