//! Two places where goroutines meet. Each keeps the goroutines that wait as [`Parked`]s: whoever
//! has one may ready it, once.
//!
//! **Rule:** (yours: where is it decided, for good, that a goroutine waits? What must be looked at
//! there?)

use crate::MEETING;
use alloc::vec::Vec;
use executive::lock::{Lock, Rank};
use executive::wait::{Parked, may_park, park};

/// A gate that is open or shut; shut at first. Can be a `static`.
pub struct Gate {
    state: Lock<GateState>,
}

struct GateState {
    // Your fields.
    waiting: Vec<Parked>,
}

impl Gate {
    /// A gate that is shut.
    pub const fn new() -> Self {
        Gate { state: Lock::new(Rank::User, GateState { waiting: Vec::new() }) }
    }

    /// Passes if the gate is open; else parks, for [`MEETING`], until it is opened.
    pub fn pass(&self) {
        let parking = may_park();
        park(parking, MEETING, |me| {
            let _waiting = &self.state.lock().waiting;
            Some(me) // so nobody waits at all
        });
        todo!("when does a goroutine wait, and when not?")
    }

    /// Opens it. All who wait pass, even if it is shut again before they run. Never parks.
    pub fn open(&self) {
        todo!("take out all who wait, and ready them")
    }

    /// Shuts it for those who come from now on. Never parks.
    pub fn shut(&self) {
        todo!()
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

/// Where two goroutines swap what they have: the first waits for the second. Can be a `static`.
pub struct Exchanger<T> {
    state: Lock<ExchangerState<T>>,
}

struct ExchangerState<T> {
    // Your fields.
    _of: Option<T>,
}

impl<T: Send> Exchanger<T> {
    /// An exchanger at which nobody waits.
    pub const fn new() -> Self {
        Exchanger { state: Lock::new(Rank::User, ExchangerState { _of: None }) }
    }

    /// Gives `mine` to one other goroutine and returns that one's. Parks, for
    /// [`MEETING`], until another comes. Those who come meet in pairs: nobody's value is
    /// lost, and nobody gets two.
    pub fn swap(&self, mine: T) -> T {
        let _state = self.state.lock();
        drop(mine);
        todo!()
    }
}

impl<T: Send> Default for Exchanger<T> {
    fn default() -> Self {
        Self::new()
    }
}
