//! A machine without a keyboard of the first PCs: a USB keyboard at an xHCI controller.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;
use tests::{Boot, Screen, Slots, Socket, boots};

/// This controller, and a keyboard; no other can be typed at.
fn with_keyboard(machine: Boot, controller: &str, keyboard: &str) -> Boot {
    let keyboard = format!("{keyboard},bus=usb.0,id=keys");
    with_controller(machine, controller).qemu(&["-device", &keyboard])
}

fn with_controller(machine: Boot, controller: &str) -> Boot {
    let controller = format!("{controller},id=usb");
    machine.qemu(&["-machine", "q35,i8042=off", "-device", &controller])
}

/// Waits for the console, which has a USB keyboard and no other.
fn started(machine: Boot, name: &str) -> Screen {
    let mut screen = machine.screen(name);
    let seen = screen.until("`help` lists the commands");
    assert!(seen.contains("keyboard: no PS/2\n"), "{seen}");
    assert!(seen.contains("keyboard: USB (0"), "{seen}");
    screen
}

/// Somebody types a command and reads the answer.
fn can_be_talked_to(machine: Boot, name: &str) {
    let mut screen = started(machine, name);
    assert!(!screen.text().contains("none is plugged in"));
    screen.types("sieve 100\r");
    screen.until("prime 100 is 541");
}

#[test]
fn from_bios_a_usb_keyboard_is_typed_at() {
    can_be_talked_to(with_keyboard(boots(), "qemu-xhci", "usb-kbd"), "usb-bios");
}

#[test]
fn from_uefi_a_usb_keyboard_is_typed_at() {
    can_be_talked_to(with_keyboard(boots().uefi().smp(1), "qemu-xhci", "usb-kbd"), "usb-uefi");
}

/// Another controller, which has MSI and MSI-X; and a keyboard of USB 1.
#[test]
fn a_slow_keyboard_is_typed_at() {
    let machine = with_keyboard(boots().smp(1), "nec-usb-xhci", "usb-kbd,usb_version=1");
    can_be_talked_to(machine, "usb-nec");
}

/// The controller's interrupt is its pin's.
#[test]
fn without_messages_the_pin_does() {
    let machine = with_keyboard(boots().smp(2), "nec-usb-xhci,msi=off,msix=off", "usb-kbd");
    can_be_talked_to(machine, "usb-pin");
}

/// Presses Ctrl-C until the console has a new line.
fn until_a_line_is_given_up(screen: &mut Screen) {
    while !screen.text().contains("\n>\n") {
        screen.press("ctrl-c");
        thread::sleep(Duration::from_millis(100)); // from a look to the next
    }
}

/// Presses a key until it is seen on the screen: a keyboard that was just plugged in takes none.
fn until_a_key_is_seen(screen: &mut Screen) {
    while !screen.text().contains("> z") {
        screen.press("z");
        thread::sleep(Duration::from_millis(100)); // from a look to the next
    }
    screen.press("ctrl-c");
}

#[test]
fn a_keyboard_is_plugged_out_and_in_and_a_held_key_repeats() {
    let mut screen = started(with_controller(boots(), "qemu-xhci"), "usb-plug");
    assert!(screen.text().contains("none is plugged in"));
    for round in 1..=2 {
        // At any of its ports, some of which are USB 3's.
        screen.asks("device_add usb-kbd,bus=usb.0,id=keys");
        until_a_key_is_seen(&mut screen);
        screen.types("sieve 100\r");
        screen.until("prime 100 is 541");
        // Pulled out while a command runs, and while a key is held.
        let lines = 500 + round;
        screen.types(&format!("lines {lines}\r"));
        // The lines push their command off the screen; those of the round before look alike.
        while screen.text().contains(&format!("> lines {lines}\n")) {
            thread::sleep(Duration::from_millis(100)); // from a look to the next
        }
        screen.asks("device_del keys");
        screen.until(&format!("    {lines}: "));
        assert!(!screen.text().contains("USB: "), "round {round}\n{}", screen.text());
    }
    screen.asks("device_add usb-kbd,bus=usb.0,id=keys");
    until_a_key_is_seen(&mut screen);
    screen.until("\n>\n");
    screen.asks("sendkey a 2000");
    screen.until("> aaaaaaaa");
}

