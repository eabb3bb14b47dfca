//! Traces: what the rings of the CPUs tell afterwards.

use crate::help::MS;
use alloc::string::String;
use executive::time::sleep;
use executive::{trace, yield_now};

/// A number in a line of the trace's JSON, which has an event a line.
fn number(line: &str, name: &str) -> Option<f64> {
    let (_, value) = line.split_once(&alloc::format!("\"{name}\":"))?;
    value.split([',', '}']).next()?.parse().ok()
}

scenarios! { traces:

/// A CPU that sleeps and wakes is seen to; and though one has been busy for so long that its first
/// events are lost, all show the same time.
fn halts_are_seen_and_all_cpus_show_the_same_time() {
    trace::start();
    sleep(MS); // with this one, no CPU has anything to do: all halt, and are quiet from here on
    (0..5_000).for_each(|_| yield_now()); // more than a ring holds
    // A seed's clock may jump over one of them, and then nothing halts.
    (0..8).for_each(|_| sleep(MS));
    trace::stop();
    let mut json = String::new();
    trace::dump(&mut json).unwrap();
    let (head, events) = json.split_once('\n').unwrap();
    let (from, to) = (number(head, "from_us").unwrap(), number(head, "to_us").unwrap());
    assert!(head.contains("overwritten"), "{head}");
    let (mut seen, mut woken) = (0, 0);
    for line in events.lines() {
        let Some(begins) = number(line, "ts") else { continue };
        let ends = begins + number(line, "dur").unwrap_or(0.0);
        // (The sum may miss the third decimal by one.)
        assert!(from <= begins && ends <= to + 0.001, "{head}\n{line}");
        woken += usize::from(line.contains("\"halt\"") && line.contains("\"until\":\"wake\""));
        seen += 1;
    }
    assert!(seen > 1_000 && woken > 0, "{seen} events, {woken} halts that end");
}
}
