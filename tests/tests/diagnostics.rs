//! What Go's tools see of a booted kernel: profiles over HTTP, SCHED lines, and the console's top.

#[path = "../../kernel/diagnostics/tests/diagnostics/decode.rs"]
#[allow(dead_code, reason = "the crate's own test reads more of it")]
mod decode;

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;
use tests::{Boot, boots};

/// A port of this machine that nobody has: it may be forwarded.
fn free_port() -> u16 {
    let any = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    any.local_addr().expect("it has one").port()
}

fn machine(cpus: usize, port: u16) -> Boot {
    let forward = format!("user,id=n,hostfwd=tcp:127.0.0.1:{port}-:6060");
    boots()
        .smp(cpus)
        .qemu(&["-netdev", &forward, "-device", "virtio-net-pci,netdev=n,romfile="])
        .within_secs(120)
}

/// Status and body.
fn fetch(port: u16, path: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time");
    // 1.0: no chunks.
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).expect("it is taken");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("an answer");
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&all[..end]);
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
    (status, all.split_off(end + 4))
}

/// A Go, if there is one here.
fn go() -> Option<Command> {
    let go = std::env::var("GO").unwrap_or("go".into());
    if Command::new(&go).arg("version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: no Go here (GO=/path/to/go)");
        return None;
    }
    Some(Command::new(go))
}

fn says(mut tool: Command) -> String {
    let said = tool.output().expect("it starts");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success(), "{}{text:.2000}", String::from_utf8_lossy(&said.stderr));
    text
}

/// What `go tool pprof -top` says of what it fetches there; `None`: there is no Go here.
fn go_top(port: u16, path: &str) -> Option<String> {
    let (mut pprof, saved) = (go()?, std::env::temp_dir().join(format!("pprof-{port}")));
    let url = format!("http://127.0.0.1:{port}/debug/pprof/{path}");
    pprof.args(["tool", "pprof", "-top", &url]).env("PPROF_TMPDIR", &saved);
    let text = says(pprof);
    let _ = std::fs::remove_dir_all(saved);
    Some(text)
}

/// What `go tool trace` reads.
fn go_trace(bytes: &[u8]) -> Option<String> {
    let (mut tool, at) =
        (go()?, std::env::temp_dir().join(format!("{}.trace", std::process::id())));
    std::fs::write(&at, bytes).expect("a file for the tool");
    tool.args(["tool", "trace", "-d=parsed"]).arg(&at);
    let text = says(tool);
    std::fs::remove_file(at).expect("it was there");
    Some(text)
}

