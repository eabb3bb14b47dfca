//! A body that is read: so many bytes, chunks, or all until the end.

use crate::error::Error;
use crate::message::{Framing, number};
use crate::param::{CHUNK_LINE, EXTENSIONS};
use crate::reader::Reader;

pub(crate) struct Body {
    state: State,
    /// Bytes of chunks' extensions and of what stands behind the last one.
    extra: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// So many bytes are left; of a chunk, and behind it its end, if it is one.
    Left {
        bytes: u64,
        chunk: bool,
    },
    /// A chunk begins.
    Size,
    ToTheEnd,
    Over,
    Failed(Error),
}

impl Body {
    pub(crate) fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Over,
            Framing::Length(bytes) => State::Left { bytes, chunk: false },
            Framing::Chunked => State::Size,
            Framing::ToTheEnd => State::ToTheEnd,
        };
        Body { state, extra: 0 }
    }

    /// All of it was read.
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Reads what is there, at least a byte. 0: the end.
    pub(crate) fn read(
        &mut self,
        reader: &mut Reader<'_>,
        into: &mut [u8],
    ) -> Result<usize, Error> {
        let read = self.try_read(reader, into);
        if let Err(error) = read {
            self.state = State::Failed(error); // for good: who knows where the next message begins
        }
        read
    }

    fn try_read(&mut self, reader: &mut Reader<'_>, into: &mut [u8]) -> Result<usize, Error> {
        if into.is_empty() {
            return Ok(0);
        }
        if self.state == State::Size {
            self.begin_chunk(reader)?;
        }
        let (bytes, chunk) = match self.state {
            State::Left { bytes, chunk } => (bytes, chunk),
            State::ToTheEnd => {
                let read = reader.read(into)?;
                if read == 0 {
                    self.state = State::Over;
                }
                return Ok(read);
            }
            State::Size | State::Over => return Ok(0),
            State::Failed(error) => return Err(error),
        };
        let most = usize::try_from(bytes).unwrap_or(usize::MAX).min(into.len());
        let read = reader.read(&mut into[..most])?;
        if read == 0 {
            return Err(Error::Ended);
        }
        self.state = match bytes - read as u64 {
            0 if chunk => {
                if reader.line(2)? != b"\r\n" {
                    return Err(Error::bad("a chunk is longer than it says"));
                }
                State::Size
            }
            0 => State::Over,
            bytes => State::Left { bytes, chunk },
        };
        Ok(read)
    }

    /// Reads a chunk's first line; if it is the last chunk's, all to the end.
    fn begin_chunk(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        let line = reader.line(CHUNK_LINE)?;
        let line = &line[..line.len() - 2];
        let size = line.split(|b| *b == b';').next().unwrap_or_default();
        let extra = line.len() - size.len();
        if !line[size.len()..].iter().all(|b| *b == b'\t' || *b >= b' ' && *b != 0x7f) {
            return Err(Error::bad("a chunk's extension"));
        }
        let bytes = number(size, 16).ok_or(Error::bad("a chunk's size"))?;
        self.extra(extra)?;
        if bytes > 0 {
            self.state = State::Left { bytes, chunk: true };
            return Ok(());
        }
        loop {
            let line = reader.line(EXTENSIONS)?;
            if line == b"\r\n" {
                self.state = State::Over;
                return Ok(());
            }
            let length = line.len();
            trailer(line)?;
            self.extra(length)?;
        }
    }

    fn extra(&mut self, bytes: usize) -> Result<(), Error> {
        self.extra += bytes;
        if self.extra > EXTENSIONS {
            return Err(Error::Refused(413, "more around chunks than in them"));
        }
        Ok(())
    }
}

/// A field behind the last chunk: it must be one, and nobody looks at it.
fn trailer(line: &[u8]) -> Result<(), Error> {
    let mut field = [httparse::EMPTY_HEADER; 1];
    // The parser wants the empty line, too. Its own length says how far it came.
    match httparse::parse_headers(line, &mut field) {
        Ok(httparse::Status::Partial) => Ok(()),
        _ => Err(Error::bad("a field behind the last chunk")),
    }
}
