//! Frames that are damaged on purpose: a fuzzer of the stack. `tests/fuzz-net.sh` runs it under
//! many seeds (`--cfg fuzz`; then a run is a function of its seed).
//!
//!     cargo run -p net --example frames [MUTANTS]
//!
//! Two machines on a wire in memory do all that they can: TCP both ways over both versions of IP,
//! datagrams, pings, names, addresses from a DHCP server. Each frame that passes, and each of the
//! last ones, may be sent once more, changed: numbers, lengths, options, addresses; mostly with its
//! checksums made right again, so that the change is what is looked at. So mutants have the
//! numbers of connections that live, and come in each of their states.
//!
//! Asked are: no panic; no loop (the script ends a run that hangs); memory stays bounded; and again
//! and again, when the mutants pause, whatever they have begun comes to its end, and a connection
//! that is made then carries its bytes.

use executive::lock::{Lock, Rank};
use executive::time::Instant;
use executive::{JoinHandle, go, yield_now};
use net::wire::{Faults, Wire, WireEnd};
use net::{Capabilities, Config, Device, Segmented, Shutdown, Stack, TcpStream};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Mutants between two looks at whether all still works.
const ROUND: u64 = 10_000;

/// Bytes of memory that the process may have.
const MEMORY: u64 = 512 << 20;

/// TCP's second is a few milliseconds.
const CLOCK: u32 = 100;

const CLIENT: [&str; 2] = ["10.0.0.1", "fd00::1"];
const SERVER: [&str; 2] = ["10.0.0.2", "fd00::2"];

/// xorshift64: the same every run, for the same seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n.max(1)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// Who changes frames.
struct Mutator {
    random: Random,
    /// Frames that have passed.
    corpus: VecDeque<Vec<u8>>,
    made: u64,
    /// Mutants are made until there are so many.
    until: u64,
}

/// An end of the wire whose frames are changed on their way out.
struct Fuzzed {
    end: WireEnd,
    mutator: Arc<Lock<Mutator>>,
}

impl Fuzzed {
    fn carry(&self, frame: &[u8]) {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut replaced = false;
        {
            let mut mutator = self.mutator.lock();
            let many = mutator.random.below(4);
            for _ in 0..many {
                let Some(mutant) = mutator.mutant(frame) else { break };
                match mutator.random.below(4) {
                    0 => before.push(mutant),
                    1 => {
                        replaced = true;
                        before.push(mutant);
                    }
                    _ => after.push(mutant),
                }
            }
            mutator.keep(frame);
        }
        before.iter().for_each(|mutant| self.end.inject(mutant));
        if !replaced {
            self.end.inject(frame);
        }
        after.iter().for_each(|mutant| self.end.inject(mutant));
        // A DHCP server, of few words.
        if let Some(lease) = lease(frame) {
            self.end.inject(&lease);
        }
    }
}

impl Device for Fuzzed {
    fn capabilities(&self) -> Capabilities {
        self.end.capabilities()
    }
    fn send(&self, _: usize, length: usize, _: Segmented, fill: &mut dyn FnMut(&mut [u8])) -> bool {
        let mut frame = vec![0; length];
        fill(&mut frame);
        self.carry(&frame);
        true
    }
    fn has_room(&self, queue: usize) -> bool {
        self.end.has_room(queue)
    }
    fn receive(&self, queue: usize, take: &mut dyn FnMut(&[u8])) -> bool {
        self.end.receive(queue, take)
    }
    fn wait(&self, queue: usize) -> bool {
        self.end.wait(queue)
    }
    fn close(&self) {
        self.end.close();
    }
}

const IP: usize = 14;

impl Mutator {
    fn keep(&mut self, frame: &[u8]) {
        if self.corpus.len() < 512 {
            self.corpus.push_back(frame.to_vec());
        } else if self.random.one_in(4) {
            let at = self.random.below(512);
            self.corpus[at] = frame.to_vec();
        }
    }

    /// `None`: they pause.
    fn mutant(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        if self.made == self.until {
            return None;
        }
        self.made += 1;
        let old = self.random.below(self.corpus.len());
        let mut mutant = match self.corpus.get(old) {
            Some(old) if self.random.one_in(3) => old.clone(),
            _ => frame.to_vec(),
        };
        // It comes to one of the two, whoever it was for.
        if !self.random.one_in(8) {
            mutant[..6].copy_from_slice(&frame[..6]);
        }
        for _ in 0..1 + self.random.below(3) {
            self.change(&mut mutant);
        }
        if !self.random.one_in(4) {
            lengths(&mut mutant);
        }
        if !self.random.one_in(8) {
            checksums(&mut mutant);
        }
        Some(mutant)
    }

