//! Cancellation: a tree of tokens. Cancelling one cancels all below it, at once.
//! Go: `context.Context`, its cancellation and deadlines.
//!
//! **Rule:** a tree has one lock, so that cancelling is one step: whoever sees a token cancelled
//! sees all below it cancelled. Links are plain pointers under that lock, and a node leaves the
//! tree before it is freed. A deadline's timer fires under its heap's lock, cancels from there, and
//! frees nothing there.
//!
//! A cancelled token's channel is closed, so a token is an arm of a select like any other:
//! `done(token)`.
//!
//! **Rule:** a node is in the tree for as long as it can be observed: by a token, by a clone of its
//! `done()` (the channel keeps the node alive, see `fed`), or by a token below that shares its
//! timer.
//!
//! Rejected: Go's values that travel with a context. Pass them.
#![allow(unsafe_code)] // Links between nodes, under the tree's lock.

use crate::chan::{Chan, Receiver, fed};
use crate::select::RecvFrom;
use crate::time::{Duration, Instant};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomPinned;
use core::ptr::null;
use executive_core::lock::{Lock, Rank};
use executive_core::wait::{Timer, start_timer, stop_timer};

/// Why a token is cancelled.
///
/// ```
/// # hosted::run(|| {
/// use executive::cancel::{Cause, Token};
/// let token = Token::new();
/// token.cancel();
/// assert_eq!(token.cause().map(|c| c.to_string()), Some("context canceled".into()));
/// # });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// [`Token::cancel`] was called, on this token or on one above. Go: `context.Canceled`.
    #[doc(alias("context.Canceled", "Canceled"))]
    Cancelled,
    /// A deadline has passed: that of this token or of one above. Go: `context.DeadlineExceeded`.
    #[doc(alias = "context.DeadlineExceeded")]
    DeadlineExceeded,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Cancelled => "context canceled",
            Cause::DeadlineExceeded => "context deadline exceeded",
        })
    }
}
impl core::error::Error for Cause {}

/// Tells all who have it, or a token below it, to stop. Clones are the same token. Dropping a token
/// cancels nothing: the tokens below it stay below the one above it.
///
/// ```
/// # hosted::run(|| {
/// use executive::cancel::{Cause, Token};
/// use executive::{go, select};
/// let token = Token::new();
/// let (tx, rx) = executive::chan::<u32>(0);
/// let child = token.child();
/// let h = go(move || select! {
///     recv(rx) -> v => v,
///     done(child) => None,
/// });
/// token.cancel();
/// assert_eq!(h.join(), None);
/// assert_eq!(token.cause(), Some(Cause::Cancelled));
/// drop(tx);
/// # });
/// ```
#[doc(alias("context.Context", "Context"))]
#[derive(Clone)]
pub struct Token {
    node: Arc<Node>,
    /// Closed when cancelled.
    done: Receiver<()>,
}

struct Node {
    tree: Arc<Lock<()>>,
    /// The earliest deadline: its own or one above.
    deadline: Option<Instant>,
    /// Fires at its own deadline, if that comes before those above.
    timer: Option<Box<Timer>>,
    /// Otherwise the node above whose timer fires for both.
    timed_by: Option<Arc<Node>>,

    // Guarded by the tree's lock. A pointer to a sibling or a child is valid while it stands here.
    cause: Cell<Option<Cause>>,
    /// What `end` closes; null when nobody has a receiver any more.
    done: Cell<*const Chan<()>>,
    parent: Cell<*const Node>,
    first_child: Cell<*const Node>,
    next: Cell<*const Node>,
    prev: Cell<*const Node>,
    /// Others point here, even while `drop` has it as `&mut`. Not being `Unpin` tells the compiler
    /// so.
    _pinned: PhantomPinned,
}
// SAFETY: the tree's lock guards the cells.
unsafe impl Sync for Node {}
// SAFETY: as above.
unsafe impl Send for Node {}

