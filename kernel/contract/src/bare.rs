//! `park` and `ready` themselves, with nothing around them: for counting what they cost. Nothing else may use it.

use crate::nouns::g::{G, WaitReason, getg};
use crate::proc::{park, wake};

/// A goroutine that is parked.
pub struct Parked(&'static G);

/// Parks the calling goroutine. `give` gets it, on g0 (PARK-COMMIT), and must not park.
pub fn park(give: impl FnOnce(Parked)) {
    park::park(getg(), WaitReason::CondWait, |g| {
        give(Parked(g));
        true
    });
}

impl Parked {
    /// Makes it runnable: `ready`, and so `wakep`.
    #[inline]
    pub fn ready(self) {
        wake::ready(self.0);
    }
}