/// Presses a key, and does not release it: by QEMU's other monitor, for `sendkey` releases it.
fn holds(qmp: &Socket, key: &str) -> UnixStream {
    let mut qmp = qmp.connect();
    let key = format!(r#"{{"type": "qcode", "data": "{key}"}}"#);
    let event = format!(r#"{{"type": "key", "data": {{"down": true, "key": {key}}}}}"#);
    let event =
        format!(r#"{{"execute": "input-send-event", "arguments": {{"events": [{event}]}}}}"#);
    for line in [r#"{"execute": "qmp_capabilities"}"#, &event] {
        writeln!(qmp, "{line}").expect("QEMU listens");
    }
    qmp
}

/// A key is held then, which repeats no more. What is plugged in elsewhere is typed at.
#[test]
fn a_controller_that_is_pulled_out_is_told_of_and_the_rest_goes_on() {
    let qmp = Socket::new("usb-out-qmp");
    let machine = boots()
        .smp(2)
        .qemu(&["-machine", "q35,i8042=off", "-device", "pcie-root-port,id=p"])
        .qemu(&["-device", "qemu-xhci,id=usb,bus=p", "-device", "usb-kbd,bus=usb.0"])
        .qemu(&["-device", "qemu-xhci,id=other", "-qmp", &qmp.place()]);
    let mut screen = started(machine, "usb-out");
    let _held = holds(&qmp, "a");
    screen.until("> aaaa");
    for line in Slots::Q35.eject(0) {
        screen.asks(&line);
    }
    screen.until("USB: the controller 01:00.0 is not used: it is not there any more");
    screen.asks("device_add usb-kbd,bus=other.0");
    until_a_line_is_given_up(&mut screen);
    screen.types("sieve 100\r");
    screen.until("prime 100 is 541");
}

/// Two hubs in a row, a keyboard at each and another device: all are there from the start. Then
/// they are plugged out and in, and the first hub too, with what is behind it and a key held.
#[test]
fn keyboards_behind_hubs_come_and_go() {
    let qmp = Socket::new("usb-hub-qmp");
    let hub = "usb-hub,bus=usb.0,port=1,id=first";
    let keyboard = "usb-kbd,bus=usb.0,port=1.8.2,id=far";
    let machine = with_controller(boots(), "qemu-xhci")
        .qemu(&["-device", hub, "-device", "usb-hub,bus=usb.0,port=1.8,id=second"])
        .qemu(&["-device", "usb-mouse,bus=usb.0,port=1.3", "-device", keyboard])
        .qemu(&["-qmp", &qmp.place()]);
    let mut screen = started(machine, "usb-hub");
    assert!(!screen.text().contains("none is plugged in"), "{}", screen.text());
    screen.types("sieve 100\r");
    screen.until("prime 100 is 541");
    screen.asks("device_del far");
    screen.asks("device_add usb-kbd,bus=usb.0,port=1.2,id=near");
    until_a_key_is_seen(&mut screen);
    screen.types("sieve 200\r");
    screen.until("prime 200 is 1223");
    let _held = holds(&qmp, "a");
    screen.until("> aaaa");
    screen.asks("device_del near");
    screen.asks("device_del second");
    screen.asks("device_del first");
    screen.asks(&format!("device_add {hub}"));
    screen.asks("device_add usb-kbd,bus=usb.0,port=1.5,id=last");
    until_a_line_is_given_up(&mut screen);
    screen.types("sieve 300\r");
    screen.until("prime 300 is 1987");
    assert!(!screen.text().contains("USB: "), "{}", screen.text());
}

/// Nobody can type any more, so goroutines that all wait are a deadlock.
#[test]
fn a_deadlock_is_one_with_a_usb_keyboard() {
    let machine = with_keyboard(boots().smp(2), "qemu-xhci", "usb-kbd");
    let mut screen = started(machine, "usb-deadlock");
    screen.types("crash deadlock\r");
    screen.until("fatal error: all goroutines are asleep - deadlock!");
}
