//! A machine with somebody before its screen and at its keyboard: [`Screen`].
//!
//! Keys go in by QEMU's monitor, and its picture of the screen comes out. The text in it is read by
//! the kernel's own font: a cell that is no glyph of it is no letter.

#[allow(dead_code)] // what only the kernel uses
#[path = "../../kernel/src/font.rs"]
mod font;

use crate::slots::Slot;
use crate::socket::Socket;
use font::{Font, LARGE, SMALL};
use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// From a look at the screen to the next. A picture takes the host some time too.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// A running machine. Dropped, it is stopped.
pub struct Screen {
    tool: Child,
    monitor: UnixStream,
    _socket: Socket,
    /// Where its pictures go. If the test fails the last one stays.
    picture: PathBuf,
    _slot: Slot,
}

impl Screen {
    pub(crate) fn start(slot: Slot, mut command: Command, socket: Socket, name: &str) -> Screen {
        let mut tool = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the boot tool starts");
        let monitor = loop {
            match UnixStream::connect(socket.path()) {
                Ok(monitor) => break monitor,
                // QEMU has not come so far. If it never does, the boot tool ends.
                Err(_) => thread::sleep(BETWEEN_LOOKS),
            }
            let ended = tool.try_wait().expect("the boot tool can be asked");
            assert!(ended.is_none(), "the machine did not start: {ended:?}");
        };
        let logs = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(target) => PathBuf::from(target),
            None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target"),
        }
        .join("test-logs");
        fs::create_dir_all(&logs).expect("the logs' folder can be made");
        let picture = logs.join(format!("{name}.ppm"));
        let mut screen = Screen { tool, monitor, _socket: socket, picture, _slot: slot };
        screen.answer(); // its greeting
        screen
    }

    /// Waits for the prompt, and types a line: Enter ends it. A character that needs two keys is
    /// not known.
    ///
    /// The kernel forgets what was typed before its keyboard's controller was set up. A keyboard
    /// holds 16 bytes, of which a key takes up to 4; on a busy host a machine may not run for a
    /// while. So a few keys are pressed at a time, and then they must be seen.
    pub fn types(&mut self, line: &str) {
        const AT_A_TIME: usize = 4;
        self.until("\n>\n");
        let text = line.trim_end_matches('\r');
        for end in (0..text.len()).step_by(AT_A_TIME) {
            let end = (end + AT_A_TIME).min(text.len());
            self.presses(&text[end - (end - 1) % AT_A_TIME - 1..end]);
            self.until(&format!("> {}", text[..end].trim_end()));
        }
        self.presses(&line[text.len()..]);
    }

    /// Presses the keys of these characters.
    fn presses(&mut self, text: &str) {
        for character in text.chars() {
            let key = match character {
                ' ' => "spc".into(),
                '\r' => "ret".into(),
                '-' => "minus".into(),
                ';' => "semicolon".into(),
                'a'..='z' | '0'..='9' => character.to_string(),
                _ => panic!("no key for {character:?}"),
            };
            self.press(&key);
        }
    }

    /// Presses a key by QEMU's name for it, or several at once: `ctrl-c`.
    pub fn press(&mut self, key: &str) {
        self.asks(&format!("sendkey {key} 1"));
    }

    /// A line for the machine's monitor; returns what it says.
    pub fn asks(&mut self, line: &str) -> String {
        writeln!(self.monitor, "{line}").expect("the monitor listens");
        self.answer()
    }

    /// Waits until the monitor wants the next line.
    fn answer(&mut self) -> String {
        const PROMPT: &[u8] = b"(qemu) ";
        let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
        while !said.ends_with(PROMPT) {
            let n = self.monitor.read(&mut buffer).expect("the monitor answers");
            assert!(n > 0, "the machine is gone; the last picture is {}", self.picture.display());
            said.extend(&buffer[..n]);
        }
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Waits until a row of the screen has this text; returns all of the screen. The boot tool's
    /// time limit is ours.
    pub fn until(&mut self, text: &str) -> String {
        loop {
            let seen = self.text();
            if seen.contains(text) {
                return seen;
            }
            let ended = self.tool.try_wait().expect("the boot tool can be asked");
            assert!(ended.is_none(), "it ended without {text:?}; its screen:\n{seen}");
            thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// What is to be read on the screen now.
    pub fn text(&mut self) -> String {
        Picture::of(&self.dump()).text()
    }

    /// The size of the screen in pixels.
    pub fn size(&mut self) -> (usize, usize) {
        let dump = self.dump();
        let picture = Picture::of(&dump);
        (picture.width, picture.height)
    }

    /// QEMU's picture of the screen as it is now.
    fn dump(&mut self) -> Vec<u8> {
        self.asks(&format!("screendump {}", self.picture.display()));
        fs::read(&self.picture).expect("QEMU has written its picture")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.tool.kill(); // QEMU goes with it
        let _ = self.tool.wait();
        if !thread::panicking() {
            let _ = fs::remove_file(&self.picture);
        }
    }
}

/// A picture of 3 bytes a pixel, as QEMU writes it (PPM, P6).
struct Picture<'a> {
    width: usize,
    height: usize,
    pixels: &'a [u8],
}

impl Picture<'_> {
    fn of(bytes: &[u8]) -> Picture<'_> {
        let mut parts = bytes.splitn(4, |&byte| byte == b'\n');
        let mut part = || parts.next().expect("a PPM file");
        assert_eq!(part(), b"P6");
        let size = String::from_utf8_lossy(part()).into_owned();
        let mut numbers = size.split(' ').map(|n| n.parse().expect("a number"));
        let (width, height) = (numbers.next().expect("a width"), numbers.next().expect("a height"));
        assert_eq!(part(), b"255");
        Picture { width, height, pixels: part() }
    }

    /// Its rows of letters, without the blanks at their ends.
    fn text(&self) -> String {
        let font = if self.height < 1440 { SMALL } else { LARGE };
        let letters = letters(font);
        let mut text = String::new();
        for row in 0..self.height / font.height {
            let letter = |column| {
                let cell = self.cell(font, row, column);
                letters.get(&cell).copied().unwrap_or('\u{fffd}')
            };
            let line: String = (0..self.width / font.width).map(letter).collect();
            text += line.trim_end();
            text.push('\n');
        }
        text
    }

    /// Which pixels of a cell are bright, in the form of a glyph.
    fn cell(&self, font: Font, row: usize, column: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(font.width / 8 * font.height);
        for y in row * font.height..(row + 1) * font.height {
            for byte in 0..font.width / 8 {
                let x = column * font.width + byte * 8;
                let bright = |x: usize| {
                    let at = 3 * (y * self.width + x);
                    self.pixels[at..at + 3].iter().map(|&c| u32::from(c)).sum::<u32>() > 3 * 128
                };
                bytes.push((0..8).fold(0, |bits, bit| bits << 1 | u8::from(bright(x + bit))));
            }
        }
        bytes
    }
}

/// Which letter each glyph is. Where the cursor stands bright and dark have changed their places.
fn letters(font: Font) -> HashMap<Vec<u8>, char> {
    let mut letters = HashMap::new();
    for letter in ('\u{a0}'..='\u{ff}').chain("┌─┐│└┘├┤┬┴┼←↑→↓".chars()).chain(' '..='~')
    {
        let glyph: Vec<u8> = font.glyph(letter).flatten().copied().collect();
        letters.insert(glyph.iter().map(|bits| !bits).collect(), letter);
        letters.insert(glyph, letter);
    }
    letters
}