#[test]
fn go_s_tools_read_profiles_of_a_running_kernel() {
    const HOGS: u64 = 6;
    for cpus in [1, 2, 4] {
        let port = free_port();
        let mut console = machine(cpus, port).console();
        console.does("net up 10.0.2.15/24 10.0.2.2");
        console.types(&format!("pprof 10.0.2.15:6060 hogs {HOGS} 1000\n"));
        console.until("/debug/pprof/\n");
        let hogs_at = "kernel/shell/src/commands/proofs.rs";

        // The hogs are there when the command has begun: `goroutine` shows them all.
        let of_hogs = |profile: &decode::Profile| -> u64 {
            let hogs = profile.samples.iter().filter(|sample| {
                sample.stack.iter().any(|frame| frame.file == hogs_at && frame.line > 0)
            });
            hogs.map(|sample| sample.values[0]).sum()
        };
        loop {
            let (status, bytes) = fetch(port, "/debug/pprof/goroutine");
            assert_eq!(status, 200);
            // By where they were started: the command's own stack has that file, too.
            let profile = decode::profile(&bytes);
            let is_hog = |frame: &decode::Frame| {
                frame.file == hogs_at && frame.function.starts_with("go at ")
            };
            let hogs = profile.samples.iter().filter(|one| one.stack.iter().any(is_hog));
            if hogs.map(|one| one.values[0]).sum::<u64>() == HOGS {
                break;
            }
        }
        let (_, text) = fetch(port, "/debug/pprof/goroutine?debug=1");
        let text = String::from_utf8(text).expect("text");
        assert!(text.starts_with("goroutine profile: total "), "{text}");
        assert!(text.contains(&format!("started at {hogs_at}:")), "{text}");

        // The console's goroutine waits for keys. A hog that was preempted is told where.
        let (_, text) = fetch(port, "/debug/pprof/goroutine?debug=2");
        let text = String::from_utf8(text).expect("text");
        let with = |words: &[&str]| {
            let mut all = text.split("\n\n");
            all.any(|one| words.iter().all(|word| one.contains(word)))
        };
        assert!(with(&["goroutine 1 [", "{name: main}:\n", "kernel::console::run(...)"]), "{text}");
        assert!(with(&["[runnable]:\nkernel::commands::proofs::hogs::"]), "{text}");
        // One that another CPU runs is told where it is, as soon as one is on such a CPU.
        let mut is_told = cpus == 1;
        while !is_told {
            let (_, text) = fetch(port, "/debug/pprof/goroutine?debug=2");
            let text = String::from_utf8(text).expect("text");
            let is_hog = |one: &str| one.contains("kernel::commands::proofs::hogs::");
            is_told = text.split("\n\n").any(|one| one.contains("[running]:\n") && is_hog(one));
        }

        let (status, bytes) = fetch(port, "/debug/pprof/profile?seconds=1");
        assert_eq!(status, 200);
        let profile = decode::profile(&bytes);
        let samples: u64 = profile.samples.iter().map(|sample| sample.values[0]).sum();
        assert!(2 * of_hogs(&profile) > samples, "not half are hogs: {profile:#?}");
        let leaf = profile.samples.iter().max_by_key(|sample| sample.values[0]).expect("samples");
        assert!(leaf.stack[0].function.starts_with("kernel::commands::proofs::hogs"), "{leaf:?}");
        if let Some(top) = go_top(port, "profile?seconds=1") {
            assert!(top.contains("Type: cpu") && top.contains("proofs::hogs"), "{top}");
        }
        if let Some(top) = go_top(port, "goroutine") {
            assert!(top.contains("go at kernel/shell/src/commands/proofs.rs"), "{top}");
        }

        // The handler waits for that second, and sees itself.
        let (status, bytes) = fetch(port, "/debug/pprof/block?seconds=1");
        assert_eq!(status, 200);
        let profile = decode::profile(&bytes);
        let waits = |sample: &decode::Sample| {
            let in_handler = |name: &str| name.contains("diagnostics::handler::contentions");
            sample.stack.iter().any(|frame| in_handler(&frame.function))
        };
        assert!(profile.samples.iter().any(waits), "{profile:#?}");
        let (status, bytes) = fetch(port, "/debug/pprof/mutex");
        assert_eq!((status, decode::profile(&bytes).types[1].0.as_str()), (200, "delay"));
        for path in ["block?seconds=1", "mutex?seconds=1"] {
            if let Some(top) = go_top(port, path) {
                assert!(top.contains("Type: delay"), "{top}");
            }
        }

        let (status, page) = fetch(port, "/debug/");
        assert!(status == 200 && page.starts_with(b"<!doctype html>"));
        let (status, live) = fetch(port, "/debug/live?ms=100");
        let live: Value = serde_json::from_slice(&live).expect("JSON");
        assert_eq!((status, live["cpus"].as_array().expect("a list").len()), (200, cpus));
        let is_hogs = |group: &Value| group["at"].as_str().expect("a place").starts_with(hogs_at);
        let groups = live["groups"].as_array().expect("a list").iter().filter(|one| is_hogs(one));
        let hogs: u64 = groups.map(|one| one["count"].as_u64().expect("a number")).sum();
        assert_eq!(hogs, HOGS, "{live}");
        let ran = live["ran"].as_array().expect("a list").iter().filter_map(Value::as_u64);
        assert!(ran.sum::<u64>() > 0, "hogs are preempted, and run again: {live}");

        let (status, trace) = fetch(port, "/debug/pprof/trace?seconds=1");
        assert_eq!(status, 200);
        let told = decode::go_trace(&trace);
        let (starts, stops) = (told.count(16), told.count(19));
        assert!(starts > 0 && stops > 0, "{:?}", told.events);
        assert!(told.says(|text| text == "preempted"), "{:?}", told.strings);
        // Where a hog was preempted.
        let is_in_hog = |words: &[u64]| {
            let stack = told.stacks.get(&words[1]);
            stack.is_some_and(|stack| {
                stack[0].function.starts_with("kernel::commands::proofs::hogs::")
            })
        };
        assert!(told.of(19).any(is_in_hog), "{:#?}", told.stacks);
        if let Some(parsed) = go_trace(&trace) {
            let count = |what| parsed.lines().filter(|line| line.contains(what)).count();
            assert_eq!(count("Runnable->Running"), starts);
            assert_eq!(count("Running->Runnable"), stops);
        }

        let (status, trace) = fetch(port, "/debug/trace?seconds=1");
        assert_eq!(status, 200);
        let trace: Value = serde_json::from_slice(&trace).expect("JSON");
        assert!(!trace["traceEvents"].as_array().expect("a list").is_empty());
        assert_eq!(fetch(port, "/debug/pprof/none").0, 404);
        assert_eq!(fetch(port, "/").0, 404);
        console.types("\u{3}");
        console.until("> ");
        console.ends_with("exit 0", 0);
    }
}

