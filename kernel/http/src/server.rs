//! The server: a goroutine for each connection.

use crate::body::Body;
use crate::error::{Error, reason};
use crate::message::Head;
use crate::param;
use crate::reader::Reader;
use crate::request::Request;
use crate::response::{Asked, Response};
use crate::stream::Stream;
use alloc::format;
use alloc::sync::Arc;
use core::sync::atomic::AtomicBool;
use executive::cancel::Token;
use executive::chan::{Sender, chan};
use executive::sync::WaitGroup;
use executive::time::{Duration, Instant};
use executive::{Builder, println, recover, select};
use net::{TcpListener, TcpStream};

/// How much a client may send, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's head, less than 64 KiB. More: status 431. Go: `MaxHeaderBytes`.
    pub head: usize,
    /// Header fields, at most [`FIELDS`](param::FIELDS). More: status 431.
    pub fields: usize,
    /// From a head's first byte to its last; and until a new client's first. Go:
    /// `ReadHeaderTimeout`.
    pub read_head: Duration,
    /// Until the next request begins. Go: `IdleTimeout`.
    pub idle: Duration,
    /// Each read of a body.
    pub read: Duration,
    /// Each write.
    pub write: Duration,
    /// Connections at a time. Others wait in the listener's backlog.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            head: param::HEAD,
            fields: param::FIELDS,
            read_head: param::READ_HEAD,
            idle: param::IDLE,
            read: param::READ,
            write: param::WRITE,
            connections: param::CONNECTIONS,
        }
    }
}

/// Serves connections by a handler, which many goroutines call at the same time. Go: `http.Server`.
#[doc(alias = "http.Server")]
pub struct Server<H> {
    handler: H,
    limits: Limits,
    token: Option<Token>,
}

