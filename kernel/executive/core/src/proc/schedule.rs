//! The loop that every m is in when it runs no goroutine: find one, run it.
//!
//! **Rule:** this runs on g0, holds no lock and no pin when it takes a g, and never returns: the
//! next round begins when a g comes back by `mcall`.
//!
//! Sources are asked in Go 1.26's order, which takes the global queue in batches.

use super::wake::{
    anyone_waits, becomes_runnable, hand_over, new_slice, put_in_ring_and_wake, put_next, wakep,
};
use crate::ground::machine::{self, NEVER};
use crate::ground::param::{
    GLOBAL_QUEUE_BATCH, GLOBAL_QUEUE_EVERY_TICKS, NAP_NS, RUNNEXT_PAUSE_NS, RUNQ_SIZE,
    TIMER_SLACK_NS,
};
use crate::nouns::g::{ANY_CPU, G, tell};
use crate::nouns::idle::{Stopping, Stops};
use crate::nouns::m::{Cpu, CpuState, M, m, m_of, p_of};
use crate::nouns::p::P;
use crate::nouns::runq::{List, Owner, Thief};
use crate::nouns::sched::SCHED;
use crate::nouns::steal::{Found, Thieving, steal_work};
use crate::tools::fatal::throw;
use crate::tools::trace::Event;
use crate::{ground::atomic, ground::chaos, switch, tools::percpu};
use core::sync::atomic::{Ordering, Ordering::Relaxed, compiler_fence};

/// One round: finds a runnable g and runs it. On g0. Throws if a lock is held.
#[inline(never)]
pub(crate) fn schedule(m: &'static M) -> ! {
    schedule_inline(m)
}

/// The same, where a goroutine parks or yields.
#[inline(always)]
pub(crate) fn schedule_inline(m: &'static M) -> ! {
    let p = &m.p;
    if is_calm() && nothing_special(m) {
        if let Some(g) = p.runq().get_next() {
            run(p, g, Turn::Inherited)
        }
        // A slice that is handed on does not count, so the 61st tick is looked for only here: a
        // pair that does nothing else ends with its slice.
        if !p.global_is_due()
            && let Some(g) = p.runq().get_from_ring()
        {
            run(p, g, Turn::Own)
        }
    }
    schedule_slow(m)
}

/// Readies `g`, and one round of `schedule`: at once, without a queue, if that takes `g`. On g0.
#[inline(always)]
pub(crate) fn ready_and_schedule(m: &'static M, g: &'static G) -> ! {
    let p = &m.p;
    let g = becomes_runnable(g);
    if is_calm()
        && nothing_special(m)
        && p.runq.thief().runnext().is_none()
        && g.locked_to.load(Relaxed) == ANY_CPU
    {
        run(p, g, Turn::Inherited)
    }
    put_next(g);
    schedule(m)
}

/// Whether nobody wants the goroutines of this CPU to yield. Throws if a lock or a pin is held.
#[inline(always)]
fn is_calm() -> bool {
    let calm = percpu::is_calm();
    if !calm && percpu::pins() != 0 {
        throw("schedule: holding locks");
    }
    calm
}

/// The common case, in which the next g comes from this P's own queue: no timer of which a tick
/// will not tell, nothing that an interrupt left, nothing locked to this CPU, which is on. (After
/// a goroutine it is not searching.)
#[inline(always)]
fn nothing_special(m: &M) -> bool {
    let (p, due) = (&m.p, m.p.timers.next());
    let told = due == NEVER || m.ticks_by(due.saturating_add(TIMER_SLACK_NS));
    told && p.arrivals.is_empty() && !m.is_special() && !chaos::one_in(4)
}

/// Everything that `schedule` knows.
#[cold]
#[inline(never)]
pub(crate) fn schedule_slow(m: &'static M) -> ! {
    let p = &m.p;
    percpu::set_curg(core::ptr::null());
    if p.give_free.load(Relaxed) {
        SCHED.give_free(p);
    }
    if p.low_memory.load(Relaxed) {
        p.low_memory.store(false, Relaxed);
        machine::refill(); // the page-fault handler asked for it (`on_low_memory`)
    }
    let next = if m.slice_over.replace(false) { next_in_turn(m) } else { None };
    let (g, turn) = next.map_or_else(|| find_runnable(m), |g| (g, Turn::Own));
    if m.spinning.get() {
        // Before it runs: there may be more work, from submitters that counted on us.
        reset_spinning(m);
    }
    execute(m, g, turn)
}