/// The kernel's own heap: no line of the program is about it.
#[test]
fn a_heap_profile_names_who_holds_most() {
    const MIB: u64 = 64;
    let port = free_port();
    let mut console = machine(2, port).console();
    console.does("net up 10.0.2.15/24 10.0.2.2");
    console.does("heap 40"); // nobody asks for it
    console.types(&format!("pprof 10.0.2.15:6060 heap {MIB} 1000\n"));
    console.until("were written and read");
    for path in ["heap", "allocs"] {
        let (status, bytes) = fetch(port, &format!("/debug/pprof/{path}"));
        assert_eq!(status, 200);
        let profile = decode::profile(&bytes);
        let types: Vec<_> = profile.types.iter().map(|one| &one.0[..]).collect();
        assert_eq!(types, ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"]);
        let most = profile.samples.iter().max_by_key(|one| one.values[3]).expect("a sample");
        // Who has asked comes first: what the allocator is made of is left out.
        assert_eq!(most.stack[0].function, "kernel::commands::pressure::take_heap", "{most:?}");
        // 55 of the 64 blocks are sampled, give or take three.
        let (space, mib) = (most.values[3], 1 << 20);
        assert!((MIB * 3 / 4 * mib..MIB * 5 / 4 * mib).contains(&space), "{space} bytes");
        assert_eq!(most.values[1], space, "nothing of it was freed");
    }
    if let Some(top) = go_top(port, "heap") {
        let first = top.lines().skip_while(|line| !line.contains("flat%")).nth(1);
        let first = first.expect("a line for each function");
        assert!(first.ends_with("kernel::commands::pressure::take_heap"), "{top}");
    }
    console.types("\u{3}");
    console.until("> ");
    console.ends_with("exit 0", 0);
}

/// A goroutine keeps interrupts off for 50 ms at a time. When they are on, samples that are late
/// are taken where they are let in, in its caller: in the function that it calls meanwhile, an NMI
/// alone takes some.
#[test]
fn code_with_interrupts_off_is_sampled_by_nmis() {
    for cpus in [2, 4] {
        let port = free_port();
        let mut console = machine(cpus, port).console();
        console.does("net up 10.0.2.15/24 10.0.2.2");
        console.types("pprof 10.0.2.15:6060 masked 50 1000\n");
        console.until("/debug/pprof/\n");
        let (status, bytes) = fetch(port, "/debug/pprof/profile?seconds=2");
        assert_eq!(status, 200);
        let profile = decode::profile(&bytes);
        let has = |frame: &decode::Frame, name: &str| frame.function.contains(name);
        let count = |which: &dyn Fn(&decode::Sample) -> bool| -> u64 {
            let those = profile.samples.iter().filter(|sample| which(sample));
            those.map(|sample| sample.values[0]).sum()
        };
        let masked = count(&|sample| sample.stack.iter().any(|frame| has(frame, "proofs::masked")));
        let by_nmi = count(&|sample| {
            has(&sample.stack[0], "proofs::spins_until")
                && sample.stack[1..].iter().any(|frame| has(frame, "proofs::masked"))
        });
        // A fifth would be one for each 50 ms, of five.
        assert!(by_nmi > 0 && by_nmi * 5 > masked, "{by_nmi} of {masked}: {profile:#?}");
        println!("{cpus} CPUs: {by_nmi} of {masked} samples were taken with interrupts off");
        console.types("\u{3}");
        console.until("> ");
        console.ends_with("exit 0", 0);
    }
}

/// What docs/debugging.md tells to type for a planted fault, behind the line that boots it.
fn commands_of_the_manual(fault: &str) -> Vec<&'static str> {
    let manual = include_str!("../../docs/debugging.md");
    let boots = format!("    ./qemu-run.sh --smp 2 --net --example {fault}\n");
    let (_, section) = manual.split_once(&boots).expect("the manual boots it");
    let section = section.split("\n##").next().expect("there is a first");
    // What stands between fences is what the tools say.
    let lines = section.split("```").step_by(2).flat_map(str::lines);
    let commands: Vec<_> = lines.filter_map(|line| line.strip_prefix("    ")).collect();
    assert!(!commands.is_empty(), "the manual looks for {fault} by nothing");
    commands
}

