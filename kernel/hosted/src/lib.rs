//! A Linux process (x86-64) as a [`Machine`](executive::machine::Machine): CPUs are threads, an
//! idle CPU sleeps on a futex, and stacks are `mmap`ped. GS, which programs do not use on Linux,
//! points at the per-CPU block as it does on bare metal. Everything above the contract, the switch
//! included, is the same code as in the kernel.
//!
//! ```
//! hosted::run(|| println!("goroutine 1"))
//! ```
//!
//! # What is different from bare metal
//!
//! **Goroutines are preempted only where they call the executive.** Such a call is one that may
//! park, that starts or wakes a goroutine, or that asks whether something has happened: channels,
//! selects, locks (free ones, too), timers, joins, futures, tokens. Calls that only return a number
//! are not: `goid`, `Instant::now`, `affinity::cpus`. A loop without such a call keeps its CPU.
//!
//! The executive hears of the timer signal as it does of an interrupt, but the interrupted `pc` is
//! never written back. On bare metal a goroutine may be moved to another CPU between any two
//! instructions. Here it may not, for four reasons, each sufficient:
//! - Code compiled for Linux keeps data below its stack pointer (the red zone), where a return
//!   address would land.
//! - Its vector registers are live.
//! - It may be inside libc, say in `malloc`, which locks for its thread and is not reentrant.
//! - It may hold the address of a thread-local variable, which belongs to one thread.
//!
//! Some of this holds at a voluntary switch too: do not keep a `std` lock guard, or a borrow of a
//! `thread_local!`, over a call that can park.
//!
//! **Blocking system calls block the CPU.** No other thread takes over: use the executive's
//! channels, timers and locks.
//!
//! **Panics unwind only to [`executive::recover()`]:** what nobody recovers ends the process, as it
//! ends the kernel, with a report of the stack as it was (`crash`). std's `catch_unwind` catches
//! nothing on a goroutine: `unwind` tells why. Memory that runs out ends the process: std aborts.
//!
//! # Threads that are no CPU
//!
//! The program may have other threads: the first one before it calls [`run`], others that are older
//! than `run`, and those that a goroutine or a library starts. They may call whatever never parks:
//! [`Waker::wake`](core::task::Waker::wake), `try_send` and `try_recv`, `Semaphore::release`,
//! `Token::cancel`, `Mutex::try_lock`, a condition's notify, a timer's start and stop, and more. A
//! call that would park there (`recv` on an empty channel, say) panics with `not on a goroutine`,
//! and leaves all as it was; so does `go`. The panic is the thread's own: it unwinds.
//!
//! As long as such a thread may wake a goroutine, hold an [`Outside`]: when all goroutines wait and
//! there is none, that is a deadlock, and the run ends. (A clone of a [`Waker`](core::task::Waker)
//! counts as one while its goroutine waits.)
//!
//! `foreign` tells how threads are recognised at no cost. It takes libc's `pthread_create`, so
//! these are not supported:
//! - **Threads made by raw `clone(2)`**, and a child of `fork` that has not called `exec`. They
//!   inherit GS, and would be taken for the CPU that made them.
//! - **A libc that is linked statically** (`-C target-feature=+crt-static`). [`run`] panics, and
//!   says so.
//! - **Threads beside a fuzz seed on one CPU** (`--cfg fuzz`, `EXECUTIVE_SEED`). There time belongs
//!   to that CPU: it goes on, and ticks, when a thread reads it; and a CPU that sleeps for good
//!   ends the run, even if somebody has an [`Outside`] or a `Waker`. On several CPUs time is
//!   Linux's, and threads are as ever.
//!
//! # Order of reading
//! `linux` has the hooks, and names the file that keeps each. The modules stand in layer order,
//! each using only those above it: `stack`, `cpu` (threads, GS), `sleep` (wait and wake), `tick`
//! (timers and kicks), `fuzz`, `foreign` (other threads), `symbols`, `unwind`,
//! `crash`.
#![deny(unsafe_code)]

mod stack;
mod cpu;
mod sleep;
mod tick;
mod fuzz;
mod foreign;
mod symbols;
mod unwind;
mod crash;
mod linux;

pub use executive::foreign::Outside;
#[doc(hidden)]
pub use foreign::REFUSED as REFUSED_THREAD;
pub use linux::Linux;

/// How to run. The default asks the environment.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// How many CPUs (threads) run goroutines. `None`: the number in `EXECUTIVE_CPUS`, else as many
    /// as this process may use. They are not pinned to processors; `taskset` can do that.
    pub cpus: Option<usize>,
}

/// Makes `main` goroutine 1 of this process. When it returns the process ends, with status 0.
pub fn run(main: fn()) -> ! {
    run_config(Config::default(), main)
}

/// [`run`] on `cpus` CPUs.
///
/// # Panics
/// If `cpus` is 0 or more than [`executive::param::MAX_CPUS`].
pub fn run_with(cpus: usize, main: fn()) -> ! {
    run_config(Config { cpus: Some(cpus) }, main)
}

/// [`run`] with a [`Config`].
///
/// # Panics
/// As [`run_with`], or when called a second time.
pub fn run_config(config: Config, main: fn()) -> ! {
    boot(config);
    executive::start(main)
}

/// Makes the calling thread CPU 0 and gets everything ready for [`executive::start`], which [`run`]
/// calls next. For tests of the machine itself.
///
/// # Panics
/// As [`run_config`].
#[doc(hidden)]
pub fn boot(config: Config) {
    cpu::init(config.cpus);
    foreign::init();
    symbols::init();
    unwind::init();
    crash::init();
    fuzz::init();
    tick::init();
    executive::stacks::offer(tick::stand_still, false);
    foreign::is_no_guest();
    cpu::become_cpu(0, executive::percpu_block(0));
}
