//! Connections over a wire in memory: what `net` promises, on every machine.

use crate::help::{MS, WaitReason, until, until_waits};
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use core::time::Duration;
use executive::affinity::cpus;
use executive::cancel::Token;
use executive::scope::scope;
use executive::time::Instant;
use executive::{JoinHandle, chan, go, lock_to_cpu, select, yield_now};
use net::param;
use net::wire::{Faults, Wire, WireEnd};
use net::{
    Capabilities, Config, Device, ErrorKind, Pages, Segmented, Shutdown, Stack, TcpListener,
    TcpStream, ToAddr,
};

/// Two machines on a wire.
pub(crate) struct Pair {
    pub(crate) wire: Wire,
    pub(crate) client: Stack,
    pub(crate) server: Stack,
}

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
pub(crate) const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 99));
const CLIENT6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));
pub(crate) const SERVER6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));

/// TCP's second lasts a few milliseconds: a lost segment costs little.
const FAST: u32 = 100;

/// Long enough for everything that comes at all.
const LONG: Duration = Duration::from_secs(3600);

pub(crate) fn config(seed: u64) -> Config {
    Config { clock: FAST, loopback: false, ..Config::new([seed; 4]) }
}

impl Pair {
    fn new() -> Self {
        Self::with(Faults::default(), 1, |config| config)
    }

    pub(crate) fn with(faults: Faults, queues: usize, how: fn(Config) -> Config) -> Self {
        Self::on(faults, |wire| wire.plug(queues), how)
    }

    /// Nobody looks at checksums: for frames that a scenario has made.
    fn without_checksums() -> Self {
        Self::on(Faults::default(), |wire| wire.plug(1).without_checksums(), |config| config)
    }

    fn on(faults: Faults, plug: impl Fn(&Wire) -> WireEnd, how: fn(Config) -> Config) -> Self {
        let wire = Wire::new(faults);
        let stack = |addresses: [IpAddr; 2], seed| {
            let stack = Stack::new(how(config(seed)));
            let interface = stack.attach("eth0", Arc::new(plug(&wire)));
            interface.add_address(addresses[0], 24);
            interface.add_address(addresses[1], 64);
            stack
        };
        let (client, server) = (stack([CLIENT, CLIENT6], 1), stack([SERVER, SERVER6], 2));
        Pair { wire, client, server }
    }

    /// A connection: the client's end and the server's.
    fn connected(&self, port: u16) -> (TcpStream, TcpStream) {
        let listener = self.server.listen((SERVER, port)).unwrap();
        let client = self.client.connect((SERVER, port)).unwrap();
        let (server, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr());
        (client, server)
    }

