//! The rings of an xHCI controller (eXtensible Host Controller Interface for USB, 1.2, section
//! 4.9): what it is to do, and what has happened.
//!
//! **Rule:** the cycle bit of an entry says whose the entry is. It is written last, and read first.

use core::sync::atomic::Ordering;
use kernel::device::{Dma, Error};

/// An entry (TRB): its words, in memory's order.
pub type Trb = [u32; 4];

/// Bytes of an entry.
const TRB: usize = 16;
/// Entries of a ring: a page of them.
pub const ENTRIES: usize = 256;

const CYCLE: u32 = 1 << 0;
const TOGGLE_CYCLE: u32 = 1 << 1;
const LINK: u32 = 6 << 10;

/// Writes words, the first at `offset`.
pub fn write(memory: &Dma, offset: usize, words: &[u32]) {
    for (n, &value) in words.iter().enumerate() {
        memory.word(offset + 4 * n).store(value, Ordering::Release);
    }
}

/// A ring that the controller reads: commands, or the transfers of an endpoint.
pub struct Ring {
    memory: Dma,
    next: usize,
    cycle: u32,
}

impl Ring {
    pub fn new() -> Result<Ring, Error> {
        Ok(Ring { memory: Dma::new(ENTRIES * TRB)?, next: 0, cycle: CYCLE })
    }

    /// Where the next entry will be, with the cycle bit that it will have. Below 4 GiB.
    pub fn dequeue_pointer(&self) -> u32 {
        (self.memory.address() as u32 + (self.next * TRB) as u32) | self.cycle
    }

    /// Adds an entry; returns its address. Nobody may add more than the controller has taken.
    pub fn push(&mut self, trb: Trb) -> u32 {
        let address = self.memory.address() as u32 + (self.next * TRB) as u32;
        self.put(trb);
        if self.next == ENTRIES - 1 {
            // Back to the first, where the bit means the opposite.
            self.put([self.memory.address() as u32, 0, 0, LINK | TOGGLE_CYCLE]);
            self.cycle ^= CYCLE;
            self.next = 0;
        }
        address
    }

    fn put(&mut self, [first, second, third, last]: Trb) {
        // In this order, so the cycle bit is written last.
        let words = [first, second, third, last & !CYCLE | self.cycle];
        write(&self.memory, self.next * TRB, &words);
        self.next += 1;
    }
}

/// The ring that the controller writes.
pub struct Events {
    memory: Dma,
    next: usize,
    cycle: u32,
}

impl Events {
    pub fn new() -> Result<Events, Error> {
        Ok(Events { memory: Dma::new(ENTRIES * TRB)?, next: 0, cycle: CYCLE })
    }

    /// Where the ring begins.
    pub fn address(&self) -> u32 {
        self.memory.address() as u32
    }

    /// Where the event is that is looked at next.
    pub fn dequeue_pointer(&self) -> u32 {
        self.address() + (self.next * TRB) as u32
    }

    /// The next event, if there is one.
    pub fn take(&mut self) -> Option<Trb> {
        let at = self.next * TRB;
        let read = |at| self.memory.word(at).load(Ordering::Acquire);
        let last = read(at + 12);
        if last & CYCLE != self.cycle {
            return None;
        }
        let [first, second, third] = [at, at + 4, at + 8].map(read);
        self.next += 1;
        if self.next == ENTRIES {
            self.next = 0;
            self.cycle ^= CYCLE;
        }
        Some([first, second, third, last])
    }
}
