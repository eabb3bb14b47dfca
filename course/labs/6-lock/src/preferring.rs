//! A lock for many readers or one writer that **prefers readers**: a reader waits only while
//! somebody writes. A writer waits until nobody reads or writes; readers that come meanwhile pass
//! it. When a writer leaves, all readers that wait go in; a writer only if no reader waits.
//!
//! **Rule:** (yours: who changes the state for a goroutine that is let in, it or its waker?)

use executive::g::WaitReason;
use executive::wait::Monitor;

/// See the head of this file. Can be a `static`.
pub struct ReaderLock {
    state: Monitor<State>,
}

struct State {
    // Your fields.
}

/// Others may read, and nobody writes, while this lives. Parking meanwhile is allowed.
pub struct ReadGuard<'a>(&'a ReaderLock);

/// Nobody else reads or writes while this lives. Parking meanwhile is allowed.
pub struct WriteGuard<'a>(&'a ReaderLock);

impl ReaderLock {
    /// A free lock.
    pub const fn new() -> Self {
        ReaderLock { state: Monitor::new(State {}) }
    }

    /// Parks while somebody writes.
    pub fn read(&self) -> ReadGuard<'_> {
        let _state = self.state.lock();
        todo!("wait, for the reason {:?}, while somebody writes", WaitReason::Monitor)
    }

    /// Parks while somebody reads or writes.
    pub fn write(&self) -> WriteGuard<'_> {
        todo!()
    }
}

impl Default for ReaderLock {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for ReadGuard<'_> {
    fn drop(&mut self) {
        let _lock = self.0;
        todo!()
    }
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        let _lock = self.0;
        todo!()
    }
}
