//! The first serial port: the console's way out and in.
//!
//! Out: whoever prints puts a whole line into a ring (outgoing.rs) and goes on; the port's
//! interrupt feeds it to the line. When the ring is full a goroutine parks until it is half empty,
//! one at a time; whoever cannot park polls. Before the interrupt is routed everything is polled.
//!
//! At the end nobody else is relied on: a crash report ([`write_raw`]), and whoever switches the
//! machine off ([`finish`]), take the port over, send what is in the ring, and poll. That takes no
//! lock at all.
//!
//! A line that takes nothing any more, because nobody reads at its other end, is given up: what is
//! printed is dropped and counted, without a wait, until bytes leave the ring again.
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

use crate::outgoing::{Outgoing, Port};
use crate::param::{SERIAL_OUTPUT, SERIAL_PATIENCE, SERIAL_PATIENCE_NS, SERIAL_RING};
use crate::vectors::ISA_COM1;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use core::time::Duration;
use executive::irq::{Irq, Line};
use executive::lock::{CountedLock, Lock, Rank};
use executive::percpu::cpu;
use executive::sync::Mutex;
use executive::wait::can_park;
use executive::{println, select};
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

/// Whether [`init`] found a port, and how many bytes its buffer for output holds. Written once,
/// before any other CPU and any interrupt.
static PRESENT: AtomicBool = AtomicBool::new(false);
static DEPTH: AtomicUsize = AtomicUsize::new(1);
/// Whether the port's interrupt comes. Written once, by [`enable_interrupts`].
static ROUTED: AtomicBool = AtomicBool::new(false);

/// Sets the port up: 115200 baud, 8 data bits, no parity, one stop bit. Without a port, output goes
/// nowhere.
pub fn init() {
    let config = Config { baud_rate: BaudRate::Baud115200, ..Config::default() };
    let mut port = port();
    let works = port.init(config).is_ok() && port.test_loopback().is_ok();
    PRESENT.store(works, Ordering::Relaxed);
    DEPTH.store(if port.fifo_enabled() { FIFO_SIZE } else { 1 }, Ordering::Relaxed);
}

/// Tells whether there is a port.
pub fn tell() {
    println!("serial port: {}", if is_present() { "COM1, 115200 baud" } else { "none" });
}

/// Whether there is a port.
pub fn is_present() -> bool {
    PRESENT.load(Ordering::Relaxed)
}

/// From here on the port raises the interrupt that [`on_interrupt`] serves. If there is a port, and
/// its interrupt is routed.
pub fn enable_interrupts() {
    let_in(&mut port());
    ROUTED.store(true, Ordering::Relaxed);
}

/// The interrupts that the port is to raise: the bits of its register IER.
static ASKED: AtomicU8 = AtomicU8::new(0);

/// From here on the port raises these interrupts, or does not. Any CPU may change others at the
/// same time: the last to write the register looks after that, and finds what it wrote. (The `out`
/// is over before the load begins.)
fn set_interrupts(port: &mut Uart16550<PioBackend>, which: IER, on: bool) {
    if on {
        ASKED.fetch_or(which.bits(), Ordering::SeqCst);
    } else {
        ASKED.fetch_and(!which.bits(), Ordering::SeqCst);
    }
    loop {
        let asked = ASKED.load(Ordering::SeqCst);
        // SAFETY: a register that every such port has; the bits are those of two interrupts that
        // the handler serves.
        unsafe { port.backend_mut().write(offsets::IER as u8, asked) };
        if ASKED.load(Ordering::SeqCst) == asked {
            return;
        }
    }
}

impl Port for Uart16550<PioBackend> {
    fn is_ready(&mut self) -> bool {
        let status = self.lsr();
        note_overrun(status);
        status.contains(LSR::THR_EMPTY)
    }

    fn depth(&self) -> usize {
        DEPTH.load(Ordering::Relaxed)
    }

    fn send(&mut self, byte: u8) {
        // SAFETY: a register that every such port has; the byte goes out.
        unsafe { self.backend_mut().write(offsets::DATA as u8, byte) }
    }

