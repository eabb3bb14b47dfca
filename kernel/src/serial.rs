//! The first serial port: the console's way out and in.
//!
//! Out: polled. What must stay in one piece, such as a line of [`print!`](crate::print), is sent
//! under the output lock. A crash report uses [`write_raw`], which takes no lock at all. A line
//! that takes nothing any more, because nobody reads at its other end, is given up: what is sent
//! is dropped and counted, without a wait, until the port is empty again.
//!
//! A port is there if its scratch register keeps what is written, and its loopback brings back what
//! is sent. Where there is none nothing is sent, and its interrupt is not routed.
//!
//! In: the interrupt handler moves bytes into a ring and wakes the goroutine that waits in
//! [`read`]. The ring has one producer (the handler, on CPU 0) and one consumer at a time (under a
//! lock). Nothing is dropped here: when the ring is full the handler masks the port's interrupt and
//! lowers RTS. Then bytes stay in the port and the sender is held back until the reader has made
//! room. What the port itself drops is counted ([`overruns`]).
#![allow(unsafe_code)] // Ports.

use crate::param::{SERIAL_PATIENCE, SERIAL_RING};
use crate::vectors::ISA_COM1;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use executive::irq::Irq;
use executive::lock::{CountedLock, Lock, Rank};
use executive::println;
use uart_16550::backend::{Backend, PioBackend};
use uart_16550::spec::FIFO_SIZE;
use uart_16550::spec::registers::{IER, LSR, MCR, offsets};
use uart_16550::{BaudRate, Config, Uart16550};

const COM1: u16 = 0x3f8;

/// A handle to the port. It holds no state that matters after [`init`]: two users at the same time
/// mix their bytes, no more.
fn port() -> Uart16550<PioBackend> {
    // SAFETY: every PC has its first serial port there, or nothing; reads of nothing give 0xff.
    unsafe { Uart16550::new_port(COM1) }.expect("a valid port")
}

/// Whether [`init`] found a port. Written once, before any other CPU and any interrupt.
static PRESENT: AtomicBool = AtomicBool::new(false);

/// Sets the port up: 115200 baud, 8 data bits, no parity, one stop bit. Without a port, output goes
/// nowhere.
pub fn init() {
    let config = Config { baud_rate: BaudRate::Baud115200, ..Config::default() };
    let mut port = port();
    let works = port.init(config).is_ok() && port.test_loopback().is_ok();
    PRESENT.store(works, Ordering::Relaxed);
}

/// Tells whether there is a port.
pub fn tell() {
    println!("serial port: {}", if is_present() { "COM1, 115200 baud" } else { "none" });
}

/// Whether there is a port.
pub fn is_present() -> bool {
    PRESENT.load(Ordering::Relaxed)
}

/// From here on incoming bytes raise the interrupt that [`on_interrupt`] serves. If there is a
/// port.
pub fn enable_input() {
    let_in(&mut port());
}

/// Sends the bytes, whatever state the machine is in: no lock, no allocation. A line feed becomes
/// CR LF.
pub fn write_raw(bytes: &[u8]) {
    if !is_present() {
        return;
    }
    let mut port = port();
    if STALLED.load(Ordering::Relaxed) {
        if !port.lsr().contains(LSR::THR_EMPTY) {
            DROPPED.fetch_add(bytes.len(), Ordering::Relaxed);
            return;
        }
        STALLED.store(false, Ordering::Relaxed);
        tell_dropped(&mut port);
    }
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        match line.split_last() {
            Some((b'\n', text)) => {
                send(&mut port, text);
                send(&mut port, b"\r\n");
            }
            _ => send(&mut port, line),
        }
    }
    note_overrun(&mut port);
}

/// The line took nothing for so long that it was given up. A hint, which orders nothing: two CPUs
/// that send at the same time may both wait, or tell twice.
static STALLED: AtomicBool = AtomicBool::new(false);
/// Bytes that were not sent since then, and are not told yet.
static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// Polls until all is sent, but not for ever: a port that is stuck must not hang a crash report,
/// nor whoever prints.
fn send(port: &mut Uart16550<PioBackend>, mut bytes: &[u8]) {
    let mut patience = if STALLED.load(Ordering::Relaxed) { 0 } else { SERIAL_PATIENCE };
    while !bytes.is_empty() && patience > 0 {
        let sent = port.send_bytes(bytes);
        bytes = &bytes[sent..];
        if sent == 0 {
            patience -= 1;
            core::hint::spin_loop();
        }
    }
    if !bytes.is_empty() {
        STALLED.store(true, Ordering::Relaxed);
        DROPPED.fetch_add(bytes.len(), Ordering::Relaxed);
    }
}

/// Somebody reads again, and wants to know that something is missing.
fn tell_dropped(port: &mut Uart16550<PioBackend>) {
    let mut words = Words { bytes: [0; 64], length: 0 };
    let dropped = DROPPED.swap(0, Ordering::Relaxed);
    let _ = write!(words, "\r\n[{dropped} bytes are missing: nobody read]\r\n");
    send(port, &words.bytes[..words.length]);
}

/// A short text, without an allocation.
struct Words {
    bytes: [u8; 64],
    length: usize,
}

