//! What a head says, and what is not allowed in one.
//!
//! `httparse` finds the parts. It is more lenient than we may be, so lines were found before, by
//! the reader, and what follows is checked here. The danger is request smuggling (RFC 9112, 11.2):
//! a proxy before us reads one request where we read two. So whatever can be understood in two ways
//! is refused, and the connection with it:
//! - lines that do not end with CR LF (`reader.rs`);
//! - a CR elsewhere, a NUL, folded lines, space before a field's colon or at the front of a name
//!   (`httparse`);
//! - `Content-Length` beside `Transfer-Encoding`, more than one of it, or one that is not digits;
//! - `Transfer-Encoding` that is not `chunked` alone, or in HTTP/1.0;
//! - `Host` that is missing in HTTP/1.1, there twice, or no name; a target that is no path or URL;
//! - a chunk's size that is not hex digits, or does not end where it should (`body.rs`).

use crate::error::Error;
use crate::param::FIELDS;
use core::ops::Range;
use core::str;
use httparse::{EMPTY_HEADER, Header, Status};

/// A part of a head's bytes. A head has less than 64 KiB.
#[derive(Clone, Copy, Default)]
pub(crate) struct Span(u16, u16);

/// A head that was found in order; its words are parts of the bytes it was read from.
pub(crate) struct Head {
    pub(crate) method: Span,
    /// The path and the query.
    pub(crate) target: Span,
    pub(crate) status: u16,
    /// 0 or 1: of HTTP/1.x.
    pub(crate) minor: u8,
    fields: [(Span, Span); FIELDS],
    count: usize,
    pub(crate) framing: Framing,
    /// The sender keeps the connection.
    pub(crate) keeps: bool,
    /// It waits for a word before it sends the body.
    pub(crate) expects: bool,
}

/// Where a body ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    /// With the connection.
    ToTheEnd,
}

impl Span {
    fn of(part: &[u8], whole: &[u8]) -> Self {
        let begin = part.as_ptr() as usize - whole.as_ptr() as usize;
        Span(begin as u16, (begin + part.len()) as u16)
    }

    fn range(self) -> Range<usize> {
        self.0.into()..self.1.into()
    }

    pub(crate) fn str(self, head: &[u8]) -> &str {
        str::from_utf8(&head[self.range()]).unwrap_or_default()
    }
}

/// What all fields together say of a message.
#[derive(Default)]
struct Said {
    length: Option<u64>,
    encodings: usize,
    is_chunked: bool,
    hosts: usize,
    close: bool,
    keep_alive: bool,
    expects: bool,
}

