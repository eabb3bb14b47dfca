//! A timer wheel: a ring of slots, one a tick of time, and in each the timers that are due at its
//! tick, in this round of the ring or in a later one. It has room for `MOST` timers, allocates
//! nothing, and starts and stops one in a few steps, however many there are.
//!
//! **Rule:** (yours: in which slot is a timer, from its start until it fires or is stopped?)

/// See the head of this file. Can be a `static`.
pub struct Wheel<T, const SLOTS: usize, const MOST: usize> {
    tick: u64,
    entries: [Entry<T>; MOST],
    // Your fields.
}

struct Entry<T> {
    what: Option<T>,
    // Your fields.
}

/// A timer that was started. It is good for that one alone: when it has fired or was stopped, the
/// handle names nothing any more, whoever has its place then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handle {
    // Your fields.
}

impl<T, const SLOTS: usize, const MOST: usize> Wheel<T, SLOTS, MOST> {
    /// An empty wheel with a slot for each tick of `tick` ns. Its time is 0.
    pub const fn new(tick: u64) -> Self {
        Wheel { tick, entries: [const { Entry { what: None } }; MOST] }
    }

    /// Starts a timer: `what` is given to the first [`advance`](Self::advance) whose time is not
    /// before `deadline` (ns), rounded **up** to a whole tick. If that has passed already, to the
    /// next one. Gives `what` back if there are `MOST` timers.
    pub fn start(&mut self, deadline: u64, what: T) -> Result<Handle, T> {
        let _slot = deadline.div_ceil(self.tick) % SLOTS as u64;
        let _ = self.entries.iter().all(|entry| entry.what.is_none());
        drop(what);
        todo!()
    }

    /// Stops a timer, and gives what it would have fired. `None`: it has fired, or was stopped.
    pub fn stop(&mut self, timer: Handle) -> Option<T> {
        let _ = timer;
        todo!()
    }

    /// It is `now` (ns): fires all that are due, in any order. Time does not go back: if `now` is
    /// before the last one, it is that one still. The steps that it takes depend on `SLOTS` and on
    /// the number of timers, not on how long ago the last call was.
    pub fn advance(&mut self, now: u64, mut fire: impl FnMut(T)) {
        let _ = now;
        self.entries.iter_mut().filter_map(|entry| entry.what.take()).for_each(&mut fire);
        todo!("only those that are due")
    }

    /// When to call [`advance`](Self::advance) next (ns): not after the first timer is due. It may
    /// be before that, as long as time goes on: after the last `now`, unless one is due already.
    /// `None`: there is no timer.
    pub fn next(&self) -> Option<u64> {
        todo!()
    }
}
