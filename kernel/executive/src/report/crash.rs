//! Last words: what runs where, what every goroutine waits for, and where it stands.
//!
//! **Rule:** takes no lock and allocates nothing, and reads others' data knowing that it may be
//! torn. The first CPU to crash reports; the others stop. A debugger finds the same things in
//! `SCHED`'s list (kit.rs) of all g's and in each CPU's block.
#![allow(unsafe_code)] // Walks stacks by frame pointers.

use super::census::{self, Group, Named, Report};
use super::trace::{self, Event};
use crate::param::{
    FRAME_REACH, GUARD_REACH, MAX_CPUS, REPORT_COMPARES, REPORT_EVENTS, REPORT_EVENTS_NS,
    REPORT_FOLLOWS, REPORT_FRAMES, REPORT_GROUPS,
};
use core::cell::{Cell, UnsafeCell};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use executive_core::arch::{frame_pointer, keeps_frame_pointers};
use executive_core::g::{G, Status, getg};
use executive_core::kit::{self, Seen, curg, m_of, on_g0};
use executive_core::machine::{self, Interrupted, Stack};
use executive_core::percpu;
use executive_services::chan::{OwnedEnd, owned_ends_at_rest};
use executive_services::select::macro_support::{Arm, arms_at_rest};
use executive_services::{recover, sync::RawMutex};

/// The status of a run that ended in a crash, as in Go.
const STATUS: i32 = 2;

/// Writes to the machine's channel for last words.
pub struct Out;
impl Write for Out {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        machine::write(s.as_bytes());
        Ok(())
    }
}

/// What the core tells its recorder (trace.rs).
#[unsafe(no_mangle)]
fn _executive_event(event: Event, g: Option<&'static G>, number: u64) -> u64 {
    trace::event(event, g, number)
}

#[unsafe(no_mangle)]
fn _executive_runs(g: &'static G) -> &'static G {
    trace::runs(g)
}

/// A bug of ours. Called by [`executive_core::fatal::throw`].
#[unsafe(no_mangle)]
#[expect(improper_ctypes_definitions, reason = "it is called by Rust")]
extern "C" fn _executive_throw(words: &'static str) -> ! {
    let mut out = begin();
    let _ = writeln!(out, "fatal error: {words}");
    report(&mut out, None, false)
}

/// A bug of the caller's: a goroutine panicked. Called by the machine's panic handler.
pub fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    let (message, location) = (info.message(), info.location());
    match recover::begin(format_args!("{message}"), location) {
        Ok(panic) => panic.raise(),
        Err(why) => panicked_with(format_args!("{message}"), location, why),
    }
}

/// Reports a panic for which [`recover::begin`] has given `Err(why)`: for panics that come in
/// another form (`std`'s hook).
pub fn panicked_with(
    message: fmt::Arguments<'_>,
    location: Option<&core::panic::Location<'_>>,
    why: Option<&'static str>,
) -> ! {
    let mut out = begin();
    let first = MESSAGE.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    let _ = writeln!(out, "panic: {message}");
    if first {
        MESSAGE.store(2, Ordering::Relaxed);
    }
    if let Some(location) = location {
        let _ = writeln!(out, "\tat {location}");
    }
    if let Some(why) = why {
        let _ = writeln!(out, "\tcannot be recovered: {why}");
    }
    report(&mut out, None, true)
}

/// A CPU exception that nothing handles. Called by the machine.
pub fn fault(what: fmt::Arguments<'_>, at: &Interrupted) -> ! {
    let mut out = begin();
    let _ = writeln!(out, "{what}");
    report(&mut out, Some((at, false)), false)
}

/// A page fault that nothing handles. If `address` lies just below the current goroutine's stack,
/// that has overflowed.
pub fn page_fault(address: usize, what: fmt::Arguments<'_>, at: &Interrupted) -> ! {
    let mut out = begin();
    if let Some(seen) = curg().and_then(G::seen)
        && let stack = seen.stack
        && (stack.lo.saturating_sub(GUARD_REACH)..stack.lo).contains(&address)
    {
        let _ = writeln!(
            out,
            "fatal error: stack overflow in goroutine {}, {} bytes",
            Named(seen),
            stack.size()
        );
    }
    let _ = writeln!(out, "{what}");
    report(&mut out, Some((at, at.pc == address)), false)
}

