//! How a goroutine is born and how it ends.
//!
//! The closure of `go(f)` is moved onto the new goroutine's stack, and its result is left in the
//! same place: no heap allocation between `go` and `join`. So a [`JoinHandle`](crate::JoinHandle)
//! is a g, and a goroutine that has ended keeps g and stack until its result is taken.
//!
//! **Rule:** `joiner` decides who frees it: `goexit0`, on g0, if the handle is gone; or the handle.
#![allow(unsafe_code)] // First frames, closures and results by pointer, raw states in a pointer.

use super::park::may_park;
use super::schedule::{Turn, execute, ready_and_schedule, schedule_inline};
use super::wake::{put_last, put_next};
use crate::ground::machine::{self, Stack};
use crate::ground::param::{GOID_BATCH, STACK_BYTES, STACK_COLORS};
use crate::nouns::g::{ANY_CPU, G, Status, getg};
use crate::nouns::joiner::Ended;
use crate::nouns::m::{M, m, p};
use crate::nouns::p::P;
use crate::nouns::runq::List;
use crate::nouns::sched::SCHED;
use crate::switch::OnG0;
use crate::tools::fatal::throw;
use crate::tools::trace::Event;
use crate::{switch, tools::percpu};
use core::alloc::Layout;
use core::mem::{ManuallyDrop, MaybeUninit, needs_drop};
use core::panic::Location;
use core::ptr::null_mut;
use core::sync::atomic::Ordering::Relaxed;

/// A goroutine to be started with a name or an unusual stack, or for the system.
///
/// ```
/// # hosted::run(|| {
/// use executive::Builder;
/// let deep = Builder::new().name("deep").stack_bytes(1 << 20);
/// let h = deep.spawn(|| executive::current().to_string());
/// assert!(h.unwrap().join().ends_with("(deep)"));
/// # });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Builder {
    pub(crate) name: Option<&'static str>,
    pub(crate) stack_bytes: usize,
    pub(crate) system: bool,
    pub(crate) at: &'static Location<'static>,
    pub(crate) detached: bool,
}

/// Why a goroutine could not be started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SpawnError {
    /// The machine has no memory or no addresses for a stack.
    OutOfMemory,
    /// Closure or result does not fit into half of the stack.
    StackTooSmall,
    /// The caller is a thread that is no CPU; let a goroutine do it.
    NotOnAGoroutine,
}

impl core::fmt::Display for SpawnError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            SpawnError::OutOfMemory => "out of memory for a goroutine's stack",
            SpawnError::StackTooSmall => "closure or result too large for the goroutine's stack",
            SpawnError::NotOnAGoroutine => "not on a goroutine",
        })
    }
}
impl core::error::Error for SpawnError {}

/// Closure before, result after, in one place at the top of the stack: both begin where it does.
#[repr(C)]
union Body<F, T> {
    _f: ManuallyDrop<F>,
    _result: ManuallyDrop<T>,
}

/// Starts a goroutine that runs `f`: next on this P. (By reference: it may be large.)
///
/// # Safety
/// If there is no error `f` is moved from.
pub(crate) unsafe fn newproc<F, T>(
    start: Builder,
    f: &ManuallyDrop<F>,
) -> Result<&'static G, SpawnError>
where
    F: FnOnce() -> T,
{
    percpu::point();
    if size_of::<Body<F, T>>() + align_of::<Body<F, T>>() > start.stack_bytes / 2 {
        return Err(SpawnError::StackTooSmall);
    }
    let started = switch::systemstack(|| {
        let g = newproc1(&start, Layout::new::<Body<F, T>>(), run::<F, T> as *const ())?;
        // SAFETY: STACK-OWNER: g is ours until it is queued; `newproc1` left room for a `Body`
        // there. The closure is moved: the caller forgets it.
        unsafe { core::ptr::copy_nonoverlapping(&raw const **f, g.body.get().cast::<F>(), 1) };
        if needs_drop::<T>() {
            g.drop_result.set(drop_result::<T> as *mut ());
        }
        if SCHED.born_next.load(Relaxed) {
            put_next(g);
        } else {
            put_last(m(), g); // main itself, which CPU 0 finds at once: no wakep; or by a policy
        }
        Some(g)
    });
    started.ok_or_else(no_g)
}

