//! A directory of another machine: a client of 9P2000.L, the dialect of Linux and QEMU
//! (<https://github.com/chaos/diod/blob/master/protocol.md>).
//!
//! [`Share`] makes messages and reads answers. How they get to the server and back is a
//! [`Channel`]'s, which may be a virtqueue, a pipe, a connection. As many goroutines as the channel
//! has tags have requests under way at the same time; one more waits until a tag is free.
//!
//! **Rule:** the server may say anything. An answer is read by `Answer`, which gives nothing that
//! is not there; and what does not fit to the request is [`InvalidData`](ErrorKind::InvalidData).
//!
//! Symbolic links are not followed: [`Unsupported`](ErrorKind::Unsupported).

use crate::error::ErrorKind;
use crate::path::MOST_NAME;
use crate::system::{DirEntry, FileSystem, FileType, Metadata, OpenFile, OpenOptions};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use executive::chan::{Receiver, Sender};
use executive::lock::{Lock, Rank};
use executive::sync::OnceLock;

/// How messages get to a server, and its answers back.
pub trait Channel: Send + Sync {
    /// Sends a request; parks until its answer is here; copies that to `answer`, and returns its
    /// length. `tag` is the request's: no other with this tag is under way.
    ///
    /// # Errors
    /// After an error the answer may still come, or part of it: the share is given up.
    fn exchange(&self, tag: u16, request: &[u8], answer: &mut [u8]) -> Result<usize, ErrorKind>;
    /// How many requests may be under way at the same time: tags are less than that.
    fn tags(&self) -> u16;
    /// The longest message, in bytes; at least [`LEAST_MESSAGE`].
    fn most(&self) -> u32;
}

/// Channels and servers that cannot carry messages as long as this are not used.
pub const LEAST_MESSAGE: u32 = 4096;

/// What is around the data in the messages that carry data, at most (`P9_IOHDRSZ`).
const AROUND_DATA: u32 = 24;
/// size\[4\] type\[1\] tag\[2\]
const HEADER: usize = 7;
/// The most names in a walk (`P9_MAXWELEM`).
const MOST_WALK: usize = 16;
/// A directory that has more entries is not read.
const MOST_ENTRIES: usize = 1 << 16;
/// What kind of file it is, and which: type\[1\] version\[4\] path\[8\].
const QID: usize = 13;
/// The user's number, which nobody asks for.
const NO_UID: u32 = u32::MAX;
const NO_TAG: u16 = u16::MAX;
const NO_FID: u32 = u32::MAX;
const ROOT: u32 = 0;

/// Requests; the answer's type is one more.
mod t {
    pub const LERROR: u8 = 6;
    pub const LOPEN: u8 = 12;
    pub const LCREATE: u8 = 14;
    pub const GETATTR: u8 = 24;
    pub const READDIR: u8 = 40;
    pub const FSYNC: u8 = 50;
    pub const MKDIR: u8 = 72;
    pub const UNLINKAT: u8 = 76;
    pub const VERSION: u8 = 100;
    pub const ATTACH: u8 = 104;
    pub const WALK: u8 = 110;
    pub const READ: u8 = 116;
    pub const WRITE: u8 = 118;
    pub const CLUNK: u8 = 120;
}

/// Linux's flags of `open` and `unlinkat`.
mod flag {
    pub const WRONLY: u32 = 0o1;
    pub const RDWR: u32 = 0o2;
    pub const CREAT: u32 = 0o100;
    pub const EXCL: u32 = 0o200;
    pub const TRUNC: u32 = 0o1000;
    pub const REMOVEDIR: u32 = 0x200;
}

/// A directory of the server's, as a file system.
#[derive(Clone)]
pub struct Share(Arc<Client>);

struct Client {
    channel: Box<dyn Channel>,
    /// The longest message that both sides take.
    most: u32,
    /// The tags that are free. Go: a buffered channel as a pool.
    tags: (Sender<u16>, Receiver<u16>),
    fids: Lock<Fids>,
    /// Why a request was lost: its tag and the server's state are unknown. Who sees it late asks
    /// once in vain.
    lost: OnceLock<ErrorKind>,
}

/// The server's names for the files that we use.
struct Fids {
    /// From here on none was ever used.
    next: u32,
    free: Vec<u32>,
}

