//! The commands of the console: one table, and how a line becomes calls.
//!
//! A line is commands separated by `;`. A command is a small function from [`Args`] to `Result<(),
//! String>`. `Err` means that it failed, and is the line that says why.
//!
//! **Rule:** a command is in [`TABLE`] or does not exist. Its usage tells how many words it takes.

mod counts;
mod crash;
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
use executive::machine;
use kernel::{frames, println};

type Outcome = Result<(), String>;

struct Command {
    name: &'static str,
    /// Its words: `N` is one, `[N]` may be left out, `KIND...` are one or more.
    usage: &'static str,
    help: &'static str,
    run: fn(&Args) -> Outcome,
}

const fn command(name: &'static str, usage: &'static str, help: &'static str, run: fn(&Args) -> Outcome) -> Command {
    Command { name, usage, help, run }
}

#[rustfmt::skip] // a table
static TABLE: &[Command] = &[
    command("help", "", "this list", help),
    // What is going on.
    command("cpus", "", "each CPU: what it does and what it has done", reports::cpus),
    command("gs", "[MOST]", "every goroutine, alike ones in one line: what it does, since when, its stack", reports::gs),
    command("mem", "", "where the memory is", reports::mem),
    command("stacks", "", "goroutines' stacks by where they were started: memory now, and the deepest", reports::stacks),
    command("locks", "[MOST]", "each lock: times taken and spun for; fails if the scheduler's was taken more than MOST times", reports::locks),
    // Goroutines at play.
    command("sieve", "N", "the N-th prime, by a chain of N goroutines", playing::sieve),
    command("skynet", "N", "the sum of 0..N, by a tree of goroutines with N leaves", playing::skynet),
    command("pingpong", "N", "two goroutines hand a ball to and fro N times", playing::pingpong),
    command("pipeline", "N", "the sum of the first N squares, by a pipeline of channels", playing::pipeline),
    command("spawn", "N", "N goroutines park, are woken and counted on the CPUs they wake on", playing::spawn),
    // Claims, put to the test.
    command("hogs", "N SECONDS [PERCENT]", "N goroutines that never yield get equal shares, to PERCENT", proofs::hogs),
    command("ipi-wake", "[ROUNDS]", "a goroutine made ready wakes a halted CPU, without a tick", proofs::ipi_wake),
    command("registers", "[PREEMPTIONS]", "a preempted goroutine gets back every register and flag", registers::registers),
    command("idle", "[SECONDS]", "a kernel with nothing to do does nothing", proofs::idle),
    command("heap", "MIB", "takes MIB MiB of the heap, writes, reads and frees them", pressure::heap),
    command("divers", "N MIB", "N goroutines use most of their stacks and park; then MIB MiB are taken, from these if need be", pressure::divers),
    command("churn", "[SECONDS]", "blocks of the heap and crowds of goroutines compete for all memory", pressure::churn),
    command("full", "COMMAND...", "a command while parked goroutines hold all memory: some die of that", pressure::full),
    command("stress", "[SECONDS]", "everything at once, with sums that show whether anything was lost", stress::stress),
    command("scenario", "NAME...", "runs the scenarios of the tests whose names contain NAME, or `all`", suites::scenario),
    command("count", "", "what operations cost in instructions (with --icount)", counts::count),
    command("growth", "[MOST]", "the same beside 10 to MOST parked goroutines, and among as many", counts::growth),
    command("bench", "[NAME...]", "benchmarks: all rows, or those named", suites::bench),
    command("time", "COMMAND...", "how long a command takes", time),
    command("trace", "COMMAND...", "records what each CPU does during a command, for Perfetto or chrome://tracing", suites::trace),
    #[cfg(fuzz)]
    command("seed", "N", "from here on N decides the scheduler's free choices, and CPUs stand still now and then", seed),
    // Ends.
    command("crash", "KIND", crash::HELP, crash::crash),
    command("exit", "[CODE]", "powers off; CODE is the status, 0 to 95", exit),
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

/// The deepest nesting: each command within another takes some of the goroutine's stack.
const DEEPEST: usize = 8;

impl<'a> Args<'a> {
    fn word(&self, nth: usize) -> Option<&'a str> {
        self.words.get(nth).copied()
    }

    /// The word as a number in `accepted`; `default` if there is none. A command accepts what it
    /// can do with the machine's memory and in a reasonable time; other numbers are refused here,
    /// in one line.
    fn number(&self, nth: usize, default: u64, accepted: RangeInclusive<u64>) -> Result<u64, String> {
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
    println!("`A; B` runs A, then B. Ctrl-C stops a command; the arrow keys bring earlier lines back.");
    Ok(())
}

fn exit(args: &Args) -> Outcome {
    // The status that QEMU ends with has no room for more.
    let code = args.number(0, args.failed as u64, 0..=95)?;
    machine::exit(code as i32)
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
    executive::chaos::seed(args.number(0, 1, 1..=u64::MAX)?);
    Ok(())
}

/// Nanoseconds, shown as seconds.
struct Seconds(u64);
impl core::fmt::Display for Seconds {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{:03} s", self.0 / 1_000_000_000, self.0 / 1_000_000 % 1000)
    }
}
