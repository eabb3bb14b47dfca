//! A Linux process (x86-64) as a [`Machine`](executive::machine::Machine): CPUs are threads, an idle CPU sleeps
//! on a futex, stacks are `mmap`ped, and GS, which user programs leave alone on Linux, points at the per-CPU
//! block as it does on bare metal. Everything above the contract, the switch included, is the same code as in
//! the kernel.
//!
//! ```no_run
//! hosted::run(|| println!("goroutine 1"))
//! ```
//!
//! # What is different from bare metal
//!
//! **Goroutines are preempted only where they call the executive.** Every call is such a point that may park,
//! that starts or wakes a goroutine, or that asks whether something has happened: channels, selects, locks
//! (free ones, too), timers, joins, futures, tokens. Those that only tell a number are none: `goid`,
//! `Instant::now`, `affinity::cpus`. A loop without such a point keeps its CPU.
//!
//! The timer signal arrives and is told to the executive as an interrupt is, but the interrupted `pc` is never written
//! back. On bare metal every instruction of a goroutine is a point where it may be moved to another
//! CPU; here it is not, for four reasons, each enough: code compiled for Linux keeps data below its stack pointer
//! (the red zone), where a return address would land; its vector registers are live; it may be inside libc, say in
//! `malloc`, which locks for its thread and is not reentrant; and it may hold the address of a
//! thread-local variable, which on another thread is somebody else's. The same reasons hold a little at a
//! voluntary switch: don't keep a `std` lock guard, or a borrow of a `thread_local!`, over a call that can park.
//!
//! **Blocking system calls block the CPU.** There is no thread hand-off: use channels, timers and locks of the executive.
//!
//! **Panics don't unwind:** a panic is the process's end, as it is the kernel's. See `crash`.
//!
//! # Threads that are no CPU
//!
//! The program may have other threads: the first one before [`run`], others that are older than it, those that a
//! goroutine or a library starts. They may call whatever never parks: [`Waker::wake`](core::task::Waker::wake), `try_send` and `try_recv`,
//! `Semaphore::release`, `Token::cancel`, `Mutex::try_lock`, notify a condition, start and stop timers, and more. A
//! call that would park there (`recv` while there is nothing, say) ends the run with `not on a goroutine`; starting a
//! goroutine is an error (`go` panics).
//!
//! Where a thread may wake a goroutine, hold an [`Outside`]: when all goroutines wait and there is none, that is a
//! deadlock, and the run ends. (A clone of a [`Waker`](core::task::Waker) counts as one while its goroutine waits.)
//!
//! Not for threads made by raw `clone`, nor for a child that `fork` made and that did not `exec`: they inherit GS, and
//! would be taken for the CPU that made them. `foreign` tells how the others are told apart at no cost.
//!
//! # Order of reading
//! `linux` has the hooks, and names the file that keeps each. The modules stand in layer order, each
//! using only those above it: `stack`, `cpu` (threads, GS), `sleep` (wait and wake), `tick` (timers and
//! kicks), `fuzz`, `foreign` (other threads), `symbols`, `crash`.
#![deny(unsafe_code)]

mod stack;
mod cpu;
mod sleep;
mod tick;
mod fuzz;
mod foreign;
mod symbols;
mod crash;
mod linux;

pub use executive::foreign::Outside;
#[doc(hidden)]
pub use foreign::REFUSED as REFUSED_THREAD;
pub use linux::Linux;

/// How to run; the default asks the environment.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// How many CPUs (threads) run goroutines. `None`: what `EXECUTIVE_CPUS` says, else as many as this process
    /// may use. They aren't pinned to processors: `taskset` does that from outside.
    pub cpus: Option<usize>,
}

/// Makes `main` goroutine 1 of this process. When it returns the process ends, with status 0.
pub fn run(main: fn()) -> ! {
    run_config(Config::default(), main)
}

/// [`run`] on so many CPUs.
///
/// # Panics
/// If `cpus` is 0 or more than [`executive::param::MAX_CPUS`].
pub fn run_with(cpus: usize, main: fn()) -> ! {
    run_config(Config { cpus: Some(cpus) }, main)
}

/// [`run`], told everything.
///
/// # Panics
/// As [`run_with`], or when called a second time.
pub fn run_config(config: Config, main: fn()) -> ! {
    boot(config);
    executive::start(main)
}

/// Makes the calling thread CPU 0 and gets everything ready for [`executive::start`], which [`run`] calls next. For tests of the machine itself.
///
/// # Panics
/// As [`run_config`].
#[doc(hidden)]
pub fn boot(config: Config) {
    cpu::init(config.cpus);
    foreign::init();
    symbols::init();
    crash::init();
    fuzz::init();
    tick::init();
    foreign::is_no_guest();
    cpu::become_cpu(0, executive::percpu_block(0));
}