impl Share {
    /// Agrees with the server on the protocol, and asks for its root. Parks.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported): it does not speak 9P2000.L.
    pub fn attach(channel: impl Channel + 'static) -> Result<Share, ErrorKind> {
        const VERSION: &str = "9P2000.L";
        let tags = executive::chan(channel.tags().into());
        for tag in 0..channel.tags() {
            let _ = tags.0.send(tag); // has room
        }
        let mut client = Client {
            most: channel.most(),
            channel: Box::new(channel),
            tags,
            fids: Lock::new(Rank::User, Fids { next: ROOT + 1, free: Vec::new() }),
            lost: OnceLock::new(),
        };
        let ask = Message::new(t::VERSION).u32(client.most).text(VERSION);
        let (most, is_same) = client.call(ask, 64, |answer| {
            let most = answer.u32()?;
            Some((most, answer.text()? == VERSION.as_bytes()))
        })?;
        if !is_same || !(LEAST_MESSAGE..=client.most).contains(&most) {
            return Err(ErrorKind::Unsupported);
        }
        client.most = most;
        let ask = Message::new(t::ATTACH).u32(ROOT).u32(NO_FID).text("").text("").u32(NO_UID);
        client.call(ask, QID, |answer| answer.qid())?;
        Ok(Share(Arc::new(client)))
    }

    /// A fid for what is at this path.
    fn walk(&self, path: &[&str]) -> Result<Fid, ErrorKind> {
        // The first walk makes the new fid, the others move it.
        let number = self.0.fids.lock().take();
        let mut from = ROOT;
        let mut fid = None;
        let mut pieces = path.chunks(MOST_WALK);
        let mut piece = pieces.next().unwrap_or_default();
        loop {
            let mut ask = Message::new(t::WALK).u32(from).u32(number).u16(piece.len() as u16);
            for name in piece {
                ask = ask.text(name);
            }
            let walked = self.0.call(ask, 2 + QID * piece.len(), |answer| {
                let n = answer.u16()?;
                (0..n).try_for_each(|_| answer.qid().map(drop))?;
                Some(usize::from(n))
            });
            match walked {
                Ok(n) if n == piece.len() => {}
                wrong => {
                    if fid.is_none() {
                        self.0.fids.lock().free.push(number);
                    }
                    return Err(match wrong {
                        Ok(n) if n > piece.len() => ErrorKind::InvalidData,
                        Ok(_) => ErrorKind::NotFound,
                        Err(error) => error,
                    });
                }
            }
            let fid = fid.get_or_insert_with(|| Fid { client: self.0.clone(), number });
            from = fid.number;
            match pieces.next() {
                Some(next) => piece = next,
                None => break,
            }
        }
        fid.ok_or(ErrorKind::InvalidInput)
    }

    /// A fid for the directory, and the name in it.
    fn walk_to_parent<'a>(&self, path: &[&'a str]) -> Result<(Fid, &'a str), ErrorKind> {
        let (name, directory) = path.split_last().ok_or(ErrorKind::InvalidInput)?;
        Ok((self.walk(directory)?, name))
    }
}

impl Fids {
    fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }
}

impl Client {
    /// Sends a request, and reads its answer, which has at most `room` bytes of its own.
    fn call<T>(
        &self,
        ask: Message,
        room: usize,
        read: impl FnOnce(&mut Answer) -> Option<T>,
    ) -> Result<T, ErrorKind> {
        let slot = self.tags.1.recv().ok_or(ErrorKind::Device)?;
        let kind = ask.0[4];
        // The protocol wants NOTAG; one of ours is not used meanwhile.
        let tag = if kind == t::VERSION { NO_TAG } else { slot };
        let request = ask.finished(tag);
        // An answer is at least as long as an error's.
        let mut answer = vec![0; HEADER + room.max(4)];
        let exchanged = match self.lost.get() {
            Some(&why) => Err(why),
            None if request.len() > self.most as usize => Err(ErrorKind::InvalidInput),
            None => self.channel.exchange(slot, &request, &mut answer).inspect_err(|&why| {
                let _ = self.lost.set(why);
            }),
        };
        let _ = self.tags.0.send(slot); // has room
        let length = exchanged?;
        let read = || {
            let mut rest = Answer(answer.get(..length)?);
            if rest.u32()? as usize != length {
                return None;
            }
            let (of, for_tag) = (rest.u8()?, rest.u16()?);
            let result = match of {
                _ if for_tag != tag => return None,
                _ if of == kind + 1 => Ok(read(&mut rest)?),
                of if of == t::LERROR + 1 => Err(of_linux(rest.u32()?)),
                _ => return None,
            };
            rest.0.is_empty().then_some(result)
        };
        read().unwrap_or(Err(ErrorKind::InvalidData))
    }
}

/// A file or directory of the server's that we use. Dropped, it is given back, which parks.
struct Fid {
    client: Arc<Client>,
    number: u32,
}

impl Drop for Fid {
    fn drop(&mut self) {
        // Whatever the server says, the fid is free then.
        let _ = self.client.call(Message::new(t::CLUNK).u32(self.number), 0, |_| Some(()));
        self.client.fids.lock().free.push(self.number);
    }
}

