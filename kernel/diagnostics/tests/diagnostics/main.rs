//! Are profiles what they say? They are read by a decoder of this test's own (decode.rs), and by
//! `go tool pprof` where there is a Go: `GO=/path/to/go`, or one in the `PATH`.
//!
//! Each claim runs on 1, 2 and 4 CPUs, in a process of its own.

mod decode;

use decode::Profile;
use diagnostics::contention::Kind;
use diagnostics::cpu::PERIOD_NS;
use diagnostics::heap::{MEM_PROFILE_RATE, set_mem_profile_rate};
use executive::cancel::Token;
use executive::chan::Receiver;
use executive::g::WaitReason;
use executive::lock::Heard;
use executive::sync::Mutex;
use executive::{Builder, affinity, census, chan, go, machine, yield_now};
use std::alloc::System;
use std::hint::black_box;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const CLAIMS: [(&str, fn()); 11] = [
    ("goroutines_by_site_and_state", goroutines_by_site_and_state),
    ("a_profile_shows_who_takes_the_time", a_profile_shows_who_takes_the_time),
    ("one_profile_at_a_time", one_profile_at_a_time),
    ("a_block_profile_shows_who_waited", a_block_profile_shows_who_waited),
    ("a_mutex_profile_shows_who_let_others_wait", a_mutex_profile_shows_who_let_others_wait),
    ("what_nobody_asked_for_is_not_counted", what_nobody_asked_for_is_not_counted),
    ("a_heap_profile_shows_whose_memory_is_in_use", a_heap_profile_shows_whose_memory_is_in_use),
    ("a_sampled_heap_profile_is_about_right", a_sampled_heap_profile_is_about_right),
    ("a_sched_line_is_go_s", a_sched_line_is_go_s),
    ("a_trace_is_go_s", a_trace_is_go_s),
    ("a_trace_that_was_cut_is_go_s_too", a_trace_that_was_cut_is_go_s_too),
];

#[global_allocator]
static HEAP: Heard<System> = Heard(System);

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

/// What a tool of Go's says of a file; `None`: there is no Go here.
fn go_tool(words: &[&str], file: &[u8]) -> Option<String> {
    let go = std::env::var("GO").unwrap_or("go".into());
    if Command::new(&go).arg("version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: no Go here (GO=/path/to/go)");
        return None;
    }
    let at = std::env::temp_dir().join(format!("diagnostics-{}", std::process::id()));
    std::fs::write(&at, file).expect("a file for the tool");
    let said = Command::new(go).arg("tool").args(words).arg(&at).output().expect("it starts");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let error = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{error}{at:?}: {text:.2000}");
    std::fs::remove_file(&at).expect("it was there");
    Some(text)
}

/// What `go tool pprof -top` says of a profile.
fn go_top(profile: &[u8], options: &[&str]) -> Option<String> {
    go_tool(&[&["pprof", "-top"], options].concat(), profile)
}

