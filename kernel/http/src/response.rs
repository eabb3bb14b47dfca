//! A response, as a handler writes it.

use crate::error::{Error, reason};
use crate::message::has_body;
use crate::param::BUFFER;
use crate::stream::Stream;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use executive::time::{Duration, Instant};

/// What a client gets: status 200 and an empty body, unless the handler says more. What is written
/// is kept until it is too much, or the handler returns. Go: `http.ResponseWriter`.
#[doc(alias("http.ResponseWriter", "ResponseWriter"))]
pub struct Response<'c> {
    stream: &'c dyn Stream,
    /// How long a write may wait.
    patience: Duration,
    status: u16,
    fields: String,
    has_type: bool,
    /// What the handler says of it.
    length: Option<u64>,
    /// Bytes of the body that it has written.
    written: u64,
    buffer: Vec<u8>,
    sent: Sent,
    asked: Asked<'c>,
    /// The connection is kept.
    pub(crate) keeps: bool,
    failed: Option<Error>,
}

/// What the request says of its answer.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'c> {
    pub(crate) head_only: bool,
    pub(crate) minor: u8,
    /// The client waits for a word before it sends a body, and has not got any.
    pub(crate) expects: &'c AtomicBool,
}

/// How far it has gone out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Nothing,
    /// The head is out, and the body follows: in chunks, or as it is.
    Head {
        chunked: bool,
    },
}

impl<'c> Response<'c> {
    pub(crate) fn new(
        stream: &'c dyn Stream,
        patience: Duration,
        asked: Asked<'c>,
        keeps: bool,
    ) -> Self {
        Response {
            stream,
            patience,
            status: 200,
            fields: String::new(),
            has_type: false,
            length: None,
            written: 0,
            buffer: Vec::new(),
            sent: Sent::Nothing,
            asked,
            keeps,
            failed: None,
        }
    }

    /// The status, if it is not 200. Without effect when the head has been sent.
    #[doc(alias = "WriteHeader")]
    pub fn status(&mut self, status: u16) -> &mut Self {
        self.status = status;
        self
    }

    /// Adds a field. Line ends in the value become spaces, as in Go. `Connection: close` closes
    /// the connection afterwards. Without effect when the head has been sent.
    ///
    /// Panics if the name is none; and for `Content-Length` and `Transfer-Encoding`, which are told
    /// by [`length`](Self::length) and by nobody.
    pub fn header(&mut self, name: &str, value: &str) -> &mut Self {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let letter = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        assert!(!name.is_empty() && name.bytes().all(letter), "http: no field's name: {name:?}");
        assert!(!is("content-length") && !is("transfer-encoding"), "http: {name} is not yours");
        if is("connection") {
            self.keeps &= !value.eq_ignore_ascii_case("close");
            return self;
        }
        self.has_type |= is("content-type");
        self.fields.push_str(name);
        self.fields.push_str(": ");
        self.fields
            .extend(value.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }));
        self.fields.push_str("\r\n");
        self
    }

    /// How long the body will be, for one that is long: it goes out as it is written, and not in
    /// chunks. If less is written the connection is closed, so that the client notices.
    pub fn length(&mut self, bytes: u64) -> &mut Self {
        self.length = Some(bytes);
        self
    }

    /// Writes more of the body. Parks while the client takes nothing.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.written += bytes.len() as u64;
        if self.length.is_some_and(|length| self.written > length) {
            self.keeps = false;
            return Err(Error::TooLong);
        }
        if self.has_no_body() {
            return Ok(());
        }
        if self.buffer.len() + bytes.len() <= BUFFER {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.send(bytes, false)
    }

    /// Writes this text, which is all. What fails here fails for whoever comes next, too.
    pub fn text(&mut self, text: &str) {
        let _ = self.write(text.as_bytes());
    }

    /// A status of something that went wrong, and its words. Go: `http.Error`.
    #[doc(alias = "http.Error")]
    pub fn error(&mut self, status: u16) {
        self.status(status).text(&format!("{status} {}\n", reason(status)));
    }

    /// Sends what was written. Go: `http.Flusher`.
    #[doc(alias = "http.Flusher")]
    pub fn flush(&mut self) -> Result<(), Error> {
        self.failed.map_or(Ok(()), Err)?;
        self.send(&[], false)
    }

    /// Whether the client has got something already.
    pub(crate) fn has_begun(&self) -> bool {
        self.sent != Sent::Nothing
    }

    /// Why it could not be sent, or is not what it says.
    pub(crate) fn failure(&self) -> Option<Error> {
        let short = self.length.is_some_and(|length| self.written < length && !self.has_no_body());
        self.failed.or(short.then_some(Error::Ended))
    }

    /// The handler has returned: the rest is sent.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        self.failed.map_or(Ok(()), Err)?;
        if self.sent == Sent::Nothing {
            self.keeps &= self.length.is_none_or(|length| length == self.written);
            self.length.get_or_insert(self.written);
        }
        self.send(&[], true)
    }

    fn has_no_body(&self) -> bool {
        self.asked.head_only || !has_body(self.status)
    }

    /// Sends all that is kept, and `more` of the body.
    fn send(&mut self, more: &[u8], last: bool) -> Result<(), Error> {
        let mut out = Vec::with_capacity(256 + self.fields.len() + self.buffer.len());
        let chunked = match self.sent {
            Sent::Head { chunked } => chunked,
            Sent::Nothing => {
                let chunked = self.length.is_none() && self.asked.minor == 1;
                // It has got its word, and who knows whether the body comes.
                self.keeps &= !self.asked.expects.swap(false, Relaxed);
                self.keeps &= self.length.is_some() || chunked || self.has_no_body();
                self.head(&mut out, chunked);
                self.sent = Sent::Head { chunked };
                chunked
            }
        };
        let chunked = chunked && !self.has_no_body();
        let payload = self.buffer.len() + more.len();
        if chunked && payload > 0 {
            out.extend_from_slice(format!("{payload:x}\r\n").as_bytes());
        }
        out.extend_from_slice(&self.buffer);
        self.buffer.clear();
        self.stream.set_write_deadline(Instant::now() + self.patience);
        let mut done = Ok(());
        if !more.is_empty() {
            done = self.stream.write_all(&out);
            out.clear();
            done = done.and_then(|()| self.stream.write_all(more));
        }
        if chunked && payload > 0 {
            out.extend_from_slice(b"\r\n");
        }
        if chunked && last {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        if !out.is_empty() {
            done = done.and_then(|()| self.stream.write_all(&out));
        }
        done.map_err(|error| *self.failed.insert(error.into()))
    }

    fn head(&mut self, out: &mut Vec<u8>, chunked: bool) {
        let (minor, status) = (self.asked.minor, self.status);
        let mut line = |line: fmt::Arguments<'_>| _ = write!(Text(out), "{line}\r\n");
        line(format_args!("HTTP/1.1 {status} {}", reason(status)));
        if has_body(status) {
            match self.length {
                Some(length) => line(format_args!("Content-Length: {length}")),
                None if chunked => line(format_args!("Transfer-Encoding: chunked")),
                None => {}
            }
            if !self.has_type && self.length != Some(0) {
                line(format_args!("Content-Type: text/plain; charset=utf-8"));
            }
        }
        match self.keeps {
            false => line(format_args!("Connection: close")),
            true if minor == 0 => line(format_args!("Connection: keep-alive")),
            true => {}
        }
        line(format_args!("{}", self.fields));
    }
}

/// Bytes, as something that text is written to.
struct Text<'v>(&'v mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// For `write!`.
impl Write for Response<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

impl fmt::Debug for Response<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} bytes)", self.status, self.written)
    }
}
