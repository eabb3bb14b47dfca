//! Keys: from scan codes to what a terminal sends for them.
//!
//! The crate `pc-keyboard` knows the scan codes and the layouts. Special keys become the sequences
//! that a terminal sends, so that the console need not know where a key comes from. A held key
//! repeats by itself: the keyboard does it. Pure: nothing here touches a device.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use pc_keyboard::layouts::{self, AnyLayout};
use pc_keyboard::{DecodedKey, HandleControl, KeyCode, PS2Keyboard, ScancodeSet1};

/// A layout's name, and the layout.
type Layout = (&'static str, fn() -> AnyLayout);

/// The layouts that there are; the first is the usual one.
pub const LAYOUTS: [Layout; 9] = [
    ("us", || AnyLayout::Us104Key(layouts::Us104Key)),
    ("uk", || AnyLayout::Uk105Key(layouts::Uk105Key)),
    ("de", || AnyLayout::De105Key(layouts::De105Key)),
    ("fr", || AnyLayout::Azerty(layouts::Azerty)),
    ("fi", || AnyLayout::FiSe105Key(layouts::FiSe105Key)),
    ("no", || AnyLayout::No105Key(layouts::No105Key)),
    ("jp", || AnyLayout::Jis109Key(layouts::Jis109Key)),
    ("dvorak", || AnyLayout::Dvorak104Key(layouts::Dvorak104Key)),
    ("colemak", || AnyLayout::Colemak(layouts::Colemak)),
];

/// The layout in use, by its number. It is a number alone, so it needs no order.
static LAYOUT: AtomicUsize = AtomicUsize::new(0);

/// From the next key on the keyboard has this layout. `false`: there is none of that name.
pub fn set_layout(name: &str) -> bool {
    let found = LAYOUTS.iter().position(|(known, _)| *known == name);
    found.inspect(|&number| LAYOUT.store(number, Ordering::Relaxed)).is_some()
}

/// The name of the layout in use.
pub fn layout() -> &'static str {
    LAYOUTS[LAYOUT.load(Ordering::Relaxed)].0
}

/// Which keys are held, and what a scan code means by that.
pub struct Keyboard {
    decoder: PS2Keyboard<AnyLayout, ScancodeSet1>,
    layout: usize,
}

impl Default for Keyboard {
    fn default() -> Self {
        let control = HandleControl::MapLettersToUnicode; // Ctrl-C is 3
        let decoder = PS2Keyboard::new(ScancodeSet1::new(), LAYOUTS[0].1(), control);
        Keyboard { decoder, layout: 0 }
    }
}

impl Keyboard {
    /// Takes in a scan code; adds what a terminal would send for the key, if that completes one.
    pub fn arrived(&mut self, scan_code: u8, out: &mut Vec<u8>) {
        let layout = LAYOUT.load(Ordering::Relaxed);
        if layout != self.layout {
            self.layout = layout;
            let control = HandleControl::MapLettersToUnicode;
            self.decoder = PS2Keyboard::new(ScancodeSet1::new(), LAYOUTS[layout].1(), control);
        }
        let Ok(Some(event)) = self.decoder.add_byte(scan_code) else { return };
        match self.decoder.process_keyevent(event) {
            Some(DecodedKey::Unicode('\n')) => out.push(b'\r'),
            Some(DecodedKey::Unicode('\u{8}')) => out.push(0x7f),
            Some(DecodedKey::Unicode('\u{7f}')) => out.extend(b"\x1b[3~"), // Delete
            Some(DecodedKey::Unicode(character)) => {
                out.extend(character.encode_utf8(&mut [0; 4]).bytes());
            }
            Some(DecodedKey::RawKey(key)) => out.extend(sequence(key)),
            None => {}
        }
    }
}

/// What a VT220 sends for a key that is no character.
fn sequence(key: KeyCode) -> &'static [u8] {
    match key {
        KeyCode::ArrowUp => b"\x1b[A",
        KeyCode::ArrowDown => b"\x1b[B",
        KeyCode::ArrowRight => b"\x1b[C",
        KeyCode::ArrowLeft => b"\x1b[D",
        KeyCode::Home => b"\x1b[H",
        KeyCode::End => b"\x1b[F",
        KeyCode::Insert => b"\x1b[2~",
        KeyCode::Delete => b"\x1b[3~",
        KeyCode::PageUp => b"\x1b[5~",
        KeyCode::PageDown => b"\x1b[6~",
        KeyCode::NumpadEnter => b"\r",
        _ => b"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// The layout is everybody's, so one test at a time.
    static ONE: Mutex<()> = Mutex::new(());

    /// What is sent for these scan codes on a keyboard of this layout.
    fn sent(layout: &str, scan_codes: &[u8]) -> Vec<u8> {
        let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        assert!(set_layout(layout));
        let (mut keyboard, mut out) = (Keyboard::default(), Vec::new());
        scan_codes.iter().for_each(|&code| keyboard.arrived(code, &mut out));
        out
    }

    #[test]
    fn letters_are_letters_and_shift_makes_them_capital() {
        assert_eq!(sent("us", &[0x1e, 0x9e, 0x2a, 0x1e, 0x9e, 0xaa, 0x1e]), b"aAa");
    }

    #[test]
    fn a_held_key_repeats() {
        assert_eq!(sent("us", &[0x1e, 0x1e, 0x1e, 0x9e]), b"aaa");
    }

    #[test]
    fn enter_backspace_and_delete_are_what_a_terminal_sends() {
        assert_eq!(sent("us", &[0x1c, 0x0e, 0xe0, 0x53, 0xe0, 0x1c]), b"\r\x7f\x1b[3~\r");
    }

    #[test]
    fn ctrl_c_is_3_on_every_layout() {
        for (layout, _) in LAYOUTS {
            let c = match layout {
                "dvorak" => 0x17,
                _ => 0x2e,
            };
            assert_eq!(sent(layout, &[0x1d, c, 0x80 | c, 0x9d]), [3], "{layout}");
        }
    }

    #[test]
    fn the_keys_between_are_sequences() {
        let keys = [0xe0, 0x48, 0xe0, 0x50, 0xe0, 0x4d, 0xe0, 0x4b, 0xe0, 0x47, 0xe0, 0x4f];
        assert_eq!(sent("us", &keys), b"\x1b[A\x1b[B\x1b[C\x1b[D\x1b[H\x1b[F");
    }

    #[test]
    fn layouts_differ_where_they_should() {
        let y_z_q_2 = [0x15, 0x2c, 0x10, 0x2a, 0x03];
        assert_eq!(sent("us", &y_z_q_2), b"yzq@");
        assert_eq!(sent("uk", &y_z_q_2), b"yzq\"");
        assert_eq!(sent("de", &y_z_q_2), b"zyq\"");
        assert_eq!(sent("fr", &y_z_q_2), b"ywa2");
        assert_eq!(sent("de", &[0x28, 0x0c]), "äß".as_bytes());
    }

    #[test]
    fn any_bytes_will_do() {
        let _ = sent("us", &[0xfa, 0xaa, 0x00, 0xff, 0xe0, 0xe0, 0xe1, 0x00, 0xff, 0x1e]);
    }
}
