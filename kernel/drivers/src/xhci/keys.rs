//! What a USB keyboard reports, as the scan codes of a PS/2 keyboard (set 1), which the console's
//! layouts are made for.
//!
//! A report names the keys that are held (HID 1.11, appendix B.1): what has changed since the one
//! before are keys that were pressed and released. A held key repeats here, because the keyboard
//! does not do it. Pure: nothing here touches a device or a clock.

/// The length of a report in the boot protocol: modifiers, a byte of the vendor's, six keys.
pub const REPORT: usize = 8;

/// The modifiers' usages are these and the seven that follow, one for each bit.
const MODIFIERS: u8 = 0xe0;
/// Usages below say that the keyboard cannot tell its keys; 1: that too many are held.
const FIRST_KEY: u8 = 4;

/// A scan code's prefix, for keys that the first keyboards did not have.
const E0: u16 = 0xe000;
/// Set in the scan code of a key that is released.
const RELEASED: u8 = 0x80;

/// The scan code of a usage (HID Usage Tables, chapter 10; the appendix of Microsoft's "Keyboard
/// Scan Code Specification"). `None`: a PS/2 keyboard has no such key, or one that nobody needs.
fn scan_code(usage: u8) -> Option<u16> {
    #[rustfmt::skip]
    const FROM_A: [u16; 0x62] = [
        0x1e, 0x30, 0x2e, 0x20, 0x12, 0x21, 0x22, 0x23, 0x17, 0x24, 0x25, 0x26, 0x32, // a to m
        0x31, 0x18, 0x19, 0x10, 0x13, 0x1f, 0x14, 0x16, 0x2f, 0x11, 0x2d, 0x15, 0x2c, // n to z
        0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, // 1 to 9, 0
        0x1c, 0x01, 0x0e, 0x0f, 0x39, // Enter, Escape, Backspace, Tab, Space
        0x0c, 0x0d, 0x1a, 0x1b, 0x2b, 0x2b, 0x27, 0x28, 0x29, // - = [ ] \ # ; ' `
        0x33, 0x34, 0x35, 0x3a, // , . / Caps Lock
        0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x40, 0x41, 0x42, 0x43, 0x44, 0x57, 0x58, // F1 to F12
        E0 | 0x37, 0x46, 0, E0 | 0x52, // Print Screen, Scroll Lock, Pause, Insert
        // Home, Page Up, Delete, End, Page Down
        E0 | 0x47, E0 | 0x49, E0 | 0x53, E0 | 0x4f, E0 | 0x51,
        E0 | 0x4d, E0 | 0x4b, E0 | 0x50, E0 | 0x48, // right, left, down, up
        0x45, E0 | 0x35, 0x37, 0x4a, 0x4e, E0 | 0x1c, // Num Lock; on the number pad: / * - + Enter
        0x4f, 0x50, 0x51, 0x4b, 0x4c, 0x4d, 0x47, 0x48, 0x49, 0x52, 0x53, // 1 to 9, 0, .
        0x56, E0 | 0x5d, // the key that Europe has more, Application
    ];
    /// Left and right: Control, Shift, Alt, GUI.
    const FROM_CONTROL: [u16; 8] =
        [0x1d, 0x2a, 0x38, E0 | 0x5b, E0 | 0x1d, 0x36, E0 | 0x38, E0 | 0x5c];
    let at = |table: &[u16], first: u8| table.get(usize::from(usage.checked_sub(first)?)).copied();
    let code = match usage {
        // International 1 to 5: the keys that Japan has more.
        0x87 => 0x73,
        0x88 => 0x70,
        0x89 => 0x7d,
        0x8a => 0x79,
        0x8b => 0x7b,
        MODIFIERS.. => at(&FROM_CONTROL, MODIFIERS)?,
        _ => at(&FROM_A, FIRST_KEY)?,
    };
    (code != 0).then_some(code)
}

/// The keys of one keyboard that are held.
#[derive(Default)]
pub struct Keys {
    modifiers: u8,
    held: [u8; 6],
    /// The key that was pressed last and is still held, and when it repeats (ns).
    repeats: Option<(u8, u64)>,
}

