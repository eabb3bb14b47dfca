//! A trace in the form that trace viewers read. The core's trace.rs records it.
//!
//! The form is Chrome's trace events (JSON), which Perfetto and chrome://tracing open, with a row
//! for each CPU. What lasts is a slice: a goroutine's run, and a CPU's halt from [`Event::Halt`] to
//! [`Event::Wake`]. Go's own tracer has a format of its own and a tool that reads it; we have
//! neither.

use core::fmt::{self, Write};
use executive_core::trace::{Event, Ring, rings, span};
pub use executive_core::trace::{start, stop};

/// Writes what was recorded as a JSON object of Chrome trace events. Times are microseconds.
///
/// A ring that is full loses its oldest events, while a quiet CPU's ring goes far back. So all rows
/// are cut to the time that every ring still covers; `otherData` says from when to when, and
/// whether anything was cut. A slice that lasted longer begins or ends at the cut.
///
/// The first line begins with `{"displayTimeUnit"`, the last one is `]}`, and no other line is like
/// these. So `sed -n '/^{"displayTimeUnit"/,/^]}/p'` cuts the JSON out of whatever else was
/// captured.
pub fn dump(out: &mut dyn Write) -> fmt::Result {
    let [started, to] = span();
    let from = rings().filter_map(|(_, ring)| ring.lost_until()).fold(started, u64::max);
    let cut =
        if from > started { "a busy CPU has overwritten what came before" } else { "nothing" };
    write!(
        out,
        r#"{{"displayTimeUnit":"ns","otherData":{{"from_us":{},"to_us":{},"#,
        Micros(from),
        Micros(to)
    )?;
    write!(out, r#""cut":"{cut}"}},"traceEvents":["#)?;
    let mut comma = "";
    for (cpu, ring) in rings() {
        writeln!(out, "{comma}")?;
        write!(
            out,
            r#"{{"name":"thread_name","ph":"M","pid":0,"tid":{cpu},"args":{{"name":"CPU {cpu}"}}}}"#
        )?;
        comma = ",";
        dump_ring(ring, out, cpu, from, to)?;
    }
    writeln!(out, "\n]}}")
}

/// What a CPU does between two events.
#[derive(Clone, Copy)]
enum Doing {
    /// Runs this goroutine.
    Goroutine(u64),
    Halt,
}
impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doing::Goroutine(goid) => write!(f, "goroutine {goid}"),
            Doing::Halt => f.write_str("halt"),
        }
    }
}

/// Writes what happened between these times: what lasted as a slice, all else as instants.
fn dump_ring(ring: &Ring, out: &mut dyn Write, cpu: usize, from: u64, to: u64) -> fmt::Result {
    let slice = |out: &mut dyn Write, (what, since): (Doing, u64), end: u64, until: &str| {
        let (since, end) = (since.max(from), end.min(to));
        if end <= since {
            return Ok(());
        }
        writeln!(out, ",")?;
        write!(
            out,
            r#"{{"name":"{what}","ph":"X","ts":{},"dur":{},"#,
            Micros(since),
            Micros(end - since)
        )?;
        write!(out, r#""pid":0,"tid":{cpu},"args":{{"until":"{until}"}}}}"#)
    };
    let mut doing = None;
    for (when, event, goid) in ring.events() {
        match (event, doing) {
            (Event::Run, _) => doing = Some((Doing::Goroutine(goid), when)),
            (Event::Halt, _) => doing = Some((Doing::Halt, when)),
            (
                Event::Park | Event::Yield | Event::Preempt | Event::End | Event::Wake,
                Some(begun),
            ) => {
                slice(out, begun, when, event.name())?;
                doing = None;
            }
            _ if when < from || when > to => {}
            _ => {
                writeln!(out, ",")?;
                write!(out, r#"{{"name":"{} {goid}","ph":"i","s":"t","#, event.name())?;
                write!(out, r#""ts":{},"pid":0,"tid":{cpu}}}"#, Micros(when))?;
            }
        }
    }
    doing.map_or(Ok(()), |begun| slice(out, begun, to, "the trace's end"))
}

struct Micros(u64);
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}
