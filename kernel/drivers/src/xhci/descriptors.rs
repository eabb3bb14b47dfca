//! What a USB device says of itself (USB 2.0, 9.6 and 11.23): whether it is a keyboard or a hub.
//! Read, and not believed. Pure: nothing here touches a device.

/// The class of hubs, in a device's descriptor.
pub const HUB: u8 = 9;

/// Types of descriptors.
pub const DEVICE: u8 = 1;
pub const CONFIGURATION: u8 = 2;
const INTERFACE: u8 = 4;
const ENDPOINT: u8 = 5;
pub const HUB_PORTS: u8 = 0x29;

/// How to read a keyboard or a hub: an interface of a configuration, and its endpoint that tells
/// what is held, or has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reports {
    pub configuration: u8,
    pub interface: u8,
    /// 1 to 15.
    pub endpoint: u8,
    /// The longest packet, in bytes.
    pub packet: u16,
    /// How often it is asked, in the unit of its speed.
    pub interval: u8,
}

/// The keyboard in a configuration's descriptors, if there is one: one that knows the boot
/// protocol.
pub fn keyboard(bytes: &[u8]) -> Option<Reports> {
    interface(bytes, |[class, subclass, protocol]| [class, subclass, protocol] == [3, 1, 1])
}

/// The hub in a configuration's descriptors, if it is one.
pub fn hub(bytes: &[u8]) -> Option<Reports> {
    interface(bytes, |[class, ..]| class == HUB)
}

/// The first interface of that class, subclass and protocol that has such an endpoint.
fn interface(bytes: &[u8], is: fn([u8; 3]) -> bool) -> Option<Reports> {
    let mut configuration = None;
    let mut interface = None;
    let mut rest = bytes;
    while let [length @ 2..=u8::MAX, kind, ..] = *rest {
        let (descriptor, behind) = rest.split_at_checked(length.into())?;
        rest = behind;
        match (kind, descriptor) {
            (CONFIGURATION, [_, _, _, _, _, value, ..]) => configuration = Some(*value),
            // Not an alternate setting.
            (INTERFACE, [_, _, number, setting, _, class, subclass, protocol, ..]) => {
                let found = *setting == 0 && is([*class, *subclass, *protocol]);
                interface = found.then_some(*number);
            }
            (ENDPOINT, &[_, _, address, attributes, low, high, interval, ..]) => {
                let packet = u16::from_le_bytes([low, high]) & 0x7ff;
                let reads = address & 0x80 != 0 && attributes & 0b11 == 0b11;
                let endpoint = address & 0xf;
                if let (Some(configuration), Some(interface)) = (configuration, interface)
                    && reads
                    && endpoint != 0
                    && packet != 0
                {
                    return Some(Reports { configuration, interface, endpoint, packet, interval });
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: [u8; 9] = [9, CONFIGURATION, 59, 0, 2, 7, 0, 0xa0, 50];
    const MOUSE: [u8; 9] = [9, INTERFACE, 0, 0, 1, 3, 1, 2, 0];
    const KEYBOARD: [u8; 9] = [9, INTERFACE, 1, 0, 1, 3, 1, 1, 0];
    const HID: [u8; 9] = [9, 0x21, 0x11, 1, 0, 1, 0x22, 65, 0];
    const IN: [u8; 7] = [7, ENDPOINT, 0x81, 3, 8, 0, 10];
    const IN_2: [u8; 7] = [7, ENDPOINT, 0x82, 3, 16, 0, 4];
    const OUT: [u8; 7] = [7, ENDPOINT, 0x03, 3, 8, 0, 10];

    #[test]
    fn a_keyboard_is_found_behind_a_mouse() {
        let all = [&CONFIG[..], &MOUSE, &HID, &IN, &KEYBOARD, &HID, &OUT, &IN_2].concat();
        let found =
            Reports { configuration: 7, interface: 1, endpoint: 2, packet: 16, interval: 4 };
        assert_eq!(keyboard(&all), Some(found));
    }

    #[test]
    fn a_hub_is_one_and_no_keyboard() {
        const INTERFACE_OF_HUB: [u8; 9] = [9, INTERFACE, 0, 0, 1, HUB, 0, 0, 0];
        let all = [&CONFIG[..], &INTERFACE_OF_HUB, &IN].concat();
        let found =
            Reports { configuration: 7, interface: 0, endpoint: 1, packet: 8, interval: 10 };
        assert_eq!((hub(&all), keyboard(&all)), (Some(found), None));
        assert_eq!(hub(&[&CONFIG[..], &KEYBOARD, &HID, &IN].concat()), None);
    }

    #[test]
    fn what_is_none_is_none() {
        let zero = [7, ENDPOINT, 0x81, 3, 0, 0, 10];
        let control = [7, ENDPOINT, 0x80, 3, 8, 0, 10];
        let bulk = [7, ENDPOINT, 0x81, 2, 8, 0, 10];
        for parts in [
            vec![&CONFIG[..], &MOUSE, &HID, &IN],
            vec![&CONFIG, &KEYBOARD, &HID],
            vec![&CONFIG, &KEYBOARD, &HID, &OUT],
            vec![&CONFIG, &KEYBOARD, &MOUSE, &IN],
            vec![&KEYBOARD, &IN],
            vec![&CONFIG, &KEYBOARD, &zero],
            vec![&CONFIG, &KEYBOARD, &control],
            vec![&CONFIG, &KEYBOARD, &bulk],
            vec![&CONFIG, &KEYBOARD, &[0, ENDPOINT, 0x81, 3, 8, 0, 10]],
            vec![&CONFIG, &KEYBOARD, &[3, INTERFACE, 0], &[9, ENDPOINT, 0x81, 3, 8, 0, 10]],
        ] {
            assert_eq!(keyboard(&parts.concat()), None, "{parts:x?}");
        }
    }

    #[test]
    fn descriptors_that_are_cut_off_or_made_at_random_do_no_harm() {
        let all = [&CONFIG[..], &MOUSE, &HID, &IN, &KEYBOARD, &HID, &OUT, &IN_2].concat();
        for end in 0..all.len() {
            assert_eq!(keyboard(&all[..end]), None, "cut off at {end}");
        }
        let mut random = 1u64;
        let mut next = || {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) as usize
        };
        for _ in 0..100_000 {
            let mut bytes = all.clone();
            for _ in 0..next() % 8 {
                let at = next() % bytes.len();
                bytes[at] = next() as u8;
            }
            if let Some(found) = keyboard(&bytes) {
                assert!((1..16).contains(&found.endpoint) && (1..0x800).contains(&found.packet));
            }
        }
    }
}