impl Keys {
    /// Takes in a report. `out` gets the scan codes of what has changed. A key that is pressed
    /// repeats at `repeats_at` (ns), unless another is pressed, or it is released, before.
    pub fn report(&mut self, report: &[u8; REPORT], repeats_at: u64, out: &mut impl FnMut(u8)) {
        let [modifiers, _, held @ ..] = *report;
        let changed = self.modifiers ^ modifiers;
        for bit in (0..8).filter(|bit| changed & 1 << bit != 0) {
            emit(MODIFIERS + bit, modifiers & 1 << bit != 0, out);
        }
        self.modifiers = modifiers;
        // Too many are held for it to tell which: those that were.
        if held.iter().any(|usage| (1..FIRST_KEY).contains(usage)) {
            return;
        }
        let mut now = [0; 6];
        let is_key = |usage: &u8| (FIRST_KEY..MODIFIERS).contains(usage);
        for (n, usage) in held.into_iter().enumerate().filter(|(_, usage)| is_key(usage)) {
            if !held[..n].contains(&usage) {
                now[n] = usage; // each once
            }
        }
        let before = core::mem::replace(&mut self.held, now);
        for usage in before.into_iter().filter(|key| is_key(key) && !now.contains(key)) {
            emit(usage, false, out);
            self.repeats = self.repeats.filter(|&(key, _)| key != usage);
        }
        for usage in now.into_iter().filter(|key| is_key(key) && !before.contains(key)) {
            emit(usage, true, out);
            self.repeats = Some((usage, repeats_at));
        }
    }

    /// When a key repeats, if one is held.
    pub fn due(&self) -> Option<u64> {
        self.repeats.map(|(_, at)| at)
    }

    /// Repeats the key that is held, if it is time; after that every `interval` (ns).
    pub fn repeat(&mut self, now: u64, interval: u64, out: &mut impl FnMut(u8)) {
        if let Some((usage, at)) = &mut self.repeats
            && *at <= now
        {
            // What was missed is not made up for.
            *at = (*at + interval).max(now);
            emit(*usage, true, out);
        }
    }

    /// The keyboard is gone: nothing is held any more.
    pub fn release(&mut self, out: &mut impl FnMut(u8)) {
        self.report(&[0; REPORT], 0, out);
    }
}

