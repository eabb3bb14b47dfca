//! The terminal, as the line editor sees it: bytes in, bytes out, and answers to its questions.
//!
//! **Rule:** nobody waits for the terminal. The editor's questions are answered here (screen.rs).
//! The terminal is asked for its width at each prompt, and its answer counts from the next line on.
//!
//! While a command runs, keys are taken in and kept for the editor, so that Ctrl-C is seen. But no
//! more than [`AHEAD`]: further ones stay in the channel, the ring and the port behind it, and hold
//! the sender back.

use super::keys::Keys;
use super::screen::{PROMPT_ROW, ROWS, Screen};
use super::{Event, PROMPT};
use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::time::Duration;
use embedded_io::{ErrorType, Read, Write};
use executive::chan::{Receiver, Sender};
use executive::{Builder, chan, machine, select, time};
use kernel::{screen, serial};

/// Sends the cursor to the far corner, asks where it is, and puts it back (ECMA-48: CUP, DSR).
const HOW_WIDE: &[u8] = b"\x1b7\x1b[999;999H\x1b[6n\x1b8";
const USUAL_COLUMNS: usize = 80;
/// The most bytes that are taken in while a command runs. A Ctrl-C behind them is seen when the
/// command has ended.
const AHEAD: usize = 16 << 10;

pub struct Tty {
    bytes: Receiver<u8>,
    /// Where the keyboard sends them.
    to_bytes: Sender<u8>,
    events: Receiver<Event>,
    /// Alarms are sent here too.
    to_events: Sender<Event>,
    keys: Keys,
    screen: Screen,
    /// Not sent yet: what the editor writes between two reads is sent in one piece.
    out: Vec<u8>,
    /// How often the editor has asked at this line, and answers on their way to it.
    asked: usize,
    answers: VecDeque<u8>,
    columns: usize,
    alarm: u64,
    /// The last byte that the editor took.
    pub last: u8,
}

impl Tty {
    pub fn new() -> Tty {
        let ((to_bytes, bytes), (to_events, events)) = (chan(64), chan(8));
        Tty {
            bytes,
            to_bytes,
            events,
            to_events,
            keys: Keys::with_room(AHEAD),
            screen: Screen::default(),
            out: Vec::new(),
            asked: 0,
            answers: VecDeque::new(),
            columns: match screen::columns() {
                Some(columns) if !serial::is_present() => columns,
                columns => columns.unwrap_or(USUAL_COLUMNS).min(USUAL_COLUMNS),
            },
            alarm: 0,
            last: 0,
        }
    }

    /// A new line is about to be read.
    pub fn begin_line(&mut self) {
        self.asked = 0;
        self.answers.clear();
        self.screen.begin();
        self.out.extend(HOW_WIDE);
    }

    /// Sends what the editor has written.
    pub fn send(&mut self) {
        machine::print(&self.out);
        self.out.clear();
    }

    /// The next event; keys that come are kept for the editor.
    pub fn wait(&mut self) -> Event {
        let bytes = (self.keys.waiting() < AHEAD).then_some(&self.bytes);
        select! {
            recv(self.events) -> event => event.expect("we hold a sender ourselves"),
            recv(bytes) -> byte => {
                let byte = byte.expect("we hold a sender ourselves");
                if let Some(corner) = self.keys.arrived(byte) {
                    // Both the terminal and the screen show the line. The editor calculates with
                    // it: it must be wider than the prompt.
                    let columns = screen::columns().unwrap_or(usize::MAX).min(corner.column);
                    self.columns = columns.max(PROMPT.len() + 2);
                }
                Event::Byte(byte)
            }
        }
    }

    /// Forgets what was typed ahead.
    pub fn forget_keys(&mut self) {
        self.keys.forget();
    }

    /// For the keyboard.
    pub fn keys(&self) -> Sender<u8> {
        self.to_bytes.clone()
    }

    /// For events from elsewhere.
    pub fn sender(&self) -> Sender<Event> {
        self.to_events.clone()
    }

    /// [`Event::Alarm`] with the returned number comes after `span`, or never if there is no memory
    /// for a goroutine.
    pub fn alarm_in(&mut self, span: Duration) -> u64 {
        self.alarm += 1;
        let (alarm, events) = (self.alarm, self.to_events.clone());
        let ring = move || {
            time::sleep(span);
            let _ = events.send(Event::Alarm(alarm));
        };
        drop(Builder::new().name("alarm").spawn(ring));
        alarm
    }
}

impl ErrorType for Tty {
    type Error = Infallible;
}

impl Read for Tty {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        self.send();
        buffer[0] = loop {
            if let Some(byte) = self.answers.pop_front() {
                break byte;
            }
            if let Some(byte) = self.keys.next() {
                self.last = byte;
                break byte;
            }
            self.wait();
        };
        Ok(1)
    }
}

impl Write for Tty {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for _ in 0..self.screen.draw(bytes, &mut self.out) {
            // Its first question at a line is for the size of the screen, its second for the place
            // behind the prompt.
            let (row, column) = match self.asked {
                0 => (ROWS, self.columns),
                _ => (PROMPT_ROW, PROMPT.len() + 1),
            };
            self.asked += 1;
            self.answers.extend(format!("\x1b[{row};{column}R").bytes());
        }
        Ok(bytes.len())
    }

    /// Not yet: `read` does.
    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
