//! Are profiles what they say? They are read by a decoder of this test's own (decode.rs), and by
//! `go tool pprof` where there is a Go: `GO=/path/to/go`, or one in the `PATH`.
//!
//! Each claim runs on 1, 2 and 4 CPUs, in a process of its own.

mod decode;

use decode::Profile;
use diagnostics::cpu::PERIOD_NS;
use executive::cancel::Token;
use executive::{Builder, affinity, census, chan, go, machine, yield_now};
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const CLAIMS: [(&str, fn()); 4] = [
    ("goroutines_by_site_and_state", goroutines_by_site_and_state),
    ("a_profile_shows_who_takes_the_time", a_profile_shows_who_takes_the_time),
    ("one_profile_at_a_time", one_profile_at_a_time),
    ("a_sched_line_is_go_s", a_sched_line_is_go_s),
];

fn main() -> ExitCode {
    if let Some(name) = std::env::args().nth(1)
        && let Some((_, claim)) = CLAIMS.iter().find(|(claim, _)| *claim == name)
    {
        hosted::run(*claim);
    }
    let me = std::env::current_exe().expect("a test knows where it is");
    let (mut passed, mut failed) = (0, 0);
    for (name, _) in CLAIMS {
        for cpus in ["1", "2", "4"] {
            let mut claim = Command::new(&me);
            let status = claim.arg(name).env("EXECUTIVE_CPUS", cpus).status().expect("it starts");
            println!("{} {name}, {cpus} CPUs", if status.success() { "ok  " } else { "FAIL" });
            *(if status.success() { &mut passed } else { &mut failed }) += 1;
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {word}. {passed} passed; {failed} failed; 0 ignored;");
    ExitCode::from((failed != 0) as u8)
}

/// What `go tool pprof -top` says of a profile; `None`: there is no Go here.
fn go_top(profile: &[u8], options: &[&str]) -> Option<String> {
    let go = std::env::var("GO").unwrap_or("go".into());
    if Command::new(&go).arg("version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: no Go here (GO=/path/to/go)");
        return None;
    }
    let file = std::env::temp_dir().join(format!("profile-{}.pb", std::process::id()));
    std::fs::write(&file, profile).expect("a file for the profile");
    let said = pprof(&go, &file, options);
    std::fs::remove_file(&file).expect("it was there");
    Some(said)
}

fn pprof(go: &str, file: &Path, options: &[&str]) -> String {
    let mut pprof = Command::new(go);
    pprof.args(["tool", "pprof", "-top"]).args(options).arg(file);
    let said = pprof.output().expect("it starts");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success(), "{text}{}", String::from_utf8_lossy(&said.stderr));
    text
}

fn goroutines_by_site_and_state() {
    const PARKED: u64 = 7;
    let (tx, rx) = chan::<()>(0);
    let all: Vec<_> = (0..PARKED)
        .map(|_| {
            let rx = rx.clone();
            Builder::new().name("parked").spawn(move || assert!(rx.recv().is_none())).unwrap()
        })
        .collect();
    let site = format!("go at {}:{}", file!(), line!() - 3);
    let count = |profile: &Profile, state: &str| -> u64 {
        let alike = |sample: &&decode::Sample| {
            let names: Vec<_> = sample.stack.iter().map(|frame| &frame.function[..]).collect();
            names == [&site[..], state]
        };
        profile.samples.iter().filter(alike).map(|sample| sample.values[0]).sum()
    };
    let mut bytes = diagnostics::goroutine::profile();
    let mut profile = decode::profile(&bytes);
    while count(&profile, "chan receive") != PARKED {
        yield_now();
        bytes = diagnostics::goroutine::profile();
        profile = decode::profile(&bytes);
    }
    assert_eq!(profile.types, [("goroutine".into(), "count".into())]);
    let total: u64 = profile.samples.iter().map(|sample| sample.values[0]).sum();
    assert_eq!(total, census::take().goroutines, "{profile:#?}");
    let parked = profile.samples.iter().find(|sample| sample.values[0] == PARKED).unwrap();
    let (at, line) = (&parked.stack[0], parked.stack[0].line);
    assert_eq!(
        (at.file.as_str(), at.function.clone()),
        (file!(), format!("go at {}:{line}", file!()))
    );
    assert!(parked.labels.contains(&("name".into(), "parked".into(), 0)), "{parked:?}");
    if let Some(top) = go_top(&bytes, &[]) {
        assert!(top.contains("Type: goroutine"), "{top}");
        assert!(top.contains(&format!("of {total} total")), "{top}");
        assert!(top.contains(&site) && top.contains("chan receive"), "{top}");
    }
    drop(tx);
    all.into_iter().for_each(|one| one.join());
}