#[doc(alias = "resetspinning")]
fn reset_spinning(m: &M) {
    m.spinning.set(false);
    m.set_state(CpuState::Running);
    if SCHED.idle.found_work(&Here { m, nap_end: NEVER }) {
        wakep();
    }
}

/// On whose slice a goroutine runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// One of its own.
    Own,
    /// The rest of its predecessor's, which readied it.
    Inherited,
}

/// Runs a runnable g that the caller has taken off its queue.
pub(crate) fn execute(m: &M, g: &'static G, turn: Turn) -> ! {
    let p = &m.p;
    // A hog must not make sleepers late. Nor may sleepers that are due take all of `g`'s time.
    m.tick_by(p.timers.next().max(p.coarse_now.get()).saturating_add(TIMER_SLACK_NS));
    if turn == Turn::Own {
        turn_begins(p);
    }
    if !m.in_slice() && anyone_waits(m) {
        new_slice(); // nor may it keep those waiting who are behind it
    }
    run(p, g, Turn::Inherited)
}

/// A goroutine runs on a slice of its own.
#[inline(always)]
fn turn_begins(p: &P) {
    p.schedtick.set(p.schedtick.get().wrapping_add(1));
    percpu::calm();
}

/// The end of `execute`; all of it where there are no timers, and nobody came to wait here except
/// by `put_next` and `put_last`, which began a slice.
#[inline(always)]
fn run(p: &P, g: &'static G, turn: Turn) -> ! {
    if turn == Turn::Own {
        turn_begins(p);
    }
    p.stats.runs.bump();
    switch::run(g)
}

/// Finds a runnable g, and on whose slice it runs; sleeps until there is one.
#[doc(alias("findRunnable", "findrunnable"))]
fn find_runnable(m: &'static M) -> (&'static G, Turn) {
    let p = &m.p;
    loop {
        if m.is_off() {
            match off_duty(m) {
                Some(next) => return next,
                None => continue,
            }
        }
        // Goroutines whose time or interrupt has come go before those of the global queue, which
        // may run for a whole slice; but they do not do so again and again.
        let (due, arrived) = (p.timers.next() != NEVER && check_timers(p), arrived(p));
        let urgent = due || arrived.is_some();
        let patience = if urgent { GLOBAL_QUEUE_EVERY_TICKS as i32 } else { 0 };
        if (p.global_overdue() >= patience || !urgent && chaos::one_in(8))
            && let Some(g) = once_in_61(p)
        {
            arrived.into_iter().for_each(put_next);
            return (g, Turn::Own);
        }
        if let Some(g) = arrived.or_else(|| m.take_readied()).or_else(|| p.runq().get_next()) {
            return (g, Turn::Inherited);
        }
        if let Some(g) = first_in_line(m) {
            return (g, Turn::Own);
        }
        if let Some(g) = adopt(p, SCHED.get_batch(RUNQ_SIZE / 2)).or_else(|| search(m)) {
            return (g, Turn::Own);
        }
    }
}

/// One look on a CPU that is switched off: a goroutine that is locked to it, and on whose slice it
/// runs. `None`: the CPU has slept. On g0.
#[cold]
fn off_duty(m: &'static M) -> Option<(&'static G, Turn)> {
    arrived(&m.p).into_iter().for_each(put_next);
    hand_over(m);
    if m.has_inbox() {
        // The ring is empty, so the first in line need not wait for its turn.
        let readied = m.take_readied().map(|g| (g, Turn::Inherited));
        return readied.or_else(|| m.take_in_line(&m.p.runq()).map(|g| (g, Turn::Own)));
    }
    stop_m(m, Stops::Off);
    None
}

/// Once in a while the global queue comes first: else two goroutines that keep readying each other
/// would starve it. The clock is read, too.
///
/// Go takes one goroutine each time. We take a few, put the others at our ring's end, and leave the
/// lock alone for that many times: each waits as long as with Go.
#[cold]
fn once_in_61(p: &P) -> Option<&'static G> {
    p.coarse_now.set(machine::now());
    let batch = SCHED.get_batch(GLOBAL_QUEUE_BATCH.min(p.runq().room() + 1));
    // Counted from this look: else slices that are handed on would look again through a whole tick.
    p.global_at
        .set(p.schedtick.get().wrapping_add(GLOBAL_QUEUE_EVERY_TICKS * batch.len().max(1) as u32));
    adopt(p, batch)
}

