//! A client: requests one after the other, over one connection.

use crate::body::Body;
use crate::error::Error;
use crate::message::Head;
use crate::param::{HEAD, READ, WRITE};
use crate::reader::Reader;
use crate::request::read_all;
use crate::stream::Stream;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use executive::time::{Duration, Instant};
use net::{Stack, TcpStream};

/// A connection to a server, on which requests are made one after the other.
pub struct Client {
    stream: TcpStream,
    host: String,
    patience: Duration,
    /// The last answer was read to its end, and the server keeps the connection.
    is_good: bool,
}

/// A request that is being made.
#[must_use = "it is not sent yet"]
pub struct Call<'c> {
    client: &'c mut Client,
    method: &'c str,
    head: String,
}

/// A server's answer. Go: `http.Response`.
pub struct Answer<'c> {
    is_good: &'c mut bool,
    patience: Duration,
    reader: Reader<'c>,
    head: Head,
    body: Body,
}

impl Client {
    /// Connects to `ADDRESS:PORT`.
    pub fn connect(stack: &Stack, to: &str) -> Result<Self, Error> {
        Ok(Self::new(stack.connect(to)?, to))
    }

    /// Speaks over this connection; `host` is what requests name.
    pub fn new(stream: TcpStream, host: &str) -> Self {
        Client { stream, host: host.to_string(), patience: READ, is_good: true }
    }

    /// How long a read of an answer may wait.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Whether another request can be made: the server keeps the connection, and the last answer
    /// was read to its end.
    pub fn is_good(&self) -> bool {
        self.is_good
    }

    /// Asks for this path. Go: `http.Get`.
    #[doc(alias = "http.Get")]
    pub fn get<'c>(&'c mut self, path: &str) -> Result<Answer<'c>, Error> {
        self.call("GET", path).send(&[])
    }

    /// A request, to be told more of and sent. Go: `http.NewRequest`.
    ///
    /// Panics if method or path have a space or a line's end in them.
    #[doc(alias = "http.NewRequest")]
    pub fn call<'c>(&'c mut self, method: &'c str, path: &str) -> Call<'c> {
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b > b' ' && b < 0x7f);
        assert!(is_word(method) && is_word(path), "http: no method or path: {method:?} {path:?}");
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        Call { client: self, method, head }
    }
}

impl<'c> Call<'c> {
    /// Adds a field. Panics if there is a line's end in it.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let is_line = |text: &str| text.bytes().all(|b| b >= b' ' && b != 0x7f);
        assert!(is_line(name) && is_line(value), "http: no field: {name:?}: {value:?}");
        self.head += &format!("{name}: {value}\r\n");
        self
    }

    /// Sends it with this body, and reads the answer's head.
    pub fn send(mut self, body: &[u8]) -> Result<Answer<'c>, Error> {
        if !body.is_empty() || self.method == "POST" || self.method == "PUT" {
            self.head += &format!("Content-Length: {}\r\n", body.len());
        }
        self.head += "\r\n";
        let mut all = core::mem::take(&mut self.head).into_bytes();
        all.extend_from_slice(body);
        self.begin(&all)?;
        self.answer()
    }

    /// As [`send`](Self::send), with a body of chunks, which go out one by one.
    pub fn send_chunks<B: AsRef<[u8]>>(
        mut self,
        chunks: impl IntoIterator<Item = B>,
    ) -> Result<Answer<'c>, Error> {
        self.head += "Transfer-Encoding: chunked\r\n\r\n";
        let head = core::mem::take(&mut self.head);
        self.begin(head.as_bytes())?;
        for chunk in chunks {
            let chunk = chunk.as_ref();
            if !chunk.is_empty() {
                let mut all = format!("{:x}\r\n", chunk.len()).into_bytes();
                all.extend_from_slice(chunk);
                all.extend_from_slice(b"\r\n");
                self.write(&all)?;
            }
        }
        self.write(b"0\r\n\r\n")?;
        self.answer()
    }

    fn begin(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if !core::mem::replace(&mut self.client.is_good, false) {
            return Err(Error::Ended);
        }
        self.write(bytes)
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        let stream = &self.client.stream;
        Stream::set_write_deadline(stream, Instant::now() + WRITE);
        Ok(stream.write_all(bytes)?)
    }

    fn answer(self) -> Result<Answer<'c>, Error> {
        let Client { stream, patience, is_good, .. } = self.client;
        let mut reader = Reader::new(stream);
        loop {
            reader.stream.set_read_deadline(Instant::now() + *patience);
            reader.read_head(HEAD)?.ok_or(Error::Ended)?;
            let head = Head::answer(reader.head(), self.method)?;
            if (100..200).contains(&head.status) {
                continue; // a word on the way
            }
            let body = Body::new(head.framing);
            let mut answer = Answer { is_good, patience: *patience, reader, head, body };
            answer.look();
            return Ok(answer);
        }
    }
}

impl Answer<'_> {
    /// The status.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The first field of that name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.field(self.reader.head(), name)
    }

    /// Reads of the body what is there, at least a byte. 0: the end.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        self.reader.stream.set_read_deadline(Instant::now() + self.patience);
        let read = self.body.read(&mut self.reader, into);
        self.look();
        read
    }

    /// Reads the whole body, if it is not longer than that.
    pub fn read_all(&mut self, most: usize) -> Result<Vec<u8>, Error> {
        read_all(most, |into| self.read(into))
    }

    /// As [`read_all`](Self::read_all); what is no UTF-8 is replaced.
    pub fn text(&mut self, most: usize) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.read_all(most)?).into_owned())
    }

    /// The connection is good again when all was read, and nothing more has come.
    fn look(&mut self) {
        *self.is_good = self.head.keeps && self.body.is_over() && self.reader.is_empty();
    }
}

impl fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({})", self.status())
    }
}
