//! tick_at and kick: the CPU's timer and the interrupt between CPUs, both as one signal.
//!
//! The signal is SIGURG, as in Go: debuggers pass it on, libc does not use it, it is ignored by
//! default, and a program that uses urgent socket data must expect it spuriously anyway. It is not
//! queued, so a storm of kicks is one signal. A thread's timer is made when it first asks for a
//! tick.
//!
//! The handler runs on the thread's alternate stack (IRQ-CLEAN: never on a goroutine's), with
//! SA_RESTART, so that no system call of a goroutine fails because of it. lib.rs tells why `pc` is
//! not written back.
#![allow(unsafe_code)] // signal handlers and timers

use crate::{cpu, sleep};
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use executive::crash::{Still, stands_still};
use executive::lock::{Lock, Rank};
use executive::machine::{Interrupted, NEVER};
use executive::param::MAX_CPUS;
use executive::sampling;

const SIGNAL: libc::c_int = libc::SIGURG;

/// The CPU (plus one) that prints a crash report while all others stand still; 0: none.
static FROZEN_BY: AtomicUsize = AtomicUsize::new(0);
/// How many CPUs have stopped for it.
static FROZEN: AtomicUsize = AtomicUsize::new(0);

/// One makes others stand still at a time.
static HOLDER: Lock<()> = Lock::new(Rank::Stacks, ());
/// Its CPU. (Its own tick may interrupt it, too.)
static HELD_BY: AtomicUsize = AtomicUsize::new(0);
/// Odd while other CPUs are asked to stand still; each time has a number of its own.
static ROUND: AtomicU64 = AtomicU64::new(0);
/// The last round in which each CPU stands, or stood, still.
static STANDS: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];

thread_local! {
    /// This thread's timer, once made.
    static TIMER: Cell<Option<KernelTimer>> = const { Cell::new(None) };
}

/// Linux's name for a timer. libc's wrapper may allocate, and `on_tick` asks for its next tick
/// within the signal handler.
type KernelTimer = libc::c_int;

pub fn init() {
    handle(SIGNAL, on_signal);
}

/// Installs a handler that runs on the alternate stack.
pub fn handle(
    signal: libc::c_int,
    handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void),
) {
    // SAFETY: all-zero is a valid sigaction; the handlers are async-signal-safe (they say why).
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        // Or the report would begin in a handler, whose caller it can't tell, and follow whatever
        // libc keeps in rbp.
        libc::sigaddset(&mut action.sa_mask, libc::SIGQUIT);
        libc::sigaction(signal, &action, core::ptr::null_mut());
    }
}

/// What the signal interrupted.
pub fn interrupted(context: *mut libc::c_void) -> Interrupted {
    // SAFETY: the kernel passes a ucontext_t to a SA_SIGINFO handler.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    Interrupted {
        pc: registers[libc::REG_RIP as usize] as usize,
        sp: registers[libc::REG_RSP as usize] as usize,
        fp: registers[libc::REG_RBP as usize] as usize,
    }
}

