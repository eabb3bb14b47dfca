//! Do the scenarios hold on Linux? Each in a process of its own, with 1, 2 and 4 CPUs; a process that hangs has failed.
//!
//! `cargo test -p hosted --test scenarios -- [--cpus LIST] [--stress SECONDS] [NAME..]`: names may be parts of names.

use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// A scenario takes less than a second; a loaded host may need much more.
const PATIENCE: Duration = Duration::from_secs(60);

struct Run {
    name: String,
    cpus: usize,
    /// What it must say, and die; `None`: it must end well.
    words: Option<&'static str>,
    patience: Duration,
}

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if let Ok(name) = std::env::var("SCENARIO") {
        return run_one(&name);
    }
    let mut option = |name: &str| {
        let at = args.iter().position(|a| a == name)?;
        let value = args.drain(at..(at + 2).min(args.len())).nth(1);
        Some(value.unwrap_or_else(|| panic!("{name} needs a value")))
    };
    let stress = option("--stress");
    let cpus: Vec<usize> = match option("--cpus") {
        Some(list) => list.split(',').map(|n| n.parse().expect("--cpus 1,2,4")).collect(),
        None => vec![1, 2, 4],
    };
    args.retain(|a| !a.starts_with("--")); // cargo's and libtest's

    let mut runs = Vec::new();
    if let Some(seconds) = stress {
        let patience = PATIENCE + 2 * Duration::from_secs(seconds.parse().expect("--stress SECONDS"));
        runs.extend(cpus.iter().map(|&cpus| Run { name: format!("stress={seconds}"), cpus, words: None, patience }));
    } else {
        let wanted = |name: &str| args.is_empty() || args.iter().any(|a| name.contains(a.as_str()));
        for (name, _) in scenarios::SCENARIOS.iter().chain(scenarios::ALONE).filter(|s| wanted(s.0)) {
            runs.extend(cpus.iter().map(|&cpus| Run { name: name.to_string(), cpus, words: None, patience: PATIENCE }));
        }
        let debug = if cfg!(debug_assertions) { scenarios::DEBUG_DEATHS } else { &[] };
        for (name, _, words) in scenarios::DEATHS.iter().chain(debug) {
            let name = format!("deaths::{name}");
            if wanted(&name) {
                runs.extend(cpus.iter().map(|&cpus| Run {
                    name: name.clone(),
                    cpus,
                    words: Some(words),
                    patience: PATIENCE,
                }));
            }
        }
    }
    report(runs)
}

/// Runs them all, two at a time: most wait for each other more than they compute.
fn report(runs: Vec<Run>) -> ExitCode {
    let (total, mut failed) = (runs.len(), 0);
    let runs = std::sync::Mutex::new(runs.into_iter());
    let failures = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                loop {
                    let Some(run) = runs.lock().unwrap().next() else { return };
                    let begin = Instant::now();
                    let verdict = watch(&run);
                    let ms = begin.elapsed().as_millis();
                    let (name, cpus) = (&run.name, run.cpus);
                    match verdict {
                        Ok(()) => println!("ok   {name} ({cpus} CPUs, {ms} ms)"),
                        Err(why) => {
                            println!("FAIL {name} ({cpus} CPUs, {ms} ms)");
                            failures.lock().unwrap().push(format!("---- {name} ({cpus} CPUs) ----\n{why}"));
                        }
                    }
                }
            });
        }
    });
    for failure in failures.into_inner().unwrap() {
        println!("{failure}");
        failed += 1;
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {word}. {} passed; {failed} failed;", total - failed);
    ExitCode::from((failed != 0) as u8)
}

/// Runs one in a process of its own, and says what is wrong with its end.
fn watch(run: &Run) -> Result<(), String> {
    let log = std::env::temp_dir().join(format!("scenario-{}-{:?}", std::process::id(), std::thread::current().id()));
    let file = std::fs::File::create(&log).map_err(|e| e.to_string())?;
    let mut child = Command::new(std::env::current_exe().expect("a test knows where it is"))
        .env("SCENARIO", &run.name)
        .env("EXECUTIVE_CPUS", run.cpus.to_string())
        .stdin(Stdio::null())
        .stdout(file.try_clone().map_err(|e| e.to_string())?)
        .stderr(file)
        .spawn()
        .map_err(|e| e.to_string())?;
    let status = wait(&mut child, run.patience);
    let said = String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).into_owned();
    let _ = std::fs::remove_file(&log);
    match (status, run.words) {
        (None, _) => Err(format!("hangs: stopped after {:?}\n{said}", run.patience)),
        (Some(0), None) => Ok(()),
        (Some(2), Some(words)) if said.contains(words) => Ok(()),
        (Some(status), None) => Err(format!("status {status}\n{said}")),
        (Some(status), Some(words)) => Err(format!("status {status}, and it must say `{words}`\n{said}")),
    }
}

/// Its status; `None`: it took too long, and was killed. -1: a signal.
fn wait(child: &mut Child, patience: Duration) -> Option<i32> {
    let end = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().expect("our own child") {
            return Some(status.code().unwrap_or(-1));
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(2)); // the runner's poll; no scenario depends on it
    }
}

/// In the process of its own: goroutine 1.
fn run_one(name: &str) -> ExitCode {
    static MAIN: std::sync::OnceLock<Box<dyn Fn() + Send + Sync>> = std::sync::OnceLock::new();
    let body: Box<dyn Fn() + Send + Sync> = if let Some(seconds) = name.strip_prefix("stress=") {
        let time = Duration::from_secs(seconds.parse().expect("SCENARIO=stress=SECONDS"));
        Box::new(move || println!("{} values", scenarios::stress(time)))
    } else {
        Box::new(scenarios::find(name).expect("a scenario's name"))
    };
    assert!(MAIN.set(body).is_ok());
    hosted::run(|| MAIN.get().expect("set above")())
}