/// Where CPUs stand that were stopped for a report, or that stand still for a moment: pc (0: the
/// CPU goes on), stack pointer and frame pointer. Written before the machine counts a CPU as
/// stopped, and read after all are counted. Of a CPU that was too late for a report only a part is
/// told, or nothing.
static STOPPED: [[AtomicUsize; 3]; MAX_CPUS] =
    [const { [const { AtomicUsize::new(0) }; 3] }; MAX_CPUS];

/// Notes that this CPU stops for ever, at `at`, for another CPU's report. Called by the machine's
/// handler of whatever [`machine::freeze_others`] sends, before it says that the CPU has stopped.
pub fn stopped(at: &Interrupted) {
    let [pc, sp, fp] = &STOPPED[percpu::cpu()];
    sp.store(at.sp, Ordering::Relaxed);
    fp.store(at.fp, Ordering::Relaxed);
    pc.store(at.pc, Ordering::Relaxed);
}

/// Notes that this CPU stands still at `at` while `until` lasts, which tells the holder so
/// (Release: it publishes the note), and ends when the holder does. By the machine's handler.
pub fn stands_still(at: &Interrupted, until: impl FnOnce()) {
    stopped(at);
    until();
    STOPPED[percpu::cpu()][0].store(0, Ordering::Relaxed);
}

/// Where the CPU stands, if it does.
fn stopped_at(cpu: usize) -> Option<Interrupted> {
    let [pc, sp, fp] = STOPPED[cpu].each_ref().map(|word| word.load(Ordering::Relaxed));
    (pc != 0).then_some(Interrupted { pc, sp, fp })
}

/// The number of the CPU that crashed first and reports, plus 1; 0: none.
static REPORTER: AtomicU32 = AtomicU32::new(0);

/// 1: the reporter formats a panic's message, which is the caller's code and may panic itself. 2:
/// it has panicked.
static MESSAGE: AtomicU32 = AtomicU32::new(0);

/// The CPU that reports, if one does.
pub fn reporter() -> Option<usize> {
    REPORTER.load(Ordering::Acquire).checked_sub(1).map(|cpu| cpu as usize)
}

/// Returns on the first CPU to crash; later ones wait for the end.
fn begin() -> Out {
    super::debugger::keep();
    kit::pin_for_good();
    let me = percpu::cpu() as u32 + 1;
    if let Err(first) = REPORTER.compare_exchange(0, me, Ordering::AcqRel, Ordering::Relaxed) {
        if first == me
            && MESSAGE.compare_exchange(1, 2, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            machine::write(b"(this message panicked while it was formatted)\n");
            return Out;
        }
        if first == me {
            // The report itself crashed: there is no second one.
            machine::write(b"\n(crashed again while reporting)\n");
            machine::exit(STATUS);
        }
        loop {
            core::hint::spin_loop();
        }
    }
    machine::freeze_others();
    Out
}

