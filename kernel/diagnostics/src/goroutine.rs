//! Every goroutine, by its stack, the place where it was started, and what it does.
//!
//! Stacks are read while all CPUs stand still for some microseconds at a time
//! ([`executive::stacks`]). A goroutine that runs is told where its CPU was just then; without a
//! stack, if the CPU was on g0. So are all where the machine cannot make its CPUs stand still. A
//! stack's innermost 32 frames are told.

use crate::place::Place;
use crate::pprof::{Frame, Label, Profile};
use crate::stacks::Places;
use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt::Write;
use core::panic::Location;
use executive::g::{G, Status, WaitReason};
use executive::kit::{SCHED, Seen};
use executive::stacks::{self, Standing};
use executive::{census, machine};

/// What it does, in the words of reports; `None`: it has ended.
fn state(status: Status, reason: WaitReason) -> Option<&'static str> {
    Some(match status {
        Status::Waiting if reason == WaitReason::None => "waiting",
        Status::Waiting => reason.words(),
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
    SCHED.all().filter_map(|g: &G| {
        let (seen, state) = (g.seen()?, state(g.status(), g.wait_reason())?);
        let since = if g.status() == Status::Waiting { g.waiting_since() } else { 0 };
        Some(Goroutine { seen, state, since, is_system: g.is_system() })
    })
}

/// Goroutines that are alike.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    /// Innermost first.
    stack: Vec<usize>,
    started_at: &'static Location<'static>,
    state: &'static str,
    name: Option<&'static str>,
}

/// How many there are of each group.
fn groups(wanted: impl Fn(u64) -> bool) -> BTreeMap<Group, u64> {
    let mut groups = BTreeMap::new();
    stacks::all(|Standing { seen, status, reason, frames, .. }| {
        if let Some(state) = state(status, reason).filter(|_| wanted(seen.id)) {
            let (started_at, name) = (seen.started_at, seen.name);
            *groups
                .entry(Group { stack: frames.to_owned(), started_at, state, name })
                .or_default() += 1;
        }
    });
    groups
}

/// A profile for `go tool pprof`: how many goroutines there are of each stack, below which stand
/// the place where they were started, and their state. Go: the profile `goroutine`.
///
/// Parks nowhere, and makes all CPUs stand still again and again, for some microseconds each time.
pub fn profile() -> Vec<u8> {
    profile_of("goroutine", |_| true)
}

/// The same of those whose numbers are `wanted`.
pub(crate) fn profile_of(kind: &'static str, wanted: impl Fn(u64) -> bool) -> Vec<u8> {
    let (mut profile, mut places) = (Profile::new(), Places::default());
    for (Group { stack, started_at: at, state, name }, count) in groups(wanted) {
        let (file, line) = (at.file().to_string(), u64::from(at.line()));
        let site = Place { function: format!("go at {}:{line}", at.file()), file, line };
        let does = Place { function: state.to_string(), file: "".to_string(), line: 0 };
        let mut frames = places.of(&stack);
        frames.extend([site, does].map(|place| Frame { pc: 0, place }));
        let mut labels = vec![Label::Text("state", state)];
        labels.extend(name.map(|name| Label::Text("name", name)));
        profile.sample(frames, &[count], &labels);
    }
    let goroutines = (kind, "count");
    profile.finish(&[goroutines], (goroutines, 1), 0)
}

/// As text: the lines of reports (`census::goroutines`) as comments, then how many there are of
/// each stack, those first of which there are most. Go: `?debug=1`.
pub fn counts() -> String {
    let mut groups: Vec<_> = groups(|_| true).into_iter().collect();
    groups.sort_by_key(|group| Reverse(group.1));
    let total: u64 = groups.iter().map(|group| group.1).sum();
    let (mut out, mut places) = (String::new(), Places::default());
    // Writing to a string does not fail.
    let _ = writeln!(out, "goroutine profile: total {total}");
    census::goroutines(usize::MAX, |line| writeln!(out, "# {line}").is_ok());
    for (Group { stack, started_at, state, name }, count) in groups {
        let _ = write!(out, "\n{count} @");
        stack.iter().for_each(|pc| _ = write!(out, " {pc:#x}"));
        let name = name.map_or(String::new(), |name| format!("\"name\":{name:?}, "));
        let _ = writeln!(out, "\n# labels: {{{name}\"state\":{state:?}}}");
        for Frame { pc, place: Place { function, file, line } } in places.of(&stack) {
            let _ = writeln!(out, "#\t{pc:#x}\t{function}\t{file}:{line}");
        }
        let _ = writeln!(out, "#\tstarted at {started_at}");
    }
    out
}

/// As text: each goroutine with its state, for how long it has waited, and its stack, by number.
/// Go: `?debug=2`, and what a crash prints.
pub fn traces() -> String {
    let mut all = BTreeMap::new();
    stacks::all(|Standing { seen, status, reason, since, frames, .. }| {
        if let Some(state) = state(status, reason) {
            all.insert(seen.id, (seen, state, since, frames.to_owned()));
        }
    });
    let (mut out, mut places, now) = (String::new(), Places::default(), machine::now());
    for (id, (seen, state, since, stack)) in all {
        let _ = write!(out, "goroutine {id} [{state}");
        let minutes = now.saturating_sub(since) / 60_000_000_000;
        if since != 0 && minutes > 0 {
            let _ = write!(out, ", {minutes} minutes");
        }
        let _ = out.write_str("]");
        seen.name.into_iter().for_each(|name| _ = write!(out, " {{name: {name}}}"));
        let _ = writeln!(out, ":");
        for Frame { place: Place { function, file, line }, .. } in places.of(&stack) {
            let _ = writeln!(out, "{function}(...)\n\t{file}:{line}");
        }
        if stack.is_empty() {
            let runs = state == "running";
            let why = if runs { "its CPU was on g0, or did not stand still; " } else { "" };
            let _ = writeln!(out, "\t{why}stack unavailable");
        }
        let at = seen.started_at;
        let _ = writeln!(out, "created by go\n\t{}:{}\n", at.file(), at.line());
    }
    out
}
