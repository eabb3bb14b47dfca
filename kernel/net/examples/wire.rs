//! What a connection costs, over a wire in memory: `cargo run --release -p net --example wire`.
//!
//! Both ends run in this process, so each row is the work of two stacks. `EXECUTIVE_CPUS=1` makes
//! the figures comparable: what they count is processor time then.

use executive::go;
use executive::time::Instant;
use net::wire::{Faults, Wire};
use net::{Config, Stack, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;

const SERVER: &str = "10.0.0.2:7";

fn stacks(buffers: usize) -> (Wire, Stack, Stack) {
    let wire = Wire::new(Faults::default());
    let stack = |address: &str, seed| {
        let usual = Config::new([seed; 4]);
        let stack = Stack::new(Config {
            receive_buffer: buffers,
            send_buffer: buffers,
            all_buffers: usize::MAX,
            time_wait: core::time::Duration::from_millis(1),
            ..usual
        });
        let end = wire.plug(1).without_checksums();
        let address = address.parse().expect("an address");
        stack.attach("eth0", Arc::new(end)).add_address(address, 24);
        stack
    };
    let (client, server) = (stack("10.0.0.1", 1), stack("10.0.0.2", 2));
    (wire, client, server)
}

fn serve(server: &Stack) {
    let listener = server.listen(SERVER).expect("the port is free");
    go(move || {
        for stream in listener.incoming() {
            go(move || {
                let mut buffer = [0; 16 << 10];
                while let Ok(n @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..n]).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// Nanoseconds of a round trip of a byte, and frames in it.
fn round_trip(wire: &Wire, stream: &TcpStream, rounds: u32) -> (f64, f64) {
    let trip = || {
        stream.write_all(b"x").expect("it is open");
        stream.read_exact(&mut [0]).expect("it is open");
    };
    (0..1000).for_each(|_| trip());
    let (begun, frames) = (Instant::now(), wire.frames().0);
    (0..rounds).for_each(|_| trip());
    let ns = begun.elapsed().as_nanos() as f64 / f64::from(rounds);
    (ns, (wire.frames().0 - frames) as f64 / f64::from(rounds))
}

fn main() -> ExitCode {
    hosted::run(|| {
        for open in [1, 100, 1000, 10_000] {
            let (wire, client, server) = stacks(4096);
            serve(&server);
            let streams: Vec<_> =
                (0..open).map(|_| client.connect(SERVER).expect("it is there")).collect();
            let (ns, frames) = round_trip(&wire, &streams[open / 2], 20_000);
            let each = ns / frames;
            println!("echo, {open} open: {ns:.0} ns, {frames:.2} frames, {each:.0} ns a frame");
            // And all of them in turn.
            let (begun, before) = (Instant::now(), wire.frames().0);
            let rounds = 20_000 / open;
            for _ in 0..rounds {
                for stream in &streams {
                    stream.write_all(b"x").expect("it is open");
                    stream.read_exact(&mut [0]).expect("it is open");
                }
            }
            let ns = begun.elapsed().as_nanos() as f64 / (rounds * open) as f64;
            let frames = (wire.frames().0 - before) as f64 / (rounds * open) as f64;
            println!("    in turn: {ns:.0} ns, {:.0} ns a frame", ns / frames);
            client.shut_down();
            server.shut_down();
        }

        let (_, client, server) = stacks(16 << 10);
        serve(&server);
        let begun = Instant::now();
        let many = 20_000;
        for _ in 0..many {
            let stream = client.connect(SERVER).expect("it is there");
            stream.write_all(b"x").expect("it is open");
            stream.read_exact(&mut [0]).expect("it is open");
        }
        let each = begun.elapsed().as_nanos() as f64 / f64::from(many);
        println!("connect, a byte there and back, close: {:.0} a second", 1e9 / each);

        let sink = server.listen("10.0.0.2:9").expect("the port is free");
        let bytes = 256 << 20;
        let reader = go(move || {
            let (stream, _) = sink.accept().expect("somebody calls");
            let mut buffer = [0; 16 << 10];
            while let Ok(1..) = stream.read(&mut buffer) {}
        });
        let stream = client.connect("10.0.0.2:9").expect("it is there");
        let begun = Instant::now();
        let block = [0; 16 << 10];
        for _ in 0..bytes / block.len() {
            stream.write_all(&block).expect("it is open");
        }
        drop(stream);
        reader.join();
        let seconds = begun.elapsed().as_secs_f64();
        println!("one way: {:.0} MB/s", bytes as f64 / 1e6 / seconds);
        client.shut_down();
        server.shut_down();
    })
}