/// `at`: where the CPU was interrupted, and whether it had jumped to where no code can be.
/// `panicked`: the frames begin where the code stands that panicked.
fn report(out: &mut Out, at: Option<(&Interrupted, bool)>, panicked: bool) -> ! {
    let here = if on_g0() { None } else { Some(getg()) };
    match here.or(curg()).and_then(G::seen) {
        Some(seen) => {
            let _ =
                write!(out, "\ngoroutine {} [running on CPU {}]:\n", Named(seen), percpu::cpu());
        }
        None if kit::is_foreign() => {
            let _ = write!(out, "\na thread that is no CPU:\n");
        }
        None => {
            let _ = write!(out, "\ng0 [of CPU {}]:\n", percpu::cpu());
        }
    }
    let mut frames = Frames::of(out);
    frames.in_machinery = panicked;
    let fp = match at {
        Some((at, jumped)) => {
            frames.tell(at.pc);
            if jumped
                && let Some(stack) = here.map(|g| g.stack())
                && stack.contains(at.sp)
                && stack.contains(at.sp + 7)
            {
                // It has not made its frame yet, so the return address is on top of the stack.
                // SAFETY: within the stack that is in use.
                frames.tell(unsafe { (at.sp as *const usize).read_volatile() }.wrapping_sub(1));
            }
            at.fp
        }
        None => frame_pointer(),
    };
    if !keeps_frame_pointers() {
        let _ = writeln!(frames.out, "\tbuilt without frame pointers: no backtrace");
    }
    let left_by_mcall = match (at, here) {
        // The code that was interrupted may keep no frame pointer: nothing outside of its stack is
        // read.
        (Some((at, _)), Some(g)) if g.stack().contains(at.sp) => {
            walk_on(g.stack(), at.sp, fp, |pc| frames.tell(pc));
            false
        }
        _ => backtrace(&mut frames, fp) && on_g0(),
    };
    if left_by_mcall && let Some(g) = curg() {
        saved_frames(g, |pc| frames.tell(pc)); // what g0 does, it does for this one
    }
    drop(frames);
    let _ = writeln!(out, "\nCPUs:");
    for cpu in 0..kit::SCHED.cpus() {
        let _ = write!(out, "  CPU {cpu}: {:?}", m_of(cpu).state());
        let curg = m_of(cpu).curg();
        // The goroutine that has just left the CPU is still noted there.
        if let Some(seen) = curg.filter(|g| g.status() == Status::Running).and_then(G::seen) {
            let _ = write!(out, ", goroutine {}", Named(seen));
        }
        let _ = writeln!(out);
        stopped_backtrace(out, cpu, curg);
    }
    goroutines(out);
    last_events(out);
    machine::exit(STATUS)
}

/// Not on the stack: a goroutine that panics may have little of it left.
struct Groups(UnsafeCell<[Option<Group>; REPORT_GROUPS]>);
// SAFETY: only the reporter uses it (`goroutines`).
unsafe impl Sync for Groups {}
static GROUPS: Groups = Groups(UnsafeCell::new([None; REPORT_GROUPS]));

/// Tells of every goroutine, those that are alike in one line, the longest waiting first. Called by
/// the CPU that reports, once.
fn goroutines(out: &mut Out) {
    let _ = writeln!(out, "\ngoroutines:");
    // SAFETY: one CPU reports, and it comes here once (`begin`).
    let groups = unsafe { &mut *GROUPS.0.get() };
    let compared = kit::SCHED.sizes().0 <= REPORT_COMPARES;
    let left_out = census::group(groups, |g| if compared { stack_hash(g) } else { 0 });
    let now = machine::now();
    for group in groups.iter().flatten() {
        let _ = writeln!(out, "  {}", Report { group, now, owner: last_owner });
        if is_off_its_cpu(group.first) {
            let mut frames = Frames::of(out);
            saved_frames(group.first, |pc| frames.tell(pc));
        }
    }
    if left_out != 0 {
        let _ = writeln!(out, "  ... and {left_out} more");
    }
}

/// Tells what each CPU's recorder has of the last seconds, the latest first.
fn last_events(out: &mut Out) {
    let _ = writeln!(out, "\nlast events, the latest first:");
    let now = machine::now();
    for cpu in 0..kit::SCHED.cpus() {
        let _ = writeln!(out, "  CPU {cpu}:");
        for event in trace::latest(cpu).take(REPORT_EVENTS) {
            let us = now.saturating_sub(event.when) / 1000;
            if us * 1000 > REPORT_EVENTS_NS {
                break;
            }
            let _ = writeln!(out, "\t{}.{:03} ms ago: {event}", us / 1000, us % 1000);
        }
    }
}

/// While it exists no CPU executes code of the executive, but for the one that has it.
pub struct Still(());

impl Still {
    /// # Safety
    /// What it says is so.
    pub unsafe fn new() -> Self {
        Still(())
    }
}

/// An address on the stack of the owner of the mutex for which this goroutine waits; 0: it has
/// none.
pub(super) fn owner(g: &G, _: &Still) -> usize {
    // SAFETY: its reason says that it waits for a mutex, which only a `RawMutex` may give
    // (`Parking::for_a_lock`). It goes on waiting: no goroutine runs.
    unsafe { (*RawMutex::of_waiter(g.waits_for())).owner() }
}