fn emit(usage: u8, pressed: bool, out: &mut impl FnMut(u8)) {
    let Some(code) = scan_code(usage) else { return };
    let [prefix, code] = code.to_be_bytes();
    if prefix != 0 {
        out(prefix);
    }
    out(code | if pressed { 0 } else { RELEASED });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scan codes for reports, one after the other; a key repeats 500 after it was pressed.
    fn codes(reports: &[[u8; REPORT]]) -> Vec<u8> {
        let (mut keys, mut codes) = (Keys::default(), Vec::new());
        for report in reports {
            keys.report(report, 500, &mut |code| codes.push(code));
        }
        codes
    }

    /// A report of these keys.
    fn held<const N: usize>(modifiers: u8, usages: [u8; N]) -> [u8; REPORT] {
        let mut report = [0; REPORT];
        report[0] = modifiers;
        report[2..2 + N].copy_from_slice(&usages);
        report
    }

    #[test]
    fn keys_that_are_pressed_and_released_are_scan_codes() {
        let reports = [held(0, [4]), held(0, [4, 5]), held(0, [5]), held(0, [])];
        assert_eq!(codes(&reports), [0x1e, 0x30, 0x9e, 0xb0]);
    }

    #[test]
    fn modifiers_come_before_the_key() {
        let reports = [held(0b10_0010, [0x1e]), held(0, [])];
        assert_eq!(codes(&reports), [0x2a, 0x36, 0x02, 0xaa, 0xb6, 0x82]);
    }

    #[test]
    fn keys_that_the_first_keyboards_did_not_have_have_a_prefix() {
        let reports = [held(0b1000_0000, [0x52]), held(0, [])];
        assert_eq!(codes(&reports), [0xe0, 0x5c, 0xe0, 0x48, 0xe0, 0xdc, 0xe0, 0xc8]);
    }

    #[test]
    fn the_table_is_in_its_places() {
        let places = [
            (0x04, 0x1e),
            (0x1d, 0x2c),   // z
            (0x27, 0x0b),   // 0
            (0x28, 0x1c),   // Enter
            (0x2c, 0x39),   // Space
            (0x38, 0x35),   // /
            (0x39, 0x3a),   // Caps Lock
            (0x45, 0x58),   // F12
            (0x4c, 0xe053), // Delete
            (0x52, 0xe048), // up
            (0x53, 0x45),   // Num Lock
            (0x58, 0xe01c), // Enter
            (0x62, 0x52),   // 0
            (0x65, 0xe05d), // Application
            (0x89, 0x7d),   // Yen
            (0xe7, 0xe05c),
        ];
        for (usage, code) in places {
            assert_eq!(scan_code(usage), Some(code), "usage {usage:#x}");
        }
        for usage in [0, 1, 2, 3, 0x48, 0x66, 0x86, 0x8c, 0xdf, 0xe8, 0xff] {
            assert_eq!(scan_code(usage), None, "usage {usage:#x}");
        }
    }

    /// A layout is made for PS/2 keyboards: no two keys may be one there (but \ and #, which no
    /// keyboard has both of).
    #[test]
    fn no_two_usages_are_one_scan_code() {
        let mut codes: Vec<_> = (0..=255).filter(|&u| u != 0x32).filter_map(scan_code).collect();
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
        assert!(codes.iter().all(|code| code & 0x80 == 0), "a released key");
    }

    #[test]
    fn a_report_of_too_many_keys_changes_none() {
        let reports = [held(0, [4, 5]), held(2, [1; 6]), held(0, [4, 5]), held(0, [])];
        assert_eq!(codes(&reports), [0x1e, 0x30, 0x2a, 0xaa, 0x9e, 0xb0]);
    }

    #[test]
    fn a_key_that_is_named_twice_is_pressed_once() {
        assert_eq!(codes(&[held(0, [4, 4]), held(0, [0, 4]), held(0, [])]), [0x1e, 0x9e]);
        assert_eq!(codes(&[held(0, [4, 4]), held(0, [])]), [0x1e, 0x9e]);
    }

    #[test]
    fn the_key_that_was_pressed_last_repeats_until_it_is_released() {
        let (mut keys, mut codes) = (Keys::default(), Vec::new());
        keys.report(&held(0, [4]), 500, &mut |code| codes.push(code));
        assert_eq!(keys.due(), Some(500));
        keys.repeat(499, 30, &mut |_| panic!("too early"));
        keys.repeat(500, 30, &mut |code| codes.push(code));
        assert_eq!(keys.due(), Some(530));
        keys.repeat(600, 30, &mut |code| codes.push(code));
        assert_eq!((keys.due(), &*codes), (Some(600), &[0x1e; 3][..]), "one, however late");
        keys.report(&held(0, [4, 5]), 1100, &mut |_| ());
        assert_eq!(keys.due(), Some(1100));
        keys.report(&held(0, [5]), 9999, &mut |_| ());
        keys.report(&held(2, [5]), 9999, &mut |_| ());
        assert_eq!(keys.due(), Some(1100), "other keys do not stop it");
        keys.report(&held(2, []), 9999, &mut |_| ());
        assert_eq!(keys.due(), None);
        keys.repeat(u64::MAX, 30, &mut |_| panic!("nothing is held"));
    }

    #[test]
    fn a_keyboard_that_is_gone_holds_nothing() {
        let (mut keys, mut codes) = (Keys::default(), Vec::new());
        keys.report(&held(2, [4]), 500, &mut |_| ());
        keys.release(&mut |code| codes.push(code));
        assert_eq!((keys.due(), &*codes), (None, &[0xaa, 0x9e][..]));
    }

    /// Whatever is reported: each key is pressed before it is released, and in the end none is
    /// held.
    #[test]
    fn any_reports_will_do() {
        let mut random = 1u64;
        let mut next = || {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 56) as u8
        };
        let (mut keys, mut pressed) = (Keys::default(), std::collections::BTreeSet::new());
        let mut prefix = 0;
        let mut out = |code: u8| match code {
            0xe0 => prefix = 0xe0,
            _ => {
                let key = (core::mem::take(&mut prefix), code & 0x7f);
                if code & RELEASED == 0 {
                    pressed.insert(key);
                } else {
                    assert!(pressed.remove(&key) || key.1 == 0x2b, "{key:x?} was not pressed");
                }
            }
        };
        for n in 0..100_000 {
            let report = core::array::from_fn(|_| next());
            keys.report(&report, n, &mut out);
            keys.repeat(n, 1, &mut out);
        }
        keys.release(&mut out);
        assert!(pressed.is_empty(), "{pressed:x?}");
    }
}