/// Does what the manual says to the machine that has this port. `None`: there is no Go here.
fn does(command: &str, port: u16) -> Option<Vec<u8>> {
    let (tool, url) = command.trim_end_matches('\'').rsplit_once(" '").expect("a quoted URL");
    let path = url.strip_prefix("http://localhost:8080").expect("the example's port");
    match tool {
        "curl -s" => {
            let (status, bytes) = fetch(port, path);
            // 503: for now nothing is certain, and the caller asks again.
            assert!(matches!(status, 200 | 503), "{}", String::from_utf8_lossy(&bytes));
            Some(bytes)
        }
        "go tool pprof -top" => {
            Some(go_top(port, path.strip_prefix("/debug/pprof/").expect("a profile"))?.into())
        }
        other => panic!("the manual has a tool more: {other}"),
    }
}

#[test]
fn the_manual_finds_four_planted_faults() {
    for fault in ["deadlock", "mailboxes", "lost_reply", "hog"] {
        let port = free_port();
        let forward = format!("user,id=n,hostfwd=tcp:127.0.0.1:{port}-:80");
        let card = ["-netdev", &forward, "-device", "virtio-net-pci,netdev=n,romfile="];
        let machine = boots().smp(2).example(fault).qemu(&card).within_secs(120);
        let machine = machine.started("is served on port 80");
        let finds = |said: &str| match fault {
            "deadlock" => {
                let of = |name: &str| said.lines().find(|line| line.contains(name));
                assert!(of("(first)").or(of("(second)")).is_none(), "they are well: {said}");
                let stuck = ["(to savings) [sync.Mutex.Lock", "(to current) [sync.Mutex.Lock"];
                // When one looks so early that not all three wait, there are fewer.
                said.contains("total 3\n")
                    && stuck.iter().all(|words| said.contains(words))
                    && said.contains("(teller) [join")
            }
            "mailboxes" => {
                let well =
                    ["(clock)", "(listener)", "(guard)"].iter().any(|name| said.contains(name));
                assert!(!well, "they are well: {said}");
                said.contains("total 3\n")
                    && said.contains("(orders) [chan send")
                    && said.contains("(stock) [chan send")
                    && said.contains("(auditor) [select")
            }
            "lost_reply" => said
                .lines()
                .any(|line| line.contains(" @ ") && line.contains("(client) [chan receive")),
            _ => said.contains("hog::has_double"),
        };
        for command in commands_of_the_manual(fault) {
            while let Some(bytes) = does(command, port) {
                if finds(&String::from_utf8_lossy(&bytes)) {
                    break;
                }
            }
        }
        // And again and again: nobody is told who is well.
        let leaks = if matches!(fault, "deadlock" | "mailboxes") { 3 } else { 0 };
        for _ in 0..5 {
            // Those who are well may all be busy whenever one looks. A hog always is.
            let ask = || fetch(port, "/debug/pprof/goroutineleak?debug=1");
            let (mut status, mut text) = ask();
            while status == 503 && fault != "hog" {
                (status, text) = ask();
            }
            let text = String::from_utf8_lossy(&text);
            match fault {
                "hog" => assert!(status == 503 && text.contains("nothing is certain"), "{text}"),
                _ => assert!(status == 200 && text.contains(&format!("total {leaks}\n")), "{text}"),
            }
            if fault == "hog" {
                let (_, bytes) = fetch(port, "/debug/pprof/profile?seconds=1");
                let profile = decode::profile(&bytes);
                let most = profile.samples.iter().max_by_key(|sample| sample.values[0]);
                let most = most.expect("somebody runs");
                assert!(most.labels.contains(&("name".into(), "checker".into(), 0)), "{most:?}");
                break; // each look for leaks takes two seconds
            }
        }
        let (status, bytes) = fetch(port, "/debug/pprof/goroutineleak");
        assert!(status == 503 || fault != "hog" && status == 200, "{status}");
        if status == 200 {
            let profile = decode::profile(&bytes);
            assert_eq!(profile.samples.iter().map(|one| one.values[0]).sum::<u64>(), leaks);
        }
        drop(machine);
    }
}