impl Fid {
    fn ask(&self, kind: u8) -> Message {
        Message::new(kind).u32(self.number)
    }

    /// The most data in a message.
    fn most_data(&self) -> usize {
        (self.client.most - AROUND_DATA) as usize
    }

    fn open(&self, flags: u32) -> Result<FileType, ErrorKind> {
        self.client.call(self.ask(t::LOPEN).u32(flags), QID + 4, |answer| {
            let kind = answer.qid()?;
            answer.u32()?; // the most data in a message that the server likes
            Some(kind)
        })
    }

    fn attributes(&self) -> Result<Metadata, ErrorKind> {
        const BASIC: u64 = 0x7ff;
        self.client.call(self.ask(t::GETATTR).u64(BASIC), 153, |answer| {
            answer.u64()?; // which of the following are valid
            let kind = answer.qid()?;
            let mode = answer.u32()?;
            answer.take(4 + 4 + 8 + 8)?; // uid, gid, links, device
            let length = answer.u64()?;
            answer.take(8 + 8 + 4 * 16 + 8 + 8)?; // blocks, times, generation, version
            let kind = match mode & 0o170_000 {
                0o100_000 => FileType::File,
                0o040_000 => FileType::Dir,
                0o120_000 => FileType::Symlink,
                0 => kind,
                _ => FileType::Other,
            };
            Some(Metadata { kind, length })
        })
    }
}

impl FileSystem for Share {
    fn open(&self, path: &[&str], how: OpenOptions) -> Result<Box<dyn OpenFile>, ErrorKind> {
        let access = match (how.read, how.write) {
            (_, false) => 0,
            (false, true) => flag::WRONLY,
            (true, true) => flag::RDWR,
        };
        let trunc = if how.truncate { flag::TRUNC } else { 0 };
        // Somebody else may make it, or remove it, between two requests.
        for _ in 0..3 {
            match self.walk(path) {
                Ok(_) if how.create_new => return Err(ErrorKind::AlreadyExists),
                Ok(fid) => match fid.attributes()?.kind {
                    FileType::File | FileType::Other => {
                        fid.open(access | trunc)?;
                        return Ok(Box::new(fid));
                    }
                    FileType::Dir => return Err(ErrorKind::IsADirectory),
                    FileType::Symlink => return Err(ErrorKind::Unsupported),
                },
                Err(ErrorKind::NotFound) if how.create || how.create_new => {}
                Err(error) => return Err(error),
            }
            // The parent's fid becomes the file's.
            let (fid, name) = self.walk_to_parent(path)?;
            let flags = access | flag::CREAT | flag::EXCL;
            let ask = fid.ask(t::LCREATE).text(name).u32(flags).u32(0o644).u32(0);
            match fid.client.call(ask, QID + 4, |answer| answer.qid().zip(answer.u32())) {
                Ok(_) => return Ok(Box::new(fid)),
                Err(ErrorKind::AlreadyExists) if !how.create_new => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::ResourceBusy)
    }

    fn metadata(&self, path: &[&str]) -> Result<Metadata, ErrorKind> {
        self.walk(path)?.attributes()
    }

    fn read_dir(&self, path: &[&str]) -> Result<Vec<DirEntry>, ErrorKind> {
        let fid = self.walk(path)?;
        if fid.attributes()?.kind != FileType::Dir {
            return Err(ErrorKind::NotADirectory);
        }
        fid.open(0)?;
        let mut all = Vec::new();
        let (mut from, mut seen) = (0, 0);
        let room = fid.most_data().min(64 << 10);
        loop {
            let ask = fid.ask(t::READDIR).u64(from).u32(room as u32);
            let read = fid.client.call(ask, 4 + room, |answer| {
                let length = answer.u32()?;
                let mut entries = Answer(answer.take(length as usize)?);
                let (mut read, mut from) = (0, 0);
                while !entries.0.is_empty() {
                    entries.qid()?;
                    from = entries.u64()?;
                    let kind = match entries.u8()? {
                        4 => FileType::Dir,
                        8 => FileType::File,
                        10 => FileType::Symlink,
                        _ => FileType::Other,
                    };
                    let name = entries.text()?;
                    read += 1;
                    if name == b"." || name == b".." {
                        continue;
                    }
                    if name.is_empty() || name.len() > MOST_NAME || name.contains(&b'/') {
                        return None;
                    }
                    // A name that is not UTF-8 is shown, but cannot be opened.
                    let name = String::from_utf8_lossy(name).into_owned();
                    all.push(DirEntry { name, kind });
                }
                Some((read, from))
            })?;
            match read {
                (0, _) => return Ok(all),
                (n, next) => (seen, from) = (seen + n, next),
            }
            if seen > MOST_ENTRIES {
                return Err(ErrorKind::Unsupported);
            }
        }
    }

    fn create_dir(&self, path: &[&str]) -> Result<(), ErrorKind> {
        let (fid, name) = self.walk_to_parent(path)?;
        let ask = fid.ask(t::MKDIR).text(name).u32(0o755).u32(0);
        fid.client.call(ask, QID, |answer| answer.qid().map(drop))
    }

    fn remove(&self, path: &[&str]) -> Result<(), ErrorKind> {
        let (fid, name) = self.walk_to_parent(path)?;
        let unlink = |flags| {
            let ask = fid.ask(t::UNLINKAT).text(name).u32(flags);
            fid.client.call(ask, 0, |_| Some(()))
        };
        match unlink(0) {
            // Linux says the one, POSIX the other.
            Err(ErrorKind::IsADirectory | ErrorKind::PermissionDenied) => unlink(flag::REMOVEDIR),
            result => result,
        }
    }
}

impl OpenFile for Fid {
    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<usize, ErrorKind> {
        let most = into.len().min(self.most_data());
        let ask = self.ask(t::READ).u64(offset).u32(most as u32);
        self.client.call(ask, 4 + most, |answer| {
            let length = answer.u32()? as usize;
            let data = answer.take(length)?;
            into.get_mut(..length)?.copy_from_slice(data);
            Some(length)
        })
    }

