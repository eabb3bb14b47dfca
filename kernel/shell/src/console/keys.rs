//! What arrives from a terminal, sorted: keys for the line editor, and the terminal's answers (`ESC
//! [ row ; column R`), which may come at any time between them.
//!
//! **Rule:** what the editor is given is well-formed. (It panics at `ESC [ R`, and takes any bytes
//! for UTF-8.) Pure: nothing here touches a device.

use alloc::collections::VecDeque;

/// The longest parameters of a control sequence that are kept; no key has longer ones.
const LONGEST: usize = 12;

#[derive(Default)]
pub struct Keys {
    state: State,
    parameters: [u8; LONGEST],
    length: usize,
    /// A character that is not complete yet.
    character: [u8; 4],
    have: usize,
    /// For the editor.
    ready: VecDeque<u8>,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum State {
    #[default]
    Text,
    Escape,
    /// After `ESC [` (ECMA-48 section 5.4).
    Sequence,
    /// After `ESC O`: a terminal's function keys.
    Function,
}

/// A cursor's place, counted from 1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Place {
    pub row: usize,
    pub column: usize,
}

/// The most bytes for the editor that come of one byte.
const MOST: usize = 4;

impl Keys {
    /// Allocates no more while fewer than `bytes` wait before each arrival.
    pub fn with_room(bytes: usize) -> Keys {
        Keys { ready: VecDeque::with_capacity(bytes + MOST), ..Keys::default() }
    }

    /// Takes in a byte; returns an answer when the byte completes one.
    pub fn arrived(&mut self, byte: u8) -> Option<Place> {
        match (self.state, byte) {
            (_, 0x1b) => self.state = State::Escape,
            // A control character, such as Enter, ends a sequence that was cut short.
            (State::Text, _) | (_, ..0x20) => {
                self.state = State::Text;
                self.text(byte);
            }
            (State::Escape, b'[') => (self.state, self.length) = (State::Sequence, 0),
            (State::Escape, b'O') => self.state = State::Function,
            // Alt and a key: the key.
            (State::Escape, _) => {
                self.state = State::Text;
                self.text(byte);
            }
            (State::Function, _) => {
                self.state = State::Text;
                self.key(byte, b"");
            }
            (State::Sequence, 0x20..=0x3f) => {
                if self.length < LONGEST {
                    self.parameters[self.length] = byte;
                }
                self.length += 1;
            }
            (State::Sequence, _) => {
                self.state = State::Text;
                let (parameters, length) = (self.parameters, self.length);
                let parameters = parameters.get(..length)?;
                if byte == b'R' {
                    return place(parameters);
                }
                self.key(byte, parameters);
            }
        }
        None
    }

    /// Text, a character at a time. Bytes that are not UTF-8 become U+FFFD, which is part of no
    /// command.
    fn text(&mut self, byte: u8) {
        let begun = self.have > 0;
        self.character[self.have] = byte;
        self.have += 1;
        match core::str::from_utf8(&self.character[..self.have]) {
            Ok(_) => self.ready.extend(&self.character[..self.have]),
            Err(error) if error.error_len().is_none() => return, // more of it is to come
            Err(_) => {
                self.ready.extend("\u{fffd}".bytes());
                self.have = 0;
                // The byte that spoilt it may begin another character.
                if begun {
                    self.text(byte);
                }
                return;
            }
        }
        self.have = 0;
    }

    /// A special key, as a sequence that the editor knows; other keys are dropped.
    fn key(&mut self, last: u8, parameters: &[u8]) {
        let word: &[u8] = match (last, parameters) {
            (b'A', _) => b"\x1b[A",
            (b'B', _) => b"\x1b[B",
            (b'C', _) => b"\x1b[C",
            (b'D', _) => b"\x1b[D",
            (b'H', _) | (b'~', b"1" | b"7") => b"\x01", // Home
            (b'F', _) | (b'~', b"4" | b"8") => b"\x05", // End
            (b'~', b"3") => b"\x1b[3~",                 // Delete
            (b'M', b"") => b"\r",                       // Enter, on the number pad
            _ => b"",
        };
        self.ready.extend(word);
    }

