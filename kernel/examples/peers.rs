//! What tests/net-peers asks Linux's TCP to talk to: an echo on port 7, one with the smallest
//! buffers on 8, a web server on 80, at 10.0.3.2.
//!
//!     ./qemu-run.sh --tap tap0 --example peers [--run hogs]
//!     tests/lib/tap.sh cargo run -p hosted --example peers [LOST]
//!
//! With `hogs` goroutines that never wait are everywhere. On Linux the TAP device is `tap0`, and of
//! a thousand frames, in each direction, `LOST` are lost, and as many come twice or are overtaken
//! by the next one.
#![cfg_attr(not(unix), no_std, no_main)]

extern crate alloc;

use alloc::format;
use executive::{go, println};
use http::{Request, Response, Server};
use net::{Stack, TcpBuilder};

fn page(request: &mut Request, response: &mut Response) {
    match request.path() {
        "/report" => {
            // This connection, and the listeners, are open.
            let report = Stack::get_default().expect("there is one").report();
            let (open, buffers) = (report.open, report.buffers);
            return response.text(&format!("{open} open, {buffers} bytes\n"));
        }
        "/panic" => panic!("a handler's, as asked for"),
        #[cfg(not(unix))]
        "/shortage" => return response.text(&format!("{} MiB were free\n", shortage())),
        _ => {}
    }
    match request.read_all(64 << 20) {
        Ok(body) if request.method() == "POST" => _ = response.write(&body),
        Ok(_) => response.text("hello, world\n"),
        Err(_) => response.error(400),
    }
}

/// Takes all memory that there is, for a moment: how much it was (MiB). (Linux would lend more than
/// it has.)
#[cfg(not(unix))]
fn shortage() -> usize {
    let mut taken = alloc::vec::Vec::new();
    while taken.try_reserve(1).is_ok() {
        let mut mib = alloc::vec::Vec::new();
        if mib.try_reserve_exact(1 << 20).is_err() {
            break;
        }
        mib.resize(1 << 20, 1u8);
        taken.push(mib);
    }
    executive::time::sleep(core::time::Duration::from_millis(20));
    taken.len()
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

fn serve(stack: &Stack) {
    echo(stack.tcp(), 7);
    echo(stack.tcp().receive_buffer(0).send_buffer(0), 8);
    let web = stack.tcp().backlog(1024).listen("0.0.0.0:80").expect("the port is free");
    println!("ready");
    Server::new(page).serve(web);
}

#[cfg(not(unix))]
kernel::entry!(main);

#[cfg(not(unix))]
fn hog() -> ! {
    loop {
        core::hint::black_box(0);
    }
}

#[cfg(not(unix))]
fn main() {
    drivers::start();
    let stack = drivers::network::up("10.0.3.2/24", "10.0.3.1").expect("a network card");
    if kernel::command_line() == "hogs" {
        (0..2 * executive::affinity::num_cpus()).for_each(|_| _ = go(hog));
    }
    serve(&stack);
}

#[cfg(unix)]
fn main() {
    hosted::run(|| {
        let lost = std::env::args().nth(1).map_or(0, |n| n.parse().expect("a number"));
        let tap = tap::Tap::open("tap0").expect("a TAP device");
        let stack = Stack::new(net::Config::new([std::process::id().into(); 4]));
        assert!(stack.make_default());
        let interface = stack.attach("tap", std::sync::Arc::new(bad::Bad::new(tap, lost)));
        interface.add_address([10, 0, 3, 2].into(), 24);
        serve(&stack);
    });
}

#[cfg(unix)]
mod bad {
    use net::{Capabilities, Device, Segmented};
    use std::collections::VecDeque;
    use std::sync::{Mutex, MutexGuard};
    use tap::Tap;

    /// A device on a bad wire.
    pub struct Bad {
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
        pub fn new(tap: Tap, lost: u64) -> Self {
            let way = |random| Mutex::new(Way { random, late: None, came: VecDeque::new() });
            Bad { tap, lost, way: [way(1), way(2)] }
        }
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
                let come =
                    self.tap.receive(queue, &mut |frame| way.pass(frame, self.lost, &mut pass));
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
}