    /// When all streams are dropped nothing is left, but small entries.
    fn nothing_is_left(&self) {
        for stack in [&self.client, &self.server] {
            until(|| stack.report().open == 0 && stack.report().buffers == 0);
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.client.shut_down();
        self.server.shut_down();
    }
}

/// A machine that takes the memory of blocks: what was in it is lost, and other bytes are there
/// afterwards.
#[derive(Debug)]
pub(crate) struct Forgets;

#[allow(unsafe_code)]
impl Pages for Forgets {
    unsafe fn decommit(&self, block: NonNull<u8>, bytes: usize) -> bool {
        // SAFETY: the caller promises that the block is so long, and that nobody looks there.
        unsafe { block.write_bytes(0xde, bytes) };
        true
    }
    unsafe fn commit(&self, block: NonNull<u8>, bytes: usize) -> bool {
        // SAFETY: as above.
        unsafe { block.write_bytes(0xad, bytes) };
        true
    }
}

/// Tells by which queue the last frame was sent, and by which one has come.
struct Tells {
    end: WireEnd,
    sent_by: AtomicUsize,
    came_by: AtomicUsize,
}

impl Device for Tells {
    fn capabilities(&self) -> Capabilities {
        self.end.capabilities()
    }
    fn send(
        &self,
        queue: usize,
        length: usize,
        segmented: Segmented,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> bool {
        self.sent_by.store(queue, Relaxed);
        self.end.send(queue, length, segmented, fill)
    }
    fn has_room(&self, queue: usize) -> bool {
        self.end.has_room(queue)
    }
    fn receive(&self, queue: usize, take: &mut dyn FnMut(&[u8])) -> bool {
        self.end.receive(queue, &mut |frame| {
            self.came_by.store(queue, Relaxed);
            take(frame);
        })
    }
    fn wait(&self, queue: usize) -> bool {
        self.end.wait(queue)
    }
    fn close(&self) {
        self.end.close();
    }
}

/// A device of one queue, by which frames come in bursts of three, each as soon as the one before
/// was taken in; the first when a frame is on the wire.
struct Bursts {
    end: WireEnd,
    frames: Vec<Vec<u8>>,
    taken: AtomicUsize,
    is_over: AtomicBool,
}

impl Device for Bursts {
    fn capabilities(&self) -> Capabilities {
        Capabilities { checksums_received: true, from_outside: true, ..self.end.capabilities() }
    }
    fn send(
        &self,
        queue: usize,
        length: usize,
        segmented: Segmented,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> bool {
        self.end.send(queue, length, segmented, fill)
    }
    fn has_room(&self, queue: usize) -> bool {
        self.end.has_room(queue)
    }
    fn receive(&self, queue: usize, take: &mut dyn FnMut(&[u8])) -> bool {
        let nth = self.taken.load(Relaxed);
        let is_over = nth.is_multiple_of(3) && !self.is_over.swap(true, Relaxed);
        if is_over || nth == self.frames.len() {
            return !is_over && self.end.receive(queue, take);
        }
        self.is_over.store(false, Relaxed);
        self.taken.store(nth + 1, Relaxed);
        take(&self.frames[nth]);
        true
    }
    fn wait(&self, queue: usize) -> bool {
        (1..self.frames.len()).contains(&self.taken.load(Relaxed)) || self.end.wait(queue)
    }
    fn close(&self) {
        self.end.close();
    }
}

/// Two machines that forget.
fn forgetful() -> Pair {
    Pair::with(Faults::default(), 1, |config| Config { pages: Some(&Forgets), ..config })
}

/// Gives back what comes, until the end.
fn echo(listener: TcpListener) -> JoinHandle<()> {
    go(move || {
        for stream in listener.incoming() {
            go(move || copy_back(&stream));
        }
    })
}

fn copy_back(stream: &TcpStream) {
    let mut buffer = vec![0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..n]).is_err() {
            return;
        }
    }
}

/// Bytes that do not repeat for long.
fn byte(at: usize) -> u8 {
    ((at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// Writes so many bytes, and then no more.
fn pour(stream: &TcpStream, bytes: usize) {
    let data: Vec<u8> = (0..bytes).map(byte).collect();
    stream.write_all(&data).unwrap();
    stream.shutdown(Shutdown::Write);
}

/// Reads to the end: each of so many bytes is right.
fn drain(stream: &TcpStream, bytes: usize) {
    let (mut at, mut buffer) = (0, vec![0; 8192]);
    loop {
        let n = stream.read(&mut buffer).unwrap();
        if n == 0 {
            return assert_eq!(at, bytes);
        }
        for got in &buffer[..n] {
            assert_eq!(*got, byte(at), "at {at}");
            at += 1;
        }
    }
}

/// So many bytes each way, at the same time.
fn both_ways(pair: &Pair, port: u16, bytes: usize) {
    let (client, server) = pair.connected(port);
    let done: Vec<_> = [client, server]
        .into_iter()
        .flat_map(|stream| {
            let reader = stream.clone();
            [go(move || pour(&stream, bytes)), go(move || drain(&reader, bytes))]
        })
        .collect();
    done.into_iter().for_each(JoinHandle::join);
}

/// A bad wire.
fn faults(seed: u64) -> Faults {
    Faults {
        seed,
        lost: 100,
        twice: 50,
        overtaken: 100,
        damaged: 10,
        delay: Duration::from_micros(20),
        late: Duration::from_micros(200),
    }
}

/// A TCP segment without data for the client, from a peer that is played here: as the answer to
/// the client's, with these numbers and flags.
fn reply(to: &[u8], sequence: u32, acknowledges: u32, flags: u8) -> Vec<u8> {
    let mut frame = syn(0, to[6..12].try_into().unwrap());
    frame[6..12].copy_from_slice(&to[..6]);
    frame[26..30].copy_from_slice(&to[30..34]);
    frame[30..34].copy_from_slice(&to[26..30]);
    frame[34..36].copy_from_slice(&to[36..38]);
    frame[36..38].copy_from_slice(&to[34..36]);
    frame[38..42].copy_from_slice(&sequence.to_be_bytes());
    frame[42..46].copy_from_slice(&acknowledges.to_be_bytes());
    frame[47] = flags;
    frame
}

/// The same, with this window.
fn reply_with_window(
    to: &[u8],
    sequence: u32,
    acknowledges: u32,
    flags: u8,
    window: u16,
) -> Vec<u8> {
    let mut frame = reply(to, sequence, acknowledges, flags);
    frame[48..50].copy_from_slice(&window.to_be_bytes());
    frame
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// The number of a segment, and what it acknowledges.
fn numbers(frame: &[u8]) -> (u32, u32) {
    let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
    (word(38), word(42))
}

/// A server at 10.0.0.2 whose peer is played by the scenario. Its clock is the true one: a peer
/// that is late by some milliseconds, on a busy host, sees nothing twice.
fn played() -> (Stack, TcpListener, WireEnd) {
    played_with(Config { clock: 1, ..config(1) })
}

/// A stack at 10.0.0.2 that listens at port 7, and a peer that is played, on a wire of their own.
fn played_with(config: Config) -> (Stack, TcpListener, WireEnd) {
    let wire = Wire::new(Faults::default());
    let stack = Stack::new(config);
    let end = Arc::new(wire.plug(1).without_checksums());
    stack.attach("eth0", end).add_address(SERVER, 16);
    let listener = stack.listen((SERVER, 7)).unwrap();
    (stack, listener, wire.plug(1))
}

/// The peer calls, with this number: the server's end, and its last frame, to be answered.
fn called(
    stack: &Stack,
    listener: &TcpListener,
    peer: &WireEnd,
    number: u32,
) -> (TcpStream, Vec<u8>) {
    peer.inject(&syn_with(number, stack, peer));
    let (frame, first) = await_segment(peer, SYN);
    assert_eq!(numbers(&frame).1, number.wrapping_add(1));
    peer.inject(&reply(&frame, number.wrapping_add(1), first.wrapping_add(1), ACK));
    (listener.accept().unwrap().0, frame)
}

/// A SYN with this number, always from the same port of the peer's.
fn syn_with(number: u32, stack: &Stack, peer: &WireEnd) -> Vec<u8> {
    let mut frame = syn(0, stack.interfaces()[0].hardware_address().unwrap());
    frame[6..12].copy_from_slice(&peer.capabilities().address.unwrap());
    frame[38..42].copy_from_slice(&number.to_be_bytes());
    frame
}

/// A peer that is played here, at 10.0.0.2: the next segment that comes with this flag, and its
/// number; a SYN only if one is asked for. Questions for the peer's hardware address are answered.
fn await_segment(peer: &WireEnd, flag: u8) -> (Vec<u8>, u32) {
    loop {
        let frame = peer.next_frame().unwrap().to_vec();
        if frame[12..14] == [8, 6] {
            peer.inject(&tell_address(&frame, peer));
        } else if frame[12..14] == [8, 0] && frame[47] & flag != 0 && frame[47] & SYN <= flag & SYN
        {
            let number = numbers(&frame).0;
            return (frame, number);
        }
    }
}

/// The answer to a question for the hardware address of this end.
pub(crate) fn tell_address(question: &[u8], end: &WireEnd) -> Vec<u8> {
    let own = end.capabilities().address.unwrap();
    let mut frame = question.to_vec();
    frame[..6].copy_from_slice(&question[6..12]);
    frame[6..12].copy_from_slice(&own);
    frame[21] = 2; // an answer
    frame[22..28].copy_from_slice(&own);
    frame[28..32].copy_from_slice(&question[38..42]);
    frame[32..42].copy_from_slice(&question[22..32]);
    frame
}

/// A SYN for the server, from an address of its own.
fn syn(nth: u32, to: [u8; 6]) -> Vec<u8> {
    let mut frame = vec![0; 54];
    frame[..6].copy_from_slice(&to);
    frame[6..12].copy_from_slice(&[2, 1, 1, 1, 1, 1]);
    frame[12..14].copy_from_slice(&[8, 0]);
    let ip = [0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
    frame[14..26].copy_from_slice(&ip);
    frame[26..30].copy_from_slice(&[10, 0, 1 + (nth >> 8) as u8, nth as u8]);
    frame[30..34].copy_from_slice(&[10, 0, 0, 2]);
    frame[34..38].copy_from_slice(&[0x80, 1, 0, 7]);
    frame[46..50].copy_from_slice(&[0x50, 2, 0x10, 0]);
    frame
}

scenarios! { network:

/// A connection is made, carries bytes both ways, and ends in order.
fn bytes_go_there_and_back() {
    let pair = Pair::new();
    for server in [SERVER, SERVER6] {
        let listener = pair.server.listen((server, 7)).unwrap();
        let served = echo(listener.clone());
        let stream = pair.client.connect((server, 7)).unwrap();
        let mut back = [0; 5];
        for word in [b"hello", b"world"] {
            stream.write_all(word).unwrap();
            stream.read_exact(&mut back).unwrap();
            assert_eq!(&back, word);
        }
        stream.shutdown(Shutdown::Write);
        assert_eq!(stream.read(&mut back), Ok(0));
        listener.close();
        served.join();
    }
    pair.nothing_is_left();
}

/// What becomes of connections is in traces, and so in a crash's report.
fn the_recorder_has_connections() {
    let pair = Pair::new();
    executive::trace::start();
    let (client, server) = pair.connected(7);
    drop(client);
    assert!(matches!(server.read(&mut [0]), Ok(0)));
    drop(server);
    until(|| pair.server.report().open + pair.client.report().open == 0);
    executive::trace::stop();
    let mut json = alloc::string::String::new();
    executive::trace::dump(&mut json).unwrap();
    for event in ["connected", "accepted", "closed", "over"] {
        assert!(json.contains(&alloc::format!("tcp: {event}, our port")), "{event}: {json}");
    }
    pair.nothing_is_left();
}

/// Each half ends by itself: who has written its last still reads.
fn a_half_is_shut_down_alone() {
    let pair = Pair::new();
    let (client, server) = pair.connected(7);
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write);
    let mut question = [0; 9];
    server.read_exact(&mut question[..8]).unwrap();
    assert_eq!(server.read(&mut question), Ok(0));
    assert_eq!(client.write(b"more").unwrap_err().kind, ErrorKind::BrokenPipe);
    let (reads, writes) = server.split();
    writes.write_all(b"answer").unwrap();
    drop(writes);
    let mut answer = [0; 6];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"answer");
    assert_eq!(client.read(&mut answer), Ok(0));
    drop((reads, client));
    pair.nothing_is_left();
}

/// A halves' reader that is shut reads to the end, and so does one that waits.
fn a_reader_that_waits_is_shut_down() {
    let pair = Pair::new();
    let (client, _server) = pair.connected(7);
    let waits = client.clone();
    let h = go(move || waits.read(&mut [0]));
    until_waits(&h, WaitReason::ChanReceive);
    client.shutdown(Shutdown::Read);
    assert_eq!(h.join(), Ok(0));
}

/// Where nobody listens a connection is refused, and the error says what, where and why.
fn where_nobody_listens_it_is_refused() {
    let pair = Pair::new();
    let e = pair.client.connect((SERVER, 9)).unwrap_err();
    assert_eq!(e.kind, ErrorKind::ConnectionRefused);
    let port = e.local.unwrap().port();
    let words = alloc::format!("dial tcp 10.0.0.1:{port}->10.0.0.2:9: connection refused");
    assert_eq!(e.to_string(), words);
    let e = pair.client.connect("192.168.7.7:9").unwrap_err();
    assert_eq!(e.to_string(), "dial tcp 192.168.7.7:9: network is unreachable");
    let e = pair.client.connect("somewhere").unwrap_err();
    assert_eq!(e.to_string(), "dial tcp: not an address with a port");
    pair.nothing_is_left();
}

/// An address is for one listener, and must be ours.
fn an_address_is_for_one_listener() {
    let pair = Pair::new();
    let first = pair.server.listen("0.0.0.0:80").unwrap();
    let e = pair.server.listen((SERVER, 80)).unwrap_err();
    assert_eq!(e.to_string(), "listen tcp 10.0.0.2:80: address already in use");
    let e = pair.server.listen((NOBODY, 80)).unwrap_err();
    assert_eq!(e.kind, ErrorKind::AddrNotAvailable);
    drop(first);
    drop(pair.server.listen((SERVER, 80)).unwrap());
    let free = pair.server.listen((SERVER, 0)).unwrap();
    assert!(free.local_addr().port() >= 32_768);
    let other = pair.server.listen((SERVER, 0)).unwrap();
    assert_ne!(free.local_addr(), other.local_addr());
}

/// Who closes what was not read resets the connection: the peer is told, also one that waits.
fn what_is_lost_is_told_by_a_reset() {
    let pair = Pair::new();
    let (client, server) = pair.connected(7);
    let waits = client.clone();
    let h = go(move || waits.read(&mut [0]));
    until_waits(&h, WaitReason::ChanReceive);
    client.write_all(b"nobody reads that").unwrap();
    select! { recv(server.readable()) -> _ => {} }
    drop(server);
    let e = h.join().unwrap_err();
    assert_eq!(e.kind, ErrorKind::ConnectionReset);
    let (local, port) = (client.local_addr(), 7);
    let words = alloc::format!("read tcp {local}->10.0.0.2:{port}: connection reset by peer");
    assert_eq!(e.to_string(), words);
    assert_eq!(client.write(b"x").unwrap_err().kind, ErrorKind::ConnectionReset);
    drop(client);
    pair.nothing_is_left();
}

/// A deadline ends a read and a write, those that wait already too; and can be moved.
fn a_deadline_ends_what_waits() {
    let pair = Pair::new();
    let (client, server) = pair.connected(7);
    let mut buffer = [0; 8];
    client.set_read_deadline(Some(Instant::now() + MS));
    let e = client.read(&mut buffer).unwrap_err();
    assert_eq!(e.kind, ErrorKind::TimedOut);
    assert!(e.to_string().ends_with("10.0.0.2:7: i/o timeout"), "{e}");
    server.write_all(b"late").unwrap();
    select! { recv(client.readable()) -> _ => {} }
    assert_eq!(client.read(&mut buffer).unwrap_err().kind, ErrorKind::TimedOut, "as in Go");
    client.set_deadline(None);
    assert_eq!(client.read(&mut buffer), Ok(4));

    // Two that wait: for ever, and for an hour.
    let [h, late] = [None, Some(Instant::now() + LONG)].map(|deadline| {
        client.set_read_deadline(deadline);
        let client = client.clone();
        let h = go(move || client.read(&mut [0; 8]).unwrap_err().kind);
        until(|| matches!(h.waiting(), Some(WaitReason::ChanReceive | WaitReason::Select)));
        h
    });
    client.set_read_deadline(Some(Instant::now()));
    assert_eq!((h.join(), late.join()), (ErrorKind::TimedOut, ErrorKind::TimedOut));

    let fills = client.clone();
    let h = go(move || while fills.write(&[0; 4096]).is_ok() {});
    until_waits(&h, WaitReason::ChanReceive); // both buffers are full
    client.set_write_deadline(Some(Instant::now()));
    h.join();

    let listener = pair.server.listen((SERVER, 8)).unwrap();
    listener.set_deadline(Some(Instant::now() + MS));
    assert_eq!(listener.accept().unwrap_err().to_string(), "accept tcp 10.0.0.2:8: i/o timeout");
    let e = pair.client.tcp().timeout(5 * MS).connect((NOBODY, 7)).unwrap_err();
    assert_eq!(e.to_string(), "dial tcp 10.0.0.99:7: i/o timeout");
    drop((client, server));
    pair.nothing_is_left();
}

/// A token ends what waits: an accept, a dial, a read, a write.
fn a_token_ends_what_waits() {
    let pair = Pair::new();
    let token = Token::new();
    let listener = pair.server.tcp().cancelled_by(&token).listen((SERVER, 7)).unwrap();
    let client = pair.client.tcp().cancelled_by(&token).connect((SERVER, 7)).unwrap();
    let (server, _) = listener.accept().unwrap();
    let fills = client.clone();
    let accepts = listener.clone();
    let dials = pair.client.tcp().cancelled_by(&token);
    let waiting = [
        go(move || accepts.accept().unwrap_err()),
        go(move || dials.connect((NOBODY, 7)).unwrap_err()),
        go(move || client.read(&mut [0]).unwrap_err()),
        go(move || loop {
            if let Err(e) = fills.write(&[0; 4096]) {
                return e;
            }
        }),
    ];
    waiting.iter().for_each(|h| until_waits(h, WaitReason::Select));
    token.cancel();
    for h in waiting {
        assert_eq!(h.join().kind, ErrorKind::Cancelled);
    }
    let e = pair.client.tcp().cancelled_by(&token).connect((SERVER, 7)).unwrap_err();
    assert_eq!(e.to_string(), "dial tcp 10.0.0.2:7: operation was canceled");
    drop((server, listener));
    pair.nothing_is_left();
}

/// Closing ends what others do with it.
fn closing_ends_what_others_wait_for() {
    let pair = Pair::new();
    let (client, server) = pair.connected(7);
    let waiting = [(); 3].map(|()| {
        let client = client.clone();
        go(move || client.read(&mut [0]).unwrap_err().kind)
    });
    waiting.iter().for_each(|h| until_waits(h, WaitReason::ChanReceive));
    client.close();
    for h in waiting {
        assert_eq!(h.join(), ErrorKind::Closed);
    }
    assert_eq!(server.read(&mut [0]), Ok(0));
    let listener = pair.server.listen((SERVER, 8)).unwrap();
    let accepts = listener.clone();
    let h = go(move || accepts.accept().unwrap_err().to_string());
    until_waits(&h, WaitReason::ChanReceive);
    listener.close();
    assert_eq!(h.join(), "accept tcp 10.0.0.2:8: use of closed network connection");
    drop((client, server));
    pair.nothing_is_left();
}

/// Accept, readable and writable are arms of a select, beside a time limit and a token.
fn a_select_waits_for_connections_and_data() {
    let pair = Pair::new();
    let (listener, token) = (pair.server.listen((SERVER, 7)).unwrap(), Token::new());
    let (tx, rx) = chan(0);
    let h = go({
        let token = token.clone();
        move || {
            let mut stream: Option<TcpStream> = None;
            loop {
                let readable = stream.as_ref().map(TcpStream::readable);
                select! {
                    recv(listener) -> new => {
                        stream = new;
                        tx.send("accepted").unwrap();
                    }
                    recv(readable) -> _ => {
                        let (mut buffer, stream) = ([0; 4], stream.as_ref().unwrap());
                        let n = stream.read(&mut buffer).unwrap();
                        select! {
                            recv(stream.writable()) -> _ => stream.write(&buffer[..n]).unwrap(),
                        };
                        tx.send("read").unwrap();
                    }
                    recv(token) -> _ => return "cancelled",
                    after(LONG) => return "late",
                }
            }
        }
    });
    let client = pair.client.connect((SERVER, 7)).unwrap();
    assert_eq!(rx.recv(), Some("accepted"));
    // More than it reads at once: it is ready again without another segment.
    client.write_all(b"abcdefgh").unwrap();
    assert_eq!((rx.recv(), rx.recv()), (Some("read"), Some("read")));
    let mut back = [0; 8];
    client.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"abcdefgh");
    token.cancel();
    assert_eq!(h.join(), "cancelled");
    let listener = pair.server.listen((SERVER, 8)).unwrap();
    select! {
        recv(listener) -> _ => unreachable!("nobody calls"),
        recv(client.readable()) -> _ => {} // its peer is gone
        after(LONG) => unreachable!("so long"),
    }
}

/// A full backlog drops what comes without a word; its peer tries again, and gets in when there is
/// room.
fn a_full_backlog_drops_and_a_repeated_syn_gets_in() {
    let pair = Pair::new();
    let listener = pair.server.tcp().backlog(2).listen((SERVER, 7)).unwrap();
    let in_time = [(); 2].map(|()| pair.client.connect((SERVER, 7)).unwrap());
    let client = pair.client.clone();
    let late = go(move || client.connect((SERVER, 7)).unwrap());
    until(|| pair.server.report().backlog_full > 0);
    assert!(!late.is_finished());
    drop(listener.accept().unwrap());
    drop(late.join());
    drop(in_time);
    drop(listener);
    pair.nothing_is_left();
}

/// A flood of SYNs takes the room of half open connections alone. Those that are established go on.
fn a_flood_of_syns_leaves_the_established_alone() {
    let pair = Pair::without_checksums();
    let listener = pair.server.tcp().backlog(16).listen((SERVER, 7)).unwrap();
    let served = echo(listener.clone());
    let before = pair.client.connect((SERVER, 7)).unwrap();
    let flood = pair.wire.plug(1).without_checksums();
    let to = pair.server.interfaces()[0].hardware_address().unwrap();
    let buffers = pair.server.report().buffers;
    let half_open = 16 * (param::RECEIVE_BUFFER + param::SEND_BUFFER);
    for nth in 0..2000 {
        flood.inject(&syn(nth, to));
        if nth % 100 == 0 {
            before.write_all(b"still").unwrap();
            before.read_exact(&mut [0; 5]).unwrap();
            assert!(pair.server.report().buffers <= buffers + half_open);
        }
    }
    assert!(pair.server.report().backlog_full > 0);
    // And when the flood is over others get in.
    let mut after = pair.client.tcp().timeout(LONG).connect((SERVER, 7)).unwrap();
    embedded(&mut after);
    drop((before, after));
    listener.close();
    served.join();
    pair.nothing_is_left();
}

/// A reader that is slow stops the writer, and loses nothing.
fn a_slow_reader_stops_the_writer() {
    let pair = Pair::new();
    let (client, server) = pair.connected(7);
    let writer = go(move || pour(&client, 200_000));
    until_waits(&writer, WaitReason::ChanReceive);
    for at in 0..40_000 {
        let mut one = [0];
        server.read_exact(&mut one).unwrap();
        assert_eq!(one[0], byte(at));
    }
    assert!(!writer.is_finished());
    let mut rest = vec![0; 160_000];
    server.read_exact(&mut rest).unwrap();
    assert!(rest.iter().enumerate().all(|(at, got)| *got == byte(40_000 + at)));
    assert_eq!(server.read(&mut rest), Ok(0));
    writer.join();
    drop(server);
    pair.nothing_is_left();
}

/// The smallest buffers do, too.
fn small_buffers_carry_all() {
    let pair = Pair::with(Faults::default(), 1, |config| Config {
        receive_buffer: 0,
        send_buffer: 0,
        ..config
    });
    both_ways(&pair, 7, 100_000);
    pair.nothing_is_left();
}

/// What comes late, twice, damaged or not at all arrives once and in order.
fn a_bad_wire_loses_nothing() {
    for seed in 1..=3 {
        let pair = Pair::with(faults(seed), 1, |config| config);
        both_ways(&pair, 7, 256 << 10);
        assert!(pair.wire.frames().1 > 0);
        pair.nothing_is_left();
    }
}

/// Many megabytes, over many connections and several queues.
fn many_connections_share_a_bad_wire() {
    let pair = Arc::new(Pair::with(faults(9), 4, |config| config));
    let all: Vec<_> = (0..8)
        .map(|nth| {
            let pair = pair.clone();
            go(move || both_ways(&pair, 100 + nth, 64 << 10))
        })
        .collect();
    all.into_iter().for_each(JoinHandle::join);
    pair.nothing_is_left();
}

/// The peer shuts its window, and drops the last byte that is under way. When the window opens that
/// is sent again, although nothing else is to be sent.
fn what_a_shut_window_has_dropped_is_sent_again() {
    let (stack, listener, peer) = played();
    let (stream, frame) = called(&stack, &listener, &peer, 5000);
    let first = numbers(&frame).0.wrapping_add(1);
    let tell = |acknowledged: u32, window: u16| {
        let acknowledges = first.wrapping_add(acknowledged);
        peer.inject(&reply_with_window(&frame, 5001, acknowledges, ACK, window));
    };
    tell(0, 7);
    until(|| stack.interfaces()[0].counts().received >= 3);
    stream.write_all(b"through").unwrap();
    while await_segment(&peer, ACK).0.len() == 54 {}
    tell(6, 0);
    tell(6, 100);
    let (again, number) = loop {
        let (again, number) = await_segment(&peer, ACK);
        if again.len() > 54 && number == first.wrapping_add(6) {
            break (again[54..].to_vec(), number);
        }
    };
    assert_eq!((again, number), (b"h".to_vec(), first.wrapping_add(6)));
    drop(stream);
    stack.shut_down();
    peer.close();
}

/// Both ends close, the peer first, while its window is shut and a part of what was written is
/// still to be sent: when the window opens that goes out, and our FIN behind it.
fn a_window_is_heeded_when_both_ends_have_closed() {
    let (stack, listener, peer) = played();
    let (stream, frame) = called(&stack, &listener, &peer, 5000);
    let first = numbers(&frame).0.wrapping_add(1);
    let tell = |sequence: u32, acknowledged: u32, window: u16, flags: u8| {
        let acknowledges = first.wrapping_add(acknowledged);
        peer.inject(&reply_with_window(&frame, sequence, acknowledges, flags, window));
    };
    tell(5001, 0, 7, ACK | FIN);
    assert_eq!(stream.read(&mut [0]), Ok(0));
    stream.write_all(b"through the wall").unwrap();
    while await_segment(&peer, PSH | ACK).0.len() == 54 {} // it has acknowledged our FIN
    tell(5002, 7, 0, ACK);
    until(|| stack.interfaces()[0].counts().received >= 4);
    stream.shutdown(Shutdown::Write);
    assert_eq!(stream.write(b"more").unwrap_err().kind, ErrorKind::BrokenPipe);
    drop(stream);
    tell(5002, 7, 100, ACK);
    // Those of one byte ask whether the window is open.
    let rest = loop {
        let (data, number) = await_segment(&peer, ACK);
        if data.len() > 55 && number == first.wrapping_add(7) {
            break data[54..].to_vec();
        }
    };
    assert_eq!(rest, b" the wall");
    tell(5002, 16, 100, ACK);
    await_segment(&peer, FIN);
    tell(5002, 17, 100, ACK);
    until(|| stack.report().open == 0);
    stack.shut_down();
    peer.close();
}

/// Megabytes each way arrive whole.
fn megabytes_arrive_whole() {
    let pair = Pair::with(Faults::default(), 2, |config| config);
    both_ways(&pair, 7, 4 << 20);
    pair.nothing_is_left();
}

/// Connections come and go by the thousands, and nothing of them is left.
fn thousands_come_and_go_and_leave_nothing() {
    const CALLERS: usize = 8;
    const EACH: usize = 1250;
    let pair = Arc::new(Pair::with(Faults::default(), 2, |config| Config {
        receive_buffer: 4096,
        send_buffer: 4096,
        time_wait: Duration::from_millis(1),
        ..config
    }));
    let listener = pair.server.listen((SERVER, 7)).unwrap();
    let served = echo(listener.clone());
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let pair = pair.clone();
            go(move || {
                for n in 0..EACH {
                    let mut stream = pair.client.connect((SERVER, 7)).unwrap();
                    if n % 3 > 0 {
                        embedded(&mut stream);
                    }
                    if n % 3 == 1 {
                        stream.shutdown(Shutdown::Write);
                        assert_eq!(stream.read(&mut [0]), Ok(0));
                    }
                }
            })
        })
        .collect();
    callers.into_iter().for_each(JoinHandle::join);
    listener.close();
    served.join();
    pair.nothing_is_left();
}

/// A FIN that is lost is sent again, whatever else the peer acknowledges again meanwhile.
fn a_lost_fin_is_sent_again() {
    let wire = Wire::new(Faults::default());
    let stack = Stack::new(config(1));
    let end = Arc::new(wire.plug(1).without_checksums());
    stack.attach("eth0", end).add_address(CLIENT, 24);
    let peer = wire.plug(1);
    let h = go({
        let stack = stack.clone();
        move || stack.connect((SERVER, 7)).unwrap()
    });
    let (syn, first) = await_segment(&peer, SYN);
    peer.inject(&reply(&syn, 1000, first.wrapping_add(1), SYN | ACK));
    let stream = h.join();
    stream.shutdown(Shutdown::Write);
    let (fin, number) = await_segment(&peer, FIN);
    for _ in 0..2 {
        (0..4).for_each(|_| peer.inject(&reply(&fin, 1001, number, ACK)));
        assert_eq!(await_segment(&peer, FIN).1, number);
    }
    peer.inject(&reply(&fin, 1001, number.wrapping_add(1), FIN | ACK));
    assert_eq!(stream.read(&mut [0]), Ok(0));
    drop(stream);
    until(|| stack.report().open == 0);
    stack.shut_down();
    peer.close();
}

/// A connection that has ended answers what comes late, and does not stand in the way of a newer
/// one of the same addresses.
fn what_has_ended_answers_and_makes_room() {
    let (stack, listener, peer) = played();
    let number = 0xffff_fff0; // and its numbers begin anew on the way
    let (stream, frame) = called(&stack, &listener, &peer, number);
    let behind = number.wrapping_add(1);
    drop(stream);
    let (_, fin) = await_segment(&peer, FIN);
    let next = fin.wrapping_add(1);
    peer.inject(&reply(&frame, behind, next, FIN | ACK));
    let said = (next, behind.wrapping_add(1));
    assert_eq!(numbers(&await_segment(&peer, ACK).0), said);
    until(|| stack.report().time_wait == 1);
    // Its last answer was lost; an older SYN of the same port comes; and the oldest of all.
    for late in [
        reply(&frame, behind, next, FIN | ACK),
        syn_with(number, &stack, &peer),
        syn_with(said.1, &stack, &peer),
        syn_with(said.1.wrapping_sub(1 << 31).wrapping_add(1), &stack, &peer),
    ] {
        peer.inject(&late);
        let (answer, _) = await_segment(&peer, ACK);
        assert_eq!((numbers(&answer), answer[47]), (said, ACK));
    }
    // A reset with any other number says nothing.
    peer.inject(&reply(&frame, said.1.wrapping_add(1), 0, RST));
    // A newer SYN opens a connection.
    let newer = said.1.wrapping_add(1);
    let (stream, frame) = called(&stack, &listener, &peer, newer);
    assert_eq!((stack.report().open, stack.report().time_wait), (1, 0));
    drop(stream);
    let (_, fin) = await_segment(&peer, FIN);
    let behind = newer.wrapping_add(1);
    peer.inject(&reply(&frame, behind, fin.wrapping_add(1), FIN | ACK));
    await_segment(&peer, ACK);
    until(|| stack.report().time_wait == 1);
    // The right reset, which is what the answer to an older SYN leads to, ends it: the SYN that is
    // sent again then opens a connection.
    peer.inject(&syn_with(number, &stack, &peer));
    let (answer, _) = await_segment(&peer, ACK);
    peer.inject(&reply(&answer, numbers(&answer).1, 0, RST));
    until(|| stack.report().time_wait == 0);
    drop(called(&stack, &listener, &peer, number));
    stack.shut_down();
    peer.close();
}

/// A peer that has forgotten a connection and calls again from the same port is answered, whatever
/// its number is (RFC 5961, 4.2): so it resets the old connection, and its next call gets in.
fn a_peer_that_has_forgotten_may_call_again() {
    let (stack, listener, peer) = played();
    let number = 5000;
    let (mut stream, mut frame) = called(&stack, &listener, &peer, number);
    for again in [number, number + 1, number + 2000, number - 2000] {
        for flags in [SYN, SYN | ACK] {
            let mut syn = syn_with(again, &stack, &peer);
            syn[47] = flags;
            peer.inject(&syn);
            let (answer, _) = await_segment(&peer, ACK);
            let says = (numbers(&frame).0.wrapping_add(1), number + 1);
            assert_eq!((numbers(&answer), answer[47]), (says, ACK));
        }
    }
    // It goes on if the peer has not forgotten it ..
    stream.write_all(b"still").unwrap();
    let (_, first) = await_segment(&peer, PSH);
    peer.inject(&reply(&frame, number + 1, first.wrapping_add(5), ACK));
    // .. and is reset otherwise, also after one of both ends was shut down.
    for shut in [false, true] {
        if shut {
            stream.shutdown(Shutdown::Write);
            let (_, fin) = await_segment(&peer, FIN);
            peer.inject(&reply(&frame, number + 1, fin.wrapping_add(1), ACK));
        }
        peer.inject(&syn_with(77, &stack, &peer));
        let (answer, _) = await_segment(&peer, ACK);
        peer.inject(&reply(&answer, numbers(&answer).1, 0, RST));
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind, ErrorKind::ConnectionReset);
        (stream, frame) = called(&stack, &listener, &peer, number);
    }
    drop(stream);
    stack.shut_down();
    peer.close();
}

/// The window of a SYN is not scaled, and smoltcp takes it for a scaled one until it has sent
/// another: what a peer sends behind it is dropped, and not believed to be in the buffer.
fn data_behind_the_window_of_a_syn_is_dropped() {
    let (stack, listener, peer) = played();
    let number = 5000;
    let mut syn = syn_with(number, &stack, &peer);
    (syn[17], syn[46]) = (44, 0x60);
    syn.extend([3, 3, 7, 1]); // the peer scales windows, too
    peer.inject(&syn);
    let (frame, first) = await_segment(&peer, SYN);
    let segment = |offset, flags| reply(&frame, number + 1 + offset, first.wrapping_add(1), flags);
    let data = |offset: u32, length: u16| {
        let mut frame = segment(offset, ACK | PSH);
        frame[16..18].copy_from_slice(&(40 + length).to_be_bytes());
        frame.resize(54 + usize::from(length), offset as u8);
        frame
    };
    peer.inject(&segment(0, ACK));
    let (stream, _) = listener.accept().unwrap();
    let end = param::RECEIVE_BUFFER as u32 - 700;
    peer.inject(&data(end, 1400));
    for offset in (0..end).step_by(1400) {
        let length = (end - offset).min(1400) as u16;
        peer.inject(&data(offset, length));
        let mut bytes = vec![0; length.into()];
        stream.read_exact(&mut bytes).unwrap();
        assert!(bytes.iter().all(|byte| *byte == offset as u8), "{offset}");
    }
    peer.inject(&segment(end, ACK | FIN));
    assert_eq!(stream.read(&mut [0]), Ok(0));
    drop(stream);
    stack.shut_down();
    peer.close();
}

/// A reset ends a connection in each of its states, and nothing of it is left.
fn a_reset_ends_each_state() {
    let (stack, listener, peer) = played();
    let number = 5000;
    // Half open: nobody is told of it, and the next one is accepted.
    peer.inject(&syn_with(number, &stack, &peer));
    let (frame, _) = await_segment(&peer, SYN);
    peer.inject(&reply(&frame, number + 1, 0, RST));
    until(|| stack.report().open == 0);
    type Brings = fn(&TcpStream, &Stack, &WireEnd, &[u8]) -> u32;
    // ESTABLISHED, FIN-WAIT-1, FIN-WAIT-2, CLOSING, CLOSE-WAIT, LAST-ACK: the number to come.
    let states: [Brings; 6] = [
        |_, _, _, _| 5001,
        |stream, _, peer, _| {
            stream.shutdown(Shutdown::Write);
            await_segment(peer, FIN);
            5001
        },
        |stream, _, peer, frame| {
            stream.shutdown(Shutdown::Write);
            let (_, fin) = await_segment(peer, FIN);
            peer.inject(&reply(frame, 5001, fin.wrapping_add(1), ACK));
            5001
        },
        |stream, _, peer, frame| {
            stream.shutdown(Shutdown::Write);
            let (_, fin) = await_segment(peer, FIN);
            peer.inject(&reply(frame, 5001, fin, FIN | ACK));
            await_segment(peer, ACK);
            5002
        },
        |stream, _, peer, frame| {
            peer.inject(&reply(frame, 5001, numbers(frame).0.wrapping_add(1), FIN | ACK));
            assert_eq!(stream.read(&mut [0]), Ok(0));
            5002
        },
        |stream, _, peer, frame| {
            peer.inject(&reply(frame, 5001, numbers(frame).0.wrapping_add(1), FIN | ACK));
            assert_eq!(stream.read(&mut [0]), Ok(0));
            stream.shutdown(Shutdown::Write);
            await_segment(peer, FIN);
            5002
        },
    ];
    for brings in states {
        let (stream, frame) = called(&stack, &listener, &peer, number);
        let expected = brings(&stream, &stack, &peer, &frame);
        peer.inject(&reply(&frame, expected, 0, RST));
        until(|| stack.report().open == 0);
        let e = stream.write(b"x").unwrap_err().kind;
        assert_eq!(e, ErrorKind::ConnectionReset);
        drop(stream);
        until(|| stack.report().buffers == 0);
        assert_eq!(stack.report().time_wait, 0);
    }
    drop(listener);
    stack.shut_down();
    peer.close();
}

/// A connection with nothing to do keeps no memory for its buffers, on both ends, and goes on when
/// there is something.
fn an_idle_connection_has_no_buffers() {
    let pair = forgetful();
    let listener = pair.server.listen((SERVER, 7)).unwrap();
    let served = echo(listener.clone());
    let streams: Vec<_> = (0..20).map(|_| pair.client.connect((SERVER, 7)).unwrap()).collect();
    for round in 1..4 {
        for stream in &streams {
            // So many that the next round begins somewhere else in the buffers.
            let bytes: Vec<u8> = (0..round * 3001).map(byte).collect();
            stream.write_all(&bytes).unwrap();
            let mut got = vec![0; bytes.len()];
            stream.read_exact(&mut got).unwrap();
            assert!(got == bytes, "other bytes came back");
        }
        for stack in [&pair.client, &pair.server] {
            until(|| stack.report().buffers == 0);
            assert_eq!(stack.report().open, streams.len());
        }
    }
    drop(streams);
    listener.close();
    served.join();
    pair.nothing_is_left();
}

/// What has come early, and waits for what is missing before it, is kept however long that takes.
fn what_came_early_is_kept() {
    let wire = Wire::new(Faults::default());
    let stack = Stack::new(Config { pages: Some(&Forgets), ..config(1) });
    let end = Arc::new(wire.plug(1).without_checksums());
    stack.attach("eth0", end).add_address(CLIENT, 24);
    let peer = wire.plug(1);
    // The SYN of another call may come twice.
    let connect = |other: Option<u32>| {
        let h = go({
            let stack = stack.clone();
            move || stack.connect((SERVER, 7)).unwrap()
        });
        let (syn, first) = loop {
            let (syn, first) = await_segment(&peer, SYN);
            if Some(first.wrapping_add(1)) != other {
                break (syn, first);
            }
        };
        peer.inject(&reply(&syn, 1000, first.wrapping_add(1), SYN | ACK));
        (h.join(), syn, first.wrapping_add(1))
    };
    let (stream, syn, next) = connect(None);
    let data = |sequence, bytes: &[u8]| {
        let mut frame = reply(&syn, sequence, next, ACK);
        frame[17] += bytes.len() as u8;
        frame.extend_from_slice(bytes);
        peer.inject(&frame);
    };
    data(1006, b"world");
    // One that begins later and has nothing to do has given its buffers back.
    let both = stack.report().buffers;
    let later = connect(Some(next));
    until(|| stack.report().buffers == both);
    data(1001, b"hello");
    let mut got = [0; 10];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"helloworld");
    drop((stream, later));
    stack.shut_down();
    peer.close();
}

