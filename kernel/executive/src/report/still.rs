//! All CPUs stand still for a moment: for what can be told of goroutines only while none runs.
//!
//! A machine offers how. Then a goroutine that is off its CPU stays off it, and is saved
//! (STACK-OWNER: it enters the states in which it is on g0, after it was saved, and leaves them on
//! g0, before it runs). So its stack can be read, which nobody may do while it could be resumed.

use super::crash::Still;
use spin::Once;

/// Calls what it is given once, while no CPU executes anything of the executive but that. `false`:
/// not all CPUs came to stand still, and it was not called.
pub type StandStill = fn(&mut dyn FnMut(Still)) -> bool;

struct Offer {
    stand_still: StandStill,
    alone: bool,
}

static OFFER: Once<Offer> = Once::new();

/// For a machine that can make all other CPUs stand still. `alone`: nobody else calls the
/// executive. Else there may be threads that are no CPU, which go on meanwhile: they lock, unlock
/// and wake, and run no goroutine.
pub fn offer(stand_still: StandStill, alone: bool) {
    OFFER.call_once(|| Offer { stand_still, alone });
}

/// Calls `f` while all other CPUs stand still; `false`: that is not offered, or did not succeed.
/// `f` takes no lock, allocates nothing and is short.
pub(super) fn stand_still(f: &mut dyn FnMut(Still)) -> bool {
    OFFER.get().is_some_and(|offer| (offer.stand_still)(f))
}

/// The same, if no thread that is no CPU goes on meanwhile.
pub(super) fn stand_still_alone(f: &mut dyn FnMut(Still)) -> bool {
    OFFER.get().is_some_and(|offer| offer.alone && (offer.stand_still)(f))
}
