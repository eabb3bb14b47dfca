//! What has come and was not read yet: heads and lines, which end with CR LF and with nothing else.

use crate::error::Error;
use crate::param::READER;
use crate::stream::Stream;
use alloc::vec::Vec;

pub(crate) struct Reader<'s> {
    pub(crate) stream: &'s dyn Stream,
    /// `..kept`: the head of the message that is being read; `from..to`: what nobody has read.
    bytes: Vec<u8>,
    kept: usize,
    from: usize,
    to: usize,
}

/// Looks for the ends of lines: CR LF. A bare LF may be taken for one (RFC 9112, 2.2); but who does
/// so, and whoever is before him does not, read two different messages. (A CR within a line is
/// found by who reads the line.)
#[derive(Default)]
struct Lines {
    seen: usize,
    start: usize,
}

impl Lines {
    /// The end of the line that begins at `self.start`, behind its CR LF.
    fn next(&mut self, bytes: &[u8]) -> Result<Option<usize>, Error> {
        let Some(at) = bytes[self.seen..].iter().position(|b| *b == b'\n') else {
            self.seen = bytes.len();
            return Ok(None);
        };
        self.seen += at + 1;
        match bytes[self.start..self.seen].ends_with(b"\r\n") {
            true => Ok(Some(self.seen)),
            false => Err(Error::bad("a line ends without a CR")),
        }
    }
}

impl<'s> Reader<'s> {
    pub(crate) fn new(stream: &'s dyn Stream) -> Self {
        Reader { stream, bytes: Vec::new(), kept: 0, from: 0, to: 0 }
    }

    /// Nothing has come that was not read.
    pub(crate) fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Gives the memory back: nothing is kept.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            *self = Reader::new(self.stream);
        }
    }

    /// The head that was read last.
    pub(crate) fn head(&self) -> &[u8] {
        &self.bytes[..self.kept]
    }

    /// Reads a head, up to and with its empty line: `head` has it until the next is read. Empty
    /// lines before it are left out. `None`: the peer has ended before it began.
    pub(crate) fn read_head(&mut self, most: usize) -> Result<Option<()>, Error> {
        self.bytes.copy_within(self.from..self.to, 0);
        (self.kept, self.from, self.to) = (0, 0, self.to - self.from);
        let (mut lines, mut begin) = (Lines::default(), 0);
        loop {
            while let Some(end) = lines.next(&self.bytes[..self.to])? {
                let is_empty = end - lines.start == 2;
                if is_empty && lines.start > begin {
                    self.from = end;
                    self.kept = end;
                    return Ok(Some(()));
                }
                lines.start = end;
                if is_empty {
                    begin = end;
                }
            }
            if self.to >= most {
                return Err(Error::Refused(431, "the head is too long"));
            }
            if self.fill(most)? == 0 {
                return if self.to == 0 { Ok(None) } else { Err(Error::Ended) };
            }
        }
    }

    /// Reads a line of at most so many bytes, with its CR LF.
    pub(crate) fn line(&mut self, most: usize) -> Result<&[u8], Error> {
        let mut lines = Lines::default();
        loop {
            if let Some(end) = lines.next(&self.bytes[self.from..self.to])? {
                let line = self.from..self.from + end;
                if end > most {
                    return Err(Error::bad("a line is too long"));
                }
                self.from = line.end;
                return Ok(&self.bytes[line]);
            }
            if self.to - self.from >= most {
                return Err(Error::bad("a line is too long"));
            }
            if self.fill(usize::MAX)? == 0 {
                return Err(Error::Ended);
            }
        }
    }

    /// Reads what is there. 0: the end.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        if self.is_empty() && into.len() >= READER {
            return Ok(self.stream.read(into)?);
        }
        if self.is_empty() && self.fill(usize::MAX)? == 0 {
            return Ok(0);
        }
        let n = into.len().min(self.to - self.from);
        into[..n].copy_from_slice(&self.bytes[self.from..self.from + n]);
        self.from += n;
        Ok(n)
    }

    /// Gets more bytes; `to` is `most` at the end, or less.
    fn fill(&mut self, most: usize) -> Result<usize, Error> {
        if self.from > self.kept {
            self.bytes.copy_within(self.from..self.to, self.kept);
            (self.from, self.to) = (self.kept, self.to - (self.from - self.kept));
        }
        if self.to == self.bytes.len() {
            self.bytes.resize((2 * self.to).max(READER), 0);
        }
        let room = self.bytes.len().min(most);
        let read = self.stream.read(&mut self.bytes[self.to..room])?;
        self.to += read;
        Ok(read)
    }
}
