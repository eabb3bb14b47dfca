//! The commands of the console: one table, and how a line becomes calls.
//!
//! A line is commands separated by `;`. A command is a small function from [`Args`] to `Result<(),
//! String>`. `Err` means that it failed, and is the line that says why.
//!
//! **Rule:** a command is in [`TABLE`] or does not exist. Its usage tells how many words it takes.

mod counts;
mod crash;
mod devices;
mod diagnosing;
mod files;
mod network;
mod playing;
mod pressure;
mod proofs;
mod registers;
mod reports;
mod stress;
mod suites;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use core::time::Duration;
use executive::chan::{Receiver, Sender};
use executive::sync::Mutex;
use executive::{chan, go, machine, time};
use kernel::{frames, keyboard, println};

type Outcome = Result<(), String>;

struct Command {
    name: &'static str,
    /// Its words: `N` is one, `[N]` may be left out, `KIND...` are one or more.
    usage: &'static str,
    run: fn(&Args) -> Outcome,
    help: &'static str,
}

const fn command(
    name: &'static str,
    usage: &'static str,
    run: fn(&Args) -> Outcome,
    help: &'static str,
) -> Command {
    Command { name, usage, run, help }
}

#[rustfmt::skip] // a table
static TABLE: &[Command] = &[
    command("help", "", help, "this list"),
    // What is going on.
    command("cpus", "", reports::cpus, "each CPU: what it does and what it has done"),
    command("gs", "[MOST]", reports::gs,
        "every goroutine, alike ones in one line: what it does, since when, its stack"),
    command("leaks", "", diagnosing::leaks,
        "goroutines that can never run again, as far as it is known who could wake them"),
    command("mem", "", reports::mem, "where the memory is"),
    command("report", "", reports::report, "all about this machine, for whoever is not there"),
    command("lspci", "", reports::lspci, "the functions on the PCI buses"),
    command("disks", "", devices::disks, "the disks, and what is out in their queues"),
    command("stacks", "", reports::stacks,
        "goroutines' stacks by where they were started: memory now, and the deepest"),
    command("locks", "[MOST]", reports::locks,
        "each lock: times taken and spun for; fails if the scheduler's is above MOST"),
    // Devices.
    command("random", "[BYTES]", devices::random, "random bytes, and where they come from"),
    command("disk-read", "DISK BLOCK", devices::read, "a block of a disk"),
    command("disk-patience", "DISK SECONDS", devices::patience,
        "how long a request to a disk may take before it is given up"),
    command("disk-overwrite", "DISK [N]", devices::write,
        "N goroutines write the whole disk and read it again: what was on it is lost"),
    command("disk-bench", "[DISK] [SECONDS]", devices::bench,
        "4 KiB reads a second, in order and anywhere, by 1 goroutine and by 64"),
    // Files.
    command("ls", "[PATH]", files::ls, "what is in a directory, and how many bytes files have"),
    command("cat", "PATH", files::cat, "a file, as text"),
    command("write", "PATH TEXT...", files::write, "makes a file of one line"),
    command("cp", "FROM TO", files::cp, "copies a file"),
    command("mkdir", "PATH", files::mkdir, "makes a directory"),
    command("rm", "PATH", files::rm, "removes a file or an empty directory"),
    command("files", "DIR [N] [KIB]", files::fill,
        "N goroutines write a file of KIB KiB each there, and read it again"),
    // The network.
    command("net", "[up|dhcp] [ADDRESS/BITS] [GATEWAY]", network::net,
        "interfaces, frames and connections; `net up` gives the first card an address"),
    command("lookup", "NAME", network::lookup, "the addresses of a host"),
    command("ping", "HOST [N]", network::ping, "asks whether somebody is there"),
    command("listen", "PORT [KIND]", network::listen,
        "serves TCP: echo, discard or chargen, until Ctrl-C"),
    command("tcp", "HOST PORT TEXT...", network::tcp, "sends a line, and shows the answer"),
    // Goroutines at play.
    command("sieve", "N", playing::sieve, "the N-th prime, by a chain of N goroutines"),
    command("skynet", "N", playing::skynet,
        "the sum of 0..N, by a tree of goroutines with N leaves"),
    command("pingpong", "N", playing::pingpong, "two goroutines hand a ball to and fro N times"),
    command("pipeline", "N", playing::pipeline,
        "the sum of the first N squares, by a pipeline of channels"),
    command("mandelbrot", "[WIDTH] [HEIGHT] [STEPS]", playing::mandelbrot,
        "the Mandelbrot set, in f64 and in 4 lanes; drawn if it is narrow"),
    command("spawn", "N", playing::spawn,
        "N goroutines park, are woken and counted on the CPUs they wake on"),
    command("lines", "N", playing::lines, "N lines of text, as fast as they can be printed"),
    // Claims, put to the test.
    command("hogs", "N SECONDS [PERCENT]", proofs::hogs,
        "N goroutines that never yield get equal shares, to PERCENT"),
    command("masked", "[MS] [SECONDS]", proofs::masked,
        "a goroutine keeps interrupts off on the last CPU, MS milliseconds at a time"),
    command("stuck", "", proofs::stuck,
        "goroutines that can never run again, and some that may: for `leaks`"),
    command("ipi-wake", "[ROUNDS]", proofs::ipi_wake,
        "a goroutine made ready wakes a halted CPU, without a tick"),
    command("registers", "[PREEMPTIONS] [MICROSECONDS]", registers::registers,
        "a preempted goroutine gets back every register and flag; preempted so often"),
    command("idle", "[SECONDS]", proofs::idle, "a kernel with nothing to do does nothing"),
    command("heap", "MIB [SECONDS]", pressure::heap,
        "takes MIB MiB of the heap, writes, reads, and frees them after SECONDS"),
    command("divers", "N MIB", pressure::divers,
        "N goroutines use most of their stacks and park; then MIB MiB are taken"),
    command("churn", "[SECONDS]", pressure::churn,
        "blocks of the heap and crowds of goroutines compete for all memory"),
    command("connections", "[N] [MOST]", pressure::connections,
        "N idle connections to a web server, and what each takes"),
    command("full", "COMMAND...", pressure::full,
        "a command while parked goroutines hold all memory: some die of that"),
    command("stress", "[SECONDS]", stress::stress,
        "everything at once, with sums that show whether anything was lost"),
    command("scenario", "NAME...", suites::scenario,
        "runs the scenarios of the tests whose names contain NAME, or `all`"),
    command("count", "", counts::count, "what operations cost in instructions (with --icount)"),
    command("growth", "[MOST]", counts::growth,
        "the same beside 10 to MOST parked goroutines, and among as many"),
    command("policy", "[NAME]", policy,
        "the scheduling policy, once: go, fifo, priorities or fair"),
    command("bench", "[NAME...]", suites::bench, "benchmarks: all rows, or those named"),
    command("layout", "[NAME]", layout,
        "the keyboard's layout: us uk de fr fi no jp dvorak colemak"),
    command("time", "COMMAND...", time, "how long a command takes"),
    command("beside", "N COMMAND...", suites::beside,
        "a command while another goroutine prints N lines a second"),
    command("beside-stress", "COMMAND...", suites::beside_stress,
        "a command while rounds of `stress` run beside it"),
    command("date", "", date, "the date and the time, UTC, by the machine's clock"),
    command("trace", "COMMAND...", suites::trace,
        "records what each CPU does during a command, for Perfetto or chrome://tracing"),
    command("schedtrace", "MS [COMMAND...]", diagnosing::schedtrace,
        "Go's SCHED line after MS milliseconds; every MS while a command runs"),
    command("top", "[TIMES] [SECONDS]", diagnosing::top,
        "CPUs, and the busiest goroutines: live (t, n, w sort them, q stops), or TIMES screens"),
    command("nmis", "COMMAND...", diagnosing::nmis,
        "asks all CPUs by NMIs where they stand, again and again, while a command runs"),
    command("pprof", "ADDRESS [COMMAND...]", diagnosing::pprof,
        "serves /debug/pprof/ at IP:PORT, while a command runs or until Ctrl-C"),
    #[cfg(fuzz)]
    command("seed", "N", seed,
        "from here on N decides the scheduler's free choices, and CPUs stand still now and then"),
    // Ends.
    command("crash", "KIND", crash::crash, crash::HELP),
    command("reboot", "", reboot, "resets the machine"),
    command("exit", "[CODE]", exit, "powers off; CODE is the status, 0 to 95"),
];

