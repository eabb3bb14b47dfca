//! A broadcast channel: **every** receiver gets every message that is sent while it subscribes, in
//! the order in which they were sent. A sender waits while `capacity` messages are kept for the
//! slowest receiver; a receiver waits while there is nothing that it has not had.
//!
//! **Rule:** (yours: who keeps a message, and when is it forgotten?)

use alloc::sync::Arc;
use executive::g::WaitReason;
use executive::wait::Monitor;

struct State<T> {
    // Your fields.
    _messages: Option<T>,
}

/// The half that sends. A clone is another sender of the same channel.
pub struct Sender<T: Copy>(Arc<Monitor<State<T>>>);

/// The half that receives.
pub struct Receiver<T: Copy>(Arc<Monitor<State<T>>>);

/// A channel with one sender and one receiver, which keeps up to `capacity` messages. Panics if
/// that is 0.
pub fn broadcast<T: Copy>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "broadcast: a channel without room");
    todo!("wait for the reason {:?}", WaitReason::Monitor)
}

impl<T: Copy> Sender<T> {
    /// Sends to all who receive now. Parks while the slowest of them has `capacity` messages to
    /// come. Gives the message back if nobody receives (any more).
    pub fn send(&self, message: T) -> Result<(), T> {
        let _state = self.0.lock();
        todo!()
    }

    /// A receiver of what is sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        todo!()
    }
}

impl<T: Copy> Receiver<T> {
    /// The next message. Parks while there is none. `None`: there is none, and no sender is left.
    pub fn recv(&self) -> Option<T> {
        let _state = self.0.lock();
        todo!()
    }
}

impl<T: Copy> Clone for Sender<T> {
    fn clone(&self) -> Self {
        todo!()
    }
}

impl<T: Copy> Drop for Sender<T> {
    /// When the last one goes the receivers get what is left, and then `None`.
    fn drop(&mut self) {
        todo!()
    }
}

impl<T: Copy> Drop for Receiver<T> {
    /// Nobody waits for it any more.
    fn drop(&mut self) {
        todo!()
    }
}
