//! USB keyboards, at a controller of the kind that every PC has since 2012 (xHCI). QEMU: `-device
//! qemu-xhci -device usb-kbd`.
//!
//! A goroutine serves each controller. It parks until the controller interrupts or a held key
//! repeats. Of USB it knows what a keyboard needs: the boot protocol, which every keyboard has so
//! that firmware can read it; and of hubs (USB 2.0, 11), that keyboards are plugged into them. What
//! else is plugged in is left alone. All may come and go at any time; several keyboards are as one.

mod error;
mod descriptors;
mod keys;
mod place;
mod ring;
mod controller;

pub use error::Error;

use crate::param::{
    HUB_SETTLES, KEY_REPEATS_AFTER, KEY_REPEATS_EVERY, USB_FAILURES, USB_LOOKS, USB_PATIENCE,
    USB_RECOVERS, USB_SETTLES,
};
use alloc::vec::Vec;
use controller::{
    ANSWER_BYTES, CHANGES, CONNECT_CHANGE, CONNECTED, Controller, ENABLED, FULL, HIGH, LOW,
    PORT_RESET, POWER, RESET_CHANGE, SHORT, SPEED, SUCCESS, Slot,
};
use core::convert::Infallible;
use core::mem;
use descriptors::{CONFIGURATION, DEVICE, HUB, HUB_PORTS};
use executive::Builder;
use executive::chan::{Sender, chan};
use executive::foreign::Outside;
use executive::time::{Instant, sleep};
use kernel::device::{self, Function, functions};
use kernel::println;
use keys::Keys;
use place::{MOST_PORTS, Place};

/// Requests to a device: their types and numbers (USB 2.0, 9.4; HID 1.11, 7.2).
const GET_DESCRIPTOR: [u8; 2] = [0x80, 6];
const SET_CONFIGURATION: [u8; 2] = [0x00, 9];
const SET_IDLE: [u8; 2] = [0x21, 0x0a];
const SET_PROTOCOL: [u8; 2] = [0x21, 0x0b];
const BOOT_PROTOCOL: u16 = 0;

/// Requests to a hub, and to a port of it (USB 2.0, 11.24.2).
const GET_HUB_DESCRIPTOR: [u8; 2] = [0xa0, 6];
const GET_PORT_STATUS: [u8; 2] = [0xa3, 0];
const CLEAR_PORT_FEATURE: [u8; 2] = [0x23, 1];
const SET_PORT_FEATURE: [u8; 2] = [0x23, 3];
/// A port's features; that of its first change.
const FEATURE_RESET: u16 = 4;
const FEATURE_POWER: u16 = 8;
const FEATURE_CHANGES: u16 = 16;
/// Of a port's status.
const SLOW: u32 = 1 << 9;
const FAST: u32 = 1 << 10;
/// Where a port's first change is in the controller's register.
const FIRST_CHANGE: u32 = CHANGES.trailing_zeros();

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
            Err(error) => {
                println!("USB: no goroutine for {}: {error}", device::Place(function.address))
            }
        }
        running += usize::from(has_looked.recv().is_some());
    }
    running
}

fn run(function: Function, keys: impl FnMut(u8), looked: Sender<()>) {
    let place = device::Place(function.address);
    let served = Controller::open(function)
        .and_then(|controller| Host { place, controller, devices: Vec::new(), keys }.serve(looked));
    let Err(error) = served;
    println!("USB: the controller {place} is not used: {error}");
}

/// A controller, and what is plugged in.
struct Host<K> {
    place: device::Place,
    controller: Controller,
    /// A hub before what is plugged into it.
    devices: Vec<Plugged>,
    keys: K,
}

struct Plugged {
    slot: Slot,
    kind: Kind,
    /// How often in a row it could not be read.
    failures: u32,
}

enum Kind {
    Keyboard(Keys),
    /// With so many ports.
    Hub(u8),
}

