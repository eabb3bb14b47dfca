//! A request, as a handler sees it.

use crate::body::Body;
use crate::error::Error;
use crate::message::Head;
use crate::reader::Reader;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use executive::time::{Duration, Instant};

/// What a client asks for. Go: `http.Request`.
#[doc(alias = "http.Request")]
pub struct Request<'c, 's> {
    pub(crate) reader: &'c mut Reader<'s>,
    pub(crate) head: &'c Head,
    pub(crate) body: Body,
    /// How long a read may wait.
    pub(crate) patience: Duration,
    /// The client waits for a word before it sends the body, and has not got any.
    pub(crate) expects: &'c AtomicBool,
}

impl Request<'_, '_> {
    /// `GET`, `HEAD`, `POST`, ..: as it was sent.
    pub fn method(&self) -> &str {
        self.head.method.str(self.reader.head())
    }

    /// What is asked for: `/path?query`, as it was sent (`%20` is no space yet).
    pub fn target(&self) -> &str {
        self.head.target.str(self.reader.head())
    }

    /// The target, up to the question mark.
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// The target behind the question mark; empty if there is none.
    pub fn query(&self) -> &str {
        self.target().split_once('?').map_or("", |(_, query)| query)
    }

    /// The first field of that name, in letters of any case; if it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.field(self.reader.head(), name)
    }

    /// All fields: names and values.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.head.fields(self.reader.head())
    }

    /// Whether it is HTTP/1.0.
    pub fn is_http_1_0(&self) -> bool {
        self.head.minor == 0
    }

    /// Who asks.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.reader.stream.peer()
    }

    /// Reads of the body what is there, at least a byte; parks until there is something. 0: the
    /// end.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        if self.body.is_over() {
            return Ok(0);
        }
        if self.expects.swap(false, Relaxed) {
            self.reader.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        self.reader.stream.set_read_deadline(Instant::now() + self.patience);
        self.body.read(self.reader, into)
    }

    /// Reads the whole body, if it is not longer than that; otherwise an error with status 413.
    pub fn read_all(&mut self, most: usize) -> Result<Vec<u8>, Error> {
        read_all(most, |into| self.read(into))
    }

    /// Reads what is left of the body, up to so many bytes. `false`: there is more.
    pub(crate) fn discard(&mut self, most: usize) -> bool {
        let (mut left, mut buffer) = (most, [0; 1024]);
        loop {
            match self.read(&mut buffer) {
                Ok(0) => return true,
                Ok(read) if read <= left => left -= read,
                _ => return false,
            }
        }
    }

    /// The client has not sent the body yet.
    pub(crate) fn waits_for_a_word(&self) -> bool {
        self.expects.load(Relaxed)
    }
}

pub(crate) fn read_all(
    most: usize,
    mut read: impl FnMut(&mut [u8]) -> Result<usize, Error>,
) -> Result<Vec<u8>, Error> {
    let (mut all, mut end) = (Vec::new(), 0);
    loop {
        if end == all.len() {
            all.resize((2 * end).clamp(512, most.saturating_add(1).max(512)), 0);
        }
        match read(&mut all[end..])? {
            0 => break,
            n => end += n,
        }
        if end > most {
            return Err(Error::Refused(413, "the body is too long"));
        }
    }
    all.truncate(end);
    Ok(all)
}

impl fmt::Debug for Request<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method(), self.target())
    }
}
