//! A socket: a lock, a smoltcp `SocketSet` of one, two gates at which goroutines wait, and a timer.
//!
//! Everything that happens to it, from above (a write), from below (a frame) or by time, is a
//! [`touch`](Endpoint::touch): something is done, then what can be sent is sent, the timer is set
//! anew, and whoever waits for what has become possible is woken.
//!
//! **Rule:** a gate is open when it is worth a look. Whoever finds that there is nothing shuts it.
//! Whoever finds, after a touch, that there is something opens it, under the lock: so nobody waits
//! at a gate while there is something, and no gate is opened for what has been taken since.

use crate::frame::{Numbers, Segment};
use crate::link::{Driven, Link};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::marker::PhantomData;
use executive::cancel::Token;
use executive::chan;
use executive::chan::{Receiver, Sender};
use executive::lock::{Lock, Rank};
use executive::select;
use executive::time::{AfterFunc, Duration, Instant, after_func};
use smoltcp::iface::{PollResult, SocketHandle, SocketSet};
use smoltcp::socket::AnySocket;

/// What kind of socket it is.
pub(crate) trait Protocol: 'static {
    type Socket: AnySocket<'static>;
    /// What else is under the socket's lock.
    type Own: Send;
    /// What a touch leads to, elsewhere.
    type After;
    fn is_readable(socket: &Self::Socket, own: &Self::Own) -> bool;
    fn is_writable(socket: &Self::Socket, own: &Self::Own) -> bool;
    /// Whether the socket is shown a segment.
    fn heeds(
        _: &mut Self::Socket,
        _: &mut Self::Own,
        _: Option<Numbers>,
        _: &Segment,
        _now: Instant,
    ) -> bool {
        true
    }
    /// How often more it is shown a segment that it heeds.
    fn repeats(_: &mut Self::Own, _: Option<Numbers>, _: &Segment) -> usize {
        0
    }
    /// What it needs only while something happens may be given back: now, or, if nothing happens
    /// until then, at the time that is returned.
    fn rest(_: &Self::Socket, _: &mut Self::Own) -> Option<Instant> {
        None
    }
    /// The end of a touch. What may send has been sent.
    fn settle(
        socket: &mut Self::Socket,
        own: &mut Self::Own,
        numbers: Option<Numbers>,
    ) -> Self::After;
}

pub(crate) struct Endpoint<P: Protocol> {
    pub(crate) link: Arc<Link>,
    body: Lock<Body<P>>,
    pub(crate) readable: Arc<Gate>,
    pub(crate) writable: Arc<Gate>,
}

struct Body<P: Protocol> {
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    own: P::Own,
    timer: Option<AfterFunc>,
    /// When that fires (ns), at the latest.
    due: u64,
    waits_for_neighbour: bool,
    /// The queue by which its last frame has come. It sends by that, on whatever CPU: by two queues
    /// its frames would overtake each other.
    queue: Option<usize>,
    /// How far it has come, if this is TCP and has sent something.
    numbers: Option<Numbers>,
    _protocol: PhantomData<P>,
}

/// Where goroutines wait until something may be possible.
pub(crate) struct Gate {
    open: Sender<()>,
    opened: Receiver<()>,
}

/// Why a wait has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Woken {
    Opened,
    Late,
    Cancelled,
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        let (open, opened) = chan(1);
        Arc::new(Gate { open, opened })
    }

    pub(crate) fn open(&self) {
        let _ = self.open.try_send(()); // it may be open
    }

    pub(crate) fn shut(&self) {
        let _ = self.opened.try_recv(); // it may be shut
    }

    /// What becomes ready when it opens; whoever takes that shuts it.
    pub(crate) fn opened(&self) -> &Receiver<()> {
        &self.opened
    }

    /// Parks until it is open, and shuts it.
    pub(crate) fn wait(&self, deadline: Option<Instant>, token: Option<&Token>) -> Woken {
        receive(&self.opened, deadline, token).map_or_else(|ended| ended, |_| Woken::Opened)
    }
}

/// Receives; a deadline or a token may end that. Without either there is no timer, which would hide
/// a deadlock.
pub(crate) fn receive<T: Send>(
    from: &Receiver<T>,
    deadline: Option<Instant>,
    token: Option<&Token>,
) -> Result<Option<T>, Woken> {
    match deadline {
        None if token.is_none() => Ok(from.recv()),
        None => select! {
            recv(from) -> value => Ok(value),
            recv(token) -> _ => Err(Woken::Cancelled),
        },
        Some(deadline) => select! {
            recv(from) -> value => Ok(value),
            recv(token) -> _ => Err(Woken::Cancelled),
            after(deadline.remaining()) => Err(Woken::Late),
        },
    }
}

impl<P: Protocol> Endpoint<P> {
    pub(crate) fn new(link: Arc<Link>, socket: P::Socket, own: P::Own) -> Self {
        Self::with_gates(link, socket, own, Gate::new(), Gate::new())
    }

    /// As [`new`](Self::new), for several endpoints with common gates.
    pub(crate) fn with_gates(
        link: Arc<Link>,
        socket: P::Socket,
        own: P::Own,
        readable: Arc<Gate>,
        writable: Arc<Gate>,
    ) -> Self {
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        let body = Body {
            sockets,
            handle,
            own,
            timer: None,
            due: u64::MAX,
            waits_for_neighbour: false,
            queue: None,
            numbers: None,
            _protocol: PhantomData,
        };
        let body = Lock::new(Rank::User, body);
        Endpoint { link, body, readable, writable }
    }

