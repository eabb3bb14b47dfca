//! Runs this test program again, once for each thing it tests: in a process of its own, named by
//! `SCENARIO`, with so many CPUs. A process that hangs has failed.

use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// A scenario takes less than a second; a loaded host may need much more.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How it must end.
#[derive(Clone, Copy)]
pub enum End {
    Well,
    /// With these words, and status 2.
    Dead(&'static str),
    /// Not at all: all of its threads sleep, and we end it.
    Asleep,
}

/// What a process says before it calls a function that must sleep for ever.
pub const NEARLY_ASLEEP: &str = "nearly asleep";

pub struct Run {
    pub name: String,
    pub cpus: usize,
    pub end: End,
    pub patience: Duration,
}

/// Runs them all, two at a time: most wait for each other more than they compute.
pub fn report(runs: Vec<Run>) -> ExitCode {
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
                            failures
                                .lock()
                                .unwrap()
                                .push(format!("---- {name} ({cpus} CPUs) ----\n{why}"));
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
    let log = std::env::temp_dir().join(format!(
        "scenario-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let file = std::fs::File::create(&log).map_err(|e| e.to_string())?;
    let mut child = Command::new(std::env::current_exe().expect("a test knows where it is"))
        .env("SCENARIO", &run.name)
        .env("EXECUTIVE_CPUS", run.cpus.to_string())
        .stdin(Stdio::null())
        .stdout(file.try_clone().map_err(|e| e.to_string())?)
        .stderr(file)
        .spawn()
        .map_err(|e| e.to_string())?;
    let fell_asleep = || said(&log).contains(NEARLY_ASLEEP);
    let (id, sleeper) = (child.id(), matches!(run.end, End::Asleep));
    let status =
        wait(&mut child, run.patience, || sleeper && fell_asleep() && all_threads_sleep(id));
    let said = said(&log);
    let _ = std::fs::remove_file(&log);
    match (status, run.end) {
        (Ended::Late, _) => Err(format!("hangs: stopped after {:?}\n{said}", run.patience)),
        (Ended::Asleep, _) | (Ended::With(0), End::Well) => Ok(()),
        (Ended::With(2), End::Dead(words)) if scenarios::says(&said, words) => Ok(()),
        (Ended::With(status), End::Well) => Err(format!("status {status}\n{said}")),
        (Ended::With(status), End::Dead(words)) => {
            Err(format!("status {status}, and it must say `{words}`\n{said}"))
        }
        (Ended::With(status), End::Asleep) => {
            Err(format!("status {status}, and it must not end\n{said}"))
        }
    }
}

fn said(log: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned()
}

/// Whether every thread of a process sleeps until something comes (state S of
/// /proc/PID/task/TID/stat).
fn all_threads_sleep(id: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{id}/task")) else { return false };
    tasks.flatten().all(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('S'))
    })
}

enum Ended {
    /// Its status; -1: a signal.
    With(i32),
    /// It sleeps, as it must, and was killed.
    Asleep,
    /// It took too long, and was killed.
    Late,
}

fn wait(child: &mut Child, patience: Duration, asleep: impl Fn() -> bool) -> Ended {
    let end = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().expect("our own child") {
            return Ended::With(status.code().unwrap_or(-1));
        }
        let asleep = asleep();
        if asleep || Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            return if asleep { Ended::Asleep } else { Ended::Late };
        }
        // The runner's poll; no scenario depends on it.
        std::thread::sleep(Duration::from_millis(2));
    }
}