/// The ring's first, or the goroutine locked to this CPU that stands before it.
#[inline]
fn first_in_line(m: &M) -> Option<&'static G> {
    let p = &m.p;
    m.take_in_line(&p.runq()).or_else(|| p.runq().get_from_ring())
}

/// A slice is over. All that would go before the line, whatever readied them, go to its end: with k
/// runnable goroutines none waits for more than k slices and the one that runs. That holds for
/// those whose interrupts have come, too: a goroutine alone in the line would run for ever, from
/// one slice's end to the next. This CPU's share of the global queue joins the line now already.
#[cold]
fn next_in_turn(m: &M) -> Option<&'static G> {
    let p = &m.p;
    percpu::calm();
    p.coarse_now.set(machine::now());
    let off = m.is_off();
    if !off {
        arrived(p).into_iter().for_each(put_next);
        if let Some(next) = p.runq().get_next() {
            put_in_ring_and_wake(next);
        }
        let mut batch = SCHED.get_batch(SCHED.global_share().min(p.runq().room()));
        if !batch.is_empty() {
            p.runq().put_batch(&mut batch);
            wakep(); // as in `adopt`
        }
    }
    m.line_up(&p.runq());
    m.slice_tick.set(p.schedtick.get().wrapping_add(1)); // the tick's slice is the next one's
    if off { None } else { first_in_line(m) } // None: `off_duty` goes on
}

/// A batch of the global queue: one to run, the others into our ring, which has room for them.
fn adopt(p: &P, mut batch: List<G>) -> Option<&'static G> {
    let g = batch.pop_front()?;
    let more = !batch.is_empty();
    p.runq().put_batch(&mut batch);
    if more && !m().spinning.get() {
        // On their way they were in no queue: a CPU that just rechecked everything now sleeps. (If
        // we search, we wake the next searcher anyhow.)
        wakep();
    }
    if !batch.is_empty() {
        throw("adopt: batch does not fit into the ring");
    }
    Some(g)
}

/// Nothing here: looks at the others, if not too many do so already; then sleeps, for a new look.
#[cold]
fn search(m: &'static M) -> Option<&'static G> {
    let mut why = Stops::OutOfWork;
    if m.spinning.get() || SCHED.idle.may_search(SCHED.procs.get()) {
        m.spinning.set(true);
        m.set_state(CpuState::Searching);
        match steal_work(&Here { m, nap_end: NEVER }) {
            Found::Stolen(g) => {
                m.p.stats.steals.bump();
                tell(Event::Steal, Some(g), 0);
                return Some(g);
            }
            Found::HandOvers => why = Stops::AfterHandOvers,
            Found::Nothing => {}
        }
    }
    stop_m(m, why);
    None
}

/// Runs this P's timers that are due; whether any were.
#[cold]
fn check_timers(p: &P) -> bool {
    let now = machine::now();
    p.coarse_now.set(now);
    let fired = if p.timers.next() <= now { p.timers.run(now) } else { 0 };
    if fired > 0 {
        tell(Event::Timers, None, fired as u64);
    }
    fired > 0
}

/// Takes what handlers have handed over to a P: gives the oldest, and readies the others here.
fn arrived(p: &P) -> Option<&'static G> {
    if p.arrivals.is_empty() {
        return None;
    }
    let mut list = p.arrivals.take_all();
    let oldest = list.pop_front().map(becomes_runnable);
    while let Some(g) = list.pop_front() {
        put_next(becomes_runnable(g));
    }
    oldest
}

/// Sleeps until there may be work; on a CPU that is switched off, until there may be something that
/// it alone can do. When it returns this CPU counts as searching. Go: the end of `findRunnable`.
#[doc(alias = "stopm")]
fn stop_m(m: &M, why: Stops) {
    m.park.clear();
    let nap_end = if why == Stops::AfterHandOvers { machine::now() + NAP_NS } else { NEVER };
    let searching = m.spinning.replace(true);
    SCHED.idle.stop(percpu::cpu(), searching, why, &Here { m, nap_end });
    m.set_state(CpuState::Searching);
    // Before the first look: a tick that comes after one must not be taken for the wait's end.
    compiler_fence(Ordering::SeqCst);
}

