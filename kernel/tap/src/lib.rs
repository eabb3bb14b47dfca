//! A TAP device of Linux, as an interface's device: so a Linux process that is a machine (package
//! `hosted`) has a network of its own, with the address and the TCP of `net` and not Linux's.
//!
//! `tests/lib/tap.sh COMMAND` makes one, in a network namespace. Unsafe code: the system calls.
#![deny(unsafe_code)]

use executive::chan::{Receiver, Sender, TryRecvError, TrySendError, chan};
use libc::{MADV_DONTNEED, madvise};
use net::{Capabilities, Config, Device, Pages, Segmented, Stack};
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

/// An open TAP device. A thread waits for its frames, and puts them into a channel.
pub struct Tap {
    file: File,
    came: Sender<Vec<u8>>,
    frames: Receiver<Vec<u8>>,
    /// What [`Device::wait`] has taken out of the channel.
    first: Mutex<Option<Vec<u8>>>,
}

/// Frames that wait; more are lost, as at a card.
const FRAMES: usize = 1024;

/// The longest frame without offloads, and its header.
const FRAME: usize = 1514;

/// A stack with one interface, at the TAP device of this name, with this address (`10.0.3.2/24`).
pub fn stack(name: &str, address: &str) -> Result<Stack, Error> {
    let wrong = || Error::from(ErrorKind::InvalidInput);
    let (address, bits) = address.split_once('/').ok_or_else(wrong)?;
    let (address, bits) =
        (address.parse().map_err(|_| wrong())?, bits.parse().map_err(|_| wrong())?);
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    let (words, _) = seed.as_chunks::<8>();
    let seed = std::array::from_fn(|n| u64::from_le_bytes(words[n]));
    let stack = Stack::new(Config { pages: Some(&LinuxPages), ..Config::new(seed) });
    stack.attach("tap", Arc::new(Tap::open(name)?)).add_address(address, bits);
    Ok(stack)
}

/// Linux takes the memory of pages, and gives it back when they are touched.
#[derive(Debug)]
pub struct LinuxPages;

const PAGE: usize = 4096;

#[allow(unsafe_code)]
impl Pages for LinuxPages {
    unsafe fn decommit(&self, block: NonNull<u8>, bytes: usize) -> bool {
        let before = block.align_offset(PAGE);
        let whole = bytes.saturating_sub(before) & !(PAGE - 1);
        // SAFETY: whole pages of the block; the caller promises that nobody looks there.
        whole > 0
            && unsafe { madvise(block.add(before).as_ptr().cast(), whole, MADV_DONTNEED) } == 0
    }

    unsafe fn commit(&self, _: NonNull<u8>, _: usize) -> bool {
        true
    }
}

impl Tap {
    /// Opens the device of this name, which somebody has made.
    pub fn open(name: &str) -> Result<Tap, Error> {
        let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
        // One that was made for several queues is opened only by who says so.
        choose(&file, name, 0).or_else(|_| choose(&file, name, libc::IFF_MULTI_QUEUE))?;
        let (came, frames) = chan(FRAMES);
        let (mut reader, sender) = (file.try_clone()?, came.clone());
        std::thread::spawn(move || {
            let mut frame = [0; FRAME];
            while let Ok(length) = reader.read(&mut frame) {
                if let Err(TrySendError::Closed(_)) = sender.try_send(frame[..length].to_vec()) {
                    return;
                }
            }
        });
        Ok(Tap { file, came, frames, first: Mutex::new(None) })
    }
}

/// This file is the device of that name from here on.
#[allow(unsafe_code)]
fn choose(file: &File, name: &str, more: i32) -> Result<(), Error> {
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | more;
    // SAFETY: zero is a valid value of every field.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: the descriptor is open, and the request is what this call reads and writes.
    match unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } {
        0 => Ok(()),
        _ => Err(Error::last_os_error()),
    }
}

impl Device for Tap {
    fn capabilities(&self) -> Capabilities {
        let [_, _, a, b] = std::process::id().to_be_bytes();
        Capabilities::plain([2, 0, 0, 1, a, b], FRAME - 14) // locally administered
    }

    fn send(
        &self,
        _queue: usize,
        length: usize,
        _segmented: Segmented,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> bool {
        let mut frame = [0; FRAME];
        let Some(frame) = frame.get_mut(..length) else { return false };
        fill(frame);
        let _ = (&self.file).write(frame); // what Linux does not take is lost
        true
    }

    fn has_room(&self, _queue: usize) -> bool {
        true
    }

    fn receive(&self, _queue: usize, take: &mut dyn FnMut(&[u8])) -> bool {
        let first = self.first.lock().expect("nobody panics with it").take();
        let frame = first.map_or_else(|| self.frames.try_recv(), Ok::<_, TryRecvError>);
        frame.inspect(|frame| take(frame)).is_ok()
    }

    fn wait(&self, _queue: usize) -> bool {
        let frame = self.frames.recv();
        let came = frame.is_some();
        *self.first.lock().expect("nobody panics with it") = frame;
        came
    }

    fn close(&self) {
        self.came.close();
    }
}
