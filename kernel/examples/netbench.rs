//! What the race of networks measures (tests/bench/net.sh): HTTP on port 8080 (`/` and `/mem`), an
//! echo on 7, what discards on 9, what sends without end on 19. The address and the gateway are the
//! command line: `./qemu-run.sh --tap tap0 --example netbench --run "10.0.3.2/24 10.0.3.1"`. As a
//! Linux process, at a TAP device: `tests/lib/tap.sh cargo run --release -p hosted --example
//! netbench`.
#![cfg_attr(not(unix), no_std, no_main)]

use core::fmt::Write;
use core::net::Ipv4Addr;
use executive::{Builder, go};
use http::{Request, Response, Server};
use net::{Stack, TcpStream};

fn page(request: &mut Request, response: &mut Response) {
    match request.path() {
        "/" => response.text("hello, world\n"),
        "/mem" => {
            let (available, resident) = memory();
            let buffers = Stack::get_default().map_or(0, |stack| stack.report().buffers);
            _ = writeln!(response, "available {available}\nrss {resident}\nbuffers {buffers}");
            #[cfg(not(unix))]
            {
                let usage = kernel::memory::usage();
                let (heap, tables) = (usage.heap_in_use, usage.stack_tables + usage.tables);
                let (stacks, free) = (usage.stacks, kernel::stacks::usage().free);
                _ = writeln!(response, "heap {heap}\nstacks {stacks}\ntables {tables}");
                _ = writeln!(response, "free_stacks {free}");
            }
        }
        _ => response.error(404),
    }
}

fn echo(stream: &TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer)
        && stream.write_all(&buffer[..n]).is_ok()
    {}
}

fn discard(stream: &TcpStream) {
    let mut buffer = [0; 16 << 10];
    while let Ok(1..) = stream.read(&mut buffer) {}
}

fn chargen(stream: &TcpStream) {
    let mut buffer = [0; 16 << 10];
    (0..).zip(&mut buffer).for_each(|(n, byte)| *byte = b' ' + (n % 95) as u8);
    while stream.write_all(&buffer).is_ok() {}
}

/// Serves each connection in a goroutine of its own.
fn each(stack: &Stack, port: u16, serve: fn(&TcpStream)) {
    let listener = stack.listen((Ipv4Addr::UNSPECIFIED, port)).expect("the port is free");
    go(move || {
        for stream in listener.incoming() {
            // Without memory the connection is dropped.
            let _ = Builder::new().spawn(move || serve(&stream));
        }
    });
}

fn serve(stack: Stack) {
    each(&stack, 7, echo);
    each(&stack, 9, discard);
    each(&stack, 19, chargen);
    let many = stack.tcp().backlog(1024).listen("0.0.0.0:8080").expect("the port is free");
    executive::println!("ports 8080, 7, 9 and 19 are served");
    let limits = http::Limits { connections: 200_000, ..http::Limits::default() };
    Server::new(page).limits(limits).serve(many);
}

/// Bytes that are available, and bytes in use. The first pages of free stacks are available: any
/// stack takes them, and the heap when memory is short. So are free blocks of the heap.
#[cfg(not(unix))]
fn memory() -> (u64, u64) {
    let (usage, stacks) = (kernel::memory::usage(), kernel::stacks::usage());
    let free_stacks = ((stacks.free - stacks.bare) * kernel::pages::PAGE) as u64;
    let available = usage.free + usage.heap - usage.heap_in_use + free_stacks;
    (available, usage.heap_in_use + usage.stacks - free_stacks)
}

#[cfg(unix)]
fn memory() -> (u64, u64) {
    let kib = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) << 10
    };
    (kib("/proc/meminfo", "MemAvailable:"), kib("/proc/self/status", "VmRSS:"))
}

#[cfg(not(unix))]
kernel::entry!(main);

#[cfg(not(unix))]
fn main() {
    drivers::start();
    let line = kernel::command_line();
    let (address, gateway) = line.split_once(' ').unwrap_or(("10.0.2.15/24", "10.0.2.2"));
    serve(drivers::network::up(address, gateway).expect("a network card"));
}

#[cfg(unix)]
fn main() {
    hosted::run(|| serve(tap::stack("tap0", "10.0.3.2/24").expect("a TAP device")));
}