    fn change(&mut self, frame: &mut Vec<u8>) {
        let random = &mut self.random;
        let ip = if frame.get(12) == Some(&0x86) { 40 } else { 20 };
        let tcp = IP + ip;
        let fits = frame.len() > tcp + 20;
        match random.below(12) {
            // Anything anywhere, mostly in the headers.
            0 => {
                let end = if random.one_in(4) { frame.len() } else { frame.len().min(80) };
                let at = random.below(end);
                frame[at] ^= 1 << random.below(8);
            }
            1 => {
                let at = random.below(frame.len().min(80));
                frame[at] = random.of(&[0, 1, 4, 5, 6, 15, 0x7f, 0x80, 0xfe, 0xff]);
            }
            2 => {
                let at = random.below(frame.len());
                let word = random.of(&[0, 1, 20, 0x7fff, 0x8000, 0xffff, 1500]) as u16;
                let word = word.to_be_bytes();
                frame.iter_mut().skip(at).zip(word).for_each(|(to, from)| *to = from);
            }
            // Cut off, or with more behind it.
            3 => {
                let length = random.below(frame.len() + 1);
                frame.truncate(length.max(14));
            }
            4 => {
                let more = random.below(64);
                let byte = random.below(256) as u8;
                frame.extend(std::iter::repeat_n(byte, more));
            }
            // TCP's numbers: a little or far off.
            5 | 6 if fits => {
                let at = tcp + random.of(&[4, 8]);
                let number = u32::from_be_bytes(frame[at..at + 4].try_into().expect("four"));
                let by = random.of(&[1, 2, 0u32.wrapping_sub(1), 0u32.wrapping_sub(1000)]);
                let by = random.of(&[by, by, 1460, 4096, 16 << 10, 1 << 20, 1 << 31, 0x7fff_ffff]);
                frame[at..at + 4].copy_from_slice(&number.wrapping_add(by).to_be_bytes());
            }
            // Its flags, its window, its ports.
            7 | 8 if fits => match random.below(4) {
                0 => frame[tcp + 13] = random.below(256) as u8,
                1 => frame[tcp + 13] = random.of(&[1, 2, 4, 0x10, 0x11, 0x12, 0x14, 0x18, 0x29]),
                2 => {
                    let window = random.of(&[0, 1, 2, 100, 0xffff]) as u16;
                    frame[tcp + 14..tcp + 16].copy_from_slice(&window.to_be_bytes());
                }
                _ => frame[tcp + random.below(4)] = random.of(&[0, 7, 9, 53, 67, 68]),
            },
            // Options, right or not, in the place of some or before the data.
            9 if fits => {
                let mut options = Vec::new();
                while options.len() < 40 && !random.one_in(3) {
                    let kind = random.of(&[0, 1, 2, 3, 4, 5, 8, 30, 34, 255]);
                    let length = random.of(&[0, 1, 2, 3, 4, 10, 18, 34, 255]);
                    options.extend([kind, length]);
                    let bytes = usize::from(length).saturating_sub(2).min(16);
                    options.extend((0..bytes).map(|_| random.below(256) as u8));
                }
                options.truncate(40);
                options.resize(options.len().next_multiple_of(4), 1);
                let had = usize::from(frame[tcp + 12] >> 4) * 4;
                let end = (tcp + had.max(20)).min(frame.len());
                frame.splice(tcp + 20..end, options.iter().copied());
                frame[tcp + 12] = (((20 + options.len()) / 4) << 4) as u8;
            }
            // Options of IP, other kinds of it, other headers.
            10 if frame.len() > tcp => {
                if ip == 20 {
                    let words = random.below(16);
                    frame[IP] = 0x40 | words as u8;
                    let more = (words * 4).saturating_sub(20);
                    let options = (0..more).map(|_| random.of(&[0, 1, 7, 0x44, 0x83, 0xff]));
                    let options: Vec<u8> = options.collect();
                    frame.splice(IP + 20..IP + 20, options);
                } else {
                    let next = random.of(&[0, 6, 17, 43, 44, 50, 58, 59, 60, 255]);
                    let had = std::mem::replace(&mut frame[IP + 6], next);
                    let header = [had, random.of(&[0, 1, 255]), 1, 4, 0, 0, 0, 0];
                    frame.splice(IP + 40..IP + 40, header);
                }
            }
            // Bytes again, or away: what follows comes elsewhere.
            11 => {
                let from = random.below(frame.len());
                let to = (from + 1 + random.below(32)).min(frame.len());
                let piece: Vec<u8> = frame[from..to].to_vec();
                let at = 14 + random.below(frame.len().saturating_sub(14));
                match random.one_in(2) {
                    true => _ = frame.splice(at..at, piece),
                    false => _ = frame.splice(at..(at + piece.len()).min(frame.len()), []),
                }
            }
            _ => frame[12..14].copy_from_slice(&random.of(&[[8, 0], [0x86, 0xdd], [8, 6]])),
        }
        if frame.len() < 14 {
            frame.resize(14, 0);
        }
    }
}

