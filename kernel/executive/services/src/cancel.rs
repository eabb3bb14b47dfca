//! Cancellation: a tree of tokens. Cancelling one cancels all below it, at once.
//! Go: `context.Context`, its cancellation and deadlines.
//!
//! **Rule:** a tree has one lock, so that cancelling is one step: whoever sees a token cancelled
//! sees all below it cancelled. All nodes of a tree lie in one table under that lock, and their
//! links are places in it. A deadline's timer fires under its heap's lock, cancels from there, and
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

use crate::alarm::{Fire, Stops, Timed};
use crate::chan::{Chan, Receiver, fed};
use crate::select::RecvFrom;
use crate::time::{Duration, Instant};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt;
use executive_core::lock::{Lock, Rank};

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

/// What a token, and the receivers of its channel, keep alive.
struct Node {
    /// Fires at its own deadline, if that comes before those above. Stopped first when the node is
    /// dropped: it names the node's place.
    timer: Option<Stops<Deadline>>,
    /// Otherwise the node above whose timer fires for both.
    timed_by: Option<Arc<Node>>,
    /// The earliest deadline: its own or one above.
    deadline: Option<Instant>,
    tree: Arc<Lock<Tree>>,
    place: Place,
}

/// The nodes of a tree, each at its place in the table.
struct Tree {
    nodes: Vec<Links>,
    /// The first place that is free; its `next` is the next one.
    free: Option<Place>,
}

type Place = usize;

