//! Work was made: put it where this P finds it first, and see that an idle CPU hears of it.

use crate::ground::chaos;
use crate::ground::machine;
use crate::ground::param::{MAX_CPUS, SLICE_NS};
use crate::nouns::g::{ANY_CPU, G, Status, curg, tell};
use crate::nouns::m::{Cpu, CpuState, M, m, m_of, p, p_of};
use crate::nouns::p::P;
use crate::nouns::sched::SCHED;
use crate::nouns::waitq::Parked;
use crate::tools::lock::LockGuard;
use crate::tools::percpu;
use crate::tools::trace::Event;
use core::sync::atomic::Ordering::Relaxed;

impl Parked {
    /// Makes it runnable: on this P, next. Never parks. Throws if it does not wait. Go: `goready`.
    /// By a goroutine or on g0; a handler calls [`outside::ready`](crate::wait::outside::ready).
    #[doc(alias = "goready")]
    #[inline(always)]
    pub fn ready(self) {
        percpu::pin();
        put_next(becomes_runnable(self.into_g()));
        percpu::unpin();
    }
}

/// Releases a lock, and readies the goroutine that was taken off its queue, under one pin.
#[inline(always)]
pub fn unlock_ready<T>(guard: LockGuard<'_, T>, parked: Option<Parked>) {
    guard.release_pinned();
    if let Some(parked) = parked {
        put_next(becomes_runnable(parked.into_g()));
    }
    percpu::unpin();
}