    fn write_at(&self, from: &[u8], offset: u64) -> Result<usize, ErrorKind> {
        let most = from.len().min(self.most_data());
        let ask = self.ask(t::WRITE).u64(offset).data(&from[..most]);
        self.client.call(ask, 4, |answer| {
            let n = answer.u32()? as usize;
            (n <= most).then_some(n)
        })
    }

    fn length(&self) -> Result<u64, ErrorKind> {
        Ok(self.attributes()?.length)
    }

    fn sync(&self) -> Result<(), ErrorKind> {
        self.client.call(self.ask(t::FSYNC).u32(0), 0, |_| Some(()))
    }
}

/// Linux's error numbers.
fn of_linux(number: u32) -> ErrorKind {
    match number {
        1 | 13 => ErrorKind::PermissionDenied,
        2 => ErrorKind::NotFound,
        5 => ErrorKind::Device,
        16 | 26 => ErrorKind::ResourceBusy,
        17 => ErrorKind::AlreadyExists,
        20 => ErrorKind::NotADirectory,
        21 => ErrorKind::IsADirectory,
        22 => ErrorKind::InvalidInput,
        23 | 24 => ErrorKind::TooManyOpenFiles,
        27 => ErrorKind::FileTooLarge,
        28 | 122 => ErrorKind::StorageFull,
        30 => ErrorKind::ReadOnlyFilesystem,
        36 => ErrorKind::InvalidFilename,
        38 | 40 | 95 => ErrorKind::Unsupported,
        39 => ErrorKind::DirectoryNotEmpty,
        110 => ErrorKind::TimedOut,
        other => ErrorKind::Host(other),
    }
}

/// A request, as it is written: size, type and tag, and then what the type has.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u8) -> Message {
        Message(vec![0, 0, 0, 0, kind, 0, 0])
    }
    fn bytes(mut self, bytes: &[u8]) -> Message {
        self.0.extend(bytes);
        self
    }
    fn u16(self, n: u16) -> Message {
        self.bytes(&n.to_le_bytes())
    }
    fn u32(self, n: u32) -> Message {
        self.bytes(&n.to_le_bytes())
    }
    fn u64(self, n: u64) -> Message {
        self.bytes(&n.to_le_bytes())
    }
    /// A text: at most [`MOST_NAME`] bytes.
    fn text(self, text: &str) -> Message {
        self.u16(text.len() as u16).bytes(text.as_bytes())
    }
    fn data(self, data: &[u8]) -> Message {
        self.u32(data.len() as u32).bytes(data)
    }
    fn finished(mut self, tag: u16) -> Vec<u8> {
        let size = self.0.len() as u32;
        self.0[..4].copy_from_slice(&size.to_le_bytes());
        self.0[5..7].copy_from_slice(&tag.to_le_bytes());
        self.0
    }
}

/// What has not been read of an answer. Each call reads on, or gives `None` if that is not there.
struct Answer<'a>(&'a [u8]);

impl<'a> Answer<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        self.0.split_off(..n)
    }
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }
    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }
    /// What kind of file it is.
    fn qid(&mut self) -> Option<FileType> {
        let [kind, ..] = self.array::<QID>()?;
        Some(match kind {
            _ if kind & 0x80 != 0 => FileType::Dir,
            _ if kind & 0x02 != 0 => FileType::Symlink,
            _ => FileType::File,
        })
    }
}
