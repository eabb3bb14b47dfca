//! Bytes on their way out at a serial port: a ring, and the rules by which they leave it.
//!
//! Printers put bytes in, one at a time: they hold a lock. Two take bytes out and feed them to the
//! port: the handler of the port's interrupt, which must not wait for a lock, and a printer, which
//! spares the interrupt as long as the port takes bytes at once. They exclude each other by a flag
//! that is tried and never waited for; whoever has set it *has the port*:
//!
//! 1. Only who has the port takes bytes out, asks for the port's interrupt, and no longer asks for
//!    it. (The handler may drop the request without the flag: that is only one more reason for 2.)
//! 2. Who finds the flag set goes away. Who has the port looks again after it has cleared the flag:
//!    it sees whatever came before such a refusal, for both change the flag by a read-modify-write.
//! 3. It leaves for good when the ring is empty; or when, after it has cleared the flag, the
//!    request for an interrupt stands: then no handler has been refused since, and one will come.
//!
//! So while the ring has bytes, somebody has the port, or an interrupt will come; and while it has
//! none, none is asked for. Pure: nothing here touches a device, so that a test can play one.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

/// The port, as a handle that does not exclude others.
pub trait Port {
    /// Its buffer is empty: it takes [`depth`](Port::depth) bytes.
    fn is_ready(&mut self) -> bool;
    /// The size of its buffer.
    fn depth(&self) -> usize;
    /// Puts a byte into its buffer.
    fn send(&mut self, byte: u8);
    /// From here on an empty buffer interrupts, or does not. If the buffer is empty already, it
    /// interrupts at once.
    fn ask(&mut self, on: bool);
    /// Whether an empty buffer interrupts.
    fn asked(&self) -> bool;
}

/// A ring of `N` bytes. `N` is a power of two, so that a place stays the same when the counts of
/// bytes wrap.
pub struct Outgoing<const N: usize> {
    bytes: [AtomicU8; N],
    /// Bytes ever put in: stored by the printer (Release), loaded by who has the port (Acquire).
    put: AtomicUsize,
    /// Bytes ever taken out: stored by who has the port (Release), loaded by the printer (Acquire).
    taken: AtomicUsize,
    /// Somebody has the port.
    had: AtomicBool,
    /// The CPU that has the port for good, plus 1; 0: none.
    ender: AtomicUsize,
}

impl<const N: usize> Outgoing<N> {
    #[allow(clippy::new_without_default)] // for a static
    pub const fn new() -> Self {
        assert!(N.is_power_of_two());
        Outgoing {
            bytes: [const { AtomicU8::new(0) }; N],
            put: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            had: AtomicBool::new(false),
            ender: AtomicUsize::new(0),
        }
    }

    /// How many bytes have left so far.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// How many bytes are in the ring. More may have left meanwhile.
    pub fn len(&self) -> usize {
        let taken = self.taken(); // first: it never overtakes `put`
        self.put.load(Ordering::Acquire).wrapping_sub(taken)
    }

    /// Whether all bytes have left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts bytes in, which leave at the next [`feed`](Self::feed). `false`: there is no room for
    /// all of them, and none was put in. By one printer at a time.
    pub fn put(&self, bytes: impl Iterator<Item = u8> + Clone) -> bool {
        if bytes.clone().count() > N - self.len() {
            return false;
        }
        let mut put = self.put.load(Ordering::Relaxed);
        for byte in bytes {
            self.bytes[put % N].store(byte, Ordering::Relaxed);
            put = put.wrapping_add(1);
        }
        self.put.store(put, Ordering::Release);
        true
    }

    /// By a printer: gives the port what it takes at once, and sees that the rest follows. `true`:
    /// the ring had more than half its bytes, and has no more.
    pub fn feed(&self, port: &mut impl Port) -> bool {
        self.serve(port, N)
    }

    /// By the handler of the port's interrupt, which has dropped the request (`ask(false)`): the
    /// same, but a buffer full at the most.
    pub fn on_interrupt(&self, port: &mut impl Port) -> bool {
        self.serve(port, port.depth())
    }

    fn serve(&self, port: &mut impl Port, most: usize) -> bool {
        let mut halved = false;
        // Acquire and Release, refused or not. Its partner clears the flag, below.
        while !self.had.swap(true, Ordering::AcqRel) {
            let before = self.len();
            self.fill(port, most);
            let left = self.len();
            halved |= before > N / 2 && left <= N / 2;
            if port.asked() != (left > 0) {
                port.ask(left > 0);
            }
            self.had.swap(false, Ordering::AcqRel);
            if self.is_empty() || port.asked() {
                break;
            }
        }
        halved
    }

    /// By who has the port: `most` bytes at the most leave, as long as the port takes them.
    pub fn fill(&self, port: &mut impl Port, most: usize) {
        let mut taken = self.taken.load(Ordering::Relaxed);
        let mut left = self.len().min(most);
        while left > 0 && port.is_ready() {
            for _ in 0..port.depth().min(left) {
                port.send(self.bytes[taken % N].load(Ordering::Relaxed));
                taken = taken.wrapping_add(1);
                self.taken.store(taken, Ordering::Release);
                left -= 1;
            }
        }
    }

    /// The machine ends: from here on this CPU has the port, and gives it up no more. If another
    /// has it, that one is waited for as long as `patience` says, for it may have been stopped in
    /// the midst. (A byte may then leave twice; none is left out.)
    pub fn take_over(&self, cpu: usize, mut patience: impl FnMut() -> bool) {
        if self.ender.swap(cpu + 1, Ordering::Relaxed) != cpu + 1 {
            while self.had.swap(true, Ordering::AcqRel) && patience() {}
        }
    }
}
