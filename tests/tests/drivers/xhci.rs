//! The driver of xHCI controllers (kernel/drivers/src/xhci/controller.rs) as a Linux process,
//! before a controller of the test's own: with what QEMU's have not, and PCs have. Contexts of 64
//! bytes, scratchpads, a firmware that has the controller and gives it away, or does not.

extern crate alloc;
extern crate self as kernel; // what the driver's files want of it is below

#[path = "../../../kernel/drivers/src/xhci/controller.rs"]
#[allow(dead_code)]
mod controller;
#[allow(dead_code)]
#[path = "../../../kernel/src/device/error.rs"]
mod device_error;
mod dma;
#[allow(dead_code)]
#[path = "../../../kernel/drivers/src/xhci/error.rs"]
mod error;
mod host;
#[allow(dead_code)]
#[path = "../../../kernel/drivers/src/param.rs"]
mod param;
#[allow(dead_code, unused_imports)] // and its tests, which kernel_units.rs runs
#[path = "../../../kernel/drivers/src/xhci/place.rs"]
mod place;
#[path = "../../../kernel/drivers/src/xhci/ring.rs"]
mod ring;
#[path = "../../../kernel/hosted/tests/suite/mod.rs"]
mod suite;

/// `kernel::device`, as far as the driver uses it.
mod device {
    pub use crate::device_error::Error;
    pub use crate::dma::Dma;
    pub use crate::host::{Device, Function, Irq, Registers};
}

use controller::{Controller, FULL, HIGH, LOW};
use dma::is_in_use;
use error::Error;
use host::{DESCRIPTOR, Host};
use place::Place;

const GET_DESCRIPTOR: [u8; 2] = [0x80, 6];

/// A device at port 2 says what it is, whatever the size of contexts; and what the controller
/// wanted for itself comes back when it is dropped.
fn contexts_and_scratchpads() {
    for (context, pages) in [(32, 0), (64, 0), (32, 1), (64, 35)] {
        let host = Host::new(context, pages);
        let mut controller = Controller::open(host.function()).expect("it starts");
        let mut slot = controller.enable(Place::at(2), HIGH, None).expect("an address");
        assert_eq!(host.slot_context(), [1 << 27 | HIGH << 20, 2 << 16, 0]);
        let said = controller.request(&mut slot, GET_DESCRIPTOR, [0x100, 0], DESCRIPTOR.len());
        assert_eq!(said.as_deref(), Ok(&DESCRIPTOR[..]), "contexts of {context} bytes");
        controller.disable(slot).expect("it is the only one");
        let scratchpad = host.scratchpad();
        assert_eq!(scratchpad.len(), pages);
        assert!(scratchpad.iter().all(|&at| at % 4096 == 0 && is_in_use(at)));
        let mut each = scratchpad.clone();
        each.sort_unstable();
        each.dedup();
        assert_eq!(each.len(), pages, "a page was given twice");
        drop(controller);
        assert!(host.is_stopped() && !scratchpad.into_iter().any(is_in_use));
    }
}

/// It gives the controller away at once, or never: then it is not asked any more. In both cases it
/// gets no interrupt of it.
fn the_firmware_gives_it_away_or_not() {
    for gives in [true, false] {
        let host = Host::new(64, 0).of_firmware(gives);
        let controller = Controller::open(host.function()).expect("it starts");
        assert_eq!(host.legacy(), host::HANDED_OVER, "gives: {gives}");
        drop(controller);
    }
}

/// What a controller says of itself is checked; and one that is not there any more is told of.
fn nonsense_and_a_controller_that_is_gone() {
    for (register, value) in [(0x00, 0x41), (0x04, 0), (0x04, 32), (0x18, 0xff00), (0x14, 0xff00)] {
        let host = Host::new(64, 0).says(register, value);
        let why = Controller::open(host.function()).err();
        let ends = [Error::Nonsense, Error::Kernel(device::Error::OutOfRange)];
        assert!(why.is_some_and(|why| ends.contains(&why)), "{register:#x}: {why:?}");
    }
    for registers in [0, u32::MAX] {
        let host = Host::new(64, 0);
        let mut controller = Controller::open(host.function()).expect("it starts");
        assert_eq!(controller.look(), Ok(()));
        host.pull_out(registers);
        assert_eq!(controller.look(), Err(Error::Gone));
    }
}

/// Of a device behind hubs the controller is told the way, and, if it is slower than the last fast
/// hub, who translates for it. Of a hub it is told how many ports it has, and how long it thinks.
fn what_is_told_of_hubs() {
    let host = Host::new(64, 0);
    let mut controller = Controller::open(host.function()).expect("it starts");
    let below = |at: Place, port| at.below(port).expect("a port");
    let mut enable = |at, speed, hub| {
        let slot = controller.enable(at, speed, hub).expect("an address");
        (slot, host.slot_context())
    };
    let entries = 1 << 27;
    let (mut fast, told) = enable(Place::at(2), HIGH, None);
    assert_eq!(told, [entries | HIGH << 20, 2 << 16, 0]);
    // The model's only slot is 1.
    let (keyboard, told) = enable(below(Place::at(2), 7), LOW, Some(&fast));
    assert_eq!(told, [entries | LOW << 20 | 7, 2 << 16, 7 << 8 | 1]);
    let (slow, told) = enable(below(Place::at(2), 3), FULL, Some(&fast));
    assert_eq!(told, [entries | FULL << 20 | 3, 2 << 16, 3 << 8 | 1]);
    // Behind that hub, too, the fast one translates.
    let (other, told) = enable(below(slow.at, 4), LOW, Some(&slow));
    assert_eq!(told, [entries | LOW << 20 | 0x43, 2 << 16, 3 << 8 | 1]);
    let (disk, told) = enable(below(Place::at(2), 5), HIGH, Some(&fast));
    assert_eq!(told, [entries | HIGH << 20 | 5, 2 << 16, 0]);
    // At a slow hub of the controller's own port nobody translates.
    let (alone, _) = enable(Place::at(4), FULL, None);
    let (last, told) = enable(below(Place::at(4), 1), LOW, Some(&alone));
    assert_eq!(told, [entries | LOW << 20 | 1, 4 << 16, 0]);
    fast.is_hub(9, 2);
    controller.configure(&mut fast, 1, 2, 12).expect("an endpoint");
    assert_eq!(host.slot_context(), [3 << 27 | 1 << 26 | HIGH << 20, 9 << 24 | 2 << 16, 2 << 16]);
    for slot in [fast, keyboard, slow, other, disk, alone, last] {
        controller.disable(slot).expect("it is there");
    }
}

fn main() {
    hosted::run_with(2, || {
        suite::run(&[
            ("contexts and scratchpads", contexts_and_scratchpads),
            ("the firmware gives it away or not", the_firmware_gives_it_away_or_not),
            ("what is told of hubs", what_is_told_of_hubs),
            ("nonsense, and a controller that is gone", nonsense_and_a_controller_that_is_gone),
        ]);
    })
}
