//! Goroutines that sleep, and the one that wakes them, which has a [`Wheel`].
//!
//! **Rule:** (yours: what does the server know when it goes to sleep, and who tells it what it does
//! not know?)

use crate::wheel::Wheel;
use executive::g::WaitReason;
use executive::time::Instant;
use executive::wait::{Monitor, Parked, may_park, park};

/// How exact it is: 100 us.
const TICK: u64 = 100_000;

/// Room for 100 goroutines that sleep. Can be a `static`.
pub struct Alarms {
    wheel: Monitor<Wheel<Parked, 64, 100>>,
}

/// There are as many sleepers as there is room for.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl Alarms {
    /// Nobody sleeps.
    pub const fn new() -> Self {
        Alarms { wheel: Monitor::new(Wheel::new(TICK)) }
    }

    /// Parks the caller, for `WaitReason::Sleep`, until `deadline` or a little later. An error:
    /// there is no room; then it does not park.
    pub fn sleep_until(&self, deadline: Instant) -> Result<(), Full> {
        park(may_park(), WaitReason::Sleep, |me| {
            let _wheel = self.wheel.lock();
            Some(me)
        });
        todo!("until {deadline:?}")
    }

    /// The server's work, for ever: wakes whose time has come, and sleeps until the next one's,
    /// parked for `WaitReason::Monitor`. Called once, by a goroutine of the system's.
    pub fn serve(&self) -> ! {
        let _wheel = self.wheel.lock();
        todo!("fires all that are due, and waits, for {:?}", WaitReason::Monitor)
    }
}

impl Default for Alarms {
    fn default() -> Self {
        Self::new()
    }
}