/// This CPU and what it can see, for `Idle` and for `steal_work`.
struct Here<'a> {
    m: &'a M,
    nap_end: u64,
}

impl Thieving<G> for Here<'_> {
    fn cpu(&self) -> usize {
        percpu::cpu()
    }

    fn mine(&self) -> Owner<'_, G> {
        self.m.p.runq()
    }

    fn busy(&self) -> impl Iterator<Item = usize> {
        let cpus = SCHED.cpus();
        SCHED.idle.busy(cpus, self.m.random() as usize % cpus)
    }

    fn queue(&self, victim: usize) -> Thief<'_, G> {
        p_of(victim).runq.thief()
    }

    fn ready_due(&self, victim: usize) -> bool {
        let p = p_of(victim);
        let fired = p.timers.next() != NEVER && p.timers.run(machine::now()) > 0;
        fired
            | (!p.arrivals.is_empty() && !self.talks(victim) && arrived(p).map(put_next).is_some())
    }

    /// If it has run one and the same goroutine over a pause, it goes on with that one. We do not
    /// look meanwhile: each look takes the cache line from the victim.
    fn talks(&self, victim: usize) -> bool {
        if m_of(victim).state() != CpuState::Running {
            return false;
        }
        let runs = &p_of(victim).stats.runs;
        let (before, patience) = (runs.get(), machine::now() + RUNNEXT_PAUSE_NS);
        while machine::now() < patience {
            atomic::relax();
        }
        runs.get() != before
    }
}

impl Stopping for Here<'_> {
    fn is_off(&self) -> bool {
        self.m.is_off()
    }

    fn has_own_work(&self) -> bool {
        chaos::stall(); // idle, and not rechecked yet
        !self.m.p.arrivals.is_empty() || self.m.has_inbox()
    }

    fn has_work(&self, runnexts: bool) -> bool {
        let has = |p: &P| {
            !p.arrivals.is_empty() || !p.runq.ring_is_empty() || runnexts && !p.runq.is_empty()
        };
        SCHED.has_global() || SCHED.idle.busy(SCHED.cpus(), 0).map(p_of).any(has)
    }

    fn will_sleep(&self, off: bool, nap: bool) {
        chaos::stall(); // rechecked, and not asleep yet
        if SCHED.idle.is_dead(SCHED.cpus(), || self.anything_to_come()) {
            throw(match SCHED.all().any(|g| g.id() != 0 && !g.has_ended() && !g.is_system()) {
                true => "all goroutines are asleep - deadlock!",
                false => "no goroutines (main called runtime.Goexit) - deadlock!",
            });
        }
        let asleep = if nap { CpuState::Napping } else { CpuState::Idle };
        self.m.set_state(if off { CpuState::Offline } else { asleep });
        self.m.p.stats.halts.bump();
    }

    fn sleep(&self, nap: bool) -> bool {
        let due = || self.m.p.timers.next().min(if nap { self.nap_end } else { NEVER });
        let woken = self.wait(due());
        let now = machine::now();
        self.m.p.coarse_now.set(now);
        woken || due() <= now
    }

    fn await_wakeup(&self) {
        while !self.wait(NEVER) {}
        self.m.p.stats.wakes_received.bump();
    }
}

impl Here<'_> {
    /// Waits; tells whether it was woken. The wait may have used the timer up, so all that was
    /// requested of it, a slice's end too, is requested anew.
    fn wait(&self, deadline: u64) -> bool {
        let idle_ns = &self.m.p.stats.idle_ns;
        tell(Event::Halt, None, 0);
        idle_ns.set(idle_ns.get().wrapping_sub(machine::now()));
        let woken = self.m.park.sleep(&Cpu(percpu::cpu()), deadline);
        idle_ns.set(idle_ns.get().wrapping_add(machine::now()));
        tell(Event::Wake, None, woken.into());
        self.m.tick_is_gone();
        self.m.slice_end.store(NEVER, Relaxed);
        woken
    }

    /// Whether anything can ever run again, all CPUs being idle.
    fn anything_to_come(&self) -> bool {
        let comes = |m: &M| m.p.timers.next() != NEVER || !m.p.arrivals.is_empty() || m.has_inbox();
        SCHED.expected.any() || (0..SCHED.cpus()).map(m_of).any(comes) || self.has_work(true)
    }
}
