//! What `trace COMMAND` prints, captured as a user captures it: is it JSON that a viewer opens, and
//! does it show what happened?

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use tests::{Transcript, boots};

/// What docs/hacking.md tells to cut it out with.
const CUT: &str = r#"/^{"displayTimeUnit"/,/^]}/p"#;

/// A trace of a command, on 4 CPUs.
fn trace_of(command: &str) -> Value {
    trace_in(&boots().run(&format!("{command}; trace {command}; cpus")).ok())
}

fn trace_in(said: &Transcript) -> Value {
    let mut sed = Command::new("sed")
        .args(["-n", CUT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sed starts");
    let mut text = sed.stdin.take().expect("a pipe");
    let all = said.text.clone();
    let writer = std::thread::spawn(move || text.write_all(all.as_bytes()));
    let cut = sed.wait_with_output().expect("sed ends");
    writer.join().expect("the writer lives").expect("sed reads all");
    serde_json::from_slice(&cut.stdout).unwrap_or_else(|error| panic!("no JSON: {error}\n{said}"))
}

/// The events of a kind (`ph`): CPU, name, and from when to when (us).
fn events(trace: &Value, kind: &str) -> Vec<(u64, String, f64, f64)> {
    let all = trace["traceEvents"].as_array().expect("a list");
    let event = |e: &Value| {
        let at = e["ts"].as_f64().expect("a time");
        let (cpu, name) = (e["tid"].as_u64().expect("a CPU"), e["name"].as_str().expect("a name"));
        (cpu, name.to_string(), at, at + e["dur"].as_f64().unwrap_or(0.0))
    };
    all.iter().filter(|e| e["ph"] == kind).map(event).collect()
}

#[test]
fn a_captured_trace_is_json_and_shows_halts_that_end() {
    let trace = trace_of("ipi-wake 20");
    let halts: Vec<_> = events(&trace, "X").into_iter().filter(|event| event.1 == "halt").collect();
    let woken = trace["traceEvents"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|e| e["args"]["until"] == "wake")
        .count();
    assert!(halts.len() >= 20 && woken >= 20, "{} halts, {woken} ended: {trace}", halts.len());
    assert!(halts.iter().all(|(_, _, from, to)| from < to), "{halts:?}");
    let runs = events(&trace, "X").len() - halts.len();
    assert!(runs >= 20, "{runs} runs of goroutines: {trace}");
}

#[test]
fn all_cpus_of_a_trace_show_the_same_time() {
    let trace = trace_of("sieve 500");
    let time = |name: &str| {
        trace["otherData"][name].as_f64().unwrap_or_else(|| panic!("no {name}: {trace}"))
    };
    let (from, to) = (time("from_us"), time("to_us"));
    assert!(trace["otherData"]["cut"] != "nothing", "500 goroutines fill no ring?");
    for (cpu, name, begins, ends) in events(&trace, "X").into_iter().chain(events(&trace, "i")) {
        // (Times have three decimals; the sum of two may miss the third by one.)
        assert!(
            from <= begins && ends <= to + 0.001,
            "{name} on CPU {cpu}: {begins} to {ends}, not {from} to {to}"
        );
    }
}

/// On one CPU, whose time is its instructions. A host that holds a CPU back would make runs shorter
/// than the CPU was busy, and hogs unequal.
fn exact_trace_of(command: &str) -> Value {
    let boot = boots().smp(1).icount().within_secs(60);
    trace_in(&boot.run(&format!("trace {command}")).ok())
}

/// Runs, as traced; and the scheduler's own counters, which know nothing of traces.
#[test]
fn goroutines_run_for_as_long_as_their_cpus_are_busy() {
    let trace = exact_trace_of("hogs 3 1");
    let head = &trace["otherData"];
    assert_eq!(head["cut"], "nothing", "{head}");
    let time = |value: &Value| value.as_f64().expect("a time");
    let (span, busy) = (time(&head["to_us"]) - time(&head["from_us"]), time(&head["busy_us"][0]));
    assert!(busy * 10.0 > span * 8.0, "hogs leave a CPU idle: {head}");
    let runs = events(&trace, "X").into_iter().filter(|one| one.1 != "halt");
    let ran: f64 = runs.map(|(_, _, from, to)| to - from).sum();
    assert!((ran - busy).abs() * 100.0 <= busy, "ran {ran}, busy {busy} of {span} us");
}

/// Of eight that never yield, on one CPU, one runs and seven wait: nearly all the time.
#[test]
fn counters_show_how_many_are_queued() {
    let trace = exact_trace_of("hogs 8 1");
    let all = trace["traceEvents"].as_array().expect("a list");
    let (mut queues, mut since) = (BTreeMap::new(), 0.0);
    let (mut took, mut most) = ([0.0; 32], 0);
    for one in all.iter().filter(|one| one["ph"] == "C") {
        let at = one["ts"].as_f64().expect("a time");
        let n = one["args"]["goroutines"].as_u64().expect("a number");
        let queued = queues.values().sum::<u64>() as usize;
        took[queued.min(31)] += at - since;
        most = if at > since { most.max(queued) } else { most }; // both change at a time
        assert!(at >= since, "{one} comes before {since}");
        queues.insert(one["name"].as_str().expect("a name"), n);
        since = at;
    }
    let names: Vec<_> = queues.keys().copied().collect();
    assert_eq!(names, ["global queue", "queue of CPU 0"]);
    let busy = trace["otherData"]["busy_us"][0].as_f64().expect("a time");
    assert!(took[7] >= 0.8 * busy, "{} us with 7, busy for {busy}: {took:?}", took[7]);
    // While the screen's or the port's goroutine runs all eight wait.
    assert!((8..=12).contains(&most), "{most} were queued: {took:?}");
}

/// While all is traced each wake is measured.
#[test]
fn cpus_tells_how_long_goroutines_waited_for_a_cpu() {
    let said = boots().smp(2).run("trace pingpong 200; cpus").ok();
    let begins = |line: &&str| line.trim_start().starts_with("cpu ");
    let table: Vec<Vec<&str>> = said
        .text
        .lines()
        .skip_while(|line| !begins(line))
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(table[0][11..], ["p50-us", "p99-us", "max-us"], "{said}");
    for row in &table[1..3] {
        let times: Vec<f64> = row[11..].iter().map(|us| us.parse().expect("a number")).collect();
        assert!(times.is_sorted() && times[2] > 0.0, "{row:?}\n{said}");
    }
}

#[test]
fn the_manual_tells_how_to_cut_a_trace_out() {
    let manual = include_str!("../../docs/hacking.md");
    assert!(manual.contains(CUT), "docs/hacking.md does not say {CUT}");
}
