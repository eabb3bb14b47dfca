//! Connections that come and go, over a wire in memory, and leave nothing behind: tests/long.sh.
//!
//!     cargo run --release -p net --example connections [CONNECTIONS]     (default 1,000,000)
//!
//! Each is closed in one of five ways. In the end no connection and no buffer is left, and from a
//! tenth of them on the process has not grown by more than 4 MiB.

use executive::time::{Duration, sleep};
use executive::{JoinHandle, go};
use net::wire::{Faults, Wire};
use net::{Config, Shutdown, Stack};
use std::sync::Arc;

const SERVER: &str = "10.0.0.2:7";
const CALLERS: usize = 16;

fn main() {
    hosted::run(|| {
        let all = std::env::args().nth(1).map_or(1_000_000, |n| n.parse().expect("a number"));
        let wire = Wire::new(Faults::default());
        let stack = |address: &str, seed| {
            let config = Config { time_wait: Duration::from_millis(20), ..Config::new([seed; 4]) };
            let stack = Stack::new(Config { loopback: false, ..config });
            let address = address.parse().expect("an address");
            stack.attach("eth0", Arc::new(wire.plug(2))).add_address(address, 24);
            stack
        };
        let (client, server) = (stack("10.0.0.1", 1), stack("10.0.0.2", 2));
        serve(&server);
        come_and_go(&client, all / 10);
        let first = settled(&client, &server);
        come_and_go(&client, all - all / 10);
        let last = settled(&client, &server);
        println!("{all} connections; {} KiB then, {} KiB now", first >> 10, last >> 10);
        assert!(last < first + (4 << 20), "memory has grown");
        client.shut_down();
        server.shut_down();
    });
}

/// Gives back what comes.
fn serve(stack: &Stack) {
    let listener = stack.tcp().backlog(1024).listen(SERVER).expect("the port is free");
    go(move || {
        for stream in listener.incoming() {
            go(move || {
                let mut buffer = [0; 512];
                while let Ok(n @ 1..) = stream.read(&mut buffer)
                    && stream.write_all(&buffer[..n]).is_ok()
                {}
            });
        }
    });
}

fn come_and_go(stack: &Stack, connections: usize) {
    let callers: Vec<_> = (0..CALLERS)
        .map(|nth| {
            let stack = stack.clone();
            let each = connections / CALLERS + usize::from(nth < connections % CALLERS);
            go(move || (0..each).for_each(|n| one(&stack, n)))
        })
        .collect();
    callers.into_iter().for_each(JoinHandle::join);
}

fn one(stack: &Stack, nth: usize) {
    let stream = stack.connect(SERVER).expect("it is served");
    let mut back = [0; 100];
    match nth % 5 {
        // Nothing was said.
        0 => {}
        1 => {
            stream.write_all(&[7; 100]).expect("it is open");
            stream.read_exact(&mut back).expect("it comes back");
            assert_eq!(back, [7; 100]);
        }
        2 => {
            stream.write_all(&[7; 100]).expect("it is open");
            stream.shutdown(Shutdown::Write);
            stream.read_exact(&mut back).expect("it comes back");
            assert_eq!(stream.read(&mut back), Ok(0));
        }
        // What comes back is not read, or not all: perhaps a reset.
        3 => stream.write_all(&[7; 100]).expect("it is open"),
        _ => {
            stream.write_all(&[7; 100]).expect("it is open");
            stream.read_exact(&mut back[..1]).expect("it comes back");
        }
    }
}

/// Bytes of memory that the process has, when all connections are over.
fn settled(client: &Stack, server: &Stack) -> u64 {
    for stack in [client, server] {
        while stack.report().open > 0 || stack.report().buffers > 0 {
            sleep(Duration::from_millis(1));
        }
    }
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    pages.split(' ').nth(1).expect("its second word").parse::<u64>().expect("a number") * 4096
}