impl Kind {
    fn keys(&mut self) -> Option<&mut Keys> {
        match self {
            Kind::Keyboard(keys) => Some(keys),
            Kind::Hub(_) => None,
        }
    }
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
            self.attach(Place::at(port))?;
        }
        match self.devices.iter_mut().filter_map(|device| device.kind.keys()).count() {
            0 => println!("keyboard: USB ({}), none is plugged in", self.place),
            1 => println!("keyboard: USB ({})", self.place),
            n => println!("keyboard: USB ({}), {n} of them", self.place),
        }
        let _ = looked.send(());
        loop {
            self.controller.look()?;
            if mem::take(&mut self.controller.ports_changed) {
                for port in self.controller.ports() {
                    self.look_at(Place::at(port))?;
                }
            }
            while let Some(event) = self.controller.reports.pop() {
                let mut answers = self.devices.iter().enumerate();
                let answer = answers.find_map(|(n, d)| Some((n, d.slot.report(event)?)));
                if let Some((n, (code, report))) = answer {
                    self.reported(n, code, &report)?;
                }
            }
            let every = KEY_REPEATS_EVERY.as_nanos() as u64;
            let mut due = None;
            for held in self.devices.iter_mut().filter_map(|device| device.kind.keys()) {
                held.repeat(Instant::now().as_nanos(), every, &mut self.keys);
                due = due.into_iter().chain(held.due()).min();
            }
            if !self.controller.ports_changed && self.controller.reports.is_empty() {
                self.controller.pause(due.map(Instant::from_nanos));
            }
        }
    }

    /// A report of device `n` has come, or has not.
    fn reported(&mut self, n: usize, code: u8, report: &[u8; keys::REPORT]) -> Result<(), Error> {
        let Plugged { slot, kind, failures } = &mut self.devices[n];
        let at = slot.at;
        if matches!(code, SUCCESS | SHORT) {
            *failures = 0;
            self.controller.ask(slot);
            match kind {
                Kind::Keyboard(held) => {
                    let repeats_at = Instant::now() + KEY_REPEATS_AFTER;
                    held.report(report, repeats_at.as_nanos(), &mut self.keys);
                }
                // A bit for each port that has changed.
                Kind::Hub(ports) => {
                    let changed = u16::from_le_bytes([report[0], report[1]]);
                    let changed = (1..=*ports).filter(|&port| changed >> port & 1 != 0);
                    for port in changed.filter_map(|port| at.below(port)) {
                        self.look_at(port)?;
                    }
                }
            }
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
                self.detach(at)?;
                self.tell(at, error)?;
            }
        }
        Ok(())
    }

    /// A request about a port to its hub; `None`: it is a port of the controller's.
    fn ask_hub(
        &mut self,
        at: Place,
        request: [u8; 2],
        value: u16,
        length: usize,
    ) -> Option<Result<Vec<u8>, Error>> {
        let place = at.hub()?;
        let Some(hub) = self.devices.iter_mut().find(|device| device.slot.at == place) else {
            return Some(Err(Error::PulledOut));
        };
        let index = at.port().into();
        Some(self.controller.request(&mut hub.slot, request, [value, index], length))
    }

    /// A port's register; of a hub's port as much in the same places: whether something is
    /// connected and enabled, how fast it is, and changes.
    fn status(&mut self, at: Place) -> Result<u32, Error> {
        let Some(answer) = self.ask_hub(at, GET_PORT_STATUS, 0, 4) else {
            return Ok(self.controller.port(at.port()));
        };
        let status = u32::from_le_bytes(*answer?.first_chunk().expect("as many as asked for"));
        let speed = match status {
            _ if status & SLOW != 0 => LOW,
            _ if status & FAST != 0 => HIGH,
            _ => FULL,
        };
        let changes = (status >> FEATURE_CHANGES & 0b11111) << FIRST_CHANGE;
        Ok(status & (CONNECTED | ENABLED) | speed << SPEED | changes)
    }

    /// Begins a port's reset.
    fn set_reset(&mut self, at: Place) -> Result<(), Error> {
        match self.ask_hub(at, SET_PORT_FEATURE, FEATURE_RESET, 0) {
            Some(done) => done.map(drop),
            None => {
                self.controller.set_port(at.port(), PORT_RESET);
                Ok(())
            }
        }
    }

    /// Clears these changes of a port.
    fn clear(&mut self, at: Place, changes: u32) -> Result<(), Error> {
        if at.hub().is_none() {
            self.controller.set_port(at.port(), changes);
            return Ok(());
        }
        for change in (0..5).filter(|change| changes >> FIRST_CHANGE >> change & 1 != 0) {
            let cleared = self.ask_hub(at, CLEAR_PORT_FEATURE, FEATURE_CHANGES + change, 0);
            cleared.unwrap_or(Err(Error::PulledOut))?;
        }
        Ok(())
    }

    /// Clears a port's changes, and returns what they were. It tells of a change only if there was
    /// none before.
    fn acknowledge(&mut self, at: Place) -> Result<u32, Error> {
        let mut changes = 0;
        for _ in 0..16 {
            match self.status(at)? & CHANGES {
                0 => break,
                more => {
                    self.clear(at, more)?;
                    changes |= more;
                }
            }
        }
        Ok(changes)
    }

    /// Something was plugged in or out, perhaps.
    fn look_at(&mut self, at: Place) -> Result<(), Error> {
        match self.acknowledge(at) {
            Ok(changes) if changes & CONNECT_CHANGE == 0 => return Ok(()),
            Ok(_) => {}
            Err(error) if error.is_controllers() => return Err(error),
            Err(_) => return Ok(()), // it is the hub that does not answer
        }
        self.detach(at)?;
        if self.is_connected(at)? {
            sleep(USB_SETTLES);
            self.attach(at)?;
        }
        Ok(())
    }

    /// Whether something is plugged in. A hub that does not answer has nothing.
    fn is_connected(&mut self, at: Place) -> Result<bool, Error> {
        match self.status(at) {
            Ok(status) => Ok(status & CONNECTED != 0),
            Err(error) if error.is_controllers() => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// A device that is used no more is forgotten, and all that was plugged into it.
    fn detach(&mut self, at: Place) -> Result<(), Error> {
        while let Some(n) = self.devices.iter().rposition(|d| d.slot.at.is_behind(at)) {
            let Plugged { slot, mut kind, .. } = self.devices.remove(n);
            if let Some(held) = kind.keys() {
                held.release(&mut self.keys);
            }
            self.disable(slot)?;
        }
        Ok(())
    }

    fn disable(&mut self, slot: Slot) -> Result<(), Error> {
        match self.controller.disable(slot) {
            Err(error) if error.is_controllers() => Err(error),
            _ => Ok(()), // there was none any more
        }
    }

    /// Uses what is plugged in there, if it is a keyboard or a hub.
    fn attach(&mut self, at: Place) -> Result<(), Error> {
        match self.try_attach(at) {
            Err(error) if !error.is_controllers() => self.tell(at, error),
            done => done,
        }
    }

    fn try_attach(&mut self, at: Place) -> Result<(), Error> {
        self.acknowledge(at)?;
        if !self.is_connected(at)? {
            return Ok(());
        }
        // Some want to be reset twice.
        self.begin(at).or_else(|error| match error {
            Error::Failed(_) | Error::Refused(..) => self.begin(at),
            error => Err(error),
        })
    }

    /// Says why what is at a port is not used, if it is still there.
    fn tell(&mut self, at: Place, error: Error) -> Result<(), Error> {
        if self.is_connected(at)? {
            let place = self.place;
            println!("USB: what is plugged in at port {at} of {place} is not used: {error}");
        }
        Ok(())
    }

    fn begin(&mut self, at: Place) -> Result<(), Error> {
        let speed = self.reset(at)? >> SPEED & 0xf;
        let hub = at.hub().and_then(|hub| self.devices.iter().find(|d| d.slot.at == hub));
        let mut slot = self.controller.enable(at, speed, hub.map(|hub| &hub.slot))?;
        match self.set_up(&mut slot) {
            Ok(Some(kind)) => {
                self.controller.ask(&mut slot);
                let ports = if let Kind::Hub(ports) = kind { ports } else { 0 };
                self.devices.push(Plugged { slot, kind, failures: 0 });
                self.begin_ports(at, ports)
            }
            Ok(None) => self.disable(slot),
            Err(error) => {
                self.disable(slot)?;
                Err(error)
            }
        }
    }

    /// A new hub's ports get power; and what is plugged in is used.
    fn begin_ports(&mut self, hub: Place, ports: u8) -> Result<(), Error> {
        for at in (1..=ports).filter_map(|port| hub.below(port)) {
            let on = self.ask_hub(at, SET_PORT_FEATURE, FEATURE_POWER, 0);
            on.unwrap_or(Err(Error::PulledOut))?;
        }
        if ports > 0 {
            sleep(HUB_SETTLES);
        }
        (1..=ports).filter_map(|port| hub.below(port)).try_for_each(|at| self.attach(at))
    }

    /// The device at a port answers to address 0 from here on. (At USB 3's ports it does so by
    /// itself.) Returns the port's status.
    fn reset(&mut self, at: Place) -> Result<u32, Error> {
        if at.hub().is_some() || self.status(at)? & ENABLED == 0 {
            self.set_reset(at)?;
            let end = Instant::now() + USB_PATIENCE;
            loop {
                let status = self.status(at)?;
                if status & RESET_CHANGE != 0 || status & CONNECTED == 0 {
                    break;
                }
                if end.remaining().is_zero() {
                    return Err(Error::Port);
                }
                self.controller.until(USB_LOOKS, |_| None::<()>)?;
            }
            self.clear(at, CHANGES & !CONNECT_CHANGE)?;
            sleep(USB_RECOVERS);
        }
        match self.status(at)? {
            status if status & CONNECTED == 0 => Err(Error::PulledOut),
            status if status & ENABLED == 0 => Err(Error::Port),
            status => Ok(status),
        }
    }

    /// Asks a device what it is. A keyboard reports its keys from here on, and a hub its ports;
    /// `None`: it is neither.
    fn set_up(&mut self, slot: &mut Slot) -> Result<Option<Kind>, Error> {
        let controller = &mut self.controller;
        let descriptor = |kind: u8| [u16::from(kind) << 8, 0];
        let device = controller.request(slot, GET_DESCRIPTOR, descriptor(DEVICE), 8)?;
        let is_hub = device[4] == HUB;
        // A hub of USB 3 is two, and keyboards are at the slower one.
        if is_hub && slot.speed > HIGH {
            return Ok(None);
        }
        controller.set_packet(slot, device[7])?;
        let configuration = descriptor(CONFIGURATION);
        let head = controller.request(slot, GET_DESCRIPTOR, configuration, 9)?;
        let length = usize::from(u16::from_le_bytes([head[2], head[3]])).min(ANSWER_BYTES);
        let all = controller.request(slot, GET_DESCRIPTOR, configuration, length)?;
        let found = if is_hub { descriptors::hub(&all) } else { descriptors::keyboard(&all) };
        let Some(reports) = found else { return Ok(None) };
        let mut kind = Kind::Keyboard(Keys::default());
        if is_hub {
            slot.at.below(1).ok_or(Error::TooDeep)?;
            let hub = controller.request(slot, GET_HUB_DESCRIPTOR, descriptor(HUB_PORTS), 8)?;
            let ports = hub[2].min(MOST_PORTS);
            slot.is_hub(ports, hub[3] >> 5 & 0b11);
            kind = Kind::Hub(ports);
        }
        controller.configure(slot, reports.endpoint, reports.packet, reports.interval)?;
        let interface = u16::from(reports.interface);
        controller.request(slot, SET_CONFIGURATION, [reports.configuration.into(), 0], 0)?;
        if is_hub {
            return Ok(Some(kind));
        }
        controller.request(slot, SET_PROTOCOL, [BOOT_PROTOCOL, interface], 0)?;
        // It reports changes alone. Who cannot do that repeats what is known, which does no harm.
        match controller.request(slot, SET_IDLE, [0, interface], 0) {
            Ok(_) | Err(Error::Failed(_)) => Ok(Some(kind)),
            Err(error) => Err(error),
        }
    }
}