    /// The next byte for the editor.
    pub fn next(&mut self) -> Option<u8> {
        self.ready.pop_front()
    }

    /// How many bytes wait for the editor.
    pub fn waiting(&self) -> usize {
        self.ready.len()
    }

    /// Forgets what was typed ahead.
    pub fn forget(&mut self) {
        self.ready.clear();
        self.have = 0;
    }
}

/// `row ; column`.
fn place(parameters: &[u8]) -> Option<Place> {
    let mut numbers = core::str::from_utf8(parameters).ok()?.split(';').map(str::parse);
    match (numbers.next(), numbers.next(), numbers.next()) {
        // No terminal is larger than that, and the editor cannot print larger numbers.
        (Some(Ok(row @ 1..=9999)), Some(Ok(column @ 1..=9999)), None) => {
            Some(Place { row, column })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;

    /// The bytes for the editor, and the answers, that come of these bytes.
    fn of(bytes: &[u8]) -> (Vec<u8>, Vec<Place>) {
        let mut keys = Keys::default();
        let places = bytes.iter().filter_map(|&byte| keys.arrived(byte)).collect();
        (core::iter::from_fn(|| keys.next()).collect(), places)
    }

    #[test]
    fn text_goes_through() {
        assert_eq!(
            of("sieve ä\r\x7f\x03".as_bytes()),
            ("sieve ä\r\x7f\x03".as_bytes().to_vec(), Vec::new())
        );
    }

    #[test]
    fn what_is_no_utf8_is_seen_and_takes_nothing_with_it() {
        for (bytes, text) in [
            (&b"3\xe40\r"[..], "3\u{fffd}0\r"),
            (b"\xc3\r", "\u{fffd}\r"),
            (b"\xf0\x9f\x98\x03", "\u{fffd}\x03"),
            (b"\xc3\xc3\xa4", "\u{fffd}\u{e4}"),
            (b"\xed\xa0\x80x", "\u{fffd}\u{fffd}\u{fffd}x"), // a surrogate
            (b"\xff\xff", "\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(String::from_utf8(of(bytes).0).unwrap(), text, "{bytes:?}");
        }
    }

    #[test]
    fn a_line_that_ends_within_a_sequence_ends() {
        for cut in ["\x1b", "\x1b[", "\x1b[1;", "\x1bO"] {
            assert_eq!(of(format!("x{cut}\r\x04").as_bytes()).0, b"x\r\x04", "{cut:?}");
        }
    }

    #[test]
    fn an_answer_among_keys_is_found() {
        assert_eq!(
            of(b"ab\x1b[24;80Rc"),
            (b"abc".to_vec(), [Place { row: 24, column: 80 }].to_vec())
        );
    }

    #[test]
    fn a_bad_answer_is_none_and_no_key() {
        for bad in [
            "\x1b[R",
            "\x1b[5R",
            "\x1b[0;1R",
            "\x1b[1;2;3R",
            "\x1b[99999;1R",
            "\x1b[;R",
            "\x1b[1111111111111111;1R",
        ] {
            assert_eq!(of(bad.as_bytes()), (Vec::new(), Vec::new()), "{bad:?}");
        }
    }

    #[test]
    fn every_terminals_home_is_home() {
        for home in ["\x1b[H", "\x1bOH", "\x1b[1~", "\x1b[7~"] {
            assert_eq!(of(home.as_bytes()).0, b"\x01", "{home:?}");
        }
    }

    #[test]
    fn arrows_arrive_in_one_form_and_unknown_keys_not_at_all() {
        assert_eq!(of(b"\x1bOA\x1b[A\x1b[1;5C\x1b[15~\x1b[Zx").0, b"\x1b[A\x1b[A\x1b[Cx");
    }
}