impl Token {
    /// A token without a parent. Allocates. Go: `context.WithCancel(context.Background())`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let token = executive::cancel::Token::new();
    /// assert!(!token.is_cancelled());
    /// # });
    /// ```
    #[doc(alias = "context.WithCancel")]
    #[expect(clippy::new_without_default, reason = "it is an event's, not a value's, birth")]
    pub fn new() -> Self {
        Self::make(None, None)
    }
    /// A child: cancelled with this token, or by itself. Cancelled from the start if this one is.
    /// Go: `context.WithCancel`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let (parent, other) = (executive::cancel::Token::new(), executive::cancel::Token::new());
    /// let child = parent.child();
    /// other.cancel();
    /// assert!(!child.is_cancelled());
    /// parent.cancel();
    /// assert!(child.is_cancelled());
    /// # });
    /// ```
    #[doc(alias("context.WithCancel", "WithCancel"))]
    pub fn child(&self) -> Self {
        Self::make(Some(&self.node), None)
    }
    /// A child that is also cancelled at `deadline`, or a little later. Go: `context.WithDeadline`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::time::{Duration, Instant};
    /// let soon = Instant::now() + Duration::from_millis(5);
    /// executive::cancel::Token::new().child_until(soon).wait();
    /// assert!(Instant::now() >= soon);
    /// # });
    /// ```
    #[doc(alias("context.WithDeadline", "WithDeadline"))]
    pub fn child_until(&self, deadline: Instant) -> Self {
        Self::make(Some(&self.node), Some(deadline))
    }
    /// A child that is also cancelled after `d`. Go: `context.WithTimeout`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::cancel::{Cause, Token};
    /// let token = Token::new().child_for(core::time::Duration::from_millis(1));
    /// assert_eq!(token.wait(), Cause::DeadlineExceeded);
    /// # });
    /// ```
    #[doc(alias("context.WithTimeout", "WithTimeout"))]
    pub fn child_for(&self, d: Duration) -> Self {
        self.child_until(Instant::now() + d)
    }

    fn make(parent: Option<&Arc<Node>>, own: Option<Instant>) -> Self {
        let above = parent.and_then(|p| p.deadline);
        let deadline = own.into_iter().chain(above).min();
        let timed_by =
            |p: &Arc<Node>| if p.timer.is_some() { Some(p.clone()) } else { p.timed_by.clone() };
        let node = Arc::new(Node {
            tree: parent.map_or_else(|| Arc::new(Lock::new(Rank::Cancel, ())), |p| p.tree.clone()),
            deadline,
            // If a deadline above comes first, its timer fires for both. SAFETY: `fire` is sound
            // while the timer is in a heap; the node takes it out before it is freed.
            timer: (deadline != above).then(|| Box::new(unsafe { Timer::new(fire, null()) })),
            timed_by: parent.filter(|_| deadline == above).and_then(timed_by),
            cause: Cell::new(None),
            done: Cell::new(null()),
            parent: Cell::new(null()),
            first_child: Cell::new(null()),
            next: Cell::new(null()),
            prev: Cell::new(null()),
            _pinned: PhantomPinned,
        });
        let token = Token { done: fed(0, |_| Feeder(node.clone())), node };
        let node = &token.node;
        node.done.set(Arc::as_ptr(&token.done.chan)); // nobody else knows the node yet
        if let Some(parent) = parent {
            let _tree = node.tree.lock();
            match parent.cause.get() {
                Some(cause) => node.end(cause),
                None => node.link_below(parent),
            }
        }
        match (&node.timer, deadline) {
            (Some(_), Some(deadline)) if deadline <= Instant::now() => {
                node.cancel(Cause::DeadlineExceeded)
            }
            (Some(timer), Some(deadline)) if !token.is_cancelled() => {
                timer.arg.set(Arc::as_ptr(node).cast());
                // SAFETY: in no heap; in a box that the node owns, which stops it when dropped.
                unsafe { start_timer(timer, deadline.as_nanos()) };
            }
            _ => {}
        }
        token
    }

    /// Cancels this token and all below it; when it returns they are cancelled. Does nothing if it
    /// was cancelled before. Never parks. Go: `context.CancelFunc`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let token = executive::cancel::Token::new();
    /// token.cancel();
    /// token.cancel(); // nothing more
    /// assert!(token.is_cancelled());
    /// # });
    /// ```
    #[doc(alias("context.CancelFunc", "CancelFunc"))]
    pub fn cancel(&self) {
        self.node.cancel(Cause::Cancelled);
        if let Some(timer) = &self.node.timer {
            stop_timer(timer); // nobody needs to be woken for it
        }
    }
    /// Whether it is cancelled.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let token = executive::cancel::Token::new();
    /// let h = executive::go({
    ///     let token = token.clone();
    ///     move || while !token.is_cancelled() { executive::yield_now() }
    /// });
    /// token.cancel();
    /// h.join();
    /// # });
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.cause().is_some()
    }
    /// Why it is cancelled, if it is: the first cause stays. Go: `ctx.Err()`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// assert_eq!(executive::cancel::Token::new().cause(), None);
    /// # });
    /// ```
    #[doc(alias("ctx.Err", "Err"))]
    pub fn cause(&self) -> Option<Cause> {
        let _tree = self.node.tree.lock();
        self.node.cause.get()
    }
    /// Parks until it is cancelled. Go: `<-ctx.Done()`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// use executive::cancel::{Cause, Token};
    /// let token = Token::new();
    /// let child = token.child();
    /// let h = executive::go(move || child.wait());
    /// token.cancel();
    /// assert_eq!(h.join(), Cause::Cancelled);
    /// # });
    /// ```
    pub fn wait(&self) -> Cause {
        self.done.recv();
        match self.cause() {
            Some(cause) => cause,
            None => unreachable!("closed before it was cancelled"),
        }
    }
    /// A channel that is closed when the token is cancelled. A clone of it may outlive the token;
    /// it is closed then when a token above is cancelled, or by the deadline. Go: `ctx.Done()`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let token = executive::cancel::Token::new();
    /// token.cancel();
    /// assert_eq!(token.done().recv(), None);
    /// # });
    /// ```
    #[doc(alias = "ctx.Done")]
    pub fn done(&self) -> &Receiver<()> {
        &self.done
    }
    /// When it will be cancelled at the latest. Go: `ctx.Deadline()`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// assert_eq!(executive::cancel::Token::new().deadline(), None);
    /// # });
    /// ```
    #[doc(alias = "ctx.Deadline")]
    pub fn deadline(&self) -> Option<Instant> {
        self.node.deadline
    }
}