/// The lengths in the headers are what they are.
fn lengths(frame: &mut [u8]) {
    let whole = frame.len() - IP;
    match frame[12..14] {
        [8, 0] if whole >= 20 => {
            frame[IP + 2..IP + 4].copy_from_slice(&(whole as u16).to_be_bytes());
            let header = usize::from(frame[IP] & 15) * 4;
            if frame[IP + 9] == 17 && whole >= header + 8 {
                let at = IP + header + 4;
                frame[at..at + 2].copy_from_slice(&((whole - header) as u16).to_be_bytes());
            }
        }
        [0x86, 0xdd] if whole >= 40 => {
            frame[IP + 4..IP + 6].copy_from_slice(&((whole - 40) as u16).to_be_bytes());
            if frame[IP + 6] == 17 && whole >= 48 {
                frame[IP + 44..IP + 46].copy_from_slice(&((whole - 40) as u16).to_be_bytes());
            }
        }
        _ => {}
    }
}

/// The checksums of all headers are right.
fn checksums(frame: &mut [u8]) {
    let sum = |bytes: &[u8], first: u32| {
        let pairs = bytes.chunks(2).map(|pair| {
            u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))
        });
        let mut sum = pairs.fold(first, |sum, word| sum + word);
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        !(sum as u16)
    };
    let packet = &mut frame[IP - 2..];
    let kind = [packet[0], packet[1]];
    let packet = &mut packet[2..];
    let (header, end, protocol, addresses) = match kind {
        [8, 0] if packet.len() >= 20 => {
            let header = usize::from(packet[0] & 15) * 4;
            let whole = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
            if !(20..=packet.len()).contains(&header) {
                return;
            }
            packet[10..12].fill(0);
            let own = sum(&packet[..header], 0);
            packet[10..12].copy_from_slice(&own.to_be_bytes());
            (header, whole.min(packet.len()), packet[9], 12..20)
        }
        [0x86, 0xdd] if packet.len() >= 40 => {
            let length = usize::from(u16::from_be_bytes([packet[4], packet[5]]));
            (40, (40 + length).min(packet.len()), packet[6], 8..40)
        }
        _ => return,
    };
    let (at, pseudo) = match protocol {
        6 => (16, true),
        17 => (6, true),
        58 => (2, true),
        1 => (2, false),
        _ => return,
    };
    if end < header + at + 2 {
        return;
    }
    packet[header + at..header + at + 2].fill(0);
    let first = match pseudo {
        true => u32::from(!sum(&packet[addresses], u32::from(protocol))) + (end - header) as u32,
        false => 0,
    };
    let own = sum(&packet[header..end], first);
    packet[header + at..header + at + 2].copy_from_slice(&own.to_be_bytes());
}

/// What a DHCP server answers, if this asks one.
fn lease(frame: &[u8]) -> Option<Vec<u8>> {
    const BOOTP: usize = IP + 28;
    if frame.get(12..14) != Some(&[8, 0]) || frame.get(IP + 22..IP + 24) != Some(&[0, 67]) {
        return None;
    }
    let kind = match frame.get(BOOTP + 240..)?.windows(3).find(|w| w[..2] == [53, 1])?[2] {
        1 => 2,
        3 => 5,
        _ => return None,
    };
    let mut answer = frame[..BOOTP + 240].to_vec();
    answer[..6].copy_from_slice(&frame[6..12]);
    answer[IP + 12..IP + 20].copy_from_slice(&[10, 0, 0, 9, 255, 255, 255, 255]);
    answer[IP + 20..IP + 24].copy_from_slice(&[0, 67, 0, 68]);
    answer[BOOTP] = 2;
    answer[BOOTP + 16..BOOTP + 20].copy_from_slice(&[10, 0, 0, 50]);
    answer.extend([53, 1, kind, 54, 4, 10, 0, 0, 9, 51, 4, 0, 0, 0, 4, 1, 4, 255, 255, 255, 0]);
    answer.extend([3, 4, 10, 0, 0, 9, 6, 4, 10, 0, 0, 2, 255]);
    lengths(&mut answer);
    checksums(&mut answer);
    Some(answer)
}