/// The same for a report, when no goroutine runs any more (`freeze_others`).
fn last_owner(g: &G) -> (usize, &'static str) {
    (owner(g, &Still(())), "")
}

/// The ends of channels that goroutines own, for whoever has seen that no other goroutine runs.
pub(super) fn owned_ends(_: &Still, tell: impl FnMut(OwnedEnd)) {
    // SAFETY: all CPUs stand still; and whoever had the lock of the notes would run.
    unsafe { owned_ends_at_rest(tell) }
}

/// The arms of the select in which it waits.
pub(super) fn arms(_: &Still, g: &G, tell: impl FnMut(Arm)) {
    // SAFETY: all CPUs stand still; it waits for this reason, says the caller.
    unsafe { arms_at_rest(g.behind(), tell) }
}

/// The address of the g that waits for the end of this one. Else some number that is none.
pub(super) fn joined_by(g: &G) -> usize {
    const JOINER: usize = {
        let (names, offsets) = G::FIELDS;
        let mut n = 0;
        while !matches!(names[n].as_bytes(), b"joiner") {
            n += 1;
        }
        offsets[n]
    };
    const { assert!(JOINER.is_multiple_of(8) && JOINER + 8 <= size_of::<G>()) };
    // SAFETY: the joiner is one atomic word.
    unsafe { &*core::ptr::from_ref(g).byte_add(JOINER).cast::<AtomicUsize>() }
        .load(Ordering::Relaxed)
}

/// A hash of the stack, to tell stacks that differ.
fn stack_hash(g: &G) -> u64 {
    let mut hash = 0;
    if is_off_its_cpu(g) {
        saved_frames(g, |pc| {
            hash = census::mix(hash, pc as u64);
            true
        });
    }
    hash
}

fn is_off_its_cpu(g: &G) -> bool {
    matches!(g.status(), Status::Waiting | Status::Runnable)
}

/// Prints the frames of the current stack. If that is g0's and `systemstack` switched to it, goes
/// on to the goroutine's. `true`: the walk has reached the outermost frame, on the stack on which
/// it began.
fn backtrace(frames: &mut Frames<'_>, fp: usize) -> bool {
    let stack = curg().map(|g| g.stack());
    let jumped = Cell::new(false);
    let may_jump = |to| {
        jumped.set(stack.is_some_and(|stack| stack.contains(to)));
        jumped.get()
    };
    // The caller of a foreign thread's first function is not our code, and its rbp may be anything.
    let ours = Cell::new(true);
    let tell = |pc| {
        let new = frames.tell(pc);
        ours.set(frames.named || !kit::is_foreign());
        new
    };
    walk(fp, |_| ours.get(), may_jump, tell) && !jumped.get()
}

/// What every goroutine returns to at last: a frame that tells nothing.
fn goexit() -> usize {
    kit::goexit as *const () as usize
}

/// Whether this frame, behind the innermost of a saved goroutine, is that of its preemption.
fn was_preempted(pc: usize) -> bool {
    kit::in_switch(pc) && pc != goexit()
}

/// The calls of a goroutine, innermost first: the first [`REPORT_FRAMES`].
pub(super) struct Calls {
    frames: [usize; Self::MOST],
    n: usize,
}

impl Calls {
    /// A goroutine that was preempted has two that do not count.
    pub const MOST: usize = REPORT_FRAMES + 2;

    /// Of what `walk` tells. How a goroutine was preempted is left out: where it was comes behind.
    pub fn of(walk: impl FnOnce(&mut dyn FnMut(usize) -> bool)) -> Self {
        let mut calls = Calls { frames: [0; _], n: 0 };
        walk(&mut |pc| calls.take(pc));
        calls
    }

    fn take(&mut self, pc: usize) -> bool {
        if self.n > 0 && was_preempted(pc) {
            self.n = 0; // (a newborn is nowhere else)
            return true;
        }
        let fits = self.n < self.frames.len() && pc != goexit();
        if fits {
            self.frames[self.n] = pc;
            self.n += 1;
        }
        fits
    }

    pub fn frames(&self) -> &[usize] {
        &self.frames[..self.n]
    }
}

