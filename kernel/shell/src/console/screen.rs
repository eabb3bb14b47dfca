//! What the line editor draws, for a terminal whose cursor position is not known.
//!
//! The editor asks the terminal where the cursor is, waits for the answer, and then moves it to
//! absolute places. Over a serial line the answer comes late, or between keys that were typed
//! ahead, or never (from a pipe, say). So the answer is ours: the editor is made to believe in a
//! screen of very many lines with its prompt in the middle. Its absolute moves become moves up and
//! down from where the cursor is.
//!
//! **Rule:** only columns are absolute here; nothing depends on the line of the real screen. Pure:
//! bytes in, bytes out.

use alloc::format;
use alloc::vec::Vec;

/// Lines of the screen that the editor believes in. No text reaches its ends. (The editor can print
/// four digits.)
pub const ROWS: usize = 9000;
pub const PROMPT_ROW: usize = ROWS / 2;

#[derive(Default)]
pub struct Screen {
    /// The line of that screen where the cursor is, counted from 1.
    row: usize,
    state: State,
    /// The sequence so far.
    sequence: Vec<u8>,
    /// The editor has cleared the screen, and goes to its top next.
    clears: bool,
}

#[derive(Default, PartialEq)]
enum State {
    #[default]
    Text,
    Escape,
    Sequence,
}

impl Screen {
    /// The prompt is printed.
    pub fn begin(&mut self) {
        self.row = PROMPT_ROW;
    }

    /// Translates what the editor writes. Returns how often it asked where the cursor is.
    pub fn draw(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let mut asked = 0;
        for &byte in bytes {
            match (&self.state, byte) {
                (State::Text, 0x1b) => self.state = State::Escape,
                (State::Text, _) => {
                    self.row += (byte == b'\n') as usize;
                    out.push(byte);
                }
                (State::Escape, b'[') => {
                    self.state = State::Sequence;
                    self.sequence.clear();
                }
                // The editor saves and restores the cursor around its move to the far corner, which
                // is not made.
                (State::Escape, _) => self.state = State::Text,
                (State::Sequence, 0x20..=0x3f) => self.sequence.push(byte),
                (State::Sequence, _) => {
                    self.state = State::Text;
                    asked += (byte == b'n') as usize;
                    self.sequence_ended(byte, out);
                }
            }
        }
        asked
    }

    fn sequence_ended(&mut self, last: u8, out: &mut Vec<u8>) {
        match last {
            b'n' => {}
            b'S' | b'T' => self.clears = true,
            b'H' => {
                let mut numbers = self.sequence.split(|&b| b == b';').map(|n| {
                    n.iter().fold(0, |n, digit| n * 10 + digit.saturating_sub(b'0') as usize)
                });
                let (Some(row), Some(column)) = (numbers.next(), numbers.next()) else { return };
                if (row, column) != (999, 999) {
                    self.move_to(row, column, out);
                }
            }
            _ => {
                out.extend(b"\x1b[");
                out.extend(&self.sequence);
                out.push(last);
            }
        }
    }

    fn move_to(&mut self, row: usize, column: usize, out: &mut Vec<u8>) {
        if core::mem::take(&mut self.clears) {
            out.extend(b"\x1b[H");
        } else if row < self.row {
            out.extend(format!("\x1b[{}A", self.row - row).bytes());
        } else if row > self.row {
            out.extend(format!("\x1b[{}B", row - self.row).bytes());
        }
        out.extend(format!("\x1b[{column}G").bytes());
        self.row = row;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(parts: &[&str]) -> (alloc::string::String, usize) {
        let (mut screen, mut out) = (Screen::default(), Vec::new());
        screen.begin();
        let asked = parts.iter().map(|part| screen.draw(part.as_bytes(), &mut out)).sum();
        (alloc::string::String::from_utf8(out).unwrap(), asked)
    }

    #[test]
    fn questions_are_counted_and_not_sent() {
        assert_eq!(drawn(&["\x1b7", "\x1b[999;999H", "\x1b[6n", "\x1b8"]), ("".into(), 1));
        assert_eq!(drawn(&["\r\x1b[J", "> ", "\x1b[6n"]), ("\r\x1b[J> ".into(), 1));
    }

    #[test]
    fn moves_in_the_line_are_columns() {
        assert_eq!(drawn(&["a", "\x1b[", "4500", ";", "4", "H"]).0, "a\x1b[4G");
    }

    #[test]
    fn moves_between_lines_are_from_where_we_are() {
        assert_eq!(
            drawn(&["abc", "\n\r", "\x1b[4501;1H", "\x1b[4500;3H"]).0,
            "abc\n\r\x1b[1G\x1b[1A\x1b[3G"
        );
        assert_eq!(drawn(&["\x1b[4502;3H"]).0, "\x1b[2B\x1b[3G");
    }

    #[test]
    fn a_cleared_screen_is_cleared_and_its_top_is_known() {
        assert_eq!(
            drawn(&["\x1b[4499T\x1b[1;1H\x1b[J> ", "x\x1b[1;4H"]).0,
            "\x1b[H\x1b[1G\x1b[J> x\x1b[4G"
        );
    }
}