/// A runnable g that begins with `run(body)`, a body of that layout; in no queue yet. On g0.
fn newproc1(start: &Builder, body: Layout, run: *const ()) -> Option<&'static G> {
    let p = p();
    let own = p.gfree.get_own();
    match own.filter(|g| start.stack_bytes == STACK_BYTES && g.stack_top() != 0) {
        Some(g) => Some(begin(p, g, start, body, run)),
        None => newproc1_slow(own, start, body, run),
    }
}

/// The same if this P's `own` last g does not do. (So the usual case saves no registers.)
#[cold]
#[inline(never)]
fn newproc1_slow(
    own: Option<&'static G>,
    start: &Builder,
    body: Layout,
    run: *const (),
) -> Option<&'static G> {
    Some(begin(p(), gfget(p(), own, start.stack_bytes)?, start, body, run))
}

/// The g, which fits, made ready for its new life.
#[inline(always)]
fn begin(p: &P, g: &'static G, start: &Builder, body: Layout, run: *const ()) -> &'static G {
    let body = (g.stack_top() - g.color.get() as usize - body.size()) & !(body.align().max(16) - 1);
    g.body.set(body as *mut ());
    // SAFETY: STACK-OWNER: a Dead g from the free list is ours; its first page is committed.
    g.sched_sp.store(unsafe { switch::newborn(body, run, body as *mut ()) }, Relaxed);
    g.joiner.begin(start.detached);
    g.drop_result.set(null_mut());
    g.set_status(Status::Dead, Status::Runnable, "newproc1: new g is not Dead");
    g.is_born(next_goid(p), start.name, start.system, start.at);
    p.stats.born.bump();
    g.count(Event::Go, g)
}

/// Why `gfget` has none.
#[cold]
fn no_g() -> SpawnError {
    if percpu::is_foreign() { SpawnError::NotOnAGoroutine } else { SpawnError::OutOfMemory }
}

/// What a goroutine runs: the closure, whose place its result takes.
unsafe extern "C-unwind" fn run<F: FnOnce() -> T, T>(body: *mut ()) {
    // SAFETY: `newproc` put the closure there; it is taken once.
    let result = unsafe { body.cast::<F>().read() }();
    // SAFETY: the place is this goroutine's, and free now.
    unsafe { body.cast::<T>().write(result) };
    let g = getg();
    // If it is detached after this look, `goexit0` sees to it.
    if needs_drop::<T>() && g.joiner.is_detached() {
        g.drop_result.set(null_mut());
        // SAFETY: nobody else will look at it.
        unsafe { drop_result::<T>(body) };
    }
}

unsafe extern "C-unwind" fn drop_result<T>(body: *mut ()) {
    // SAFETY: the caller says that a result is there and that it is the last to use it.
    unsafe { body.cast::<T>().drop_in_place() }
}

/// The last thing a goroutine does: its function has returned to `goexit`, which calls this.
pub(crate) extern "C" fn goexit1() -> ! {
    may_park().leave(Exit);
    throw("goexit1: a dead goroutine goes on")
}

/// The machine's `raise` has unwound a goroutine's stack to its end, which it found at `pc` (in
/// `goexit`): the goroutine ends here, and leaves no result.
pub fn unwound(pc: usize) -> ! {
    if !switch::contains(pc) {
        throw("goexit: a frame on the stack cannot be unwound");
    }
    let g = getg();
    g.catching.store(0, Relaxed);
    g.body.set(null_mut()); // so a handle finds no result
    g.drop_result.set(null_mut());
    goexit1()
}

/// The goroutine is off its stack: it becomes Dead, its joiner is readied, and it goes to the free
/// list unless a handle wants its result. On g0.
#[doc(alias = "goexit0")]
struct Exit;

impl OnG0 for Exit {
    #[inline(always)]
    fn run(self, g: &'static G) -> ! {
        let m = m();
        let m = g.count(Event::End, m);
        g.locked_to.store(ANY_CPU, Relaxed);
        let drop_result = g.drop_result.get(); // read now: from `end` on a handle may free g
        g.set_status(Status::Running, Status::Dead, "goexit0: goroutine is not running");
        m.p.stats.died.bump();
        match g.joiner.end() {
            Ended::Detached => {
                if !drop_result.is_null() {
                    resurrect(m, g, drop_result);
                }
                gfput(&m.p, g);
            }
            Ended::Awaited(joiner) => ready_and_schedule(m, joiner),
            Ended::NotYetAwaited => {}
        }
        schedule_inline(m)
    }
}

/// The handle was dropped as the goroutine ended, so nobody else will drop its result. Dropping may
/// park: so this goroutine lives once more, and runs `drop_result` on its stack, below the result.
#[cold]
fn resurrect(m: &M, g: &'static G, drop_result: *const ()) -> ! {
    let body = g.body.get();
    m.p.stats.born.bump();
    g.drop_result.set(null_mut());
    g.joiner.begin(true);
    // SAFETY: STACK-OWNER: g is Dead, detached and in no list: ours.
    g.sched_sp.store(unsafe { switch::newborn(body as usize, drop_result, body) }, Relaxed);
    g.set_status(Status::Dead, Status::Runnable, "resurrect: goroutine is not Dead");
    execute(m, g, Turn::Own)
}

/// The result was taken: the g of an ended goroutine is free for the next.
pub(crate) fn reap(g: &'static G) {
    percpu::pin();
    gfput(p(), g);
    percpu::unpin();
}

/// A free g with a stack of this size, or a new one: `own` was this P's last.
fn gfget(p: &P, own: Option<&'static G>, stack_bytes: usize) -> Option<&'static G> {
    if percpu::is_foreign() {
        return None; // here, because its own list is always empty
    }
    let usual = stack_bytes == STACK_BYTES;
    let g = own.or_else(|| p.gfree.get(&SCHED.gfree));
    if g.is_some_and(|g| usual && g.stack_top() != 0) {
        return g;
    }
    let g = g.or_else(|| SCHED.gfree_bare.take(1).pop_front()).or_else(malg)?;
    // Usual stacks stay with their g's: if the size is unusual, this one's goes first, as in Go.
    free_stack(g);
    let Some(stack) = alloc_stack(stack_bytes) else {
        SCHED.gfree_bare.give(List::of(g));
        return None;
    };
    g.set_stack(stack);
    g.usual_stack.set(usual);
    Some(g)
}

/// Puts a Dead g on this P's free list, with its stack if that is of the usual size; a surplus goes
/// to the shared list. On g0 or pinned.
fn gfput(p: &P, g: &'static G) {
    g.is_nobody(); // and in no report any more
    if !g.usual_stack.get() {
        free_stack(g);
    }
    // A deep stack is good for this P's next goroutine, and too much for the shared list.
    p.gfree.put(g, &SCHED.gfree, |g| {
        let stack = g.stack();
        if stack.hi != 0 && machine::stack_is_deep(stack) {
            free_stack(g);
        }
    });
}

/// A stack from the machine; counted for reports.
fn alloc_stack(bytes: usize) -> Option<Stack> {
    let stack = machine::alloc_stack(bytes)?;
    SCHED.stack_bytes.fetch_add(stack.size(), Relaxed);
    Some(stack)
}

/// Gives a free g's stack back to the machine; whether there was one.
pub(crate) fn free_stack(g: &G) -> bool {
    let stack = g.stack();
    if stack.hi != 0 {
        g.set_stack(Stack { lo: 0, hi: 0 });
        SCHED.stack_bytes.fetch_sub(stack.size(), Relaxed);
        // SAFETY: STACK-OWNER: g is Dead and ours, so nothing runs on its stack.
        unsafe { machine::free_stack(stack) };
    }
    stack.hi != 0
}

/// A new g, Dead; its stack is the caller's to find.
#[cold]
fn malg() -> Option<&'static G> {
    // SAFETY: of nonzero size, and ours when allocated. Never freed: g's are only reused.
    let g = unsafe { alloc::alloc::alloc(Layout::new::<G>()).cast::<MaybeUninit<G>>().as_mut()? };
    let g: &'static G = g.write(G::new());
    g.color.set((SCHED.allgs_len.load(Relaxed) % STACK_COLORS * 64) as u32);
    g.set_status(Status::Idle, Status::Dead, "malg: new g is not Idle");
    SCHED.add_g(g);
    Some(g)
}

/// A goroutine number that was never used, from this P's batch.
#[doc(alias = "goidcache")]
fn next_goid(p: &P) -> u64 {
    let mut id = p.goid_next.get();
    if id == p.goid_end.get() {
        id = SCHED.goid.fetch_add(GOID_BATCH, Relaxed);
        p.goid_end.set(id + GOID_BATCH);
    }
    p.goid_next.set(id + 1);
    id
}
