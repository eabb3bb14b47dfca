//! A frame has come: whose is it?

use crate::conn::{Connection, Life};
use crate::frame::{Flow, Frame, Numbers, Segment, read};
use crate::link::{Care, Link, Port};
use crate::state::State;
use crate::table::Found;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use smoltcp::wire::{
    EthernetFrame, IpAddress, IpProtocol, IpRepr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl State {
    /// A frame has come by this link.
    pub(crate) fn input(&self, link: &Arc<Link>, frame: &[u8]) {
        if !link.capabilities.takes(frame) {
            return count(&self.drops.not_ours);
        }
        match read(frame, link.capabilities.header()) {
            Frame::Tcp(segment) => self.tcp(link, frame, &segment),
            Frame::Udp(flow) => self.udp(link, frame, &flow),
            Frame::Neighbours => link.learn(frame),
            Frame::Lease(flow) => {
                if !link.tell(Care::Lease, frame) {
                    self.udp(link, frame, &flow);
                }
            }
            Frame::Router => _ = link.tell(Care::Routers, frame),
            Frame::EchoReply => {
                let waiting = self.pings.lock().clone();
                waiting.into_iter().for_each(|ping| _ = ping.hear(link, frame));
            }
            Frame::Ip => link.answer(frame),
            Frame::Fragment => count(&self.drops.fragments),
            Frame::Other => count(&self.drops.not_ours),
            Frame::Malformed => count(&self.drops.malformed),
        }
    }

    fn tcp(&self, link: &Arc<Link>, frame: &[u8], segment: &Segment) {
        let syn = (segment.syn && !segment.ack && !segment.rst).then_some(segment.sequence);
        match self.connections.find(&segment.flow, syn) {
            Found::Connection(connection) => {
                let syn = segment.syn && !segment.rst;
                match syn.then(|| connection.challenge()).flatten() {
                    Some(numbers) => acknowledge(link, frame, &segment.flow, numbers),
                    None => connection.input(frame, segment),
                }
            }
            Found::TimeWait(numbers) if segment.rst => {
                if segment.sequence == numbers.expected {
                    self.connections.forget(&segment.flow, numbers);
                }
            }
            // Bare acknowledgements are not answered: two that disagree would do so for ever.
            Found::TimeWait(numbers) => {
                if segment.end != segment.sequence {
                    acknowledge(link, frame, &segment.flow, numbers);
                }
            }
            Found::Nobody => link.answer(frame), // by a reset
            Found::Listener(listener) => {
                if !link.has(segment.flow.local.ip()) {
                    return count(&self.drops.not_ours);
                }
                let Some((mut socket, buffers)) = listener.begin(link) else {
                    return count(&self.drops.backlog);
                };
                let local = smoltcp::wire::IpEndpoint::from(segment.flow.local);
                if socket.listen(local).is_err() {
                    return listener.failed();
                }
                let life = Life::accepting(listener.clone(), link.clone(), buffers);
                let table = self.connections.clone();
                let connection = Connection::new(socket, segment.flow, life, table);
                if !self.connections.insert(segment.flow, &connection, true) {
                    return listener.failed(); // the same SYN, on another CPU
                }
                listener.begins(&connection);
                connection.input(frame, segment);
            }
        }
    }

    fn udp(&self, link: &Arc<Link>, frame: &[u8], flow: &Flow) {
        let socket = self.ports.find(flow.local);
        if !socket.is_some_and(|socket| socket.hear(link, frame)) {
            link.answer(frame); // by an error, unless it was for everybody
        }
    }
}

/// Answers what a connection does not expect, or comes after its end, by telling how far it has
/// come.
fn acknowledge(link: &Arc<Link>, frame: &[u8], flow: &Flow, numbers: Numbers) {
    let (source, target) = (flow.local, flow.remote);
    let tcp = TcpRepr {
        src_port: source.port(),
        dst_port: target.port(),
        control: TcpControl::None,
        seq_number: TcpSeqNumber(numbers.next as i32),
        ack_number: Some(TcpSeqNumber(numbers.expected as i32)),
        window_len: 0,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let (from, to) = (IpAddress::from(source.ip()), IpAddress::from(target.ip()));
    let ip = IpRepr::new(from, to, IpProtocol::Tcp, tcp.buffer_len(), HOPS);
    let header = link.capabilities.header();
    let checksums = link.capabilities.to_smoltcp().checksum;
    let mut port: Port<'_> = link.port(None);
    port.send(header + ip.buffer_len(), |bytes| {
        if header > 0 {
            let received = EthernetFrame::new_unchecked(frame);
            let mut ethernet = EthernetFrame::new_unchecked(&mut *bytes);
            ethernet.set_src_addr(received.dst_addr());
            ethernet.set_dst_addr(received.src_addr());
            ethernet.set_ethertype(received.ethertype());
        }
        let packet = &mut bytes[header..];
        ip.emit(&mut *packet, &checksums);
        let payload = &mut packet[ip.header_len()..];
        tcp.emit(&mut TcpPacket::new_unchecked(payload), &from, &to, &checksums);
    });
    link.here().counts.add(&port);
}

const HOPS: u8 = 64;