/// What a command is given.
pub struct Args<'a> {
    words: &'a [&'a str],
    /// Somebody pressed Ctrl-C.
    stop: &'a AtomicBool,
    /// An earlier command of this line failed.
    failed: bool,
    /// How many commands this one is within (`time trace sieve 10`: 2).
    depth: usize,
}

/// Keys that are typed while a command runs, for a command that wants them.
pub struct Keys(Mutex<Option<Sender<u8>>>);
pub static KEYS: Keys = Keys(Mutex::new(None));

impl Keys {
    /// From the console. `false`: no command wants it.
    pub fn give(&self, key: u8) -> bool {
        self.0.lock().as_ref().is_some_and(|to| to.try_send(key).is_ok())
    }

    /// From here on they come here; once this is dropped, they are for the console again.
    fn take(&self) -> Taken {
        let (to, keys) = chan(16);
        *self.0.lock() = Some(to);
        Taken(keys)
    }
}

struct Taken(Receiver<u8>);

impl Drop for Taken {
    fn drop(&mut self) {
        *KEYS.0.lock() = None;
    }
}

/// The deepest nesting: each command within another takes some of the goroutine's stack.
const DEEPEST: usize = 8;

impl<'a> Args<'a> {
    fn word(&self, nth: usize) -> Option<&'a str> {
        self.words.get(nth).copied()
    }

    /// The word as a number in `accepted`; `default` if there is none. A command accepts what it
    /// can do with the machine's memory and in a reasonable time; other numbers are refused here,
    /// in one line.
    fn number(
        &self,
        nth: usize,
        default: u64,
        accepted: RangeInclusive<u64>,
    ) -> Result<u64, String> {
        let Some(word) = self.word(nth) else { return Ok(default) };
        let number = word.parse().ok().filter(|number| accepted.contains(number));
        let (least, most) = accepted.into_inner();
        number.ok_or_else(|| format!("a number from {least} to {most} is needed, not '{word:.40}'"))
    }

    /// The word as a number of seconds, up to 11 days.
    fn seconds(&self, nth: usize, default: u64) -> Result<Duration, String> {
        self.number(nth, default, 1..=1_000_000).map(Duration::from_secs)
    }

    /// The word as a number of MiB, less than the machine has; 1 if there is none.
    fn mib(&self, nth: usize) -> Result<usize, String> {
        self.number(nth, 1, 1..=(frames::total_bytes() as u64 >> 20) - 1).map(|mib| mib as usize)
    }

    /// What a command within this one is given: all but the first word, its name.
    fn rest(&self) -> Args<'a> {
        Args { words: &self.words[1..], depth: self.depth + 1, ..*self }
    }

    /// Whether the command should end early.
    fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }
}

