//! The machine's serial line, as bytes that come and go.
//!
//! Firmware draws on it as on a screen: it clears it, moves the cursor, sets colours. A log must
//! not, so such sequences are taken out; plain text stays.

use std::io::{self, Read, Write};

/// Takes control sequences (ESC `[` .. letter, ECMA-48 section 5.4) out of a stream of bytes,
/// wherever it is cut.
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

/// What the kernel's console says when it wants a line. Keys sent before go to the firmware, or are
/// lost.
const PROMPT: &[u8] = b"> ";

/// Copies the line to `to` until the machine closes it; calls `prompted` when the console reads.
pub fn copy(mut line: impl Read, mut to: impl Write, prompted: impl FnOnce()) -> io::Result<()> {
    let (mut plain, mut buffer, mut text) = (Plain::default(), [0; 4096], Vec::new());
    let mut prompted = Some(prompted);
    loop {
        let n = match line.read(&mut buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        if n == 0 {
            return Ok(());
        }
        let kept = text.len().min(PROMPT.len() - 1); // a prompt may come in two pieces
        text.drain(..text.len() - kept);
        plain.filter(&buffer[..n], &mut text);
        to.write_all(&text[kept..])?;
        to.flush()?;
        if text.windows(PROMPT.len()).any(|w| w == PROMPT)
            && let Some(prompted) = prompted.take()
        {
            prompted();
        }
    }
}

/// Types what comes from `from`, and at its end Ctrl-D, as a person would. Fails if `from` cannot
/// be read. If the machine takes no more it has ended, which is no failure.
pub fn type_in(mut from: impl Read, mut line: impl Write) -> io::Result<()> {
    let mut buffer = [0; 256];
    let mut last = b'\r';
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        for byte in &mut buffer[..n] {
            *byte = if *byte == b'\n' { b'\r' } else { *byte }; // the key's name is Enter
        }
        if line.write_all(&buffer[..n]).is_err() {
            return Ok(());
        }
        last = buffer[n - 1];
    }
    // A last line without its end is one all the same; and Ctrl-D counts only at the beginning of a
    // line.
    let _ =
        line.write_all(if last == b'\r' { b"\x04" } else { b"\r\x04" }).and_then(|()| line.flush());
    Ok(())
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
    #[test]
    fn typing_presses_enter_and_ends_with_ctrl_d() {
        let mut line = Vec::new();
        type_in(&b"sieve 10\ncpus\n"[..], &mut line).unwrap();
        assert_eq!(line, b"sieve 10\rcpus\r\x04");
        line.clear();
        type_in(&b"cpus"[..], &mut line).unwrap();
        assert_eq!(line, b"cpus\r\x04");
    }

    #[test]
    fn an_input_that_breaks_off_is_no_end() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::IsADirectory.into())
            }
        }
        let mut line = Vec::new();
        let kind = type_in(b"sieve 1".chain(Broken), &mut line).map_err(|e| e.kind());
        assert_eq!((kind, &line[..]), (Err(io::ErrorKind::IsADirectory), &b"sieve 1"[..]));
    }

    #[test]
    fn the_prompt_is_seen_once() {
        let mut times = 0;
        let pieces = b"hello\r\n>".chain(&b" \x1b[6n"[..]).chain(&b"\n> "[..]);
        copy(pieces, Vec::new(), || times += 1).unwrap();
        assert_eq!(times, 1);
    }
}