/// A waiting goroutine becomes runnable; the caller puts it where it is found. Throws otherwise.
#[inline(always)]
pub(crate) fn becomes_runnable(g: &'static G) -> &'static G {
    g.set_status(Status::Waiting, Status::Runnable, "ready: goroutine is not waiting");
    g.count(Event::Ready, g)
}

/// Puts a runnable g next on this P, and wakes an idle CPU if there is one. Pinned or on g0.
///
/// A part of every send and receive. Nothing lives over its rare calls, so it saves no registers.
#[inline(always)]
pub(crate) fn put_next(g: &'static G) {
    chaos::stall(); // runnable, and in no queue yet
    if g.locked_to.load(Relaxed) != ANY_CPU {
        return put_locked(g);
    }
    let runq = p().runq();
    if chaos::one_in(4) {
        put_in_ring_and_wake(g); // with a seed, now and then behind the others
    } else if runq.is_alone() {
        if let Some(old) = runq.swap_next_alone(g) {
            put_in_ring_and_wake(old);
        }
    } else if let Some(old) = runq.swap_next(g) {
        put_in_ring_and_wake(old);
    } else if let Some(cpu) = SCHED.idle.wakep_for_next(serves_a_device) {
        startm(cpu);
    }
    slice_begins(m());
}

/// What this goroutine hands on last, this CPU runs as soon as it waits for its device again. So Go
/// keeps the first of those that the poller readies for its own P (`injectglist`).
#[inline(always)]
fn serves_a_device() -> bool {
    curg().is_some_and(G::is_system)
}

#[inline(never)]
pub(crate) fn put_in_ring_and_wake(g: &'static G) {
    put_in_ring(p(), g);
    wakep();
}

/// Puts a runnable g last on this P. Wakes nobody: the caller took one off, or wakes. Pinned or g0.
#[cold]
#[inline(never)]
pub(crate) fn put_last(m: &M, g: &'static G) {
    match g.locked_to.load(Relaxed) {
        ANY_CPU if !SCHED.has_policy() => put_in_ring(&m.p, g),
        cpu if cpu as usize == percpu::cpu() => m.put_in_line(&m.p.runq(), g),
        _ => return put_locked(g),
    }
    slice_begins(m);
}

#[inline(always)]
fn put_in_ring(p: &P, g: &'static G) {
    if let Some(half) = p.runq().put(g) {
        SCHED.put_batch(half); // the ring was full
    }
}

/// A goroutine that is locked to a CPU goes where that one looks, which is told; or to its policy.
#[cold]
fn put_locked(g: &'static G) {
    let cpu = g.locked_to.load(Relaxed) as usize;
    if cpu >= MAX_CPUS {
        SCHED.put(g);
        slice_begins(m());
        wakep();
        return kick_hogs();
    }
    m_of(cpu).put_readied(g);
    if cpu == percpu::cpu() {
        slice_begins(m());
    } else {
        look(cpu);
    }
}

/// A CPU has something that it alone can do, and is told: if it sleeps it wakes; else it looks
/// before it sleeps, and comes to `schedule` soon. Whether it slept. Pinned or on g0.
pub(crate) fn look(cpu: usize) -> bool {
    let slept = SCHED.idle.wake_this(cpu);
    if slept {
        startm(cpu);
    } else if cpu != percpu::cpu() {
        machine::kick(cpu);
    }
    slept
}

/// The expected wake of a waiting goroutine from outside: it is this CPU's next, or next on the CPU
/// to which it is locked, and soon, even beside a goroutine that never yields. Takes no lock and
/// touches no queue of the P, which a handler may have interrupted (IRQ-CLEAN).
pub fn arrive(parked: Parked) {
    let g = parked.into_g();
    if percpu::is_foreign() {
        put_next(becomes_runnable(g));
        hand_over(m());
        return SCHED.expected.expect_no_more();
    }
    let (here, locked_to) = (percpu::cpu(), g.locked_to.load(Relaxed) as usize);
    let cpu = if locked_to >= MAX_CPUS { here } else { locked_to };
    tell(Event::Interrupt, Some(g), 0);
    p_of(cpu).arrivals.push(g);
    SCHED.expected.expect_no_more(); // after the push: it is there for `anything_to_come`
    // If this CPU slept, idle or switched off, it wakes as a searcher, and no other is woken.
    if !look(cpu) && cpu == here {
        wakep(); // for it may be in a section that lasts
        m().tick_by(machine::now());
    }
}

/// Whether anyone waits for this CPU, or for any: the one list of the places where runnable
/// goroutines are. While somebody does there is a slice. Also in handlers.
#[inline]
pub(crate) fn anyone_waits(m: &M) -> bool {
    m.p.runq().has_work() || m.has_inbox() || SCHED.has_global() || !m.p.arrivals.is_empty()
}

/// Wakes one idle CPU, unless somebody searches already. Also in interrupt handlers.
#[inline]
pub(crate) fn wakep() {
    chaos::stall(); // published, and nobody told yet
    if let Some(cpu) = SCHED.idle.wakep() {
        startm(cpu);
    }
}

/// Wakes a CPU that was claimed: it will count as searching.
#[cold]
pub(crate) fn startm(cpu: usize) {
    p().stats.wakes_sent.bump();
    chaos::stall(); // claimed, and not woken yet
    m_of(cpu).park.wakeup(&Cpu(cpu));
}

/// Others wait on this P now: a slice begins. At its end `on_tick` looks whether the running
/// goroutine should go on; while nobody waits there is no tick. After the put: a tick before it
/// sees nobody waiting, and ends the slice. Pinned or on g0.
#[inline]
pub(crate) fn slice_begins(m: &M) {
    if !m.in_slice() {
        slice_begins_slow();
    }
}

/// While no goroutine runs here no slice starts: `execute` starts one if others queue behind it.
#[cold]
#[inline(never)]
fn slice_begins_slow() {
    if curg().is_some() {
        new_slice();
    }
}

#[cold]
#[inline(never)]
pub(crate) fn new_slice() {
    let (m, now) = (m(), machine::now());
    m.p.coarse_now.set(now);
    m.slice_end.store(now + SLICE_NS, Relaxed);
    m.slice_tick.set(m.p.schedtick.get());
    m.tick_by(now + SLICE_NS);
}

/// The global queue has a goroutine for every CPU to share in. A CPU on which nobody else waits has
/// no slice running: its tick begins one.
pub(crate) fn kick_hogs() {
    let me = percpu::cpu();
    for cpu in 0..SCHED.cpus() {
        let other = m_of(cpu);
        if cpu != me && other.state() == CpuState::Running && !other.in_slice() {
            machine::kick(cpu);
        }
    }
}

/// Gives all that others can do to them; and wakes a searcher, if this CPU was one. By a CPU that
/// is switched off, or a foreign thread.
pub(super) fn hand_over(m: &M) {
    let p = &m.p;
    let any = SCHED.give_all(p);
    if p.timers.next() != machine::NEVER {
        p.timers.move_to(&p_of(0).timers, 0);
        look(0);
    }
    let searching = m.spinning.replace(false);
    if searching {
        m.set_state(CpuState::Running);
    }
    // On their way they were in no queue: a CPU that just rechecked everything now sleeps.
    if (any || searching)
        && let Some(cpu) = SCHED.idle.resign(searching)
    {
        startm(cpu);
    }
    if any {
        kick_hogs(); // those on whose CPUs nobody else waits
    }
}
