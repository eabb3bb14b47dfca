//! What a request costs, over a wire in memory: `cargo run --release -p http --example requests`.
//!
//! Client and server run in this process, so each row is the work of both, and of two stacks.
//! `EXECUTIVE_CPUS=1` makes the figures comparable: what they count is processor time then.

use executive::go;
use executive::time::{Duration, Instant};
use http::{Client, Request, Response, Server};
use net::wire::{Faults, Wire};
use net::{Config, Stack};
use std::process::ExitCode;
use std::sync::Arc;

const SERVER: &str = "10.0.0.2:80";

/// Nanoseconds and frames of one of so many.
fn each(what: &str, wire: &Wire, many: u32, mut one: impl FnMut()) {
    (0..many / 10).for_each(|_| one());
    let (begun, frames) = (Instant::now(), wire.frames().0);
    (0..many).for_each(|_| one());
    let ns = begun.elapsed().as_nanos() as f64 / f64::from(many);
    let frames = (wire.frames().0 - frames) as f64 / f64::from(many);
    println!("{what}: {ns:.0} ns, {frames:.2} frames");
}

fn main() -> ExitCode {
    hosted::run(|| {
        let wire = Wire::new(Faults::default());
        let [client, server] = [1, 2].map(|nth| {
            // A port that comes again too soon would wait until its SYN is repeated.
            let time_wait = Duration::ZERO;
            let stack = Stack::new(Config { time_wait, ..Config::new([nth; 4]) });
            let end = Arc::new(wire.plug(1).without_checksums());
            let address = format!("10.0.0.{nth}").parse().expect("an address");
            stack.attach("eth0", end).add_address(address, 24);
            stack
        });
        let listener = server.listen(SERVER).expect("the port is free");
        go(move || {
            let page = |_: &mut Request, response: &mut Response| response.text("hello, world\n");
            Server::new(page).serve(listener);
        });
        let mut kept = Client::connect(&client, SERVER).expect("it is there");
        each("a request on a connection that is kept", &wire, 50_000, || {
            let text = kept.get("/").and_then(|mut answer| answer.text(100));
            assert_eq!(text.expect("an answer"), "hello, world\n");
        });
        each("a connection for each request", &wire, 10_000, || {
            let mut once = Client::connect(&client, SERVER).expect("it is there");
            let call = once.call("GET", "/").header("Connection", "close");
            assert_eq!(call.send(&[]).expect("an answer").status(), 200);
        });
        let stream = client.connect(SERVER).expect("it is there");
        let asks = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(16);
        let mut answers = vec![0; 16 * 93];
        each("16 requests at once", &wire, 5_000, || {
            stream.write_all(&asks).expect("it is open");
            stream.read_exact(&mut answers).expect("it is open");
        });
        client.shut_down();
        server.shut_down();
    })
}