impl Said {
    fn field(&mut self, field: &Header<'_>) -> Result<(), Error> {
        let (name, value) = (field.name, field.value);
        if name.eq_ignore_ascii_case("content-length") {
            let length = number(value, 10).ok_or(Error::bad("Content-Length is no number"))?;
            if self.length.replace(length).is_some() {
                return Err(Error::bad("Content-Length is there twice"));
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            self.encodings += 1;
            self.is_chunked = value.eq_ignore_ascii_case(b"chunked");
            // What is chunked last has an end, and another coding that nobody here knows.
            let last = words(value).last().unwrap_or_default();
            let known = words(value).filter(|word| word.eq_ignore_ascii_case(b"chunked")).count();
            if !self.is_chunked && known == 1 && last.eq_ignore_ascii_case(b"chunked") {
                return Err(Error::Refused(501, "a coding that is not known"));
            }
        } else if name.eq_ignore_ascii_case("host") {
            self.hosts += 1;
            if !value.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+;=".contains(b))
            {
                return Err(Error::bad("Host is no name"));
            }
        } else if name.eq_ignore_ascii_case("connection") {
            for word in words(value) {
                self.close |= word.eq_ignore_ascii_case(b"close");
                self.keep_alive |= word.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if name.eq_ignore_ascii_case("expect") {
            if !value.eq_ignore_ascii_case(b"100-continue") {
                return Err(Error::Refused(417, "only 100-continue can be expected"));
            }
            self.expects = true;
        }
        Ok(())
    }

    /// `None`: nothing is said.
    fn framing(&self, minor: u8) -> Result<Option<Framing>, Error> {
        match (self.encodings, self.length) {
            (0, length) => Ok(length.map(Framing::Length)),
            _ if minor == 0 => Err(Error::bad("Transfer-Encoding in HTTP/1.0")),
            (_, Some(_)) => Err(Error::bad("Content-Length and Transfer-Encoding")),
            (1, None) if self.is_chunked => Ok(Some(Framing::Chunked)),
            _ => Err(Error::bad("Transfer-Encoding that is not chunked, once, at the end")),
        }
    }

    fn keeps(&self, minor: u8) -> bool {
        if minor == 0 { self.keep_alive && !self.close } else { !self.close }
    }
}

impl Head {
    /// A request's.
    pub(crate) fn request(bytes: &[u8], most_fields: usize) -> Result<Head, Error> {
        let mut fields = [EMPTY_HEADER; FIELDS];
        let mut parsed = httparse::Request::new(&mut fields[..most_fields.min(FIELDS)]);
        let done = parsed.parse(bytes);
        let (Some(method), Some(target), Some(minor)) =
            (parsed.method, parsed.path, parsed.version)
        else {
            return Err(done.err().map_or(NOT_WHOLE, refusal));
        };
        whole(done, bytes)?;
        let mut head = Head::new(minor);
        let said = head.take(parsed.headers, bytes)?;
        if said.hosts > 1 || minor == 1 && said.hosts == 0 {
            return Err(Error::bad("one Host is needed"));
        }
        head.method = Span::of(method.as_bytes(), bytes);
        head.target = Span::of(path(method, target)?.as_bytes(), bytes);
        head.framing = said.framing(minor)?.unwrap_or(Framing::Length(0));
        head.expects = said.expects && minor == 1 && head.framing != Framing::Length(0);
        head.keeps = said.keeps(minor);
        Ok(head)
    }

    /// An answer's, to this method.
    pub(crate) fn answer(bytes: &[u8], method: &str) -> Result<Head, Error> {
        let mut fields = [EMPTY_HEADER; FIELDS];
        let mut parsed = httparse::Response::new(&mut fields);
        let done = parsed.parse(bytes);
        let (Some(status), Some(minor)) = (parsed.code, parsed.version) else {
            return Err(done.err().map_or(NOT_WHOLE, refusal));
        };
        whole(done, bytes)?;
        let mut head = Head::new(minor);
        let said = head.take(parsed.headers, bytes)?;
        head.status = status;
        head.framing = match said.framing(minor)? {
            _ if method == "HEAD" || !has_body(status) => Framing::Length(0),
            framing => framing.unwrap_or(Framing::ToTheEnd),
        };
        head.keeps = said.keeps(minor) && head.framing != Framing::ToTheEnd;
        Ok(head)
    }

    fn new(minor: u8) -> Self {
        Head {
            method: Span::default(),
            target: Span::default(),
            status: 0,
            minor,
            fields: [Default::default(); FIELDS],
            count: 0,
            framing: Framing::Length(0),
            keeps: false,
            expects: false,
        }
    }

    fn take(&mut self, fields: &[Header<'_>], bytes: &[u8]) -> Result<Said, Error> {
        let mut said = Said::default();
        for field in fields {
            said.field(field)?;
            let spans = (Span::of(field.name.as_bytes(), bytes), Span::of(field.value, bytes));
            self.fields[self.count] = spans;
            self.count += 1;
        }
        Ok(said)
    }

    /// All fields: names and values.
    pub(crate) fn fields<'h>(
        &'h self,
        head: &'h [u8],
    ) -> impl Iterator<Item = (&'h str, &'h [u8])> + 'h {
        let spans = self.fields[..self.count].iter();
        spans.map(move |(name, value)| (name.str(head), &head[value.range()]))
    }

    /// The first field of that name, if it is text.
    pub(crate) fn field<'h>(&'h self, head: &'h [u8], name: &str) -> Option<&'h str> {
        let mut fields = self.fields(head);
        let (_, value) = fields.find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        str::from_utf8(value).ok()
    }
}

/// Whether an answer with this status has a body.
pub(crate) fn has_body(status: u16) -> bool {
    status >= 200 && status != 204 && status != 304
}

/// The path of a target: `/path?query`, `http://host/path?query`, or `*`.
fn path<'t>(method: &str, target: &'t str) -> Result<&'t str, Error> {
    if method == "CONNECT" {
        return Err(Error::Refused(501, "there is no proxy here"));
    }
    let path = match target.strip_prefix("http://") {
        // Behind the host; without a path it is `/`, which stands in `http:/`.
        Some(rest) => rest.find('/').map_or(&target[5..6], |at| &rest[at..]),
        None => target,
    };
    let fits = path.starts_with('/') || target == "*" && method == "OPTIONS";
    if !fits || path.contains('#') {
        return Err(Error::bad("the target is no path"));
    }
    Ok(path)
}

const NOT_WHOLE: Error = Error::bad("the head is not whole");

/// The head is all of `bytes`.
fn whole(done: httparse::Result<usize>, bytes: &[u8]) -> Result<(), Error> {
    match done.map_err(refusal)? {
        Status::Complete(length) if length == bytes.len() => Ok(()),
        _ => Err(NOT_WHOLE),
    }
}

fn refusal(error: httparse::Error) -> Error {
    match error {
        httparse::Error::Version => Error::Refused(505, "not HTTP/1.0 or HTTP/1.1"),
        httparse::Error::TooManyHeaders => Error::Refused(431, "too many fields"),
        httparse::Error::HeaderName => Error::bad("a field's name"),
        httparse::Error::HeaderValue => Error::bad("a field's value"),
        httparse::Error::NewLine => Error::bad("the end of a line"),
        httparse::Error::Status => Error::bad("the status"),
        httparse::Error::Token => Error::bad("the first line"),
    }
}

/// The words of a list.
fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii)
}

/// Digits, and nothing else.
pub(crate) fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let digit = |number: u64, byte: &u8| {
        let digit = (*byte as char).to_digit(radix)?;
        number.checked_mul(radix.into())?.checked_add(digit.into())
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, digit) }
}
