//! A network card's rings and headers (kernel/drivers/src/virtio_net), on the host, before cards of
//! the test's own: one that does its work, and ones that say nonsense. Case N is made by seed N;
//! CASES=1000000 tries as many.

extern crate alloc;

#[allow(dead_code)] // what only the kernel uses
#[path = "../../kernel/drivers/src/virtio/ring.rs"]
mod ring;

#[allow(dead_code)]
#[path = "../../kernel/drivers/src/virtio_net/rings.rs"]
mod rings;

#[path = "../../kernel/drivers/src/virtio_net/offload.rs"]
mod offload;

#[allow(dead_code)]
#[path = "drivers/model.rs"]
mod model;

#[path = "drivers/hal.rs"]
mod hal;

use hal::Host;
use model::{Device, SIZE};
use offload::{is_right, leave_to_the_card};
use ring::{Nonsense, Ring};
use rings::{HEADER, LONGEST, Pool, Receiver, Transmitter};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, IpAddress, IpProtocol, IpRepr, TcpControl,
    TcpPacket, TcpRepr, TcpSeqNumber, UdpPacket, UdpRepr,
};
use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::ptr::NonNull;
use tests::Random;

fn cases() -> u64 {
    std::env::var("CASES").map_or(10_000, |cases| cases.parse().expect("a number"))
}

/// Bytes of a buffer here: short, so that frames need several.
const BUFFER: usize = 64;

/// Memory for pools. It must live as long as they.
struct Memory(Box<[u8]>);

impl Memory {
    fn new(bytes: usize) -> Memory {
        Memory(vec![0; bytes].into())
    }
    fn pool(&mut self, from: usize, bytes: usize, first: u16, count: u16) -> Pool {
        let part = &mut self.0[from..from + bytes * usize::from(count)];
        // SAFETY: it is initialised, nobody else's by the caller's choice of `from`, and lives as
        // long as the test's rings.
        unsafe { Pool::new(NonNull::from(part).cast(), bytes, first, count) }
    }
}

struct Incoming {
    random: Random,
    device: Device,
    receiver: Receiver<Host, SIZE>,
    into: Vec<u8>,
    _memory: Memory,
}

impl Incoming {
    fn new(seed: u64, merges: bool) -> Incoming {
        let mut memory = Memory::new(SIZE * BUFFER);
        let mut device = Device::default();
        let ring = Ring::new(&mut device, 0).expect("a ring");
        let pool = memory.pool(0, BUFFER, 0, SIZE as u16);
        let receiver = Receiver::new(Box::new(ring), pool, merges).expect("room for all buffers");
        let into = Vec::with_capacity(LONGEST);
        Incoming { random: Random(seed), device, receiver, into, _memory: memory }
    }

    /// The card puts bytes into the buffer that was given to it first.
    fn put(&mut self, bytes: &[u8]) {
        let head = self.device.pending.remove(0);
        let address: u64 = self.device.read(self.device.descriptors, 16 * usize::from(head));
        bytes.iter().enumerate().for_each(|(at, &byte)| self.device.write(address, at, byte));
        self.device.say(head.into(), bytes.len() as u32);
    }

    /// A frame comes, if there are enough buffers for it.
    fn comes(&mut self, frame: &[u8]) -> bool {
        self.device.look();
        let rest = frame.get(BUFFER - HEADER..).unwrap_or_default();
        let buffers = 1 + rest.len().div_ceil(BUFFER);
        if buffers > self.device.pending.len() {
            return false;
        }
        let mut first = vec![0; HEADER];
        first[10] = buffers as u8;
        first.extend(&frame[..frame.len() - rest.len()]);
        self.put(&first);
        rest.chunks(BUFFER).for_each(|part| self.put(part));
        true
    }
}

#[test]
fn frames_that_come_are_put_together_in_order() {
    let mut taken = 0;
    for seed in 0..cases() / 100 {
        let mut case = Incoming::new(seed, true);
        let mut sent = VecDeque::new();
        for _ in 0..300 {
            if case.random.below(2) == 0 {
                let length = case.random.below(SIZE * BUFFER - HEADER);
                let frame: Vec<u8> = (0..length).map(|_| case.random.next() as u8).collect();
                if case.comes(&frame) {
                    sent.push_back(frame);
                }
            } else {
                let looks = case.receiver.look_before_waiting();
                assert_eq!(looks, !sent.is_empty());
                match case.receiver.take(&mut case.into) {
                    Some(came) => {
                        assert!(!came.expect("it makes sense").too_long);
                        assert_eq!(Some(&case.into), sent.pop_front().as_ref(), "seed {seed}");
                        taken += 1;
                    }
                    None => assert!(sent.is_empty(), "seed {seed}"),
                }
            }
        }
    }
    assert!(taken > cases() / 2, "{taken}");
}