/// The part of a node that the tree's lock guards.
#[derive(Default)]
struct Links {
    cause: Option<Cause>,
    /// The channel that `end` closes; dangling when nobody has a receiver any more.
    done: Weak<Chan<()>>,
    /// The node's own timer, if it has one.
    timer: Weak<Timed<Deadline>>,
    parent: Option<Place>,
    first_child: Option<Place>,
    next: Option<Place>,
    prev: Option<Place>,
}

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
    #[expect(clippy::new_without_default, reason = "each is a token of its own")]
    pub fn new() -> Self {
        Self::make(None, None)
    }
    /// A child: a token that is cancelled with this one, or by itself. It is cancelled from the
    /// start if this one is. Allocates. Go: `context.WithCancel`.
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
    /// A child that is also cancelled at `deadline`, or a little later. Allocates.
    /// Go: `context.WithDeadline`.
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
    /// A child that is also cancelled after `d`, or a little later. Allocates.
    /// Go: `context.WithTimeout`.
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
        let tree = parent.map_or_else(Tree::empty, |p| p.tree.clone());
        let place = tree.lock().add();
        // If a deadline above comes first, its timer fires for both.
        let timer = (deadline != above).then(|| Timed::new(Deadline { tree: tree.clone(), place }));
        let node = Arc::new(Node {
            timer: timer.clone().map(Stops),
            timed_by: parent.filter(|_| deadline == above).and_then(timed_by),
            deadline,
            tree,
            place,
        });
        let done = fed(0, |chan| {
            let mut tree = node.tree.lock();
            tree.nodes[place].done = chan.clone();
            tree.nodes[place].timer = timer.as_ref().map_or_else(Weak::new, Arc::downgrade);
            drop(tree);
            Feeder(node.clone())
        });
        let token = Token { done, node };
        let node = &token.node;
        if let Some(parent) = parent {
            let mut tree = node.tree.lock();
            match tree.nodes[parent.place].cause {
                Some(cause) => tree.end(place, cause),
                None => tree.link_below(place, parent.place),
            }
        }
        match (timer, deadline) {
            (Some(_), Some(deadline)) if deadline <= Instant::now() => {
                node.tree.lock().cancel(place, Cause::DeadlineExceeded, |_| ())
            }
            (Some(timer), Some(deadline)) => {
                timer.restart(deadline.as_nanos(), || ());
                // A token above may have been cancelled, and have found no timer to stop.
                if token.is_cancelled() {
                    timer.stop(|| ());
                }
            }
            _ => {}
        }
        token
    }

    /// Cancels this token and all below it: all are cancelled when this returns. Does nothing if
    /// the token was cancelled before. Never parks. Go: `context.CancelFunc`.
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
        let mut timers = Vec::new();
        let keep = |node: &Links| timers.extend(node.timer.upgrade());
        self.node.tree.lock().cancel(self.node.place, Cause::Cancelled, keep);
        // RANK: a heap's lock comes before the tree's, so they are stopped here. Nobody needs to be
        // woken for them, and a deadlock need not wait for them.
        for timer in timers {
            timer.stop(|| ());
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
        self.node.tree.lock().nodes[self.node.place].cause
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
    /// A channel that is closed when the token is cancelled. A clone of the receiver may outlive
    /// the token: the channel is then closed when a token above is cancelled, or by the deadline.
    /// Go: `ctx.Done()`.
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

/// A node's deadline. The node is at its place while the timer may fire.
struct Deadline {
    tree: Arc<Lock<Tree>>,
    place: Place,
}

impl Fire for Deadline {
    /// RANK: the locks of the tree and of channels come after the heap's.
    fn fire(timed: Arc<Timed<Self>>, _: u64) -> Option<(Arc<Timed<Self>>, u64)> {
        // Timers below, which are due sooner, are left to fire.
        timed.on.tree.lock().cancel(timed.on.place, Cause::DeadlineExceeded, |_| ());
        None
    }
}

impl Tree {
    fn empty() -> Arc<Lock<Self>> {
        Arc::new(Lock::new(Rank::Cancel, Tree { nodes: Vec::new(), free: None }))
    }

    /// A place for a node, which is linked to no other.
    fn add(&mut self) -> Place {
        let Some(place) = self.free else {
            self.nodes.push(Links::default());
            return self.nodes.len() - 1;
        };
        self.free = self.nodes[place].next;
        self.nodes[place] = Links::default();
        place
    }

    /// Cancels this node and all below it, and calls `each` with them. Without recursion, for a
    /// stack is small and a tree may be deep.
    fn cancel(&mut self, top: Place, cause: Cause, mut each: impl FnMut(&Links)) {
        if self.nodes[top].cause.is_some() {
            return;
        }
        let mut at = top;
        loop {
            self.end(at, cause);
            each(&self.nodes[at]);
            if let Some(child) = self.nodes[at].first_child {
                at = child;
                continue;
            }
            // A cancelled node needs nothing from above. Its parent's first child is then the next.
            let parent = self.nodes[at].parent;
            self.unlink(at);
            match parent {
                Some(parent) if at != top => at = parent,
                _ => return,
            }
        }
    }

    /// Marks this node as cancelled, and closes its channel.
    fn end(&mut self, at: Place, cause: Cause) {
        let node = &mut self.nodes[at];
        if node.cause.is_none() {
            node.cause = Some(cause);
            // This is not the channel's last count: `Feeder` waits for the tree's lock.
            if let Some(done) = node.done.upgrade() {
                done.close();
            }
        }
    }

    fn link_below(&mut self, at: Place, parent: Place) {
        let next = self.nodes[parent].first_child.replace(at);
        if let Some(next) = next {
            self.nodes[next].prev = Some(at);
        }
        self.nodes[at].parent = Some(parent);
        self.nodes[at].next = next;
    }

    fn unlink(&mut self, at: Place) {
        let node = &mut self.nodes[at];
        let (parent, prev, next) = (node.parent.take(), node.prev.take(), node.next.take());
        match (prev, parent) {
            (Some(prev), _) => self.nodes[prev].next = next,
            (None, Some(parent)) => self.nodes[parent].first_child = next,
            (None, None) => {}
        }
        if let Some(next) = next {
            self.nodes[next].prev = prev;
        }
    }

    /// Removes a node. The nodes below it become children of the node above it.
    fn remove(&mut self, at: Place) {
        let parent = self.nodes[at].parent;
        self.unlink(at);
        while let Some(child) = self.nodes[at].first_child {
            self.unlink(child);
            if let Some(parent) = parent {
                self.link_below(child, parent);
            }
        }
        self.nodes[at].next = self.free.replace(at);
    }
}

/// Keeps a node alive for as long as its channel has receivers.
struct Feeder(Arc<Node>);

impl Drop for Feeder {
    fn drop(&mut self) {
        self.0.tree.lock().nodes[self.0.place].done = Weak::new();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.timer = None; // stops it
        self.tree.lock().remove(self.place);
    }
}
