//! What a browser draws at `/debug/`: a page, and what it asks for once a second.

use crate::contention;
use crate::goroutine;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt::{self, Write};
use core::time::Duration;
use executive::g::WaitReason;
use executive::{affinity, census, machine};

/// All of it is in this file: nothing is fetched from elsewhere.
pub(crate) const PAGE: &str = include_str!("live.html");

/// Groups of goroutines that are told.
const GROUPS: usize = 40;
/// Times from 2 to the power of n nanoseconds on are in the nth; the last has all that are longer.
const POWERS: usize = 32;

/// A text as JSON has it.
struct Quoted<'a>(&'a str);
impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c < ' ' => write!(f, "\\u{:04x}", c as u32)?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// A list as JSON has it.
fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}

/// How things are, and how long goroutines wait within that time. Parks.
pub(crate) fn json(time: Duration) -> String {
    let (ran, waited) = contention::watch(time);
    let now = machine::now();
    let cpus = list(census::cpu_reports().map(|cpu| {
        let (state, stats) = (format!("{:?}", cpu.state).to_lowercase(), cpu.stats);
        let numbers = [
            ("queued", cpu.queued as u64),
            ("idle_ns", cpu.idle_ns),
            ("runs", stats.runs.get()),
            ("steals", stats.steals.get()),
            ("wakes", stats.wakes_sent.get()),
            ("halts", stats.halts.get()),
            ("ticks", stats.ticks.get()),
            ("preempted", stats.preemptions.get()),
        ];
        let mut object = format!(r#"{{"state":"{state}""#);
        numbers.iter().for_each(|(name, number)| _ = write!(object, r#","{name}":{number}"#));
        object + "}"
    }));
    // By place, name and state: how many, and since when the first waits. The system's come last.
    let mut groups: BTreeMap<(bool, String, &str, &str), (u64, u64)> = BTreeMap::new();
    for one in goroutine::all() {
        let at = format!("{}:{}", one.seen.started_at.file(), one.seen.started_at.line());
        let waits = if one.since == 0 { 0 } else { now.saturating_sub(one.since) };
        let key = (one.is_system, at, one.seen.name.unwrap_or(""), one.state);
        let group = groups.entry(key).or_default();
        *group = (group.0 + 1, group.1.max(waits));
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|((system, ..), (count, waits))| (*system, Reverse((*count, *waits))));
    let sum = |groups: &[(_, (u64, u64))]| groups.iter().map(|(_, (count, _))| count).sum::<u64>();
    let (goroutines, left_out) = (sum(&groups), sum(groups.get(GROUPS..).unwrap_or_default()));
    let told = groups.iter().take(GROUPS);
    let groups = list(told.map(|((system, at, name, state), (count, waits))| {
        let (at, name, state) = (Quoted(at), Quoted(name), Quoted(state));
        let mut object = format!(r#"{{"at":{at},"name":{name},"state":{state},"#);
        let _ = write!(object, r#""system":{system},"count":{count},"waits_ns":{waits}}}"#);
        object
    }));
    let waited = waited.iter().enumerate().filter(|(_, [count, _])| *count != 0);
    let waited = list(waited.map(|(reason, [count, ns])| {
        let reason = Quoted(WaitReason::from_u8(reason as u8).words());
        format!(r#"{{"reason":{reason},"count":{count},"ns":{ns}}}"#)
    }));
    let (half, most) = (ran.within(500), ran.within(990));
    let ran = list(by_power(ran.buckets()).iter().map(|count| format!("{count}")));
    let (window, procs, global) = (time.as_nanos(), affinity::cpus(), census::global_queue());
    let mut all = format!(r#"{{"now_ns":{now},"window_ns":{window},"procs":{procs},"#);
    let _ = write!(all, r#""global":{global},"goroutines":{goroutines},"left_out":{left_out},"#);
    let _ = write!(all, r#""cpus":{cpus},"groups":{groups},"waited":{waited},"ran":{ran},"#);
    let _ = write!(all, r#""ran_p50_ns":{half},"ran_p99_ns":{most}}}"#);
    all
}

/// A bucket that lies across a power counts as the longer.
fn by_power(buckets: impl Iterator<Item = (u64, u64)>) -> [u64; POWERS] {
    let mut counts = [0; POWERS];
    for (end, count) in buckets {
        let longest = end.saturating_sub(1).max(1);
        counts[(longest.ilog2() as usize).min(POWERS - 1)] += count;
    }
    counts
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::{POWERS, Quoted, by_power};
    use std::string::ToString;

    #[test]
    fn texts_are_quoted_as_json_wants_it() {
        assert_eq!(Quoted("a\"b\\c\n").to_string(), r#""a\"b\\c\u000a""#);
    }

    #[test]
    fn times_are_sorted_by_powers_of_two() {
        let power = |end| by_power([(end, 3)].into_iter()).iter().position(|&count| count == 3);
        assert_eq!([0, 1, 2, 3, 4, 5, 1024, 1025].map(power), [0, 0, 0, 1, 1, 2, 9, 10].map(Some));
        assert_eq!(power(u64::MAX), Some(POWERS - 1));
    }
}