/// Walks the frames of a goroutine that `mcall` has saved. Nothing outside of its stack is read.
pub(super) fn saved_frames(g: &G, mut tell: impl FnMut(usize) -> bool) {
    let Some(stack) = g.seen().map(|seen| seen.stack) else { return };
    let sp = g.saved_sp();
    if !has_frame(stack, sp) {
        return;
    }
    // SAFETY: within its stack. If it runs meanwhile, nonsense is printed.
    let (pc, fp) = unsafe { kit::left_at(sp) };
    // A return address: the call is before it. A newborn was called from nowhere.
    tell(if kit::in_switch(pc) { pc } else { pc - 1 });
    walk_calls(g, stack, sp, fp, tell);
}

/// Tells the calls of a goroutine that does not go on.
fn walk_calls(g: &G, stack: Stack, sp: usize, fp: usize, mut tell: impl FnMut(usize) -> bool) {
    walk_on(stack, sp, fp, |pc| {
        let counts = tell(pc);
        // It was preempted: of the code that was interrupted no call tells.
        if was_preempted(pc) {
            tell(g.preempt_pc.get());
        }
        counts
    });
}

/// Tells where a goroutine was that another CPU ran when that was made to stand still, and the
/// calls that led there. Nothing, if the CPU was not on the goroutine's stack: then it was on g0,
/// between goroutines or for this one.
pub(super) fn running_frames(g: &G, _: &Still, mut tell: impl FnMut(usize) -> bool) {
    let Some(Seen { stack, .. }) = g.seen() else { return };
    let runs_it = |&cpu: &usize| m_of(cpu).curg().is_some_and(|curg| core::ptr::eq(curg, g));
    for cpu in (0..kit::SCHED.cpus()).filter(runs_it) {
        // A CPU that it has left may still have it noted, and is on another stack.
        if let Some(at) = stopped_at(cpu)
            && stack.contains(at.sp)
        {
            tell(at.pc);
            return walk_calls(g, stack, at.sp, at.fp, tell);
        }
    }
}

/// Prints the frames of a stopped CPU: those on its goroutine's stack, or the first only.
fn stopped_backtrace(out: &mut Out, cpu: usize, g: Option<&G>) {
    let Some(at) = stopped_at(cpu) else { return };
    let mut frames = Frames::of(out);
    frames.tell(at.pc);
    if let Some(seen) = g.and_then(|g| g.seen()) {
        walk_on(seen.stack, at.sp, at.fp, |pc| frames.tell(pc));
    }
}

/// Tells where a goroutine that was interrupted on this CPU stands, and the frames on its stack, if
/// it was there, as far as `is_there` says that memory is. In the handler.
pub(super) fn frames_at(
    at: &Interrupted,
    is_there: fn(usize) -> bool,
    mut tell: impl FnMut(usize) -> bool,
) {
    tell(at.pc);
    if let Some(Seen { stack, .. }) = curg().and_then(G::seen)
        && stack.contains(at.sp)
    {
        let on_it = |fp| fp >= at.sp && has_frame(stack, fp);
        walk(at.fp, |fp| on_it(fp) && is_there(fp) && is_there(fp + 15), |_| false, tell);
    }
}

/// Tells the calls that led to the caller, on the goroutine's own stack or on this CPU's g0.
pub(super) fn own_frames(tell: impl FnMut(usize) -> bool) {
    let fp = frame_pointer();
    if !on_g0() {
        walk_on(getg().stack(), fp, fp, tell);
    } else if !kit::is_foreign() {
        walk(fp, |_| true, |_| false, tell);
    }
}

/// Tells the calls that led here on the goroutine's own stack: on g0, those that led to the
/// `systemstack` by which it is there. Not in a handler that has interrupted g0.
pub(super) fn goroutine_frames(mut tell: impl FnMut(usize) -> bool) {
    if !on_g0() {
        return own_frames(tell);
    }
    let Some(stack) = curg().map(G::stack) else { return };
    let on_it = Cell::new(false);
    let readable = |at| {
        on_it.set(has_frame(stack, at));
        true
    };
    walk(frame_pointer(), readable, |to| stack.contains(to), |pc| on_it.get() && tell(pc));
}

