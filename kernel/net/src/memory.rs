//! The memory of sockets' buffers: a bound for all of them together, and pages that are given back
//! while a connection is idle.
//!
//! smoltcp keeps a connection's two buffers as long as the connection lives, empty or not. So an
//! idle connection keeps their addresses, and gives the machine the memory behind them.
//!
//! **Rule:** a buffer has its memory while there is something in it, and before something is put
//! there. What puts something there asks first: `Tcp::heeds` before a segment with data is shown to
//! smoltcp, and `Connection::try_write`.
#![allow(unsafe_code)] // Memory that somebody else owns is taken away.

use crate::frame::{Numbers, Segment, is_after};
use crate::param::{BUFFERS_IDLE, CROWDED_BUFFERS_IDLE};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use executive::time::{Duration, Instant};
use smoltcp::socket::tcp::Socket;

/// A machine that can take memory away from a block of the heap and give it back: by its page
/// tables. Its calls never park: a spin lock is held.
pub trait Pages: fmt::Debug + Send + Sync {
    /// Takes the memory of this block away. What was in it is lost. `false`: it keeps its memory.
    ///
    /// # Safety
    /// The program's allocator has given the block, of that size, and nobody has freed it. Nobody
    /// looks into it, or writes there, before [`commit`](Self::commit) has succeeded. It may be
    /// freed without that.
    unsafe fn decommit(&self, block: NonNull<u8>, bytes: usize) -> bool;

    /// Gives it memory again; nobody knows what is in it. `false`: there is none.
    ///
    /// # Safety
    /// [`decommit`](Self::decommit) has taken the memory of the same block, and nobody has freed
    /// it.
    unsafe fn commit(&self, block: NonNull<u8>, bytes: usize) -> bool;
}

/// The memory of all buffers together.
pub(crate) struct Memory {
    used: AtomicUsize,
    most: usize,
    pages: Option<&'static dyn Pages>,
}

/// A part of it, until this is dropped.
pub(crate) struct Charge {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Memory {
    pub(crate) fn new(most: usize, pages: Option<&'static dyn Pages>) -> Arc<Self> {
        Arc::new(Memory { used: AtomicUsize::new(0), most, pages })
    }

    /// `None`: it is used up.
    pub(crate) fn charge(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        // Relaxed: a count, which guards nothing else.
        let enough = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.most);
        self.used.try_update(Relaxed, Relaxed, enough).ok()?;
        Some(Charge { memory: self.clone(), bytes })
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// How long a connection's empty buffers keep their memory.
    fn idle(&self) -> Duration {
        if self.used() > self.most / 2 { CROWDED_BUFFERS_IDLE } else { BUFFERS_IDLE }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Relaxed);
    }
}

/// Where the two buffers of a TCP socket lie, and whether they have memory. It must not outlive the
/// socket that has the buffers.
pub(crate) struct Buffers {
    receives: Buffer,
    sends: Buffer,
    memory: Arc<Memory>,
    /// When something was last put into them.
    used: Instant,
    /// `None`: no SYN of the peer's was taken yet.
    received: Option<Received>,
}

/// How far the peer's numbers have come, which smoltcp does not tell.
struct Received {
    /// Of the first byte.
    first: u32,
    /// Up to here they were read.
    read: u32,
    /// Something has come that ends here, perhaps behind something that is missing.
    highest: u32,
}

struct Buffer {
    block: NonNull<u8>,
    bytes: usize,
    /// `None`: it has no memory.
    charge: Option<Charge>,
}

// SAFETY: addresses, and nobody goes there but the machine's page tables.
unsafe impl Send for Buffer {}

impl Buffer {
    fn new(memory: &Arc<Memory>, bytes: usize) -> Option<(Buffer, Vec<u8>)> {
        let charge = memory.charge(bytes)?;
        let mut room = Vec::new();
        room.try_reserve_exact(bytes).ok()?;
        room.resize(bytes, 0);
        let block = NonNull::new(room.as_mut_ptr())?;
        Some((Buffer { block, bytes, charge: Some(charge) }, room))
    }

    /// Afterwards it has memory; `false`: there is none.
    fn commit(&mut self, memory: &Arc<Memory>) -> bool {
        if self.charge.is_some() {
            return true;
        }
        let Some(charge) = memory.charge(self.bytes) else { return false };
        // SAFETY: the socket has the buffer, and without a charge its memory was taken.
        let has = memory.pages.is_none_or(|pages| unsafe { pages.commit(self.block, self.bytes) });
        if has {
            self.charge = Some(charge);
        }
        has
    }