/// Who waits for an owned end is stuck if its owner is; not with an arm that somebody else, or
/// time, may still fire, and not behind such a one. An arm that is off changes nothing.
#[test]
fn nobody_is_told_to_be_stuck_who_is_not() {
    for cpus in [1, 2] {
        let mut console = machine(cpus, free_port()).console();
        console.does("stuck");
        // The console's own goroutines may be busy when it looks.
        let said = loop {
            let said = console.does("leaks");
            if !said.contains("nothing is certain") {
                break said;
            }
        };
        let told: Vec<_> = said.lines().filter(|line| line.contains("[select")).collect();
        assert_eq!(told.len(), 2, "{said}");
        assert!(said.contains("2 goroutines can never run again"), "{said}");
        assert!(["(stuck a)", "(stuck b)"].iter().all(|name| said.contains(name)), "{said}");
        console.ends_with("exit 0", 0);
    }
}

/// The numbers of a SCHED line: the global queue's and the P's.
fn queued(line: &str) -> u64 {
    let (head, queues) = line.split_once(" [ ").expect("a list");
    let global: u64 = head.rsplit_once("runqueue=").expect("a length").1.parse().expect("a number");
    let numbers = queues.trim_end_matches(']').split_whitespace();
    global + numbers.map(|n| n.parse::<u64>().expect("a number")).sum::<u64>()
}

#[test]
fn schedtrace_shows_who_waits_for_a_cpu() {
    let said = boots().smp(1).run("schedtrace 100 hogs 8 2 1000").ok();
    let lines: Vec<_> = said.text.lines().filter(|line| line.starts_with("SCHED ")).collect();
    // All hogs but the one that runs; the others may come and go.
    let most = lines.iter().map(|line| queued(line)).max().expect("a line");
    assert!((6..=10).contains(&most), "{said}");
    assert!(lines.iter().all(|line| line.contains("gomaxprocs=1 ")), "{said}");
}

#[test]
fn top_is_live_and_takes_keys() {
    let mut console = boots().smp(2).console();
    console.types("top\n");
    let screen = console.until("sorted by Time");
    assert!(screen.contains("cpu state"), "{screen}");
    assert!(screen.contains("(main)") && screen.contains("MiB free"), "{screen}");
    console.types("n");
    console.until("sorted by Number");
    console.types("w");
    console.until("sorted by Wait");
    console.types("q");
    console.until("> ");
    // Its keys were its own.
    assert!(console.does("layout").contains("us"));
    console.ends_with("exit 0", 0);
}