impl RecvFrom for Token {
    type Item = ();
    fn receiver(&self) -> Option<&Receiver<()>> {
        Some(&self.done)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?})", self.cause())
    }
}

/// Called when the deadline has passed.
unsafe fn fire(timer: *const Timer, _: u64) -> Option<u64> {
    // SAFETY: in a heap, so its node exists: before it is freed it waits for our heap's lock. RANK:
    // the locks of the tree and of channels come after the heap's.
    unsafe { &*(*timer).arg.get().cast::<Node>() }.cancel(Cause::DeadlineExceeded);
    None
}

impl Node {
    fn cancel(&self, cause: Cause) {
        let _tree = self.tree.lock();
        if self.cause.get().is_some() {
            return;
        }
        // All below, without recursion: a stack is small and a tree may be deep.
        let mut at = self;
        loop {
            at.end(cause);
            // SAFETY: nodes in the tree exist while we have its lock.
            match unsafe { at.first_child.get().as_ref() } {
                Some(child) => at = child,
                None => loop {
                    if core::ptr::eq(at, self) {
                        self.unlink();
                        return;
                    }
                    // SAFETY: as above.
                    let (parent, next) = unsafe { (&*at.parent.get(), at.next.get().as_ref()) };
                    at.unlink(); // cancelled: nothing above concerns it any more
                    match next {
                        Some(next) => {
                            at = next;
                            break;
                        }
                        None => at = parent,
                    }
                },
            }
        }
    }

    /// Marks this node as cancelled. The tree's lock is held.
    fn end(&self, cause: Cause) {
        if self.cause.replace(Some(cause)).is_none() {
            // SAFETY: the channel exists until `Feeder`, under the tree's lock, has taken its
            // address back.
            if let Some(done) = unsafe { self.done.get().as_ref() } {
                done.close();
            }
        }
    }

    fn link_below(&self, parent: &Node) {
        self.parent.set(parent);
        self.next.set(parent.first_child.get());
        // SAFETY: in the tree, whose lock is held.
        if let Some(next) = unsafe { self.next.get().as_ref() } {
            next.prev.set(self);
        }
        parent.first_child.set(self);
    }

    fn unlink(&self) {
        // SAFETY: in the tree, whose lock is held.
        let (parent, prev, next) = unsafe {
            (
                self.parent.replace(null()).as_ref(),
                self.prev.replace(null()).as_ref(),
                self.next.replace(null()),
            )
        };
        match (prev, parent) {
            (Some(prev), _) => prev.next.set(next),
            (None, Some(parent)) => parent.first_child.set(next),
            (None, None) => {}
        }
        // SAFETY: as above.
        if let Some(next) = unsafe { next.as_ref() } {
            next.prev.set(prev.map_or(null(), core::ptr::from_ref));
        }
    }
}

/// Keeps a node alive for as long as its channel has receivers.
struct Feeder(Arc<Node>);

impl Drop for Feeder {
    fn drop(&mut self) {
        let _tree = self.0.tree.lock();
        self.0.done.set(null());
    }
}

impl Drop for Node {
    /// The nodes below become children of the node above.
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            stop_timer(timer);
        }
        let _tree = self.tree.lock();
        // SAFETY: in the tree, whose lock is held.
        let parent = unsafe { self.parent.get().as_ref() };
        self.unlink();
        // SAFETY: as above.
        while let Some(child) = unsafe { self.first_child.get().as_ref() } {
            child.unlink();
            if let Some(parent) = parent {
                child.link_below(parent);
            }
        }
    }
}