/// From a look whether Ctrl-C was pressed to the next.
const LOOKS: Duration = Duration::from_millis(100);

/// Sleeps, but not beyond the end.
fn nap(span: Duration, over: &AtomicBool) {
    let begin = time::Instant::now();
    while let left = span.saturating_sub(begin.elapsed())
        && !left.is_zero()
        && !over.load(Relaxed)
    {
        time::sleep(left.min(LOOKS));
    }
}

/// An error's words.
fn words(error: impl core::fmt::Display) -> String {
    format!("{error}")
}

/// `n` goroutines, each of which does its part. All go on when one fails.
fn by_goroutines(n: u64, part: impl Fn(u64) -> Outcome + Clone + Send + 'static) -> Outcome {
    let start = |me| {
        let part = part.clone();
        go(move || part(me))
    };
    let workers: Vec<_> = (0..n).map(start).collect();
    let failed: Vec<_> = workers.into_iter().filter_map(|worker| worker.join().err()).collect();
    match failed.first() {
        Some(first) => Err(format!("{} of {n} goroutines failed; {first}", failed.len())),
        None => Ok(()),
    }
}

/// Runs a line of commands without a person; returns the status to end with.
pub fn run_alone(line: &str) -> i32 {
    (!run_line(line, &AtomicBool::new(false))) as i32
}

