//! Does kernel/executive/gdb.py show goroutines, and leave the program as it was? Asks a real gdb,
//! about this program while it runs, and about core files of it (debugger.py, beside this file).
//! Without a gdb it is skipped.

use executive::percpu::Pin;
use executive::{Builder, JoinHandle, chan};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("be-looked-at") => hosted::run(be_looked_at),
        Some("leave-a-core-file") => leave_a_core_file(),
        _ => {}
    }
    let Ok(gdb) = Command::new("gdb").arg("--version").output() else {
        println!("skipped: no gdb here");
        println!("test result: ok. 0 passed; 0 failed; 1 ignored;");
        return ExitCode::SUCCESS;
    };
    assert!(gdb.status.success());
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for cpus in ["1", "2", "4"] {
        let at = std::env::temp_dir().join(format!("debugger-{}-{cpus}", std::process::id()));
        std::fs::create_dir(&at).expect("a folder for core files");
        let live = ask("live", cpus, &at.join("gdb.core"));
        let gdb_core = ask("gdb-core", cpus, &at.join("gdb.core"));
        let core = core_file(cpus, &at).map(|core| ask("core", cpus, &core));
        for (how, said) in
            [("live", Some(live)), ("a core file of gdb's", Some(gdb_core)), ("a core file", core)]
        {
            match said {
                None => {
                    println!("skipped: {how}, {cpus} CPUs: this system puts it elsewhere");
                    skipped += 1;
                }
                Some(Ok(())) => {
                    println!("ok   {how}, {cpus} CPUs");
                    passed += 1;
                }
                Some(Err(said)) => {
                    println!("FAIL {how}, {cpus} CPUs\n{said}");
                    failed += 1;
                }
            }
        }
        let _ = std::fs::remove_dir_all(&at);
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {word}. {passed} passed; {failed} failed; {skipped} ignored;");
    ExitCode::from((failed != 0) as u8)
}

/// What the program says at its end, after all that gdb has done.
const UNHARMED: &str = "every register was right";

fn me() -> PathBuf {
    std::env::current_exe().expect("a test knows where it is")
}

/// gdb loads what the program brings along.
const ALLOWED: &str = "set auto-load safe-path /";

/// What debugger.py claims; with what gdb said if a claim is wrong, or the end was not reached.
fn ask(how: &str, cpus: &str, core: &Path) -> Result<(), String> {
    let end = if how == "live" { UNHARMED } else { "ok   a core file will do" };
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut gdb = Command::new("timeout");
    gdb.args(["-k", "5", "100", "gdb", "--batch", "--nx", "-iex", ALLOWED, "-x"])
        .arg(here.join("tests/debugger.py"))
        .arg(me());
    gdb.env("HOW", how)
        .env("CORE", core)
        .env("GDB_PY", here.join("../executive/gdb.py"))
        .env("EXECUTIVE_CPUS", cpus);
    let asked =
        gdb.stdin(Stdio::null()).output().expect("timeout is there, and gdb was a moment ago");
    let (said, errors) =
        (String::from_utf8_lossy(&asked.stdout), String::from_utf8_lossy(&asked.stderr));
    let good = asked.status.success() && said.contains(end) && !said.contains("FAIL");
    if good { Ok(()) } else { Err(format!("{said}{errors}")) }
}

/// A core file of this program that Linux has written, if it writes them where the program is.
fn core_file(cpus: &str, at: &Path) -> Option<PathBuf> {
    let mut dies = Command::new("sh");
    dies.args(["-c", "ulimit -c unlimited; exec \"$0\" leave-a-core-file"]).arg(me());
    dies.current_dir(at)
        .env("EXECUTIVE_CPUS", cpus)
        .stderr(Stdio::null())
        .status()
        .expect("sh starts");
    let files =
        std::fs::read_dir(at).expect("our own folder").map(|file| file.expect("readable").path());
    files.into_iter().find(|file| {
        file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"core"))
    })
}

fn leave_a_core_file() -> ! {
    hosted::run(|| {
        let _it_waits = start_the_receiver();
        let _it_runs = start_the_hog();
        std::process::abort()
    })
}

/// Goroutine 1: one goroutine waits, deep down, and one runs; then gdb looks. What it does
/// afterwards needs every register.
fn be_looked_at() {
    let (tx, receiver) = start_the_receiver();
    let hog = start_the_hog();
    let sums: [u64; 5] = std::array::from_fn(|n| stop_here(black_box(n as u64)) * 10);
    assert_eq!(sums, [10, 20, 30, 40, 50]);
    STOP.store(true, Ordering::Relaxed);
    hog.join();
    step_here(1);
    executive::go(|| {}).join();
    tx.send(sums.iter().sum()).expect("it waits");
    step_here(2); // the receiver runs next, and ends
    assert_eq!(receiver.join(), 153);
    println!("{UNHARMED}");
}

static STOP: AtomicBool = AtomicBool::new(false);
static TURNS: AtomicU64 = AtomicU64::new(0);

/// It runs. On the only CPU it has been preempted when this returns: here that happens at an unpin.
fn start_the_hog() -> JoinHandle<()> {
    let hog = Builder::new().name("hog").spawn(spin_here).expect("memory");
    while TURNS.load(Ordering::Relaxed) == 0 {
        executive::yield_now();
    }
    hog
}

#[inline(never)]
fn spin_here() {
    while !STOP.load(Ordering::Relaxed) {
        TURNS.fetch_add(1, Ordering::Relaxed);
        drop(Pin::new());
    }
}

fn start_the_receiver() -> (chan::Sender<u64>, JoinHandle<u64>) {
    let (tx, rx) = chan::<u64>(0);
    let receiver =
        Builder::new().name("receiver").spawn(move || three_calls_deep(&rx)).expect("memory");
    while receiver.waiting().is_none() {
        executive::yield_now();
    }
    (tx, receiver)
}

/// gdb's breakpoint.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn stop_here(n: u64) -> u64 {
    black_box(n) + 1
}

/// Another, from which gdb goes on instruction by instruction.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_here(n: u64) {
    black_box(n);
}

#[inline(never)]
fn three_calls_deep(from: &chan::Receiver<u64>) -> u64 {
    black_box(two_calls_deep(from)) + 1
}

#[inline(never)]
fn two_calls_deep(from: &chan::Receiver<u64>) -> u64 {
    black_box(one_call_deep(from)) + 1
}

#[inline(never)]
fn one_call_deep(from: &chan::Receiver<u64>) -> u64 {
    black_box(from.recv().expect("150")) + 1
}
