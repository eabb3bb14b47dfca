//! Every goroutine, by the place where it was started and by what it does.
//!
//! Stacks of a living system are not read: their owners may run meanwhile. (Go stops the world.)

use crate::place::Place;
use crate::pprof::{Frame, Label, Profile};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::panic::Location;
use executive::g::{G, Status, WaitReason};
use executive::kit::{SCHED, Seen};

/// What it does, in the words of reports; `None`: it has ended.
fn state(g: &G) -> Option<&'static str> {
    Some(match g.status() {
        Status::Waiting if g.wait_reason() == WaitReason::None => "waiting",
        Status::Waiting => g.wait_reason().words(),
        Status::Running => "running",
        Status::Runnable => "runnable",
        Status::Idle | Status::Dead => return None,
    })
}

/// A goroutine that has not ended.
pub(crate) struct Goroutine {
    pub seen: Seen,
    pub state: &'static str,
    /// Since when it waits (ns); 0: it does not.
    pub since: u64,
    pub is_system: bool,
}

/// All of them. Takes no lock; a snapshot.
pub(crate) fn all() -> impl Iterator<Item = Goroutine> {
    SCHED.all().filter_map(|g| {
        let (seen, state) = (g.seen()?, state(g)?);
        let since = if g.status() == Status::Waiting { g.waiting_since() } else { 0 };
        Some(Goroutine { seen, state, since, is_system: g.is_system() })
    })
}

/// A profile for `go tool pprof`: how many goroutines there are of each place and state. Takes no
/// lock; a snapshot. Go: the profile `goroutine`.
pub fn profile() -> Vec<u8> {
    profile_of("goroutine", |_| true)
}

/// The same of those whose numbers are `wanted`.
pub(crate) fn profile_of(kind: &'static str, wanted: impl Fn(u64) -> bool) -> Vec<u8> {
    let mut groups: BTreeMap<(&Location<'static>, &str, Option<&str>), u64> = BTreeMap::new();
    for Goroutine { seen, state, .. } in all().filter(|one| wanted(one.seen.id)) {
        *groups.entry((seen.started_at, state, seen.name)).or_default() += 1;
    }
    let mut profile = Profile::new();
    for ((at, state, name), count) in groups {
        let (file, line) = (at.file().to_string(), u64::from(at.line()));
        let site = Place { function: format!("go at {}:{line}", at.file()), file, line };
        let does = Place { function: state.to_string(), file: "".to_string(), line: 0 };
        let stack = [site, does].map(|place| Frame { pc: 0, place }).into();
        let mut labels = vec![Label::Text("state", state)];
        labels.extend(name.map(|name| Label::Text("name", name)));
        profile.sample(stack, &[count], &labels);
    }
    let goroutines = (kind, "count");
    profile.finish(&[goroutines], (goroutines, 1), 0)
}
