//! What tests/net-peers asks Linux's TCP to talk to: an echo on port 7, one with the smallest
//! buffers on 8, a web server on 80, at the TAP device `tap0`.
//!
//!     tests/lib/tap.sh cargo run -p hosted --example peers [LOST]
//!
//! Of a thousand frames, in each direction, `LOST` are lost, and as many come twice or are
//! overtaken by the next one.

use executive::go;
use http::{Request, Response, Server};
use net::{Capabilities, Config, Device, Segmented, Stack, TcpBuilder};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use tap::Tap;

/// A device on a bad wire.
struct Bad {
    tap: Tap,
    lost: u64,
    way: [Mutex<Way>; 2],
}

/// One direction.
struct Way {
    random: u64,
    /// Goes behind the next one.
    late: Option<Vec<u8>>,
    /// Has come, and was not taken.
    came: VecDeque<Vec<u8>>,
}

impl Way {
    fn happens(&mut self, of_a_thousand: u64) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % 1000 < of_a_thousand
    }

    /// What becomes of a frame: it is taken not at all, once or twice, or later.
    fn pass(&mut self, frame: &[u8], lost: u64, take: &mut dyn FnMut(&[u8])) {
        if self.happens(lost) {
            return;
        }
        if self.late.is_none() && self.happens(lost) {
            self.late = Some(frame.to_vec());
            return;
        }
        take(frame);
        if self.happens(lost) {
            take(frame);
        }
        self.late.take().inspect(|late| take(late));
    }
}

impl Bad {
    fn way(&self, nth: usize) -> MutexGuard<'_, Way> {
        self.way[nth].lock().expect("nobody panics with it")
    }
}

impl Device for Bad {
    fn capabilities(&self) -> Capabilities {
        self.tap.capabilities()
    }
    fn send(
        &self,
        queue: usize,
        length: usize,
        _: Segmented,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> bool {
        let mut frame = vec![0; length];
        fill(&mut frame);
        self.way(0).pass(&frame, self.lost, &mut |frame| {
            self.tap.send(queue, frame.len(), None, &mut |to| to.copy_from_slice(frame));
        });
        true
    }
    fn has_room(&self, queue: usize) -> bool {
        self.tap.has_room(queue)
    }
    fn receive(&self, queue: usize, take: &mut dyn FnMut(&[u8])) -> bool {
        let mut way = self.way(1);
        while way.came.is_empty() {
            let mut passed = Vec::new();
            let mut pass = |frame: &[u8]| passed.push(frame.to_vec());
            let come = self.tap.receive(queue, &mut |frame| way.pass(frame, self.lost, &mut pass));
            way.came.extend(passed);
            if !come {
                return false;
            }
        }
        let frame = way.came.pop_front();
        drop(way);
        frame.inspect(|frame| take(frame)).is_some()
    }
    fn wait(&self, queue: usize) -> bool {
        self.tap.wait(queue)
    }
    fn close(&self) {
        self.tap.close();
    }
}

fn page(request: &mut Request, response: &mut Response) {
    if request.path() == "/report" {
        // This connection, and the listeners, are open.
        let report = Stack::get_default().expect("there is one").report();
        let (open, buffers) = (report.open, report.buffers);
        return response.text(&format!("{open} open, {buffers} bytes\n"));
    }
    match request.read_all(64 << 20) {
        Ok(body) if request.method() == "POST" => _ = response.write(&body),
        Ok(_) => response.text("hello, world\n"),
        Err(_) => response.error(400),
    }
}

fn echo(how: TcpBuilder, port: u16) {
    let listener = how.listen(([0, 0, 0, 0], port)).expect("the port is free");
    go(move || {
        for stream in listener.incoming() {
            go(move || {
                let mut buffer = [0; 8192];
                while let Ok(n @ 1..) = stream.read(&mut buffer)
                    && stream.write_all(&buffer[..n]).is_ok()
                {}
            });
        }
    });
}

fn main() {
    hosted::run(|| {
        let lost = std::env::args().nth(1).map_or(0, |n| n.parse().expect("a number"));
        let way = |random| Mutex::new(Way { random, late: None, came: VecDeque::new() });
        let tap = Tap::open("tap0").expect("a TAP device");
        let bad = Bad { tap, lost, way: [way(1), way(2)] };
        let stack = Stack::new(Config::new([std::process::id().into(); 4]));
        assert!(stack.make_default());
        let interface = stack.attach("tap", Arc::new(bad));
        interface.add_address([10, 0, 3, 2].into(), 24);
        echo(stack.tcp(), 7);
        echo(stack.tcp().receive_buffer(0).send_buffer(0), 8);
        println!("ready");
        let web = stack.tcp().backlog(1024).listen("0.0.0.0:80").expect("the port is free");
        Server::new(page).serve(web);
    });
}