/// Async-signal-safe: `on_tick` takes no lock and allocates nothing, and we do neither.
extern "C" fn on_signal(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(me) = cpu::this() else { return }; // not a CPU
    stop_if_frozen(me, context);
    // SAFETY: errno is this thread's; the interrupted code may be about to read it.
    let errno = unsafe { *libc::__errno_location() };
    let mut at = interrupted(context);
    let round = ROUND.load(Ordering::Acquire);
    if !round.is_multiple_of(2) && HELD_BY.load(Ordering::Relaxed) != me {
        stands_still(&at, || {
            // Release: all that this CPU did comes before what the holder does.
            STANDS[me].store(round, Ordering::Release); // partner: the load in `stand_still`
            while ROUND.load(Ordering::Acquire) == round {
                stop_if_frozen(me, context); // the signal that says it is blocked here
                give_way();
            }
        });
    }
    sampling::interrupted(&at);
    executive::on_tick(&mut at); // a copy, which is dropped
    sampling::goes_on(arm);
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Stops for good, if another CPU prints a crash report.
fn stop_if_frozen(me: usize, context: *mut libc::c_void) {
    let frozen_by = FROZEN_BY.load(Ordering::Acquire);
    if frozen_by != 0 && frozen_by != me + 1 {
        executive::crash::stopped(&interrupted(context));
        FROZEN.fetch_add(1, Ordering::Release); // partner: the load in `freeze_others`
        loop {
            // SAFETY: sleeps until a signal; the end of the process ends this too.
            unsafe { libc::pause() };
        }
    }
}

fn give_way() {
    // SAFETY: yields the processor; touches no memory.
    unsafe { libc::sched_yield() };
}

/// Asks for the scheduler's next tick.
pub fn tick_at(deadline: u64) {
    sampling::tick_at(deadline, arm);
}

/// Arms (or with [`NEVER`] disarms) this thread's timer.
///
/// Never inlined: see [`cpu::this`]. The caller is pinned or on g0, and so stays on its thread.
#[inline(never)]
pub fn arm(deadline: u64) {
    let timer = match TIMER.get() {
        Some(timer) => timer,
        None if deadline == NEVER => return,
        None => make_timer(),
    };
    // A time of zero disarms; a past deadline fires at once.
    let value = sleep::timespec(if deadline == NEVER { 0 } else { deadline.max(1) });
    let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let spec = libc::itimerspec { it_interval: zero, it_value: value };
    // SAFETY: the timer is this thread's and is never deleted; `spec` outlives the call.
    let r = unsafe {
        libc::syscall(
            libc::SYS_timer_settime,
            timer,
            libc::TIMER_ABSTIME,
            &raw const spec,
            core::ptr::null_mut::<libc::itimerspec>(),
        )
    };
    debug_assert!(r == 0);
}

#[cold]
fn make_timer() -> KernelTimer {
    // SAFETY: all-zero is a valid sigevent; both structs outlive the call.
    unsafe {
        let mut event: libc::sigevent = core::mem::zeroed();
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = SIGNAL;
        event.sigev_notify_thread_id = libc::gettid();
        let mut timer: KernelTimer = 0;
        let clock = libc::CLOCK_MONOTONIC;
        if libc::syscall(libc::SYS_timer_create, clock, &raw mut event, &raw mut timer) != 0 {
            executive::fatal::throw("hosted: timer_create failed");
        }
        TIMER.set(Some(timer));
        timer
    }
}

pub fn kick(cpu: usize) {
    send(cpu, SIGNAL);
}

/// Sends a CPU a signal, if it has come up.
pub fn send(cpu: usize, signal: libc::c_int) {
    // Acquire: a thread that has a tid has GS. Partner: the store in `cpu::become_cpu`.
    let tid = cpu::table(cpu).tid.load(Ordering::Acquire);
    if tid != 0 {
        // SAFETY: a signal to a thread of this process which handles it; CPU threads never end.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, signal) };
    }
}

/// Stops all other CPUs for good. Waits for them 20 ms: a CPU that has not stopped by then is in a
/// system call that no signal ends, or is gone.
pub fn freeze_others() {
    let me = cpu::this().map_or(usize::MAX, |cpu| cpu + 1);
    if FROZEN_BY.compare_exchange(0, me, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return; // done already, or another CPU does it, and its signal will stop us soon
    }
    let mut others = 0;
    for cpu in 0..cpu::count() {
        if cpu + 1 != me && cpu::table(cpu).tid.load(Ordering::Acquire) != 0 {
            others += 1;
            kick(cpu);
        }
    }
    let until = sleep::now() + 20_000_000;
    while FROZEN.load(Ordering::Acquire) < others && sleep::now() < until {
        give_way();
    }
}

/// Calls `f` while all other CPUs stand still, each in its signal's handler. `false`: they did not
/// within a second (one is in a system call that no signal ends, say), and `f` was not called. A
/// CPU that comes too late finds that round over.
///
/// Threads that are no CPU go on meanwhile. They run no goroutine.
pub fn stand_still(f: &mut dyn FnMut(Still)) -> bool {
    const PATIENCE_NS: u64 = 1_000_000_000;
    let _one = HOLDER.lock();
    let me = cpu::this_cpu(); // the lock pins
    let others =
        || (0..cpu::count()).filter(|&n| n != me && cpu::table(n).tid.load(Ordering::Acquire) != 0);
    HELD_BY.store(me, Ordering::Relaxed); // whoever sees the round sees this, or a later one's
    let round = ROUND.fetch_add(1, Ordering::AcqRel) + 1;
    others().for_each(kick);
    let until = sleep::now() + PATIENCE_NS;
    let all = others().all(|n| {
        // Acquire: partner of the store in `on_signal`.
        while STANDS[n].load(Ordering::Acquire) != round {
            if sleep::now() > until {
                return false;
            }
            give_way();
        }
        true
    });
    if all {
        // SAFETY: all others stand still, and this CPU executes `f`: it is pinned.
        f(unsafe { Still::new() });
    }
    // Release: what `f` did comes before what they do.
    ROUND.fetch_add(1, Ordering::AcqRel);
    all
}