/// Follows frame pointers on this stack, but not below its stack pointer, where there may be no
/// memory: code that was built without frame pointers may have anything in rbp.
fn walk_on(stack: Stack, sp: usize, fp: usize, tell: impl FnMut(usize) -> bool) {
    walk(fp, |at| at >= sp && has_frame(stack, at), |_| false, tell);
}

/// Whether two words at `at` are on the stack.
fn has_frame(stack: Stack, at: usize) -> bool {
    stack.contains(at) && stack.contains(at + 15)
}

/// Follows frame pointers as far as they are readable. They lead up a stack, or to where `may_jump`
/// allows. `tell` returns whether a frame counts, of those that are listed. `true`: the walk has
/// reached the outermost frame.
fn walk(
    mut fp: usize,
    readable: impl Fn(usize) -> bool,
    may_jump: impl Fn(usize) -> bool,
    mut tell: impl FnMut(usize) -> bool,
) -> bool {
    if !keeps_frame_pointers() {
        return false; // rbp may be anything
    }
    let mut listed = 0;
    for _ in 0..REPORT_FOLLOWS {
        if fp == 0 {
            return true;
        }
        if !fp.is_multiple_of(8) || !readable(fp) {
            return false;
        }
        // SAFETY: a frame made with frame pointers (we and our std are built so), or one that
        // `readable` allows.
        let (next, pc) = unsafe {
            ((fp as *const usize).read_volatile(), (fp as *const usize).add(1).read_volatile())
        };
        if pc == 0 {
            return true;
        }
        listed += usize::from(tell(pc - 1)); // a return address: the call is before it
        if listed == REPORT_FRAMES {
            return false;
        }
        if next != 0 && !(fp + 1..fp + FRAME_REACH).contains(&next) && !may_jump(next) {
            return false; // stacks grow down
        }
        fp = next;
    }
    false
}

/// A list of frames. Equal ones that follow each other, as a recursion leaves them, are printed
/// once, with their number: a screen has few lines. Go prints "...N frames elided...".
struct Frames<'a> {
    out: &'a mut Out,
    /// The frame that was printed last, whether it has a name, and how often it came again.
    last: Option<usize>,
    named: bool,
    again: usize,
    /// So far all were a panic's machinery, and were left out.
    in_machinery: bool,
}

impl<'a> Frames<'a> {
    fn of(out: &'a mut Out) -> Self {
        Frames { out, last: None, named: false, again: 0, in_machinery: false }
    }

    /// Prints where `pc` is. `false`: it is where the last one is, and is only counted; or it is
    /// left out.
    fn tell(&mut self, pc: usize) -> bool {
        self.in_machinery = self.in_machinery && is_machinery(pc);
        if self.in_machinery {
            return false;
        }
        if self.last == Some(pc) {
            self.again += 1;
            return false;
        }
        self.tell_again();
        let _ = write!(self.out, "\t{pc:#x} ");
        self.named = machine::symbol(pc, self.out);
        let _ = writeln!(self.out, "{}", if self.named { "" } else { "?" });
        self.last = Some(pc);
        true
    }

    fn tell_again(&mut self) {
        if self.again > 0 {
            let _ = writeln!(self.out, "\t... {} more of this frame", self.again);
            self.again = 0;
        }
    }
}

impl Drop for Frames<'_> {
    fn drop(&mut self) {
        self.tell_again();
    }
}

/// What runs between a panic and its report: ours, the panic handler, and Rust's library.
const MACHINERY: &[&str] = &[
    "executive::report::",
    "executive_services::recover::",
    "kernel::report::",
    "hosted::crash::",
    "__rustc::",
    "core::",
    "alloc::",
    "std::",
];

/// Whether a function that belongs to a panic's machinery is at `pc`.
fn is_machinery(pc: usize) -> bool {
    let mut name = Beginning { bytes: [0; 32], len: 0 };
    machine::symbol(pc, &mut name)
        && MACHINERY.iter().any(|machinery| {
            let name = &name.bytes[..name.len];
            name.strip_prefix(b"<").unwrap_or(name).starts_with(machinery.as_bytes())
        })
}

/// The first bytes of what is written to it.
struct Beginning {
    bytes: [u8; 32],
    len: usize,
}
impl Write for Beginning {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..];
        let len = room.len().min(s.len());
        room[..len].copy_from_slice(&s.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}
