//! A lock for many readers or one writer, first come first served: a reader that comes after a
//! waiting writer waits behind it. As Go's `RWMutex` it guards what its user says; it holds no
//! value.
//!
//! **Rule:** whoever must wait is let in by another goroutine, which counts it before it readies
//! it.

use executive::g::WaitReason;
use executive::wait::Monitor;

/// See the head of this file. Can be a `static`.
pub struct FairLock {
    state: Monitor<State>,
}

struct State {
    readers: usize,
    has_writer: bool,
}

// What a goroutine waits for: its tag in the monitor's queue.
const READ: usize = 0;
const WRITE: usize = 1;

/// Others may read, and nobody writes, while this lives. Parking meanwhile is allowed.
pub struct ReadGuard<'a>(&'a FairLock);

/// Nobody else reads or writes while this lives. Parking meanwhile is allowed.
pub struct WriteGuard<'a>(&'a FairLock);

impl FairLock {
    /// A free lock.
    pub const fn new() -> Self {
        FairLock { state: Monitor::new(State { readers: 0, has_writer: false }) }
    }

    /// Parks while somebody writes, or waits.
    pub fn read(&self) -> ReadGuard<'_> {
        self.enter(READ);
        ReadGuard(self)
    }

    /// Parks while somebody reads, writes, or waits.
    pub fn write(&self) -> WriteGuard<'_> {
        self.enter(WRITE);
        WriteGuard(self)
    }

    fn enter(&self, tag: usize) {
        let mut state = self.state.lock();
        if !state.has_waiters() && state.admits(tag) {
            state.count(tag);
        } else {
            state.wait_as(tag, WaitReason::Monitor);
        }
    }

    /// Lets in those who have waited longest: one writer, or the readers up to the next writer.
    fn let_in(&self) {
        loop {
            let mut state = self.state.lock();
            let Some(first) = state.take_first_if(State::admits) else { return };
            state.count(first.tag());
            state.ready(Some(first));
        }
    }
}

impl State {
    fn admits(&self, tag: usize) -> bool {
        !self.has_writer && (tag == READ || self.readers == 0)
    }

    fn count(&mut self, tag: usize) {
        match tag {
            READ => self.readers += 1,
            _ => self.has_writer = true,
        }
    }
}

impl Default for FairLock {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for ReadGuard<'_> {
    fn drop(&mut self) {
        self.0.state.lock().readers -= 1;
        self.0.let_in();
    }
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        self.0.state.lock().has_writer = false;
        self.0.let_in();
    }
}
