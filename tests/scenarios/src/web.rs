//! HTTP over connections: what `http` promises, on every machine.

use crate::help::until;
use crate::network::Forgets;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use core::time::Duration;
use edge_http::io::server::Connection;
use embedded_io_async::Write;
use executive::cancel::Token;
use executive::{JoinHandle, chan, go};
use http::{Client, Error, Limits, Request, Response, Server};
use net::wire::{Faults, Wire};
use net::{Config, ErrorKind, Shutdown, Stack, TcpStream};

const AT: &str = "127.0.0.1:80";

/// Long enough for everything that comes at all.
const LONG: Duration = Duration::from_secs(3600);

/// Nobody is hurried.
const PATIENT: Limits = Limits {
    head: 8 << 10,
    fields: 64,
    read_head: LONG,
    idle: LONG,
    read: LONG,
    write: LONG,
    connections: 10_000,
};

/// A machine that talks to itself.
fn alone() -> Stack {
    Stack::new(Config::new([7; 4]))
}

/// A server that is to end, and its end.
struct Served {
    token: Token,
    end: JoinHandle<()>,
}

impl Served {
    fn by<H>(stack: &Stack, limits: Limits, handler: H) -> Self
    where
        H: Fn(&mut Request<'_, '_>, &mut Response<'_>) + Send + Sync + 'static,
    {
        let (token, listener) = (Token::new(), stack.listen("0.0.0.0:80").unwrap());
        let server = Server::new(handler).limits(limits).cancelled_by(&token);
        let end = go(move || server.serve(listener));
        Served { token, end }
    }

    /// It ends in order, and nothing is left.
    fn ends(self, stack: Stack) {
        self.token.cancel();
        self.end.join();
        until(|| stack.report().open == 0 && stack.report().buffers == 0);
        stack.shut_down();
    }
}

fn client(stack: &Stack) -> Client {
    Client::connect(stack, AT).unwrap().patience(LONG)
}

/// Says the body again, and who has sent it.
fn echo(request: &mut Request<'_, '_>, response: &mut Response<'_>) {
    let mut buffer = vec![0; 3000];
    while let Ok(n @ 1..) = request.read(&mut buffer) {
        if response.write(&buffer[..n]).is_err() {
            return;
        }
    }
    let target = request.target().to_string();
    response.text(&target);
}

/// Bytes that do not repeat for long.
fn bytes(length: usize) -> Vec<u8> {
    let byte = |at: usize| ((at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
    (0..length).map(byte).collect()
}

/// A client asks several times, with bodies of several kinds.
fn ask(client: &mut Client, nth: usize, times: usize) {
    for time in 0..times {
        let (path, body) = (format!("/{nth}/{time}"), bytes(time * 700));
        let call = client.call("POST", &path);
        let sent =
            if time % 2 == 0 { call.send(&body) } else { call.send_chunks(body.chunks(311)) };
        let mut answer = sent.unwrap();
        let said = answer.read_all(100_000).unwrap();
        assert_eq!(answer.status(), 200);
        assert!(said == [&body, path.as_bytes()].concat(), "{path}: {} bytes", said.len());
    }
}

/// A connection that a scenario speaks over itself.
fn raw(stack: &Stack, says: &str) -> TcpStream {
    let stream = stack.connect(AT).unwrap();
    stream.write_all(says.as_bytes()).unwrap();
    stream
}

/// All that the server says, to the end.
fn hear(stream: &TcpStream) -> String {
    let (mut all, mut buffer) = (Vec::new(), [0; 1000]);
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        all.extend_from_slice(&buffer[..n]);
    }
    String::from_utf8(all).unwrap()
}

/// By package `edge-http`: answers three requests, each with its path.
async fn three_answers(mut stream: TcpStream) {
    for _ in 0..3 {
        let mut buffer = [0; 2048];
        let mut connection = Connection::<_, 16>::new(&mut buffer, &mut stream).await.unwrap();
        let path = connection.headers().unwrap().path.to_string();
        connection.initiate_response(200, None, &[("X-Server", "edge")]).await.unwrap();
        connection.write_all(path.as_bytes()).await.unwrap();
        connection.complete().await.unwrap();
    }
}

scenarios! { web:

/// Many clients ask at the same time, each several times over one connection.
fn many_clients_are_answered() {
    let stack = alone();
    let served = Served::by(&stack, PATIENT, echo);
    let clients: Vec<_> = (0..30)
        .map(|nth| {
            let stack = stack.clone();
            go(move || ask(&mut client(&stack), nth, 12))
        })
        .collect();
    clients.into_iter().for_each(JoinHandle::join);
    served.ends(stack);
}

/// So they are over a wire that loses, doubles and delays.
fn they_are_over_a_bad_wire() {
    let wire = Wire::new(Faults { seed: 5, lost: 50, twice: 20, overtaken: 50,
        delay: Duration::from_micros(20), late: Duration::from_micros(200), ..Faults::default() });
    let stacks = [1, 2].map(|nth| {
        let config = Config { clock: 100, loopback: false, ..Config::new([nth.into(); 4]) };
        let stack = Stack::new(config);
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, nth));
        stack.attach("eth0", Arc::new(wire.plug(1))).add_address(address, 24);
        stack
    });
    let [here, there] = &stacks;
    let served = Served::by(there, PATIENT, echo);
    let clients: Vec<_> = (0..4)
        .map(|nth| {
            let here = here.clone();
            go(move || {
                let client = Client::connect(&here, "10.0.0.2:80").unwrap();
                ask(&mut client.patience(LONG), nth, 8);
            })
        })
        .collect();
    clients.into_iter().for_each(JoinHandle::join);
    served.ends(there.clone());
    here.shut_down();
}

/// A handler's panic is a 500 for its client, and nobody else's business.
fn a_panic_is_its_clients_alone() {
    let stack = alone();
    let served = Served::by(&stack, PATIENT, |request, response| match request.path() {
        "/bug" => panic!("a bug"),
        _ => response.text("well"),
    });
    let mut other = client(&stack);
    for _ in 0..5 {
        let mut bug = client(&stack);
        let mut answer = bug.get("/bug").unwrap();
        assert_eq!(answer.status(), 500);
        answer.read_all(1000).unwrap();
        assert!(!bug.is_good());
        assert_eq!(other.get("/").unwrap().text(10).unwrap(), "well");
    }
    drop(other);
    served.ends(stack);
}

/// When the token is cancelled who is idle is closed at once, and who is served gets all of it.
fn it_ends_in_order() {
    let stack = alone();
    let (entered, enters) = chan::<()>(1);
    let (go_on, goes_on) = chan::<()>(0);
    let served = Served::by(&stack, PATIENT, move |request, response| {
        if request.path() == "/slow" {
            entered.send(()).unwrap();
            goes_on.recv();
        }
        response.text("done");
    });
    let new = raw(&stack, "");
    let mut idle = client(&stack);
    assert_eq!(idle.get("/").unwrap().text(10).unwrap(), "done");
    let busy = raw(&stack, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
    enters.recv();
    served.token.cancel();
    // They are closed while the other is still at it; and nobody is accepted any more.
    assert_eq!(new.read(&mut [0]), Ok(0));
    until(|| stack.connect(AT).is_err_and(|error| error.kind == ErrorKind::ConnectionRefused));
    assert!(idle.get("/").is_err());
    assert!(!served.end.is_finished());
    go_on.send(()).unwrap();
    let heard = hear(&busy);
    assert!(heard.contains("Connection: close") && heard.ends_with("done"), "{heard}");
    drop((new, idle, busy));
    served.ends(stack);
}

/// A connection that has been idle for so long that it has no buffers, and another goroutine, goes
/// on; and ends with the server.
fn an_idle_connection_goes_on() {
    let stack = Stack::new(Config { pages: Some(&Forgets), ..Config::new([7; 4]) });
    let served = Served::by(&stack, PATIENT, |_, response| response.text("done"));
    let mut idle = client(&stack);
    for _ in 0..3 {
        assert_eq!(idle.get("/").unwrap().text(10).unwrap(), "done");
        until(|| stack.report().buffers == 0);
    }
    served.token.cancel();
    until(|| idle.get("/").is_err());
    drop(idle);
    served.ends(stack);
}

/// Who does not go on is not waited for: a head, a body, an answer that is not taken.
fn who_is_slow_is_given_up() {
    let stack = alone();
    let (told, tells) = chan::<Error>(10);
    let short = Duration::from_millis(5);
    let limits = Limits { read_head: short, idle: short, read: short, write: short, ..PATIENT };
    let served = Served::by(&stack, limits, move |request, response| {
        if let Err(error) = request.read_all(1000) {
            told.send(error).unwrap();
        }
        while request.path() == "/endless" {
            if let Err(error) = response.write(&[0; 10_000]) {
                told.send(error).unwrap();
                return;
            }
        }
    });
    // Nothing; half a head; one request, and no other.
    assert_eq!(hear(&raw(&stack, "")), "");
    assert_eq!(hear(&raw(&stack, "GET / HTTP/1.1\r\nHo")), "");
    let once = hear(&raw(&stack, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_eq!(once.matches("200 OK").count(), 1, "{once}");
    // Half a body; and nobody takes what is sent.
    let half = raw(&stack, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel");
    let endless = raw(&stack, "GET /endless HTTP/1.1\r\nHost: h\r\n\r\n");
    for _ in 0..2 {
        let Some(Error::Net(error)) = tells.recv() else { panic!("the network's") };
        assert_eq!(error.kind, ErrorKind::TimedOut);
    }
    drop((half, endless));
    served.ends(stack);
}

/// No more connections are served at a time than may be; the others wait.
fn connections_have_a_limit() {
    let stack = alone();
    static AT_ONCE: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    AT_ONCE.store(0, Relaxed);
    MOST.store(0, Relaxed);
    let limits = Limits { connections: 2, ..PATIENT };
    let served = Served::by(&stack, limits, |_, response| {
        MOST.fetch_max(AT_ONCE.fetch_add(1, Relaxed) + 1, Relaxed);
        (0..10).for_each(|_| executive::yield_now());
        AT_ONCE.fetch_sub(1, Relaxed);
        response.text("one of two");
    });
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let stack = stack.clone();
            go(move || client(&stack).get("/").unwrap().text(100).unwrap())
        })
        .collect();
    for client in clients {
        assert_eq!(client.join(), "one of two");
    }
    assert!(MOST.load(Relaxed) <= 2);
    served.ends(stack);
}

/// A server that nobody here wrote, `async` and made for other machines, runs on our streams.
fn a_server_of_others_answers() {
    let stack = alone();
    let listener = stack.listen(AT).unwrap();
    let server = go(move || {
        let (stream, _) = listener.accept().unwrap();
        executive::block_on(three_answers(stream));
    });
    let mut client = client(&stack);
    for path in ["/one", "/two", "/three"] {
        let mut answer = client.get(path).unwrap();
        assert_eq!(answer.header("x-server"), Some("edge"));
        assert_eq!(answer.text(100).unwrap(), path);
    }
    drop(client);
    server.join();
    until(|| stack.report().open == 0);
    stack.shut_down();
}

/// A refusal arrives, although more has come than was read: it is not overtaken by a reset.
fn a_refusal_arrives() {
    let stack = alone();
    let served = Served::by(&stack, PATIENT, echo);
    let stream = raw(&stack, "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\n");
    for _ in 0..5 {
        let _ = stream.write_all(&[b'x'; 5000]);
    }
    stream.shutdown(Shutdown::Write);
    let heard = hear(&stream);
    assert!(heard.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{heard}");
    drop(stream);
    served.ends(stack);
}
}
