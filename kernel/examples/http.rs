//! A web server: `./qemu-run.sh --net --example http`, then `curl localhost:8080`. As a Linux
//! process, at a TAP device: `tests/lib/tap.sh cargo run -p hosted --example http`.
#![cfg_attr(not(unix), no_std, no_main)]

use core::fmt::Write;
use http::{Request, Response, Server};

fn page(request: &mut Request, response: &mut Response) {
    match request.path() {
        "/" => _ = writeln!(response, "hello from goroutine {}", executive::goid()),
        _ => response.error(404),
    }
}

fn serve(stack: net::Stack) {
    let listener = stack.listen("0.0.0.0:80").expect("port 80 is free");
    executive::println!("a page is served on port 80");
    Server::new(page).serve(listener);
}

#[cfg(not(unix))]
kernel::entry!(main);

#[cfg(not(unix))]
fn main() {
    drivers::start();
    serve(drivers::network::up("10.0.2.15/24", "10.0.2.2").expect("a network card"));
}

#[cfg(unix)]
fn main() {
    hosted::run(|| serve(tap::stack("tap0", "10.0.3.2/24").expect("a TAP device")));
}