/// Takes all the time that there is.
#[inline(never)]
fn hog(over: &AtomicBool) -> u64 {
    let mut sum = 0;
    while !over.load(Relaxed) {
        sum = black_box(work(sum));
        yield_now(); // hosted, nobody is preempted elsewhere
    }
    sum
}

#[inline(never)]
fn work(sum: u64) -> u64 {
    (0..100_000).fold(sum, |sum, n| black_box(sum ^ n).wrapping_mul(5))
}

fn busy_ns() -> u64 {
    let idle: u64 = census::cpu_reports().map(|cpu| cpu.idle_ns).sum();
    machine::now() * affinity::num_cpus() as u64 - idle
}

fn a_profile_shows_who_takes_the_time() {
    let over = Arc::new(AtomicBool::new(false));
    let hogs: Vec<_> = (0..affinity::num_cpus())
        .map(|_| {
            let over = over.clone();
            Builder::new().name("hog").spawn(move || hog(&over)).unwrap()
        })
        .collect();
    let before = busy_ns();
    // For as long as it takes CPUs to be busy enough for 40 samples.
    let enough = Token::new();
    let tells = enough.clone();
    let watch = go(move || {
        while busy_ns() - before < 40 * PERIOD_NS {
            yield_now();
        }
        tells.cancel();
    });
    let long = Duration::from_secs(3600);
    let profiled = diagnostics::cpu::profile(long, &enough).expect("nobody else profiles");
    let busy = busy_ns() - before;
    watch.join();
    over.store(true, Relaxed);
    let ids: Vec<u64> = hogs.iter().map(|hog| hog.id()).collect();
    hogs.into_iter().for_each(|hog| _ = hog.join());

    let profile = decode::profile(&profiled.pprof);
    let cpu = ("cpu".to_string(), "nanoseconds".to_string());
    assert_eq!(profile.types, [("samples".into(), "count".into()), cpu.clone()]);
    assert_eq!((&profile.period_type, profile.period), (&cpu, PERIOD_NS));
    let samples: u64 = profile.samples.iter().map(|sample| sample.values[0]).sum();
    assert_eq!((samples, profiled.lost), (profiled.samples, 0));
    assert!(profile.samples.iter().all(|one| one.values[1] == one.values[0] * PERIOD_NS));
    // A sample stands for a period of work: there are no more of them than that.
    assert!(samples > 0 && samples * PERIOD_NS <= busy, "{samples} samples in {busy} ns");
    let in_hogs = |sample: &&decode::Sample| {
        sample.stack.iter().any(|frame| frame.function.ends_with("::hog"))
    };
    let hogs: Vec<_> = profile.samples.iter().filter(in_hogs).collect();
    assert!(!hogs.is_empty(), "{profile:#?}");
    for sample in hogs {
        let goid = sample.labels.iter().find(|label| label.0 == "goroutine").expect("a label").2;
        assert!(ids.contains(&goid), "goroutine {goid} is no hog: {sample:?}");
        assert!(sample.labels.contains(&("name".into(), "hog".into(), 0)), "{sample:?}");
    }
    if let Some(top) = go_top(&profiled.pprof, &["-sample_index=samples", "-cum"]) {
        assert!(top.contains(&format!("of {samples} total")), "{samples} samples\n{top}");
        assert!(top.contains("::hog"), "{top}");
    }
}

fn one_profile_at_a_time() {
    let sampler = diagnostics::cpu::Sampler::start().expect("nobody else samples");
    assert!(diagnostics::cpu::profile(Duration::ZERO, &Token::new()).is_none());
    assert!(diagnostics::top::Top::new().is_none());
    drop(sampler);
    assert!(diagnostics::top::Top::new().is_some());
}

fn a_sched_line_is_go_s() {
    let line = diagnostics::schedtrace::Line.to_string();
    let (head, queues) = line.split_once(" [ ").expect("a list");
    let names: Vec<_> = head.split(' ').filter_map(|word| Some(word.split_once('=')?.0)).collect();
    assert_eq!(
        names,
        [
            "gomaxprocs",
            "idleprocs",
            "threads",
            "spinningthreads",
            "needspinning",
            "idlethreads",
            "runqueue"
        ]
    );
    assert!(head.starts_with("SCHED ") && head.split(' ').nth(1).unwrap().ends_with("ms:"));
    let queues: Vec<u32> =
        queues.trim_end_matches(']').split_whitespace().map(|n| n.parse().unwrap()).collect();
    assert_eq!(queues.len(), affinity::cpus(), "{line}");
    if affinity::cpus() == 1 {
        let parked = go(|| ());
        let line = diagnostics::schedtrace::Line.to_string();
        assert!(line.contains("idleprocs=0") && line.ends_with("[ 1 ]"), "{line}");
        parked.join();
    }
}