impl<H: Fn(&mut Request<'_, '_>, &mut Response<'_>) + Send + Sync + 'static> Server<H> {
    /// A server with the usual limits.
    pub fn new(handler: H) -> Self {
        Server { handler, limits: Limits::default(), token: None }
    }

    /// With other limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        assert!(limits.head < 1 << 16, "http: heads of less than 64 KiB");
        self.limits = limits;
        self
    }

    /// The token ends it in order, as Go's `Shutdown` does: nobody is accepted any more, who is
    /// idle is closed at once, and who is served is served to the end.
    #[doc(alias = "Shutdown")]
    pub fn cancelled_by(mut self, token: &Token) -> Self {
        self.token = Some(token.clone());
        self
    }

    /// Accepts and serves, until the listener is closed or the token cancelled, and then until the
    /// last connection has ended. Go: `Serve`.
    #[doc(alias("Serve", "ListenAndServe"))]
    pub fn serve(self, listener: TcpListener) {
        let most = self.limits.connections.max(1);
        let (given_back, places) = chan(most);
        (0..most).for_each(|_| _ = given_back.try_send(()));
        let all = WaitGroup::new();
        let server = Arc::new(self);
        let token = server.token.as_ref();
        loop {
            select! {
                recv(places) -> _ => {},
                recv(token) -> _ => break,
            }
            let stream = select! {
                recv(listener) -> stream => stream,
                recv(token) -> _ => None,
            };
            let Some(stream) = stream else { break };
            all.add(1);
            let place = Place { given_back: given_back.clone(), all: all.clone() };
            let server = server.clone();
            let patience = server.limits.read_head;
            go_on(move || server.serve_connection(stream, place, patience));
        }
        listener.close();
        all.wait();
    }

    /// Serves a connection until it ends. If it is idle for a while it goes over to another
    /// goroutine: this one's stack has grown, and nobody needs it any more.
    fn serve_connection(self: Arc<Self>, stream: TcpStream, place: Place, patience: Duration) {
        match self.talk(&stream, patience, param::DOZE) {
            Some(until) => {
                let doze = move || self.doze(stream, place, until);
                let _ = Builder::new().name("http").stack_bytes(param::DOZE_STACK).spawn(doze);
            }
            None => stream.close(),
        }
    }

    /// Waits until an idle connection's client sends something. It uses little stack.
    fn doze(self: Arc<Self>, stream: TcpStream, place: Place, until: Instant) {
        match stream.wait(until, self.token.as_ref()) {
            true => go_on(move || {
                let patience = self.limits.idle;
                self.serve_connection(stream, place, patience);
            }),
            false => stream.close(),
        }
    }

    /// Serves a connection that was made elsewhere, to its end.
    pub fn converse(&self, stream: &dyn Stream) {
        self.talk(stream, self.limits.read_head, Duration::MAX);
    }

    /// Serves a connection to its end; or until it has been idle for so long. Then it returns until
    /// when the client is waited for.
    fn talk(&self, stream: &dyn Stream, mut patience: Duration, doze: Duration) -> Option<Instant> {
        let mut reader = Reader::new(stream);
        loop {
            if reader.is_empty() {
                reader.release();
                let now = Instant::now();
                if !stream.wait(now + patience.min(doze), self.token.as_ref()) {
                    let goes_on = doze < patience && !self.is_cancelled();
                    return goes_on.then_some(now + patience);
                }
            }
            patience = self.limits.idle;
            stream.set_read_deadline(Instant::now() + self.limits.read_head);
            let head = match reader.read_head(self.limits.head) {
                Ok(Some(())) => Head::request(reader.head(), self.limits.fields),
                Ok(None) => return None,
                Err(error) => Err(error),
            };
            match head {
                Ok(head) if self.answer(&mut reader, &head) => {}
                Ok(_) => break,
                Err(Error::Refused(status, why)) => {
                    self.refuse(stream, status, why);
                    break;
                }
                Err(_) => return None,
            }
        }
        linger(&mut reader);
        None
    }

    /// Answers a request. `false`: the connection is over.
    fn answer(&self, reader: &mut Reader<'_>, head: &Head) -> bool {
        let stream = reader.stream;
        let expects = &AtomicBool::new(head.expects);
        let head_only = head.method.str(reader.head()) == "HEAD";
        let asked = Asked { head_only, minor: head.minor, expects };
        let mut response = Response::new(stream, self.limits.write, asked, head.keeps);
        let body = Body::new(head.framing);
        let mut request = Request { reader, head, body, patience: self.limits.read, expects };
        if let Err(panic) = recover(|| (self.handler)(&mut request, &mut response)) {
            let peer = stream.peer().map(|peer| format!(" {peer}")).unwrap_or_default();
            println!("http: panic serving{peer}: {} at {}", panic.message(), panic.place());
            if !response.has_begun() {
                self.refuse(stream, 500, "the handler has panicked");
            }
            return false;
        }
        response.keeps &= !self.is_cancelled();
        // What nobody has read is in the way of the next request.
        if response.keeps && !request.body.is_over() && !request.waits_for_a_word() {
            response.keeps = request.discard(param::LEFT_OVER);
        }
        response.end().is_ok() && response.failure().is_none() && response.keeps
    }

    fn is_cancelled(&self) -> bool {
        self.token.as_ref().is_some_and(Token::is_cancelled)
    }

    fn refuse(&self, stream: &dyn Stream, status: u16, why: &str) {
        let text = format!("{status} {}: {why}\n", reason(status));
        let expects = &AtomicBool::new(false);
        let asked = Asked { head_only: false, minor: 1, expects };
        let mut response = Response::new(stream, self.limits.write, asked, false);
        response.status(status).text(&text);
        let _ = response.end(); // or the client is gone
    }
}

/// Starts a goroutine for a connection. Without memory for one the connection is dropped.
fn go_on(serve: impl FnOnce() + Send + 'static) {
    let _ = Builder::new().name("http").spawn(serve);
}

/// A connection counts, until this is dropped.
struct Place {
    given_back: Sender<()>,
    all: WaitGroup,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.given_back.try_send(());
        self.all.done();
    }
}

/// What has come is read before the connection is closed: or the peer is told by a reset, and may
/// drop an answer that it has not read yet. Go: `closeWriteAndWait`.
fn linger(reader: &mut Reader<'_>) {
    let (most, time) = param::LINGER;
    reader.stream.finish();
    reader.stream.set_read_deadline(Instant::now() + time);
    let (mut left, mut buffer) = (most, [0; 1024]);
    while let Ok(read @ 1..) = reader.read(&mut buffer)
        && read <= left
    {
        left -= read;
    }
}
