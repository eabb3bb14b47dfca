//! The machine's serial line, as bytes that come and go.
//!
//! Firmware draws on it as on a screen (it clears it, moves the cursor, sets colours). A log must not do that: such
//! sequences are taken out, plain text stays.

use std::io::{self, Read, Write};

/// Takes control sequences (ESC `[` .. letter, ECMA-48 section 5.4) out of a stream of bytes, wherever it is cut.
#[derive(Default)]
pub struct Plain {
    state: State,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum State {
    #[default]
    Text,
    Escape,
    Sequence,
}

impl Plain {
    pub fn filter(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for &byte in bytes {
            self.state = match (self.state, byte) {
                (_, 0x1b) => State::Escape,
                (State::Escape, b'[') => State::Sequence,
                (State::Sequence, 0x20..=0x3f) => State::Sequence,
                (State::Sequence, 0x40..=0x7e) => State::Text, // its last byte
                (State::Escape, 0x20..=0x7e) => State::Text,   // a sequence of two bytes
                _ => {
                    out.push(byte);
                    State::Text
                }
            }
        }
    }
}

/// Copies the line to `to` until the machine closes it.
pub fn copy(mut line: impl Read, mut to: impl Write) -> io::Result<()> {
    let (mut plain, mut buffer, mut text) = (Plain::default(), [0; 4096], Vec::new());
    loop {
        let n = match line.read(&mut buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        if n == 0 {
            return Ok(());
        }
        text.clear();
        plain.filter(&buffer[..n], &mut text);
        to.write_all(&text)?;
        to.flush()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_and_screen_control_goes_wherever_the_stream_is_cut() {
        let line = b"\x1b[2J\x1b[01;01H\x1b[=3hBdsDxe: \x1b[0m\x1b[35mloading\x1bc\r\n541\n";
        for cut in 0..line.len() {
            let (mut plain, mut out) = (Plain::default(), Vec::new());
            plain.filter(&line[..cut], &mut out);
            plain.filter(&line[cut..], &mut out);
            assert_eq!(out, b"BdsDxe: loading\r\n541\n", "cut at {cut}");
        }
    }
}