/// A connection sends by the queue by which it receives, on whatever CPU: by two queues its frames
/// would overtake each other.
fn a_connection_sends_by_the_queue_by_which_it_receives() {
    let wire = Wire::new(Faults::default());
    let (stack, other) = (Stack::new(config(1)), Stack::new(config(2)));
    let queues = cpus().min(2);
    let [sent_by, came_by] = [const { AtomicUsize::new(0) }; 2];
    let tells = Arc::new(Tells { end: wire.plug(queues), sent_by, came_by });
    stack.attach("eth0", tells.clone()).add_address(SERVER, 24);
    other.attach("eth0", Arc::new(wire.plug(1))).add_address(CLIENT, 24);
    let listener = stack.listen((SERVER, 7)).unwrap();
    let client = other.connect((SERVER, 7)).unwrap();
    let (server, _) = listener.accept().unwrap();
    client.write_all(b"by one").unwrap();
    server.read_exact(&mut [0; 6]).unwrap();
    let came_by = tells.came_by.load(Relaxed);
    let last = go(move || {
        let _stays = lock_to_cpu((came_by + 1) % queues);
        server.write_all(b"too").unwrap();
        server
    });
    client.read_exact(&mut [0; 3]).unwrap();
    assert_eq!(tells.sent_by.load(Relaxed), came_by);
    drop((client, last.join(), listener));
    stack.shut_down();
    other.shut_down();
}