impl Write for Words {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

static OUTPUT: CountedLock<()> = CountedLock::counted(Rank::Output, ());

/// How often the output lock was taken, and how often someone had to spin for it.
pub fn lock_stats() -> (u64, u64) {
    OUTPUT.stats()
}

/// Sends the bytes in one piece, with no others between them. Spins while another CPU sends.
pub fn write(bytes: &[u8]) {
    let _lock = OUTPUT.lock();
    write_raw(bytes);
}

/// Bytes that have arrived and were not read yet.
static BYTES: [AtomicU8; SERIAL_RING] = [const { AtomicU8::new(0) }; SERIAL_RING];
/// Bytes ever put in: stored by the handler (Release), loaded by the reader (Acquire). And bytes
/// ever taken out: stored by the reader (Release), loaded by the handler (Acquire).
static PUT: AtomicUsize = AtomicUsize::new(0);
static TAKEN: AtomicUsize = AtomicUsize::new(0);
/// The sender is held back. The handler sets it (Release) after it has masked the interrupt; the
/// reader clears it (Acquire) before it unmasks. So a masked port has this set, now or after the
/// handler's next step. It may be set for an unmasked port, if the two meet: then an interrupt
/// comes, finds no room, and masks again.
static HELD: AtomicBool = AtomicBool::new(false);

/// The handler of the port's interrupt: takes the bytes that there is room for, and wakes the
/// reader. On CPU 0, interrupts off.
///
/// The interrupt is edge-triggered: the next edge comes after the port had nothing, or when the
/// reader unmasks it. At most `SERIAL_RING` bytes are taken at a time, because a port that is gone
/// reads as one that always has another byte.
pub fn on_interrupt() {
    let mut port = port();
    let mut put = PUT.load(Ordering::Relaxed);
    let full = TAKEN.load(Ordering::Acquire) + SERIAL_RING;
    while put < full
        && let Ok(byte) = port.try_receive_byte()
    {
        BYTES[put % SERIAL_RING].store(byte, Ordering::Relaxed);
        put += 1;
    }
    note_overrun(&mut port);
    PUT.store(put, Ordering::Release);
    // A little early, while the port's own buffer is empty: it takes the bytes that are under way.
    if full - put < FIFO_SIZE {
        hold_back(&mut port);
        HELD.store(true, Ordering::Release);
    }
    // After HELD: the reader that this wakes sees it.
    executive::on_irq(ISA_COM1 as usize);
}

/// No more interrupts of incoming bytes, and the other end is told to send none.
fn hold_back(port: &mut Uart16550<PioBackend>) {
    port.disable_interrupts(IER::DATA_READY);
    set_modem_control(port, MCR::DTR | MCR::OUT_2_INT_ENABLE);
}

/// Undoes [`hold_back`]. If the port has bytes already, this raises its interrupt.
fn let_in(port: &mut Uart16550<PioBackend>) {
    set_modem_control(port, MCR::DTR | MCR::RTS | MCR::OUT_2_INT_ENABLE);
    port.enable_interrupts(IER::DATA_READY);
}

fn set_modem_control(port: &mut Uart16550<PioBackend>, bits: MCR) {
    // SAFETY: a register that every such port has; the bits are those that the crate's `init` sets,
    // with RTS or without.
    unsafe { port.backend_mut().write(offsets::MCR as u8, bits.bits()) }
}

static OVERRUNS: AtomicUsize = AtomicUsize::new(0);

/// Counts an overrun, if the port told of one in a read of its line status through this handle.
/// (Each such read clears the bit.)
fn note_overrun(port: &mut Uart16550<PioBackend>) {
    if port.lsr().contains(LSR::OVERRUN_ERROR) {
        OVERRUNS.fetch_add(1, Ordering::Relaxed);
    }
}

/// How often the port has dropped incoming bytes, one or more each time. They came faster than the
/// handler took them, from a sender that ignores RTS.
pub fn overruns() -> usize {
    OVERRUNS.load(Ordering::Relaxed)
}

static ARRIVED: Irq = Irq::new(ISA_COM1 as usize);
static READER: Lock<()> = Lock::new(Rank::User, ());

/// Takes what has arrived, up to the buffer's size; 0 if nothing has.
pub fn try_read(buffer: &mut [u8]) -> usize {
    let _one_at_a_time = READER.lock();
    let taken = TAKEN.load(Ordering::Relaxed);
    let n = buffer.len().min(PUT.load(Ordering::Acquire) - taken);
    for (i, slot) in buffer[..n].iter_mut().enumerate() {
        *slot = BYTES[(taken + i) % SERIAL_RING].load(Ordering::Relaxed);
    }
    TAKEN.store(taken + n, Ordering::Release);
    // Even if nothing was taken: the handler may have found the ring full before the last call
    // emptied it.
    let waiting = PUT.load(Ordering::Relaxed) - (taken + n);
    if waiting <= SERIAL_RING / 2 && HELD.swap(false, Ordering::Acquire) {
        let_in(&mut port());
    }
    n
}

/// Reads at least one byte; parks until one arrives. For one goroutine at a time.
pub fn read(buffer: &mut [u8]) -> usize {
    loop {
        match try_read(buffer) {
            0 if !buffer.is_empty() => ARRIVED.wait(),
            n => return n,
        }
    }
}