    /// Looks, and changes nothing that must be sent or told.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&mut P::Socket, &mut P::Own) -> R) -> R {
        let mut body = self.body.lock();
        let body = &mut *body;
        look(body.sockets.get_mut(body.handle), &mut body.own)
    }

    /// How far it has come, if this is TCP and has sent something.
    pub(crate) fn numbers(&self) -> Option<Numbers> {
        self.body.lock().numbers
    }

    /// Opens and shuts the gates as they should be now.
    pub(crate) fn refresh(&self) {
        for (is_open, gate) in self.gates(&self.body.lock()) {
            if is_open { gate.open() } else { gate.shut() }
        }
    }

    /// Each gate, and whether it should be open now.
    fn gates(&self, body: &Body<P>) -> [(bool, &Gate); 2] {
        let socket = body.sockets.get(body.handle);
        [
            (P::is_readable(socket, &body.own), &self.readable),
            (P::is_writable(socket, &body.own), &self.writable),
        ]
    }

    /// Something happens: a frame has come, or `act`. `owner` has this endpoint.
    pub(crate) fn touch<R, O: Driven + 'static>(
        &self,
        owner: &Arc<O>,
        why: Why<'_>,
        act: impl FnOnce(&mut P::Socket, &mut P::Own, &mut Context) -> R,
    ) -> (R, P::After) {
        let mut body = self.body.lock();
        let (body, begun) = (&mut *body, Instant::now());
        if let Why::Time = why {
            body.due = u64::MAX;
            body.waits_for_neighbour = false;
        }
        let mut times = 1;
        let frame = match why {
            Why::Frame(frame) => Some(frame),
            Why::Segment(frame, segment) => {
                let socket = body.sockets.get_mut(body.handle);
                times += P::repeats(&mut body.own, body.numbers, segment);
                P::heeds(socket, &mut body.own, body.numbers, segment, begun).then_some(frame)
            }
            Why::Call | Why::Time => None,
        };
        let (now, mut port) = (self.link.at(begun), self.link.port(frame));
        port.numbers = body.numbers;
        if frame.is_some() {
            body.queue = Some(port.queue);
        }
        port.queue = body.queue.unwrap_or(port.queue);
        let mut here = self.link.here();
        let interface = &mut here.interface;
        if frame.is_some() {
            for _ in 0..times {
                port.frame = frame;
                interface.poll_ingress_single(now, &mut port, &mut body.sockets);
            }
        }
        let socket = body.sockets.get_mut(body.handle);
        let result = act(socket, &mut body.own, interface.context());
        while interface.poll_egress(now, &mut port, &mut body.sockets) != PollResult::None {}
        if self.link.is_resolving(&port) && !body.waits_for_neighbour {
            body.waits_for_neighbour = true;
            let waiter = Arc::downgrade(owner);
            self.link.wait_for_neighbour(waiter);
        }
        let socket = body.sockets.get_mut(body.handle);
        let after = P::settle(socket, &mut body.own, port.numbers);
        let next = interface.poll_at(now, &body.sockets);
        here.counts.received += u64::from(frame.is_some());
        here.counts.add(&port);
        body.numbers = port.numbers;
        drop(here);

        let rests = P::rest(body.sockets.get(body.handle), &mut body.own);
        let begun = begun.as_nanos();
        let next = next.map(|at| begun.saturating_add(self.link.between(now, at).max(SOON)));
        let rests = rests.map(Instant::as_nanos);
        if let Some(due) = next.into_iter().chain(rests).min() {
            body.wake_at(owner, due, begun);
        }
        for (is_open, gate) in self.gates(body) {
            if is_open {
                gate.open();
            }
        }
        (result, after)
    }
}

/// What happens.
#[derive(Clone, Copy)]
pub(crate) enum Why<'a> {
    Frame(&'a [u8]),
    /// A frame with a TCP segment.
    Segment(&'a [u8], &'a Segment),
    Call,
    /// Its timer, or a neighbour that was found.
    Time,
}

/// smoltcp's name for what sockets need of an `Interface`.
pub(crate) type Context = smoltcp::iface::Context;

/// What could not be sent for want of room is tried again after this many ns.
const SOON: u64 = 100_000;

impl<P: Protocol> Body<P> {
    /// The owner is driven at `due` (ns), or sooner. A timer that is set for an earlier time stays:
    /// when it fires it is set anew.
    fn wake_at<O: Driven + 'static>(&mut self, owner: &Arc<O>, due: u64, now: u64) {
        if due >= self.due {
            return;
        }
        self.due = due;
        let delay = Duration::from_nanos(due.saturating_sub(now));
        match &self.timer {
            Some(timer) => _ = timer.reset(delay),
            None => {
                let owner = Arc::downgrade(owner);
                self.timer = Some(after_func(delay, move || {
                    if let Some(owner) = owner.upgrade() {
                        owner.drive();
                    }
                }));
            }
        }
    }
}

impl<P: Protocol> Drop for Endpoint<P> {
    fn drop(&mut self) {
        if let Some(timer) = &self.body.lock().timer {
            timer.stop();
        }
    }
}

/// A smoltcp buffer of so many bytes.
pub(crate) fn buffer(bytes: usize) -> Vec<u8> {
    alloc::vec![0; bytes]
}