/// A device with one queue has its frames handed to other CPUs. Those of a flow stay in order.
fn frames_that_are_handed_to_other_cpus_stay_in_order() {
    const FLOWS: u8 = 4;
    let wire = Wire::new(Faults::default());
    let end = wire.plug(1);
    let own = end.capabilities().address.unwrap();
    let frame = |nth: u8| {
        let mut frame = syn(0, own);
        frame.truncate(34);
        frame[16..18].copy_from_slice(&(20 + 8 + 1_u16).to_be_bytes());
        frame[23] = 17; // UDP, to port 9, from one for each flow, without a checksum
        frame.extend_from_slice(&[1, nth % FLOWS, 0, 9, 0, 8 + 1, 0, 0, nth]);
        frame
    };
    let frames: Vec<_> = (FLOWS..param::DATAGRAMS as u8).map(frame).collect();
    let many = frames.len();
    let (taken, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let stack = Stack::new(config(1));
    let device = Bursts { end, frames, taken, is_over };
    stack.attach("eth0", Arc::new(device)).add_address(SERVER, 24);
    let socket = stack.bind_udp((SERVER, 9)).unwrap();
    wire.plug(1).inject(&[0xff; 60]);
    let mut last = [0; FLOWS as usize];
    for _ in 0..many {
        let mut nth = [0];
        socket.recv_from(&mut nth).unwrap();
        let last = &mut last[usize::from(nth[0] % FLOWS)];
        assert!(nth[0] > *last, "{} came after {last}", nth[0]);
        *last = nth[0];
    }
    drop(socket);
    stack.shut_down();
}

/// The same, with connections over a bad wire.
fn bytes_stay_right_where_frames_are_handed_to_other_cpus() {
    let pair = Pair::on(faults(11), |wire| wire.plug(1).from_outside(), |config| config);
    scope(|s| {
        for port in 7..11 {
            let pair = &pair;
            _ = s.go(move || both_ways(pair, port, 100_000));
        }
    });
    pair.nothing_is_left();
}

/// Segments that were put together on the way are acknowledged at once: before what comes after
/// them is looked at.
fn several_segments_in_one_are_acknowledged_at_once() {
    let (stack, listener, peer) = played();
    let (stream, frame) = called(&stack, &listener, &peer, 1000);
    let mut large = reply(&frame, 1001, numbers(&frame).0.wrapping_add(1), ACK);
    large[16..18].copy_from_slice(&(40 + 4000_u16).to_be_bytes());
    large.resize(large.len() + 4000, b'x');
    peer.inject(&large);
    let mut refused = syn_with(77, &stack, &peer);
    refused[36..38].copy_from_slice(&[0, 9]); // nobody listens there
    peer.inject(&refused);
    let (answer, _) = await_segment(&peer, ACK);
    assert_eq!((numbers(&answer).1, answer[47]), (5001, ACK));
    let (answer, _) = await_segment(&peer, RST);
    assert_eq!(numbers(&answer).1, 78);
    drop((stream, listener));
    stack.shut_down();
    peer.close();
}

/// A peer whose window is shut is asked again and again whether it is open, and when it is, all
/// arrives; also if nothing but a probe's answer says so.
fn a_window_that_is_shut_is_asked_about() {
    let (stack, listener, peer) = played_with(config(1));
    let (stream, frame) = called(&stack, &listener, &peer, 5000);
    let first = numbers(&frame).0.wrapping_add(1);
    let tell = |window: u16| {
        peer.inject(&reply_with_window(&frame, 5001, first, ACK, window));
    };
    tell(0);
    until(|| stack.interfaces()[0].counts().received >= 3);
    stream.write_all(b"through").unwrap();
    for _ in 0..5 {
        let (probe, number) = await_segment(&peer, ACK);
        assert_eq!((number, &probe[54..]), (first, &b"t"[..]));
        tell(0);
    }
    await_segment(&peer, ACK);
    tell(100);
    let data = loop {
        let (data, number) = await_segment(&peer, ACK);
        if data.len() > 55 {
            break (data[54..].to_vec(), number);
        }
    };
    assert_eq!(data, (b"through".to_vec(), first));
    drop(stream);
    stack.shut_down();
    peer.close();
}

/// While the cable is out nothing arrives; when it is back all goes on.
fn a_cable_is_pulled_and_put_back() {
    let pair = Pair::new();
    let (client, server) = pair.connected(7);
    pair.wire.set_plugged(false);
    let lost = pair.wire.frames().1;
    client.write_all(b"through").unwrap();
    until(|| pair.wire.frames().1 > lost + 1); // tried again, too
    pair.wire.set_plugged(true);
    server.read_exact(&mut [0; 7]).unwrap();
    drop((client, server));
    pair.nothing_is_left();
}

/// A peer that is gone is noticed by who asks whether it is there.
fn a_peer_that_is_gone_is_noticed() {
    let pair = Pair::new();
    let (client, server) = pair.connected(7);
    client.set_keepalive(Some(2 * MS));
    pair.wire.set_plugged(false);
    assert_eq!(client.read(&mut [0]).unwrap_err().kind, ErrorKind::TimedOut);
    pair.wire.set_plugged(true);
    drop(client);
    // The server finds out by its own words.
    while server.write(b"is anybody there?").is_ok() {
        select! { recv(server.writable()) -> _ => {} }
    }
    drop(server);
    pair.nothing_is_left();
}

/// A reset that is lost leaves no reader waiting: it asks whether its peer is there, and is told.
/// So does whoever accepts and whoever calls, unless told otherwise.
fn a_lost_reset_is_noticed() {
    assert_eq!(Config::new([1; 4]).keep_alive, Some(Duration::from_secs(15)), "as in Go");
    let pair = Pair::with(Faults::default(), 1, |config| Config {
        keep_alive: Some(100 * MS),
        ..config
    });
    for client_reads in [true, false] {
        let (client, server) = pair.connected(7);
        let (reads, resets) = if client_reads { (client, server) } else { (server, client) };
        reads.write_all(b"nobody reads that").unwrap();
        select! { recv(resets.readable()) -> _ => {} }
        pair.wire.set_plugged(false);
        let lost = pair.wire.frames().1;
        drop(resets);
        until(|| pair.wire.frames().1 > lost);
        pair.wire.set_plugged(true);
        assert_eq!(reads.read(&mut [0]).unwrap_err().kind, ErrorKind::ConnectionReset);
    }
    pair.nothing_is_left();
}

/// A peer that is there and says nothing stays connected, however often it is asked; and it can be
/// left in peace.
fn a_silent_peer_stays_connected() {
    let pair = Pair::new();
    let listener = pair.server.tcp().keep_alive(Some(60 * MS)).listen((SERVER, 7)).unwrap();
    let client = pair.client.tcp().keep_alive(None).connect((SERVER, 7)).unwrap();
    let (server, _) = listener.accept().unwrap();
    let before = pair.wire.frames().0;
    until(|| pair.wire.frames().0 >= before + 22); // 11 questions, and their answers
    server.set_keepalive(None);
    client.write_all(b"still here").unwrap();
    server.read_exact(&mut [0; 10]).unwrap();
    drop((client, server));
    pair.nothing_is_left();
}

/// Datagrams arrive whole, one by one, and tell who has sent them.
fn datagrams_arrive_one_by_one() {
    let pair = Pair::new();
    let server = pair.server.bind_udp("0.0.0.0:53").unwrap();
    let e = pair.server.bind_udp((SERVER, 53)).unwrap_err();
    assert_eq!(e.to_string(), "listen udp 10.0.0.2:53: address already in use");
    let client = pair.client.bind_udp((CLIENT, 0)).unwrap();
    let mut buffer = [0; 1472];
    for length in [0, 1, 1452] {
        client.send_to(&vec![7; length], (SERVER, 53)).unwrap();
        let (n, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!((n, from), (length, client.local_addr()));
        server.send_to(&buffer[..n], from).unwrap();
        let answer = client.recv_from(&mut buffer).unwrap();
        assert_eq!(answer, (length, (SERVER, 53).to_addr().unwrap()));
    }
    let e = client.send_to(&[0; 1500], (SERVER, 53)).unwrap_err();
    assert_eq!(e.kind, ErrorKind::MessageTooLong);
    for socket in [&client, &server] {
        let e = socket.send_to(b"of the other version", (SERVER6, 53)).unwrap_err();
        assert_eq!(e.kind, ErrorKind::NetworkUnreachable);
    }
    select! {
        recv(client.readable()) -> _ => unreachable!("nothing came"),
        default => {}
    }
    client.set_read_deadline(Some(Instant::now() + MS));
    assert_eq!(client.recv_from(&mut buffer).unwrap_err().kind, ErrorKind::TimedOut);
    let waits = server.clone();
    let h = go(move || waits.recv_from(&mut [0]).unwrap_err().kind);
    until_waits(&h, WaitReason::ChanReceive);
    server.close();
    assert_eq!(h.join(), ErrorKind::Closed);
    drop((client, server));
    pair.nothing_is_left();
}

/// A socket whose last datagram was taken is not readable, also if whoever brought that is late.
fn a_socket_that_was_emptied_is_not_readable() {
    let pair = Pair::new();
    let server = pair.server.bind_udp((SERVER, 53)).unwrap();
    let client = pair.client.bind_udp((CLIENT, 53)).unwrap();
    for _ in 0..50 {
        for _ in 0..3 {
            server.send_to(b"one of three", (CLIENT, 53)).unwrap();
        }
        for _ in 0..3 {
            client.recv_from(&mut [0; 20]).unwrap();
        }
        for _ in 0..3 {
            select! {
                recv(client.readable()) -> _ => unreachable!("nothing came"),
                default => yield_now(),
            }
        }
    }
    drop((client, server));
    pair.nothing_is_left();
}

/// Datagrams for a neighbour who does not answer are dropped after a while, and those that wait
/// behind them: so nobody waits for ever. What was received meanwhile is kept.
fn a_datagram_for_a_silent_neighbour_stops_nobody() {
    let pair = Pair::new();
    let server = pair.server.bind_udp((SERVER, 53)).unwrap();
    let client = pair.client.bind_udp((CLIENT, 0)).unwrap();
    client.send_to(b"first", (SERVER, 53)).unwrap();
    let mut buffer = [0; 100];
    let (_, from) = server.recv_from(&mut buffer).unwrap();
    for bytes in [&b"for nobody"[..], b""] {
        // More than there is room for.
        let (sends, several) = (server.clone(), bytes.to_vec());
        let send = move || _ = sends.send_to(&several, (NOBODY, 9)).unwrap();
        let h = go(move || (0..100).for_each(|_| send()));
        until_waits(&h, WaitReason::ChanReceive);
        client.send_to(b"second", (SERVER, 53)).unwrap();
        h.join();
        assert_eq!(server.recv_from(&mut buffer), Ok((6, from)));
        client.set_read_deadline(Some(Instant::now()));
        while client.recv_from(&mut buffer).is_err() {
            client.set_read_deadline(Some(Instant::now() + 100 * MS));
            assert_eq!(server.send_to(b"third", from), Ok(5));
        }
        client.set_read_deadline(None);
    }
}

/// A datagram for a port that nobody has there is answered by an error (RFC 1122, 4.1.3.1), also if
/// somebody has it on other interfaces.
fn a_datagram_for_nobody_is_answered() {
    let pair = Pair::new();
    let _elsewhere = pair.server.bind_udp("0.0.0.0:53").unwrap();
    let other = Wire::new(Faults::default());
    let late = pair.server.attach("eth1", Arc::new(other.plug(1).without_checksums()));
    late.add_address(Ipv4Addr::new(10, 1, 0, 2).into(), 16);
    let peer = other.plug(1);
    for port in [53, 54] {
        let mut question = syn(0, late.hardware_address().unwrap());
        question.truncate(14 + 28);
        question[17] = 28;
        question[23] = 17;
        question[26..34].copy_from_slice(&[10, 1, 0, 1, 10, 1, 0, 2]);
        question[34..42].copy_from_slice(&[0x80, 1, 0, port, 0, 8, 0, 0]);
        peer.inject(&question);
        let answer = loop {
            let frame = peer.next_frame().unwrap();
            if frame[12..14] == [8, 0] {
                break frame;
            }
            peer.inject(&tell_address(&frame, &peer));
            peer.inject(&question); // the first answer is lost: it had no address to go to
        };
        assert_eq!((answer[23], answer[34], answer[35]), (1, 3, 3), "port unreachable");
    }
    peer.close();
}

/// Who is there answers a ping, many at the same time; who is not does not.
fn a_ping_is_answered() {
    let pair = Pair::new();
    let all: Vec<_> = [SERVER, SERVER6, SERVER, SERVER6]
        .into_iter()
        .map(|address| {
            let client = pair.client.clone();
            go(move || client.ping(address, LONG).unwrap())
        })
        .collect();
    all.into_iter().for_each(|h| _ = h.join());
    let e = pair.client.ping(NOBODY, 5 * MS).unwrap_err();
    assert_eq!(e.to_string(), "ping ip 10.0.0.99: i/o timeout");
}

/// The loop: a machine talks to itself, by any of its addresses.
fn a_machine_talks_to_itself() {
    let wire = Wire::new(Faults::default());
    let stack = Stack::new(Config::new([3; 4]));
    stack.attach("eth0", Arc::new(wire.plug(1))).add_address(SERVER, 24);
    let listener = stack.listen("0.0.0.0:7").unwrap();
    let served = echo(listener.clone());
    for address in ["127.0.0.1:7", "10.0.0.2:7"] {
        embedded(&mut stack.connect(address).unwrap());
    }
    listener.close();
    served.join();
    let six = stack.listen("[::1]:7").unwrap();
    let served = echo(six.clone());
    embedded(&mut stack.connect("[::1]:7").unwrap());
    six.close();
    served.join();
    until(|| stack.report().open == 0);
    stack.shut_down();
}

/// Sockets that are shut down with their stack say so.
fn a_stack_that_is_shut_down_says_so() {
    let pair = Pair::new();
    let (client, _server) = pair.connected(7);
    let waits = client.clone();
    let h = go(move || waits.read(&mut [0]).unwrap_err().kind);
    until_waits(&h, WaitReason::ChanReceive);
    pair.client.shut_down();
    assert_eq!(h.join(), ErrorKind::Closed);
    let e = pair.client.connect((SERVER, 7)).unwrap_err();
    assert_eq!(e.kind, ErrorKind::Closed);
}

/// Frames that make no sense do no harm.
fn frames_without_sense_do_no_harm() {
    let pair = Pair::without_checksums();
    let listener = pair.server.listen((SERVER, 7)).unwrap();
    let served = echo(listener.clone());
    let before = pair.client.connect((SERVER, 7)).unwrap();
    let end = pair.wire.plug(1);
    let to = pair.server.interfaces()[0].hardware_address().unwrap();
    let model = syn(1, to);
    let mut random = 1u64;
    for _ in 0..2000 {
        let mut frame = model.clone();
        for _ in 0..3 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let at = 6 + (random >> 33) as usize % (frame.len() - 6);
            frame[at] = (random >> 24) as u8;
        }
        frame.truncate(6 + (random >> 40) as usize % frame.len());
        end.inject(&frame);
    }
    end.close();
    before.write_all(b"still").unwrap();
    before.read_exact(&mut [0; 5]).unwrap();
    drop(before);
    listener.close();
    served.join();
    pair.nothing_is_left();
}

}

/// Uses a stream as others' crates do.
fn embedded(stream: &mut TcpStream) {
    use net::embedded_io::{Read, Write};
    Write::write_all(stream, b"once more").unwrap();
    let mut back = [0; 9];
    Read::read_exact(stream, &mut back).unwrap();
    assert_eq!(&back, b"once more");
}

/// Nobody else can wake them: the goroutines that serve the wire are the system's (SYSTEM-G), and
/// hide no deadlock.
pub fn two_who_wait_for_each_other() {
    // Who asks whether the other one is there would wait for the answer.
    let pair = Pair::with(Faults::default(), 1, |config| Config { keep_alive: None, ..config });
    let (client, server) = pair.connected(7);
    go(move || client.read(&mut [0]));
    let _ = server.read(&mut [0]);
}

/// Somebody outside may call.
pub fn accept_from_outside() {
    let stack = Stack::new(config(1));
    let wire = Wire::new(Faults::default());
    let end = wire.plug(1).from_outside();
    stack.attach("eth0", Arc::new(end)).add_address(SERVER, 24);
    let listener = stack.listen((SERVER, 7)).unwrap();
    select! { recv(listener) -> _ => unreachable!("nobody is there") }
}
