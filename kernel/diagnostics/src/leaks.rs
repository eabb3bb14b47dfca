//! Goroutines that can never run again, while others do. Go: the profile `goroutineleak`.

use crate::goroutine;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::time::Duration;
use executive::leaks::{self, Leak, Unknown};
use executive::{machine, time};

/// How often one looks until all other goroutines rest, and how long one waits in between.
const LOOKS: usize = 400;
const BETWEEN: Duration = Duration::from_millis(5);

/// All that are known, the oldest first; [`executive::leaks`] says which can be. Looks until no
/// other goroutine is running or runnable, for some two seconds at the most. Parks.
pub fn find() -> Result<Vec<Leak>, Unknown> {
    for _ in 1..LOOKS {
        match leaks::find() {
            Err(Unknown::Busy(_)) => time::sleep(BETWEEN),
            known => return known,
        }
    }
    leaks::find()
}

/// A leak as a line.
pub struct Line(pub Leak);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Leak { id, name, started_at, reason, since, waits_for, and_more } = self.0;
        write!(f, "goroutine {id}")?;
        name.map_or(Ok(()), |name| write!(f, " ({name})"))?;
        let ms = machine::now().saturating_sub(since) / 1_000_000;
        write!(f, " [{}, {ms} ms] waits for goroutine {waits_for}", reason.words())?;
        if and_more > 0 {
            write!(f, " or {and_more} more")?;
        }
        write!(f, ", which can never run again; started at {started_at}")
    }
}

/// Why there is no answer, in words.
pub struct Why(pub Unknown);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unknown::NotOffered => f.write_str("this machine cannot make its CPUs stand still"),
            Unknown::Busy(n) => write!(f, "{n} other goroutines run or could: nothing is certain"),
        }
    }
}

/// The leaks, a line each.
pub fn text() -> Result<String, Unknown> {
    let leaks = find()?;
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(out, "goroutineleak profile: total {}", leaks.len());
    leaks.into_iter().for_each(|leak| _ = writeln!(out, "{}", Line(leak)));
    Ok(out)
}

/// As [`goroutine::profile`], of the leaks alone.
pub fn profile() -> Result<Vec<u8>, Unknown> {
    let leaks = find()?;
    let is_leak = |id| leaks.binary_search_by_key(&id, |leak| leak.id).is_ok();
    Ok(goroutine::profile_of("goroutineleak", is_leak))
}
