//! The terminal, as the line editor sees it: bytes in, bytes out, and somebody who answers where the cursor is.
//!
//! The one rule: nobody waits for an answer for ever. A terminal that has not told its size within [`PATIENCE`] is taken
//! for one that never will (a pipe, a log): we answer in its place, with the usual 24 lines of 80.

use super::keys::{Keys, Place};
use super::{Event, PROMPT};
use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::time::Duration;
use embedded_io::{ErrorType, Read, Write};
use executive::chan::{Receiver, Sender};
use executive::{Builder, time};
use kernel::serial;

/// A terminal at the far end of a slow line answers in a tenth of this.
const PATIENCE: Duration = Duration::from_millis(500);
/// How a terminal is asked (ECMA-48, DSR).
const QUESTION: &[u8] = b"\x1b[6n";
const USUAL: Place = Place { row: 24, column: 80 };

pub struct Tty {
    events: Receiver<Event>,
    /// Alarms come here too.
    to_events: Sender<Event>,
    keys: Keys,
    /// Not sent yet: what the editor writes between two reads goes out in one piece.
    out: Vec<u8>,
    /// Questions that were asked since the prompt was due.
    asked: usize,
    /// Questions without an answer.
    open: usize,
    /// Answers on their way to the editor.
    answers: VecDeque<u8>,
    size: Place,
    /// Nobody answers there.
    silent: bool,
    alarm: u64,
    /// The last byte that the editor took.
    pub last: u8,
}

impl Tty {
    pub fn new(events: Receiver<Event>, to_events: Sender<Event>) -> Tty {
        Tty {
            events,
            to_events,
            keys: Keys::default(),
            out: Vec::new(),
            asked: 0,
            open: 0,
            answers: VecDeque::new(),
            size: USUAL,
            silent: false,
            alarm: 0,
            last: 0,
        }
    }

    /// A new line is about to be read.
    pub fn begin_line(&mut self) {
        (self.asked, self.open) = (0, 0);
        self.answers.clear();
    }

    /// The next event; keys that come are kept for the editor, and answers to its questions too.
    pub fn wait(&mut self) -> Event {
        let event = self.events.recv().expect("we hold a sender ourselves");
        if let Event::Byte(byte) = event
            && let Some(place) = self.keys.arrived(byte)
        {
            self.silent = false;
            if self.open > 0 {
                self.answer(place);
            }
        }
        event
    }

    /// [`Event::Alarm`] with this number comes after so long.
    pub fn alarm_in(&mut self, span: Duration) -> u64 {
        self.alarm += 1;
        let (alarm, events) = (self.alarm, self.to_events.clone());
        let ring = move || {
            time::sleep(span);
            let _ = events.send(Event::Alarm(alarm));
        };
        // Without memory for it there is no alarm: a silent terminal then stays silent.
        drop(Builder::new().name("alarm").spawn(ring));
        alarm
    }

    pub fn sender(&self) -> Sender<Event> {
        self.to_events.clone()
    }

    pub fn forget_keys(&mut self) {
        self.keys.forget();
    }

    /// Hands the editor an answer. Its first question at a line is for the size (it has sent the cursor to the far corner), its second
    /// for the place behind the prompt; it does sums with both and would stumble over nonsense.
    fn answer(&mut self, place: Place) {
        let nth = self.asked - self.open;
        self.open -= 1;
        let place = match nth {
            0 => {
                self.size = Place { row: place.row.max(2), column: place.column.max(PROMPT.len() + 2) };
                self.size
            }
            1 => Place { row: place.row.min(self.size.row), column: PROMPT.len() + 1 },
            _ => Place { row: place.row.min(self.size.row), column: place.column.min(self.size.column) },
        };
        self.answers.extend(format!("\x1b[{};{}R", place.row, place.column).bytes());
    }

    /// Until the terminal has answered, or we in its place.
    fn await_answer(&mut self) {
        let alarm = if self.silent { 0 } else { self.alarm_in(PATIENCE) };
        while self.open > 0 && !self.silent {
            if let Event::Alarm(rung) = self.wait()
                && rung == alarm
            {
                self.silent = true;
            }
        }
        while self.open > 0 {
            self.answer(USUAL);
        }
    }
}

impl ErrorType for Tty {
    type Error = Infallible;
}

impl Read for Tty {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        serial::write(&self.out);
        self.out.clear();
        if self.open > 0 {
            self.await_answer();
        }
        let byte = loop {
            if let Some(byte) = self.answers.pop_front() {
                break byte;
            }
            if let Some(byte) = self.keys.next() {
                self.last = byte;
                break byte;
            }
            self.wait();
        };
        buffer[0] = byte;
        Ok(1)
    }
}

impl Write for Tty {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.out.extend_from_slice(bytes);
        if self.out.ends_with(QUESTION) {
            self.asked += 1;
            self.open += 1;
        }
        Ok(bytes.len())
    }
    /// Not yet: `read` does.
    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Tty {
    /// Sends what is left when the editor has done.
    pub fn end_line(&mut self) {
        serial::write(&self.out);
        self.out.clear();
    }
}