#[test]
fn nonsense_that_comes_is_noticed_or_harmless() {
    let mut noticed = 0;
    for seed in 0..cases() {
        let merges = seed % 2 == 0;
        let mut case = Incoming::new(seed, merges);
        for _ in 0..30 {
            match case.random.below(8) {
                // A header that says anything, in a buffer that is as full as it wants.
                0..3 => {
                    case.device.look();
                    if !case.device.pending.is_empty() {
                        let length = case.random.below(BUFFER + 1);
                        let mut bytes: Vec<_> =
                            (0..length).map(|_| case.random.next() as u8).collect();
                        if let Some(count) = bytes.get_mut(10) {
                            *count = case.random.below(2 * SIZE) as u8;
                        }
                        case.put(&bytes);
                    }
                }
                3 => {
                    let (id, length) = (case.random.below(SIZE + 2), case.random.below(200));
                    case.device.say(id as u32, length as u32);
                }
                4 => {
                    let index = case.random.below(1 << 16) as u16;
                    case.device.write(case.device.used, 2, index);
                }
                _ => {
                    if let Some(Err(Nonsense)) = case.receiver.take(&mut case.into) {
                        noticed += 1;
                        break; // it is not used any more
                    }
                    assert!(case.into.len() <= SIZE * BUFFER);
                }
            }
        }
    }
    assert!(noticed > cases() / 4, "{noticed} of {} cases were noticed", cases());
}

#[test]
fn what_is_sent_is_whole_and_its_buffers_come_back() {
    const LONG: usize = 200;
    const LONGS: u16 = 2;
    let mut noticed = 0;
    for seed in 0..cases() {
        let honest = seed % 2 == 0;
        let mut random = Random(seed);
        let shorts = SIZE as u16 - LONGS;
        let behind = usize::from(shorts) * BUFFER;
        let mut memory = Memory::new(behind + usize::from(LONGS) * LONG);
        let mut device = Device::default();
        let ring = Ring::<Host, SIZE>::new(&mut device, 0).expect("a ring");
        let short = memory.pool(0, BUFFER, 0, shorts);
        let long = memory.pool(behind, LONG, shorts, LONGS);
        let mut transmitter = Transmitter::new(Box::new(ring), short, Some(long));
        let mut sent = Vec::new();
        for _ in 0..100 {
            match random.below(3) {
                0 => {
                    let length = 1 + random.below(LONG + 20);
                    match transmitter.slot(length) {
                        Ok(Some(mut slot)) => {
                            let number = random.next() as u8;
                            slot.bytes(length).fill(number);
                            transmitter.send(slot, length).expect("there is room");
                            sent.push((length, number));
                        }
                        Ok(None) if honest && length <= LONG => assert!(sent.len() >= 2),
                        Ok(None) => {}
                        Err(Nonsense) if honest => panic!("seed {seed}: it made sense"),
                        Err(Nonsense) => {
                            noticed += 1;
                            break;
                        }
                    }
                }
                1 => {
                    device.look();
                    let out = device.pending.len();
                    if honest && out > 0 {
                        let nth = random.below(out);
                        let head = device.pending.remove(nth);
                        let descriptor = 16 * usize::from(head);
                        let address: u64 = device.read(device.descriptors, descriptor);
                        let length: u32 = device.read(device.descriptors, descriptor + 8);
                        let (wanted, number) = sent.remove(nth);
                        assert_eq!(length as usize, wanted);
                        let bytes = (0..wanted).map(|at| device.read::<u8>(address, at));
                        assert!(bytes.into_iter().all(|byte| byte == number));
                        device.say(head.into(), 0);
                    } else if !honest {
                        device.say(random.below(SIZE + 1) as u32, random.below(2) as u32);
                    }
                }
                _ => match transmitter.has_room() {
                    Ok(_) => {}
                    Err(Nonsense) if honest => panic!("seed {seed}: it made sense"),
                    Err(Nonsense) => {
                        noticed += 1;
                        break;
                    }
                },
            }
        }
    }
    assert!(noticed > cases() / 4, "{noticed} of {} cases were noticed", cases());
}