/// A router that announces a network.
fn announcement() -> Vec<u8> {
    let mut frame = vec![0x33, 0x33, 0, 0, 0, 1, 2, 9, 9, 9, 9, 9, 0x86, 0xdd];
    frame.extend([0x60, 0, 0, 0, 0, 0, 58, 255, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    frame.extend([9, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 134, 0, 0, 0, 64, 0, 7, 8]);
    frame.extend([0, 0, 0, 0, 0, 0, 0, 0, 3, 4, 64, 0xc0, 0, 0, 14, 16, 0, 0, 14, 16, 0, 0, 0, 0]);
    frame.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    lengths(&mut frame);
    checksums(&mut frame);
    frame
}

fn byte(at: usize) -> u8 {
    ((at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// Gives back what comes, until the end, or until it is told to stop.
fn echo(stack: &Stack, at: &str) {
    let listener = stack.listen(at).expect("the port is free");
    go(move || {
        for stream in listener.incoming() {
            go(move || {
                let mut buffer = vec![0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..n]).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// Answers datagrams, and questions for names.
fn answer_datagrams(stack: &Stack, port: u16) {
    let socket = stack.bind_udp(("0.0.0.0".parse::<IpAddr>().expect("one"), port));
    let socket = socket.expect("the port is free");
    go(move || {
        let mut bytes = vec![0; 2048];
        while let Ok((n, from)) = socket.recv_from(&mut bytes) {
            let mut answer = bytes[..n].to_vec();
            if port == 53 && n > 16 {
                answer[2..4].copy_from_slice(&[0x81, 0x80]);
                answer[7] = 1;
                let kind = answer[n - 3];
                let address: &[u8] =
                    if kind == 1 { &[10, 0, 0, 2] } else { &[0xfd, 0, 0, 0, 0, 0, 0, 2] };
                let length = if kind == 1 { 4 } else { 16 };
                answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, length]);
                answer.extend(address.iter().chain([0; 16].iter()).take(usize::from(length)));
            }
            let _ = socket.send_to(&answer, from);
        }
    });
}

/// Bytes there and back, whatever becomes of them.
fn talk(stack: &Stack, to: SocketAddr, random: &mut Random) -> Option<()> {
    let patience = Duration::from_millis(50);
    let stream = stack.tcp().timeout(patience).connect(to).ok()?;
    let bytes: Vec<u8> = (0..random.below(8000)).map(byte).collect();
    let (reader, length) = (stream.clone(), bytes.len());
    stream.set_deadline(Some(Instant::now() + patience));
    let reads = random.below(4);
    let reads = go(move || match reads {
        0 => Ok(()),
        1 => reader.read(&mut [0; 100]).map(drop),
        _ => reader.read_exact(&mut vec![0; length]),
    });
    let sent = stream.write_all(&bytes);
    match random.below(4) {
        0 => stream.close(),
        1 => stream.shutdown(Shutdown::Write),
        _ => {}
    }
    let _ = reads.join();
    sent.ok()
}

/// One who uses the network until it is told to stop.
fn user(client: Stack, server: Stack, seed: u64, stop: Arc<AtomicBool>) {
    let random = &mut Random::new(seed);
    while !stop.load(Relaxed) {
        let to = |addresses: [&str; 2], port, random: &mut Random| {
            SocketAddr::new(random.of(&addresses).parse().expect("an address"), port)
        };
        match random.below(8) {
            0..3 => _ = talk(&client, to(SERVER, 7, random), random),
            3 => _ = talk(&server, to(CLIENT, 7, random), random),
            4 => _ = talk(&client, to(SERVER, 9, random), random),
            5 => {
                let own = to(CLIENT, 0, random);
                let Ok(socket) = client.bind_udp(own) else { continue };
                socket.set_read_deadline(Some(Instant::now() + Duration::from_millis(5)));
                let port = random.of(&[7, 9]);
                let _ = socket.send_to(&[7; 200], to(SERVER, port, random));
                let _ = socket.recv_from(&mut [0; 1000]);
            }
            6 => _ = client.ping(to(SERVER, 0, random).ip(), Duration::from_millis(5)),
            _ => {
                let until = Instant::now() + Duration::from_millis(20);
                let _ = client.lookup_host_until("host.example", Some(until), None);
            }
        }
    }
}

/// A connection that is made now carries its bytes, both ways and in order.
fn serves(from: &Stack, to: SocketAddr) {
    let bytes: Vec<u8> = (0..50_000).map(byte).collect();
    let stream: TcpStream = from.connect(to).unwrap_or_else(|e| panic!("not served: {e}"));
    let (writer, sent) = (stream.clone(), bytes.clone());
    let writes = go(move || {
        writer.write_all(&sent).expect("it is open");
        writer.shutdown(Shutdown::Write);
    });
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).unwrap_or_else(|e| panic!("not served: {e}"));
    assert!(back == bytes, "other bytes came back");
    assert_eq!(stream.read(&mut [0]), Ok(0));
    writes.join();
}

/// Bytes of memory that the process has.
fn memory() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    pages.split(' ').nth(1).expect("its second word").parse::<u64>().expect("a number") * 4096
}

fn main() {
    hosted::run(|| {
        let mutants = std::env::args().nth(1).map_or(100_000, |n| n.parse().expect("a number"));
        let seed = std::env::var("EXECUTIVE_SEED").map_or(1, |n| n.parse().expect("a number"));
        fuzz(seed, mutants);
    });
}

fn fuzz(seed: u64, mutants: u64) {
    let wire = Wire::new(Faults { seed, delay: Duration::from_micros(10), ..Faults::default() });
    let corpus = VecDeque::from([announcement()]);
    let mutator = Mutator { random: Random::new(seed), corpus, made: 0, until: 0 };
    let mutator = Arc::new(Lock::new(Rank::User, mutator));
    let stack = |addresses: [&str; 2], seed| {
        let config = Config::new([seed; 4]);
        let stack = Stack::new(Config {
            clock: CLOCK,
            loopback: false,
            keep_alive: Some(Duration::from_millis(50)),
            all_buffers: 8 << 20,
            name_servers: vec![SERVER[0].parse().expect("an address")],
            ..config
        });
        // Every other run nobody looks at checksums.
        let end = wire.plug(1);
        let end = if seed % 4 < 2 { end } else { end.without_checksums() };
        let device = Arc::new(Fuzzed { end, mutator: mutator.clone() });
        let interface = stack.attach("eth0", device);
        for (address, bits) in addresses.into_iter().zip([24, 64]) {
            interface.add_address(address.parse().expect("an address"), bits);
        }
        stack
    };
    let (client, server) = (stack(CLIENT, 2 * seed), stack(SERVER, 2 * seed + 1));
    // One that believes whatever address it is given, and so cannot be asked whether it serves.
    let guest = stack(["10.0.0.3", "fd00::3"], 2 * seed);
    let interface = guest.interfaces().remove(0);
    interface.dhcp(drop);
    interface.slaac(drop);
    for stack in [&client, &server] {
        echo(stack, "0.0.0.0:7");
        echo(stack, "[::]:7");
        [7, 53].into_iter().for_each(|port| answer_datagrams(stack, port));
    }
    let kept = [&client, &server].map(|stack| stack.report().buffers);
    let rounds = AtomicU64::new(0);
    let mut first = None;
    while mutator.lock().made < mutants {
        {
            let mut mutator = mutator.lock();
            mutator.until = (mutator.made + ROUND).min(mutants);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let users: Vec<JoinHandle<()>> = (0..6)
            .map(|_| {
                let (client, server, stop) = (client.clone(), server.clone(), stop.clone());
                let seed = Random::new(seed ^ rounds.fetch_add(1, Relaxed) << 32).0;
                go(move || user(client, server, seed, stop))
            })
            .collect();
        loop {
            assert!(memory() < MEMORY, "{} bytes of memory", memory());
            let mutator = mutator.lock();
            if mutator.made == mutator.until {
                break;
            }
            drop(mutator);
            executive::time::sleep(Duration::from_millis(1));
        }
        stop.store(true, Relaxed);
        users.into_iter().for_each(JoinHandle::join);
        // What mutants have begun comes to its end, by timers.
        for (stack, kept) in [&client, &server].into_iter().zip(kept) {
            while stack.report().open > 0 || stack.report().buffers != kept {
                executive::time::sleep(Duration::from_millis(1));
            }
        }
        for nth in 0..2 {
            serves(&client, SocketAddr::new(SERVER[nth].parse().expect("one"), 7));
            serves(&server, SocketAddr::new(CLIENT[nth].parse().expect("one"), 7));
            yield_now();
        }
        first.get_or_insert_with(memory);
    }
    let grown = memory().saturating_sub(first.unwrap_or(0));
    let (reports, frames) = ([client.report(), server.report()], wire.frames().0);
    let malformed: u64 = reports.iter().map(|it| it.malformed).sum();
    println!(
        "{mutants} mutants in {frames} frames, {malformed} malformed; memory {} KiB more",
        grown >> 10
    );
    [client, server, guest].iter().for_each(Stack::shut_down);
}