    /// # Safety
    /// It is empty.
    unsafe fn decommit(&mut self, pages: &dyn Pages) {
        // SAFETY: the socket has the buffer, which came from the heap in `new`. It is empty, as
        // the caller promises: so smoltcp does not read it, and it writes there only behind the
        // two calls of the file's rule.
        if self.charge.is_some() && unsafe { pages.decommit(self.block, self.bytes) } {
            self.charge = None;
        }
    }
}

impl Buffers {
    /// The buffers for a socket that receives and sends so many bytes: the first that is returned
    /// is the one to receive. `None`: there is no memory.
    pub(crate) fn new(
        memory: &Arc<Memory>,
        receive: usize,
        send: usize,
    ) -> Option<(Buffers, Vec<u8>, Vec<u8>)> {
        let (receives, to_receive) = Buffer::new(memory, receive)?;
        let (sends, to_send) = Buffer::new(memory, send)?;
        let buffers = Buffers {
            receives,
            sends,
            memory: memory.clone(),
            used: Instant::now(),
            received: None,
        };
        Some((buffers, to_receive, to_send))
    }

    /// The first byte of the peer's will have this number, unless that is known.
    pub(crate) fn begin(&mut self, first: u32) {
        self.received.get_or_insert(Received { first, read: first, highest: first });
    }

    /// So many bytes were read.
    pub(crate) fn was_read(&mut self, bytes: usize) {
        if let Some(received) = &mut self.received {
            received.read = received.read.wrapping_add(bytes as u32);
        }
    }

    /// The segment has data. `false`: there is no memory for that, or no room, and it must be
    /// dropped. `told`: how far we have come, as the peer knows it.
    pub(crate) fn will_receive(
        &mut self,
        socket: &Socket<'_>,
        segment: &Segment,
        told: Option<Numbers>,
        now: Instant,
    ) -> bool {
        if let Some(received) = &mut self.received {
            let most = received.read.wrapping_add(socket.recv_capacity() as u32);
            let end = segment.sequence.wrapping_add(segment.data());
            // smoltcp keeps nothing that lies behind its buffer. But as long as our SYN alone has
            // told a window, which is not scaled there, it takes that for a scaled one, believes
            // that there is more room than there is, and panics when all of it has come.
            let scaled = told.is_some_and(|it| it.expected != received.first);
            let fits = !is_after(end, most);
            if !fits && !scaled {
                return false;
            }
            let end = if fits { end } else { most };
            if is_after(end, received.highest) {
                received.highest = end;
            }
        }
        self.used = now;
        self.receives.commit(&self.memory)
    }

    /// Something will be sent. `false`: there is no memory for that.
    pub(crate) fn will_send(&mut self) -> bool {
        self.used = Instant::now();
        self.sends.commit(&self.memory)
    }

    /// If nothing was in them for a while their memory is given back: now, or, if nothing happens
    /// until then, at the time that is returned.
    pub(crate) fn rest(&mut self, socket: &Socket<'_>) -> Option<Instant> {
        let (pages, received) = (self.memory.pages?, self.received.as_ref()?);
        let has_memory = self.receives.charge.is_some() || self.sends.charge.is_some();
        let is_empty = socket.send_queue() == 0
            && socket.recv_queue() == 0
            && received.read == received.highest;
        if !has_memory || !is_empty {
            return None;
        }
        let at = self.used + self.memory.idle();
        if at > Instant::now() {
            return Some(at);
        }
        // SAFETY: both queues are empty. And all that has come was read: so nothing lies behind
        // something that is missing.
        unsafe {
            self.receives.decommit(pages);
            self.sends.decommit(pages);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Memory;
    use crate::param::{BUFFERS_IDLE, CROWDED_BUFFERS_IDLE};

    #[test]
    fn memory_comes_back_sooner_when_half_is_in_use() {
        let memory = Memory::new(100, None);
        let first = memory.charge(50);
        assert_eq!(memory.idle(), BUFFERS_IDLE);
        let more = memory.charge(1);
        assert_eq!(memory.idle(), CROWDED_BUFFERS_IDLE);
        drop((first, more));
        assert_eq!(memory.idle(), BUFFERS_IDLE);
    }
}