    fn ask(&mut self, on: bool) {
        set_interrupts(self, IER::THR_EMPTY, on);
    }

    fn asked(&self) -> bool {
        IER::from_bits_retain(ASKED.load(Ordering::SeqCst)).contains(IER::THR_EMPTY)
    }
}

/// What was printed and has not left yet.
static OUT: Outgoing<SERIAL_OUTPUT> = Outgoing::new();
/// Held by who puts bytes in.
static OUTPUT: CountedLock<()> = CountedLock::counted(Rank::Output, ());
/// More is printed in pieces: with a CR before each LF they fit into half of the ring.
const MOST: usize = SERIAL_OUTPUT / 4;

/// The line took nothing for so long that it was given up, when so many bytes had left.
static STALLED: AtomicBool = AtomicBool::new(false);
static STALLED_AT: AtomicUsize = AtomicUsize::new(0);
/// Bytes that were dropped since then, and are not told yet. All three: written under the output
/// lock, or by who has taken the port over.
static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// How often a printer looked whether the port takes more, in vain; and how often the port's
/// interrupt has fed it instead. For reports.
static POLLED: AtomicUsize = AtomicUsize::new(0);
static FED: AtomicUsize = AtomicUsize::new(0);

/// How often the output lock was taken, and how often someone had to spin for it.
pub fn lock_stats() -> (u64, u64) {
    OUTPUT.stats()
}

/// How often the port's interrupt has fed it, and how often a printer looked in vain whether it
/// takes more.
pub fn output_stats() -> (usize, usize) {
    (FED.load(Ordering::Relaxed), POLLED.load(Ordering::Relaxed))
}

/// Sends the bytes, in one piece if they are at most a quarter of the ring, with no others between
/// them. A line feed becomes CR LF. Parks while there is no room for them, and others wait their
/// turn. Whoever cannot park polls instead, and spins while another CPU does.
pub fn write(bytes: &[u8]) {
    if !is_present() {
        return;
    }
    for piece in bytes.chunks(MOST) {
        let may_park = ROUTED.load(Ordering::Relaxed) && can_park();
        let behind_others = may_park && WAITING.load(Ordering::Relaxed) > 0;
        if behind_others || !print(piece, may_park) {
            print_in_turn(piece);
        }
    }
}

/// `false`: there is no room, but the caller may park.
fn print(piece: &[u8], may_park: bool) -> bool {
    let _lock = OUTPUT.lock();
    let mut port = port();
    if STALLED.load(Ordering::Relaxed) {
        after_a_stall(&mut port, piece);
        return true;
    }
    let put = || OUT.put(with_returns(piece));
    if !put() {
        feed(&mut port);
        if !put() {
            if may_park {
                return false;
            }
            if !poll(&mut port, put) {
                DROPPED.fetch_add(piece.len(), Ordering::Relaxed);
                return true;
            }
        }
    }
    feed(&mut port);
    if !ROUTED.load(Ordering::Relaxed) {
        poll(&mut port, || OUT.is_empty());
    }
    true
}

/// A line feed becomes CR LF.
fn with_returns(bytes: &[u8]) -> impl Iterator<Item = u8> + Clone {
    bytes.iter().flat_map(|&byte| (byte == b'\n').then_some(b'\r').into_iter().chain([byte]))
}

/// Feeds the port. When it gets room, who waits for that is woken.
fn feed(port: &mut Uart16550<PioBackend>) {
    if OUT.feed(port) {
        ROOM.raise();
    }
}

/// Feeds the port until `done`, but not for ever: a port that is stuck must not hang whoever
/// prints. `false`: it has taken nothing for so long that it is given up.
fn poll(port: &mut Uart16550<PioBackend>, mut done: impl FnMut() -> bool) -> bool {
    let (mut patience, mut taken) = (SERIAL_PATIENCE, OUT.taken());
    while !done() {
        feed(port);
        if OUT.taken() != taken {
            (patience, taken) = (SERIAL_PATIENCE, OUT.taken());
        } else if patience == 0 {
            give_up();
            return false;
        } else {
            patience -= 1;
            POLLED.fetch_add(1, Ordering::Relaxed);
            core::hint::spin_loop();
        }
    }
    true
}