fn goroutines_by_site_and_state() {
    const PARKED: u64 = 7;
    let (tx, rx) = chan::<()>(0);
    let all: Vec<_> = (0..PARKED)
        .map(|_| {
            let rx = rx.clone();
            Builder::new().name("parked").spawn(move || waits_for_a_word(&rx)).unwrap()
        })
        .collect();
    let site = format!("go at {}:{}", file!(), line!() - 3);
    let count = |profile: &Profile, state: &str| -> u64 {
        let alike = |sample: &&decode::Sample| {
            let names: Vec<_> = sample.stack.iter().map(|frame| &frame.function[..]).collect();
            names.ends_with(&[&site[..], state])
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
    let at = parked.stack.iter().find(|frame| frame.function == site).expect("it has its site");
    assert_eq!((at.file.as_str(), &at.line.to_string()[..]), site[6..].rsplit_once(':').unwrap());
    // It waits in the function that was called, which the goroutine's closure called.
    let names: Vec<_> = parked.stack.iter().map(|frame| &frame.function[..]).collect();
    let depth = |what: &str| names.iter().position(|name| name.contains(what)).expect("a frame");
    let (waits, closure) = (depth("::waits_for_a_word"), depth("goroutines_by_site_and_state::"));
    assert!(waits + 1 == closure && closure + 3 == names.len(), "{names:#?}");
    assert!(parked.labels.contains(&("name".into(), "parked".into(), 0)), "{parked:?}");
    if let Some(top) = go_top(&bytes, &[]) {
        assert!(top.contains("Type: goroutine"), "{top}");
        assert!(top.contains(&format!("of {total} total")), "{top}");
        assert!(top.contains(&site) && top.contains("chan receive"), "{top}");
    }
    if let Some(traces) = go_tool(&["pprof", "-traces"], &bytes) {
        assert!(traces.contains("::waits_for_a_word"), "{traces}");
    }

    // As text: counted by stack, and each by itself.
    let text = diagnostics::goroutine::counts();
    assert!(text.starts_with(&format!("goroutine profile: total {total}\n# ")), "{text}");
    let groups: Vec<_> = text.split("\n\n").collect();
    let of_parked = groups.iter().find(|group| group.starts_with(&format!("{PARKED} @ 0x")));
    let of_parked = of_parked.expect("a group");
    let labels = "# labels: {\"name\":\"parked\", \"state\":\"chan receive\"}";
    assert!(of_parked.lines().nth(1) == Some(labels), "{text}");
    assert!(of_parked.contains("::waits_for_a_word\t"), "{text}");
    let text = diagnostics::goroutine::traces();
    let is_head = |line: &str| {
        line.contains(" [chan receive") && line.ends_with("] {name: parked}:") // after minutes, too
    };
    let heads = text.lines().filter(|line| is_head(line));
    assert_eq!(heads.count() as u64, PARKED, "{text}");
    let calls = text.lines().filter(|line| line.ends_with("::waits_for_a_word(...)"));
    assert_eq!(calls.count() as u64, PARKED, "{text}");
    assert!(text.contains("goroutine 1 [running]"), "{text}");
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

/// Its samples that have this function, and none of the other: how often, and for how long.
fn contentions(profile: &Profile, with: &str, without: &str) -> (u64, u64) {
    let has = |sample: &decode::Sample, what: &str| {
        sample.stack.iter().any(|frame| frame.function.ends_with(what))
    };
    let those = profile.samples.iter().filter(|one| has(one, with) && !has(one, without));
    those.fold((0, 0), |all, one| (all.0 + one.values[0], all.1 + one.values[1]))
}

#[inline(never)]
fn waits_for_a_word(rx: &Receiver<()>) {
    black_box(rx.recv());
}

#[inline(never)]
fn locks_late(mutex: &Mutex<u64>) {
    black_box(*mutex.lock());
}

#[inline(never)]
fn holds_long(mutex: &Mutex<u64>, until: &mut dyn FnMut()) {
    let guard = mutex.lock();
    until();
    drop(black_box(guard));
}

/// So many goroutines wait for a lock, and as many for a channel. Returns for how long each waited
/// at least, but for the last to come, and at the most (ns). (Who is seen to wait may not have
/// looked at the clock yet. The next to queue takes the same lock, and comes after that.)
fn contend(goroutines: usize) -> (u64, u64) {
    const HELD: u64 = 3_000_000;
    let mutex = Arc::new(Mutex::new(0));
    let (tx, rx) = chan::<()>(0);
    let began = machine::now();
    let mut all = Vec::new();
    let mut least = 0;
    holds_long(&mutex, &mut || {
        for _ in 0..goroutines {
            let (mutex, rx) = (mutex.clone(), rx.clone());
            all.push((go(move || locks_late(&mutex)), go(move || waits_for_a_word(&rx))));
        }
        let wait = [WaitReason::MutexLock, WaitReason::ChanReceive].map(Some);
        while !all.iter().all(|(one, other)| [one.waiting(), other.waiting()] == wait) {
            yield_now();
        }
        let all_wait = machine::now();
        while machine::now() - all_wait < HELD {
            yield_now();
        }
        least = machine::now() - all_wait;
    });
    (0..goroutines).for_each(|_| tx.send(()).unwrap());
    all.into_iter()
        .for_each(|(one, other)| [one, other].map(|one| one.join()).into_iter().collect());
    (least, machine::now() - began)
}

fn a_block_profile_shows_who_waited() {
    const EACH: usize = 3;
    diagnostics::contention::set_block_profile_rate(1);
    let (least, most) = contend(EACH);
    diagnostics::contention::set_block_profile_rate(0);
    let bytes = diagnostics::contention::profile(Kind::Block);
    let profile = decode::profile(&bytes);
    let contention = ("contentions".to_string(), "count".to_string());
    assert_eq!(profile.types, [contention.clone(), ("delay".into(), "nanoseconds".into())]);
    assert_eq!((&profile.period_type, profile.period), (&contention, 1));
    let bounds = (EACH as u64 - 1) * least..=EACH as u64 * most;
    let (times, ns) = contentions(&profile, "::waits_for_a_word", "::locks_late");
    assert!(times == EACH as u64 && bounds.contains(&ns), "{times}, {ns} of {bounds:?}");
    // A waiter that was woken may find that another has the lock, and wait again.
    let (times, ns) = contentions(&profile, "::locks_late", "::waits_for_a_word");
    assert!(times >= EACH as u64 && bounds.contains(&ns), "{times}, {ns} of {bounds:?}");
    assert_eq!(contentions(&profile, "::holds_long", "::contend").0, 0, "{profile:#?}");
    assert_eq!(diagnostics::contention::lost(Kind::Block), 0);
    let text = diagnostics::contention::text(Kind::Block);
    assert!(text.starts_with("--- contention:\ncycles/second=1000000000\n"), "{text}");
    assert!(text.contains("::waits_for_a_word\t"), "{text}");
    if let Some(top) = go_top(&bytes, &["-sample_index=contentions", "-cum"]) {
        assert!(top.contains("Type: contentions"), "{top}");
        assert!(top.contains("::waits_for_a_word") && top.contains("::locks_late"), "{top}");
    }
}

fn a_mutex_profile_shows_who_let_others_wait() {
    const EACH: usize = 3;
    assert_eq!(diagnostics::contention::set_mutex_profile_fraction(1), 0);
    let (least, most) = contend(EACH);
    assert_eq!(diagnostics::contention::set_mutex_profile_fraction(0), 1);
    let bytes = diagnostics::contention::profile(Kind::Mutex);
    let profile = decode::profile(&bytes);
    // The first unlock ends one wait; who locks then lets the next wait, and so on.
    let (times, ns) = contentions(&profile, "::holds_long", "::locks_late");
    assert!(times >= 1 && (least..=most).contains(&ns), "{times}, {ns} ns: {profile:#?}");
    let (times, ns) = contentions(&profile, "", "no such function");
    let bounds = (EACH as u64 - 1) * least..=EACH as u64 * most;
    assert!(times >= EACH as u64 && bounds.contains(&ns), "{times}, {ns} of {bounds:?}");
    assert_eq!(contentions(&profile, "::waits_for_a_word", "none").0, 0, "{profile:#?}");
    let text = diagnostics::contention::text(Kind::Mutex);
    assert!(text.starts_with("--- mutex:\ncycles/second=1000000000\nsampling period=0\n"));
    if let Some(top) = go_top(&bytes, &["-cum"]) {
        assert!(top.contains("Type: delay") && top.contains("::holds_long"), "{top}");
    }
}

fn what_nobody_asked_for_is_not_counted() {
    contend(2);
    for kind in [Kind::Block, Kind::Mutex] {
        assert!(decode::profile(&diagnostics::contention::profile(kind)).samples.is_empty());
    }
    // A profile of some time counts each wait of that time, and no other.
    for kind in [Kind::Block, Kind::Mutex] {
        for round in 1..3 {
            let (enough, long) = (Token::new(), Duration::from_secs(3600));
            let until = enough.clone();
            let profile = go(move || diagnostics::contention::profile_for(kind, long, &until));
            while profile.waiting() != Some(WaitReason::Select) {
                yield_now();
            }
            contend(round);
            enough.cancel();
            let profile = decode::profile(&profile.join());
            let (times, _) = match kind {
                Kind::Block => contentions(&profile, "::waits_for_a_word", "none"),
                Kind::Mutex => contentions(&profile, "::holds_long", "none"),
            };
            let expected = if kind == Kind::Block { round as u64 } else { 1 };
            assert_eq!(times, expected, "{kind:?}: {profile:#?}");
        }
        let before = diagnostics::contention::profile(kind);
        contend(2);
        assert_eq!(diagnostics::contention::profile(kind), before);
    }
    // One that waits at least as long as the rate is counted, whatever else is left out.
    diagnostics::contention::set_block_profile_rate(2_000_000);
    let all = || decode::profile(&diagnostics::contention::profile(Kind::Block));
    let before = contentions(&all(), "::waits_for_a_word", "none").0;
    contend(4);
    diagnostics::contention::set_block_profile_rate(0);
    assert!(contentions(&all(), "::waits_for_a_word", "none").0 - before >= 3);
}

#[inline(never)]
fn keeps(blocks: usize, bytes: usize) -> Vec<Vec<u8>> {
    let mut all = Vec::with_capacity(blocks);
    all.extend((0..blocks).map(|_| black_box(Vec::with_capacity(bytes))));
    all
}

/// The sum of the samples with this function.
fn allocated(profile: &Profile, by: &str) -> [u64; 4] {
    let has =
        |sample: &&decode::Sample| sample.stack.iter().any(|frame| frame.function.ends_with(by));
    let add = |sum: [u64; 4], one: &decode::Sample| std::array::from_fn(|n| sum[n] + one.values[n]);
    profile.samples.iter().filter(has).fold([0; 4], add)
}

fn a_heap_profile_shows_whose_memory_is_in_use() {
    assert!(diagnostics::heap::profile().is_none());
    let before = keeps(3, 700); // not counted
    set_mem_profile_rate(1);
    let mut all = keeps(100, 1000);
    all.truncate(60);
    drop(before);
    // Elsewhere it may be freed, too; and one that grows is another block.
    let mut all = go(move || {
        all.truncate(50);
        all
    })
    .join();
    all[0].reserve_exact(3000);
    set_mem_profile_rate(0);
    let more = keeps(7, 1000);
    let bytes = diagnostics::heap::profile().expect("it is on");
    let profile = decode::profile(&bytes);
    let types: Vec<_> = profile.types.iter().map(|one| (&one.0[..], &one.1[..])).collect();
    let wanted = [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count")];
    assert_eq!(types, [&wanted[..], &[("inuse_space", "bytes")]].concat());
    // A hundred blocks, and the list of them.
    let list = 100 * size_of::<Vec<u8>>() as u64;
    let expected = [101, 100_000 + list, 50, 49_000 + list];
    assert_eq!(allocated(&profile, "::keeps"), expected, "{profile:#?}");
    assert_eq!(diagnostics::heap::lost(), 0);
    if let Some(top) = go_top(&bytes, &["-cum"]) {
        assert!(top.contains("Type: inuse_space") && top.contains("::keeps"), "{top}");
    }
    let now = || decode::profile(&diagnostics::heap::profile().expect("it is on"));
    drop(more); // probably where counted ones were that are freed
    assert_eq!(allocated(&now(), "::keeps"), expected);
    drop(all);
    assert_eq!(allocated(&now(), "::keeps"), [101, 100_000 + list, 0, 0]);
}

fn a_sampled_heap_profile_is_about_right() {
    const BLOCKS: usize = 100_000;
    const BYTES: usize = 4096;
    set_mem_profile_rate(MEM_PROFILE_RATE);
    let all = keeps(BLOCKS, BYTES);
    let profile = decode::profile(&diagnostics::heap::profile().expect("it is on"));
    assert_eq!((profile.period, &profile.period_type.0[..]), (MEM_PROFILE_RATE, "space"));
    // Some 780 samples: a quarter is seven times the deviation.
    let space = (BLOCKS * BYTES) as u64;
    let [_, allocated_space, _, in_use] = allocated(&profile, "::keeps");
    for bytes in [allocated_space, in_use] {
        assert!((space * 3 / 4..space * 5 / 4).contains(&bytes), "{bytes} of {space}");
    }
    drop(all);
    let profile = decode::profile(&diagnostics::heap::profile().expect("it is on"));
    assert_eq!(allocated(&profile, "::keeps")[2..], [0, 0]);
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

/// Born, died: of all CPUs.
fn counts() -> (u64, u64) {
    census::cpu_reports().fold((0, 0), |(born, died), cpu| {
        (born + cpu.stats.born.get(), died + cpu.stats.died.get())
    })
}

/// So many goroutines wait for their turn, and wake the next.
fn chain(length: u64) {
    let (first, mut last) = chan::<u64>(0);
    for _ in 0..length {
        let (tx, rx) = chan(0);
        let from = std::mem::replace(&mut last, rx);
        go(move || tx.send(from.recv().unwrap() + 1).unwrap());
    }
    first.send(0).unwrap();
    assert_eq!(last.recv(), Some(length));
}

/// `go tool trace` has read all of it: how often it says this.
fn go_counts<const N: usize>(trace: &[u8], what: [&str; N]) -> Option<[usize; N]> {
    let parsed = go_tool(&["trace", "-d=parsed"], trace)?;
    Some(what.map(|what| parsed.lines().filter(|line| line.contains(what)).count()))
}

fn a_trace_is_go_s() {
    const LONG: u64 = 100;
    diagnostics::gotrace::start();
    let before = counts();
    let joined = go(|| {
        let _chaining = executive::trace::region(&"chaining");
        chain(LONG); // it waits meanwhile, and may go on elsewhere
        executive::trace::message(&"links", LONG);
    });
    joined.join();
    // Those of the chain have sent their words, and end.
    while counts().1 - before.1 < LONG + 1 {
        yield_now();
    }
    executive::trace::stop();
    let born = counts().0 - before.0;
    assert_eq!(born, LONG + 1);

    let trace = diagnostics::gotrace::encode();
    assert_eq!(trace.left_out, 0);
    let told = decode::go_trace(&trace.bytes);
    let count = |number| told.count(number) as u64;
    let (creates, starts, destroys, blocks) = (count(14), count(16), count(17), count(20));
    assert_eq!((creates, destroys), (born, born));
    assert_eq!([42, 43, 44].map(count), [1; 3], "a region begins and ends, and a message");
    for word in ["chaining", "links", "100", "chan receive"] {
        assert!(told.says(|text| text == word), "{word}: {:?}", told.strings);
    }
    assert!(told.says(|text| text.starts_with(&format!("go at {}", file!()))));
    // Where each was started, waits, and was readied; and what was said.
    let among = |number, function| {
        told.of(number).filter(|words| told.is_in(function, words)).count() as u64
    };
    assert_eq!(among(14, "::chain"), LONG, "{:#?}", told.stacks);
    assert_eq!(among(14, "::a_trace_is_go_s"), born, "the chain's are within, too");
    assert!(among(20, "::chain::") >= LONG / 2, "{:#?}", told.stacks);
    assert!(among(21, "::chain::") >= LONG / 2);
    assert_eq!([42, 43, 44].map(|number| among(number, "::a_trace_is_go_s")), [1; 3]);
    assert_eq!(diagnostics::gotrace::lost(), 0);
    // A goroutine that starts has been created or stopped before, but for those that were there.
    assert!(starts >= born && blocks > 0, "{starts} starts, {blocks} blocks");
    let parsed = [
        "NotExist->Runnable",
        "Runnable->Running",
        "Running->NotExist",
        "Running->Waiting",
        r#"Type="chaining""#,
        r#"Category="links" Message="100""#,
    ];
    // For Perfetto there is an arrow to each start of one that was readied or born.
    let mut json = String::new();
    executive::trace::dump(&mut json).unwrap();
    let ends = |kind: &str| json.lines().filter(|line| line.contains(kind)).count() as u64;
    assert_eq!(ends(r#""ph":"s""#), ends(r#""ph":"f""#));
    assert!(ends(r#""ph":"s""#) >= born + LONG, "{json}"); // each is born, and readied
    if let Some([all, go_starts, ends, waits, regions, messages]) = go_counts(&trace.bytes, parsed)
    {
        assert_eq!([all, ends], [born as usize; 2]);
        assert_eq!([regions, messages], [2, 1]);
        // (A goroutine that waits from the beginning is told as `Undetermined->`.)
        assert_eq!((go_starts, waits), (starts as usize, blocks as usize));
    }
}

fn a_trace_that_was_cut_is_go_s_too() {
    executive::trace::start();
    (0..20).for_each(|_| chain(500));
    executive::trace::stop();
    let trace = diagnostics::gotrace::encode();
    let starts = decode::go_trace(&trace.bytes).count(16);
    assert!(starts > 100, "{starts} starts");
    assert!(trace.left_out * 10 < trace.events, "{} of {}", trace.left_out, trace.events);
    if let Some([parsed]) = go_counts(&trace.bytes, ["Runnable->Running"]) {
        assert_eq!(parsed, starts);
    }
}
