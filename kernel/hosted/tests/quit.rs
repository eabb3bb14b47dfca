//! `kill -QUIT` of a process: does it tell what every goroutine does, and end with status 2,
//! whatever it is at and whichever of its threads the signal comes to? Runs itself again, with 1, 2
//! and 4 CPUs.

use executive::time::{Duration, sleep};
use executive::{Builder, chan, yield_now};
use hosted::Outside;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

/// What the process is at when it is asked; and how often that is tried.
const DOING: [(&str, u32); 4] =
    [("idle", 1), ("switching", 10), ("in libc", 10), ("on another thread", 1)];

fn main() {
    if let Ok(doing) = std::env::var("DOING") {
        be(&doing);
    }
    for (doing, times) in DOING {
        for cpus in [1, 2, 4] {
            (0..times).for_each(|_| asked(doing, cpus));
            println!("ok   {doing} ({cpus} CPUs)");
        }
    }
    println!("test result: ok. {} passed; 0 failed;", 3 * DOING.len());
}

/// Asks one that is at it.
fn asked(doing: &str, cpus: usize) {
    let mut child = Command::new(std::env::current_exe().expect("a test knows where it is"))
        .env("DOING", doing)
        .env("EXECUTIVE_CPUS", cpus.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a test can run itself");
    let mut tid = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    out.read_line(&mut tid).expect("a thread's number");
    let tid: libc::pid_t = tid.trim().parse().expect("a thread's number");
    let pid = child.id() as libc::pid_t;
    // SAFETY: signals a process of ours that was not waited for.
    let sent = unsafe {
        match tid {
            0 => libc::kill(pid, libc::SIGQUIT),
            tid => libc::syscall(libc::SYS_tgkill, pid, tid, libc::SIGQUIT) as i32,
        }
    };
    assert_eq!(sent, 0);
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("a report");
    let status = child.wait().expect("our own child").code();
    let told = said.contains("SIGQUIT")
        && said.contains("1 (main)")
        && said.contains("(waiter) [chan receive");
    assert!(status == Some(2) && told, "{doing}, {cpus} CPUs: status {status:?}\n{said}");
}

/// In the process of its own: gets at it.
fn be(doing: &str) -> ! {
    match doing {
        "idle" => hosted::run(|| at(any_thread, || sleep(Duration::from_secs(3600)))),
        "switching" => hosted::run(|| at(any_thread, yield_now)),
        "in libc" => hosted::run(|| at(any_thread, allocate)),
        _ => hosted::run(|| at(a_new_thread, || sleep(Duration::from_secs(3600)))),
    }
}

fn any_thread() {
    println!("0");
}

fn a_new_thread() {
    std::thread::spawn(|| {
        // SAFETY: asks for this thread's number.
        println!("{}", unsafe { libc::gettid() });
        loop {
            std::thread::park();
        }
    });
}

fn allocate() {
    let numbers: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    std::hint::black_box(numbers);
}

/// Main and another goroutine do this for ever, and a third waits for ever. `say` tells the parent
/// which thread to signal (0: any).
fn at(say: fn(), what: fn()) {
    let _outside = Outside::new();
    let (_tx, rx) = chan::<u8>(0);
    let waiter =
        Builder::new().name("waiter").spawn(move || rx.recv()).expect("memory for a stack");
    while waiter.waiting().is_none() {
        yield_now();
    }
    let other = Builder::new().spawn(move || {
        loop {
            what();
        }
    });
    drop(other.expect("memory for a stack"));
    say();
    loop {
        what();
    }
}