fn give_up() {
    STALLED_AT.store(OUT.taken(), Ordering::Relaxed);
    STALLED.store(true, Ordering::Relaxed);
}

/// Drops the piece. But if bytes have left since the line was given up, and there is room, it is
/// sent: somebody reads again, and wants to know that something is missing.
fn after_a_stall(port: &mut Uart16550<PioBackend>, piece: &[u8]) {
    feed(port);
    let moves = OUT.taken() != STALLED_AT.load(Ordering::Relaxed);
    let words = Words::of_dropped();
    if moves && OUT.put(words.text().iter().copied().chain(with_returns(piece))) {
        DROPPED.store(0, Ordering::Relaxed);
        STALLED.store(false, Ordering::Relaxed);
        feed(port);
    } else {
        DROPPED.fetch_add(piece.len(), Ordering::Relaxed);
    }
}

/// How many goroutines wait for their turn, or for room. A hint: whoever prints goes behind them.
static WAITING: AtomicUsize = AtomicUsize::new(0);
/// Held by the one that waits for room; the others wait for it.
static TURN: Mutex<()> = Mutex::new(());
/// The ring was more than half full, and is not any more. One goroutine waits for that at a time.
static ROOM: Line = Line::new();

/// Parks until there is room. A piece fits into half of the ring, so who finds no room finds more
/// than half of it full, and is woken later than that.
#[cold]
fn print_in_turn(piece: &[u8]) {
    WAITING.fetch_add(1, Ordering::Relaxed);
    let turn = TURN.lock();
    let mut taken = OUT.taken();
    while !print(piece, true) {
        select! {
            irq(Irq::of(&ROOM)) => {}
            after(Duration::from_nanos(SERIAL_PATIENCE_NS)) => {
                if OUT.taken() == taken {
                    let _lock = OUTPUT.lock();
                    give_up();
                }
                taken = OUT.taken();
            }
        }
    }
    drop(turn);
    WAITING.fetch_sub(1, Ordering::Relaxed);
}

/// Sends what was printed before, and then the bytes, whatever state the machine is in: no lock, no
/// allocation. The machine is about to end: nothing that is printed any other way is sent any more.
pub fn write_raw(bytes: &[u8]) {
    if !is_present() {
        return;
    }
    let mut port = port();
    let mut patience = SERIAL_PATIENCE / 10;
    OUT.take_over(cpu(), || {
        port.is_ready(); // which takes its time
        patience -= 1;
        patience > 0
    });
    let drop_all = || _ = DROPPED.fetch_add(bytes.len(), Ordering::Relaxed);
    loop {
        if !becomes_ready(&mut port) {
            return drop_all();
        }
        if OUT.is_empty() {
            break;
        }
        OUT.fill(&mut port, SERIAL_OUTPUT);
    }
    STALLED.store(false, Ordering::Relaxed);
    if DROPPED.load(Ordering::Relaxed) > 0 {
        let words = Words::of_dropped();
        DROPPED.store(0, Ordering::Relaxed);
        send_raw(&mut port, words.text().iter().copied());
    }
    send_raw(&mut port, with_returns(bytes));
}

/// By who has taken the port over.
fn send_raw(port: &mut Uart16550<PioBackend>, bytes: impl Iterator<Item = u8>) {
    let mut room = 0;
    for byte in bytes {
        if room == 0 && becomes_ready(port) {
            room = port.depth();
        }
        if room == 0 {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        } else {
            port.send(byte);
            room -= 1;
        }
    }
}