/// A frame with all its checksums, but for those that are missing as `missing` says.
fn frame(random: &mut Random, missing: &ChecksumCapabilities) -> Vec<u8> {
    let v6 = random.below(2) == 0;
    let mut address = || match v6 {
        true => IpAddress::v6(0xfe80, 0, 0, 0, random.next() as u16, 1, 2, 3),
        false => IpAddress::v4(10, random.next() as u8, random.next() as u8, 1),
    };
    let (from, to) = (address(), address());
    let payload: Vec<u8> = (0..random.below(1400)).map(|_| random.next() as u8).collect();
    let tcp = TcpRepr {
        src_port: 1 + random.below(65535) as u16,
        dst_port: 1 + random.below(65535) as u16,
        control: TcpControl::Psh,
        seq_number: TcpSeqNumber(random.next() as i32),
        ack_number: Some(TcpSeqNumber(random.next() as i32)),
        window_len: random.next() as u16,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &payload,
    };
    let udp = UdpRepr { src_port: tcp.src_port, dst_port: tcp.dst_port };
    let is_tcp = random.below(2) == 0;
    let (protocol, length) = match is_tcp {
        true => (IpProtocol::Tcp, tcp.buffer_len()),
        false => (IpProtocol::Udp, udp.header_len() + payload.len()),
    };
    let ip = IpRepr::new(from, to, protocol, length, 64);
    let mut bytes = vec![0; 14 + ip.buffer_len() + random.below(20)]; // and padding
    let mut ethernet = EthernetFrame::new_unchecked(&mut bytes[..]);
    ethernet.set_src_addr(EthernetAddress([2, 0, 0, 0, 0, 1]));
    ethernet.set_dst_addr(EthernetAddress([2, 0, 0, 0, 0, 2]));
    let kind = if v6 { EthernetProtocol::Ipv6 } else { EthernetProtocol::Ipv4 };
    ethernet.set_ethertype(kind);
    ip.emit(ethernet.payload_mut(), missing);
    let part = &mut ethernet.payload_mut()[ip.header_len()..][..length];
    match is_tcp {
        true => tcp.emit(&mut TcpPacket::new_unchecked(part), &from, &to, missing),
        false => {
            let write = |into: &mut [u8]| into.copy_from_slice(&payload);
            let mut packet = UdpPacket::new_unchecked(part);
            udp.emit(&mut packet, &from, &to, payload.len(), write, missing);
        }
    }
    bytes
}

fn word(header: &[u8; HEADER], at: usize) -> usize {
    usize::from(u16::from_le_bytes([header[at], header[at + 1]]))
}

#[test]
fn a_card_completes_what_is_left_to_it() {
    for seed in 0..cases() {
        let whole = frame(&mut Random(seed), &ChecksumCapabilities::default());
        let mut left = frame(&mut Random(seed), &ChecksumCapabilities::ignored());
        let header = leave_to_the_card(&mut left, None);
        assert_eq!((header[0], header[1]), (1, 0), "seed {seed}");
        // What a card does (5.1.6.2 of virtio's specification): sum up from here to the end.
        let (start, offset) = (word(&header, 6), word(&header, 8));
        let end = 14
            + match left[12] {
                0x08 => usize::from(u16::from_be_bytes([left[16], left[17]])),
                _ => 40 + usize::from(u16::from_be_bytes([left[18], left[19]])),
            };
        let sum = !smoltcp::wire::checksum::data(&left[start..end]);
        // 0 is written as its other form by UDP, and by some cards by TCP.
        let at = start + offset;
        if whole[at..at + 2] != [0xff, 0xff] {
            left[at..at + 2].copy_from_slice(&sum.to_be_bytes());
            assert!(left == whole, "seed {seed}");
        }
        if offset == 16 {
            let header = leave_to_the_card(&mut left, NonZeroU16::new(1000));
            let gso = if left[12] == 0x08 { 1 } else { 4 };
            assert_eq!((header[1], word(&header, 2), word(&header, 4)), (gso, start + 20, 1000));
        }
    }
}

#[test]
fn a_wrong_checksum_is_seen_unless_the_card_has_looked() {
    for seed in 0..cases() {
        let mut random = Random(seed);
        let mut bytes = frame(&mut random, &ChecksumCapabilities::default());
        let mut header = [0; HEADER];
        assert!(is_right(&header, &bytes), "seed {seed}");
        // Any bit of the addresses or behind them.
        let v4 = bytes[12] == 0x08;
        let first = if v4 { 26 } else { 22 };
        let end = match v4 {
            true => 14 + usize::from(u16::from_be_bytes([bytes[16], bytes[17]])),
            false => 54 + usize::from(u16::from_be_bytes([bytes[18], bytes[19]])),
        };
        let at = first + random.below(end - first);
        bytes[at] ^= 1 << random.below(8);
        let (begin, is_udp) = if v4 { (34, bytes[23] == 17) } else { (54, bytes[20] == 17) };
        let was_made = !(is_udp && v4 && bytes[begin + 6..begin + 8] == [0, 0]);
        assert!(!was_made || !is_right(&header, &bytes), "seed {seed}: byte {at}");
        header[0] = 2;
        assert_eq!(is_right(&header, &bytes), !v4 || at >= 34, "seed {seed}");
    }
}

#[test]
fn no_frame_is_too_strange() {
    for seed in 0..cases() {
        let mut random = Random(seed);
        let mut bytes = frame(&mut random, &ChecksumCapabilities::default());
        for _ in 0..random.below(8) {
            let at = random.below(bytes.len().min(80));
            bytes[at] = random.next() as u8;
        }
        bytes.truncate(random.below(bytes.len() + 1));
        let header = std::array::from_fn(|_| random.next() as u8);
        let _ = is_right(&header, &bytes);
        leave_to_the_card(&mut bytes, NonZeroU16::new(random.next() as u16));
    }
}
