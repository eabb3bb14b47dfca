//! What packets and requests cost: two stacks on a wire in memory, both on one CPU. So each figure
//! has both ends in it, and no card.

use crate::count::Operation;
use alloc::sync::Arc;
use core::net::{IpAddr, Ipv4Addr};
use executive::cancel::Token;
use executive::go;
use http::{Request, Response, Server};
use net::wire::{Faults, Wire};
use net::{Config, Pages, Shutdown, Stack, TcpStream};

/// As [`OPERATIONS`](crate::count::OPERATIONS), of the network.
pub static PACKETS: [Operation; 3] = [
    Operation { name: "tcp_round_trip", among: 1, run: round_trips },
    Operation { name: "tcp_segment", among: 1, run: segments },
    Operation { name: "http_request", among: 1, run: requests },
];

/// How often each is done for a figure.
pub const TIMES: usize = 1000;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

/// Two machines on a wire, the client and the server. `pages`: as in their configuration.
pub fn pair(pages: Option<&'static dyn Pages>) -> [Stack; 2] {
    let wire = Wire::new(Faults::default());
    [(CLIENT, 1), (SERVER, 2)].map(|(address, seed)| {
        // A constant will do here: nobody else is on the wire.
        let stack = Stack::new(Config { loopback: false, pages, ..Config::new([seed; 4]) });
        stack.attach("wire", Arc::new(wire.plug(1))).add_address(address, 24);
        stack
    })
}

/// A connection between two goroutines; returns when both have ended.
fn connected(client: impl FnOnce(&TcpStream), server: fn(&TcpStream)) {
    let stacks = pair(None);
    let listener = stacks[1].listen((SERVER, 7)).expect("nobody else listens");
    let serves = go(move || server(&listener.accept().expect("somebody comes").0));
    client(&stacks[0].connect((SERVER, 7)).expect("the wire is whole"));
    serves.join();
    stacks.iter().for_each(Stack::shut_down);
}

/// `n` times 64 bytes there and back, from a goroutine to another: four packets, two of them sent
/// and two received at each end, and two wakes.
fn round_trips(n: usize, _: usize) {
    let client = |stream: &TcpStream| {
        let mut bytes = [0; 64];
        for _ in 0..n {
            stream.write_all(&bytes).expect("it is open");
            stream.read_exact(&mut bytes).expect("it is open");
        }
        stream.shutdown(Shutdown::Write);
    };
    connected(client, |stream| {
        let mut bytes = [0; 64];
        while let Ok(1..) = stream.read(&mut bytes) {
            stream.write_all(&bytes).expect("it is open");
        }
    });
}

/// `n` times as many bytes as a segment has: written, sent, received, acknowledged and read.
fn segments(n: usize, _: usize) {
    const SEGMENT: usize = 1460;
    let client = |stream: &TcpStream| {
        let bytes = [0; SEGMENT];
        (0..n).for_each(|_| stream.write_all(&bytes).expect("it is open"));
        stream.shutdown(Shutdown::Write);
    };
    connected(client, |stream| {
        let mut bytes = [0; 4 * SEGMENT];
        while let Ok(1..) = stream.read(&mut bytes) {}
    });
}

/// Serves a page at the server's port 80 meanwhile.
pub fn served(server: &Stack, meanwhile: impl FnOnce()) {
    fn page(_: &mut Request<'_, '_>, response: &mut Response<'_>) {
        response.text("hello\n");
    }
    let token = Token::new();
    let listener = server.listen((SERVER, 80)).expect("nobody else listens");
    let serves = go({
        let token = token.clone();
        move || Server::new(page).cancelled_by(&token).serve(listener)
    });
    meanwhile();
    token.cancel();
    serves.join();
}

/// A client of that.
pub fn connect(client: &Stack) -> TcpStream {
    client.connect((SERVER, 80)).expect("the wire is whole")
}

/// Has it a request answered.
pub fn ask(stream: &TcpStream) {
    let mut answer = [0; 512];
    stream.write_all(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n").expect("it is open");
    let mut length = 0;
    // It may come in parts: while no buffer has memory, a byte at a time.
    while !answer[..length].ends_with(b"hello\n") {
        let more = stream.read(&mut answer[length..]).expect("it is open");
        assert!(more > 0, "the answer ends: {}", answer[..length].escape_ascii());
        length += more;
    }
}

/// `n` requests by one connection, and their answers. The client is a few lines.
fn requests(n: usize, _: usize) {
    let [client, server] = pair(None);
    served(&server, || {
        let stream = connect(&client);
        (0..n).for_each(|_| ask(&stream));
    });
    [client, server].iter().for_each(Stack::shut_down);
}