/// Runs the commands of a line in turn, the later ones even if an earlier one failed. Returns
/// whether all succeeded. Stops early when `stop` is set.
pub fn run_line(line: &str, stop: &AtomicBool) -> bool {
    let mut failed = false;
    for text in line.split(';') {
        let words: Vec<&str> = text.split_whitespace().collect();
        if let Some((name, words)) = words.split_first()
            && let Err(complaint) = run_command(name, &Args { words, stop, failed, depth: 0 })
        {
            println!("{name:.40}: {complaint}");
            failed = true;
        }
        if stop.load(Relaxed) {
            return false;
        }
    }
    !failed
}

fn run_command(name: &str, args: &Args) -> Outcome {
    let Some(command) = TABLE.iter().find(|c| c.name == name) else {
        return Err(format!("no such command\n{}", Names));
    };
    if args.depth > DEEPEST {
        return Err(format!("a command may stand within {DEEPEST} others, not more"));
    }
    let usage = || command.usage.split_whitespace();
    let least = usage().filter(|word| !word.starts_with('[')).count();
    let most = if command.usage.contains("...") { usize::MAX } else { usage().count() };
    if !(least..=most).contains(&args.words.len()) {
        return Err(format!("usage: {name} {}", command.usage));
    }
    (command.run)(args)
}

/// All commands' names.
struct Names;
impl core::fmt::Display for Names {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("commands:")?;
        TABLE.iter().try_for_each(|c| write!(f, " {}", c.name))
    }
}

fn help(_: &Args) -> Outcome {
    for c in TABLE {
        println!("{:<24}  {}", format!("{} {}", c.name, c.usage), c.help);
    }
    println!(
        "`A; B` runs A, then B. Ctrl-C stops a command; the arrow keys bring earlier lines back."
    );
    Ok(())
}

fn exit(args: &Args) -> Outcome {
    // The status that QEMU ends with has no room for more.
    let code = args.number(0, args.failed as u64, 0..=95)?;
    machine::exit(code as i32)
}

fn layout(args: &Args) -> Outcome {
    match args.word(0) {
        Some(name) if !keyboard::set_layout(name) => {
            let names: Vec<&str> = keyboard::LAYOUTS.iter().map(|(name, _)| *name).collect();
            return Err(format!("no layout '{name:.40}'; there are: {}", names.join(" ")));
        }
        _ => println!("{}", keyboard::layout()),
    }
    Ok(())
}

fn policy(args: &Args) -> Outcome {
    if let Some(name) = args.word(0) {
        policies::set(name).map_err(words)?;
    }
    println!("{}", policies::name());
    Ok(())
}

fn reboot(_: &Args) -> Outcome {
    kernel::power::reboot()
}

fn date(_: &Args) -> Outcome {
    let now = kernel::rtc::now().ok_or("the machine's clock has no date")?;
    println!("{now}");
    Ok(())
}

fn time(args: &Args) -> Outcome {
    let begin = machine::now();
    let outcome = run_command(args.words[0], &args.rest());
    println!("{}", Seconds(machine::now() - begin));
    outcome
}

/// Disorder, for the commands that follow (tests/fuzz-kernel.sh).
#[cfg(fuzz)]
fn seed(args: &Args) -> Outcome {
    executive::kit::chaos::seed(args.number(0, 1, 1..=u64::MAX)?);
    Ok(())
}

/// Nanoseconds, shown as seconds.
struct Seconds(u64);
impl core::fmt::Display for Seconds {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{:03} s", self.0 / 1_000_000_000, self.0 / 1_000_000 % 1000)
    }
}