/// By who has taken the port over: waits until it takes bytes, but not for ever. A line that was
/// given up is looked at once.
fn becomes_ready(port: &mut Uart16550<PioBackend>) -> bool {
    let mut patience = if STALLED.load(Ordering::Relaxed) { 0 } else { SERIAL_PATIENCE };
    while !port.is_ready() {
        if patience == 0 {
            give_up();
            return false;
        }
        patience -= 1;
        core::hint::spin_loop();
    }
    true
}

/// Sends all that was printed, until the last bit is on the line: the machine is about to be
/// switched off. As [`write_raw`].
pub fn finish() {
    write_raw(b"");
    let mut patience = SERIAL_PATIENCE;
    while is_present() && !STALLED.load(Ordering::Relaxed) && patience > 0 {
        if port().lsr().contains(LSR::TRANSMITTER_EMPTY) {
            return;
        }
        patience -= 1;
    }
}

/// A short text, without an allocation.
struct Words {
    bytes: [u8; 64],
    length: usize,
}

impl Words {
    /// What a reader is told who was away for a while.
    fn of_dropped() -> Words {
        let mut words = Words { bytes: [0; 64], length: 0 };
        let dropped = DROPPED.load(Ordering::Relaxed);
        let _ = write!(words, "\r\n[{dropped} bytes are missing: nobody read]\r\n");
        words
    }

    fn text(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Write for Words {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
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

/// The handler of the port's interrupt: takes the bytes that there is room for, wakes the reader,
/// and feeds the port. On CPU 0, interrupts off. At most [`SERIAL_RING`] bytes are taken at a time,
/// because a port that is gone reads as one that always has another byte.
///
/// The interrupt is edge-triggered, and the port has one line for both its reasons. So each edge
/// must find the line low before: the one reason is dropped first and asked for again last, and in
/// between the port has no byte for us, or must not tell of it.
pub fn on_interrupt() {
    let mut port = port();
    if port.asked() {
        port.ask(false);
        FED.fetch_add(1, Ordering::Relaxed);
    }
    receive(&mut port);
    if OUT.on_interrupt(&mut port) {
        ROOM.raise();
    }
}

fn receive(port: &mut Uart16550<PioBackend>) {
    let before = PUT.load(Ordering::Relaxed);
    let mut put = before;
    let full = TAKEN.load(Ordering::Acquire) + SERIAL_RING;
    while put < full
        && let Ok(byte) = port.try_receive_byte()
    {
        BYTES[put % SERIAL_RING].store(byte, Ordering::Relaxed);
        put += 1;
    }
    note_overrun(port.lsr());
    PUT.store(put, Ordering::Release);
    // A little early, while the port's own buffer is empty: it takes the bytes that are under way.
    let hold = full - put < FIFO_SIZE;
    if hold {
        hold_back(port);
        HELD.store(true, Ordering::Release);
    }
    if hold || put != before {
        // After HELD: the reader that this wakes sees it.
        executive::on_irq(ISA_COM1 as usize);
    }
}

/// No more interrupts of incoming bytes, and the other end is told to send none.
fn hold_back(port: &mut Uart16550<PioBackend>) {
    set_interrupts(port, IER::DATA_READY, false);
    set_modem_control(port, MCR::DTR | MCR::OUT_2_INT_ENABLE);
}

/// Undoes [`hold_back`]. If the port has bytes already, this raises its interrupt.
fn let_in(port: &mut Uart16550<PioBackend>) {
    set_modem_control(port, MCR::DTR | MCR::RTS | MCR::OUT_2_INT_ENABLE);
    set_interrupts(port, IER::DATA_READY, true);
}

fn set_modem_control(port: &mut Uart16550<PioBackend>, bits: MCR) {
    // SAFETY: a register that every such port has; the bits are those that the crate's `init` sets,
    // with RTS or without.
    unsafe { port.backend_mut().write(offsets::MCR as u8, bits.bits()) }
}

static OVERRUNS: AtomicUsize = AtomicUsize::new(0);

/// Counts an overrun, if the line status tells of one. (Each read of it clears the bit.)
fn note_overrun(status: LSR) {
    if status.contains(LSR::OVERRUN_ERROR) {
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
