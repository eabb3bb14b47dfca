//! A panic that does not end the run: [`recover`] catches it, after the destructors between the two
//! have run. It is Go's deferred call of `recover`; here is `runtime.Goexit`, too (panic.go).
//!
//! Nothing changes for a panic that nobody catches: the run ends with a report of the stack as it
//! is, and no destructor has run. The machine does the unwinding
//! ([`Machine::catch`](executive_core::machine::Machine::catch)). On one that cannot, each panic is
//! the end.
//!
//! **Rule (UNWIND-CLEAN):** a panic unwinds frames of its goroutine and nothing else. It is the end
//! if it is raised on g0, in a handler, pinned or with a spin lock held, or if there is a frame on
//! its way that must not be unwound (`extern "C"`). A goroutine unwinds once at a time: a panic in
//! a destructor that would leave that destructor is the end, too.
//!
//! **Rule:** all state is the goroutine's: a byte in its g that says what happens to its next
//! panic, and what lies on its stack. So a destructor may park and be preempted while its goroutine
//! unwinds, and go on on another CPU. Each `recover` keeps the byte of the one around it.
//!
//! What can be recovered: everything that panics, Rust's own checks (indices, overflow, `unwrap`, a
//! capacity that no memory has) and those of the executive in Go's words. What cannot, as in Go:
//! - **Memory that runs out** in a collection (`Vec::push`): Rust calls a handler there that is not
//!   allowed to unwind. `Vec::try_reserve` and `Builder::spawn` tell it by their results.
//! - **A stack overflow**: it is a fault between any two instructions, where the compiler has
//!   planned no unwinding, and there is no room to run destructors.
//! - What `throw` finds, a deadlock, another fault of the CPU.

use crate::param::PANIC_FRAMES;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;
use core::panic::Location;
use core::sync::atomic::Ordering::Relaxed;
use executive_core::arch::{frame_pointer, keeps_frame_pointers};
use executive_core::fatal::throw;
use executive_core::g::{G, curg, getg, on_g0};
use executive_core::kit::own_frame;
use executive_core::machine::{self, Raised};
use executive_core::wait::{can_park, may_park};

// `G::catching`: what happens to the goroutine's next panic. 0: it is the end.
/// A `recover` catches it.
const ARMED: u8 = 1;
/// The goroutine unwinds to that `recover`: a further panic is the end.
const PANICKING: u8 = 2;
/// The goroutine unwinds for `goexit`: a panic is the end.
const EXITING: u8 = 4;
/// Its message is being formatted, by the caller's code.
const TELLING: u8 = 8;
/// A destructor has called that `recover`, while a panic unwinds the goroutine further out.
const INSIDE: u8 = 16;

/// Calls `f`. If it panics, its destructors run, and this returns the panic. It is Go's deferred
/// call of `recover`.
///
/// A goroutine that calls [`goexit`] in it ends nevertheless. What `f` left half done is the
/// caller's to judge, as in Go: there is no `UnwindSafe` here, and no lock is poisoned. Panics on a
/// thread that is no CPU.
///
/// ```
/// # hosted::run(|| {
/// use executive::recover;
/// assert_eq!(recover(|| 6 * 7).unwrap(), 42);
/// let panic = recover(|| [1, 2, 3][std::hint::black_box(5)]).unwrap_err();
/// assert!(panic.message().starts_with("index out of bounds"));
/// # });
/// ```
#[doc(alias("catch_unwind", "defer"))]
pub fn recover<T>(f: impl FnOnce() -> T) -> Result<T, Panic> {
    catch(f).map_err(|raised| match raised.downcast() {
        Ok(panic) => *panic,
        Err(_) => goexit(), // which goes on to where the goroutine began
    })
}

/// A closure that does what `f` does, for a goroutine whose panic is its result: `go(isolated(f))`
/// gives a `JoinHandle<Result<T, Panic>>`, and so do a [`Builder`](executive_core::join::Builder)
/// and a [`scope`](crate::scope). What the goroutine owns is dropped before its handle hears of it:
/// its ends of channels, so that its peers see it.
///
/// ```
/// # hosted::run(|| {
/// use executive::{chan, go, recover::isolated};
/// let (tx, rx) = chan::<u32>(0);
/// let h = go(isolated(move || {
///     tx.send(1).unwrap();
///     panic!("out of numbers")
/// }));
/// assert_eq!(rx.iter().count(), 1); // the panic has dropped `tx`
/// assert_eq!(h.join().unwrap_err().message(), "out of numbers");
/// # });
/// ```
#[doc(alias("Builder::isolated", "catch_unwind"))]
pub fn isolated<T, F: FnOnce() -> T>(f: F) -> impl FnOnce() -> Result<T, Panic> + use<T, F> {
    || catch(f).map_err(|raised| raised.downcast().map_or_else(|_| Panic::of_goexit(), |p| *p))
}

/// Ends the calling goroutine after running its destructors: all of them, a [`recover`] does not
/// stop it. It leaves no result: `join` panics, [`try_join`] gives `None`, and of an [`isolated`]
/// one the result is an `Err` that [says so](Panic::is_goexit). Go: `runtime.Goexit`.
///
/// When main calls it the other goroutines go on; when all have ended that is a deadlock, as in Go.
/// Panics on a thread that is no CPU.
///
/// [`try_join`]: executive_core::join::JoinHandle::try_join
///
/// ```
/// # hosted::run(|| {
/// let h = executive::go(|| executive::goexit());
/// assert!(h.try_join().is_none());
/// # });
/// ```
#[doc(alias("runtime.Goexit", "Goexit"))]
pub fn goexit() -> ! {
    let g = may_park().g();
    let state = g.catching.load(Relaxed);
    if let Some(why) = why_not(g, state) {
        panic!("goexit: cannot unwind: {why}");
    }
    g.catching.store(state | EXITING, Relaxed);
    let _ = machine::raise(Box::new(Exit), state & ARMED == 0);
    throw("goexit: this machine cannot unwind, or not this stack");
}

/// What [`goexit`] raises.
struct Exit;

/// Panics with a value that is no string: [`Panic::payload`]. Go: `panic(v)`, of any type.
///
/// ```
/// # hosted::run(|| {
/// use executive::recover::{panic_with, recover};
/// let panic = recover(|| panic_with(7u32)).unwrap_err();
/// assert_eq!(panic.payload().and_then(|value| value.downcast_ref()), Some(&7u32));
/// # });
/// ```
#[doc(alias("panic", "panic_any"))]
#[track_caller]
pub fn panic_with(value: impl Any + Send) -> ! {
    let message = format_args!("(a value that is no string)");
    let caught = begin(message, Some(Location::caller()));
    if let Ok(mut panic) = caught {
        panic.0.payload = Some(Box::new(value));
        panic.raise();
    }
    panic!("{message}")
}

/// Whether the calling goroutine is unwinding because of a panic: asked in a destructor, whether a
/// panic drops the value. Locks do not poison. A guard that shall tell later users that it was
/// dropped by a panic is one of your own, around theirs:
///
/// ```
/// # hosted::run(|| {
/// use executive::{recover, recover::panicking, sync::{Mutex, MutexGuard}};
/// #[derive(Default)]
/// struct Account { euros: u32, doubtful: bool }
/// struct Guard<'a>(MutexGuard<'a, Account>);
/// impl Drop for Guard<'_> {
///     fn drop(&mut self) {
///         self.0.doubtful |= panicking();
///     }
/// }
/// let account = Mutex::new(Account::default());
/// let _ = recover(|| {
///     let mut guard = Guard(account.lock());
///     guard.0.euros += 1;
///     panic!("and the other account?")
/// });
/// assert!(account.lock().doubtful);
/// # });
/// ```
#[doc(alias("thread::panicking", "poison"))]
pub fn panicking() -> bool {
    getg().catching.load(Relaxed) & (PANICKING | INSIDE) != 0
}

/// Whether a panic of the calling goroutine would be caught.
pub(crate) fn is_caught() -> bool {
    getg().catching.load(Relaxed) & ARMED != 0
}

/// Calls `f`; `Err`: what ended it.
fn catch<T>(f: impl FnOnce() -> T) -> Result<T, Raised> {
    let g = may_park().g();
    let around = g.catching.load(Relaxed);
    let inside = if around & (PANICKING | INSIDE) != 0 { INSIDE } else { 0 };
    let (mut f, mut result) = (Some(f), None);
    g.catching.store(ARMED | inside, Relaxed);
    let raised = machine::catch(&mut || result = f.take().map(|f| f()));
    g.catching.store(around, Relaxed);
    match (raised, result) {
        (None, Some(result)) => Ok(result),
        (Some(raised), _) => Err(raised),
        (None, None) => throw("catch: the machine has not called the body"),
    }
}

/// A panic that was caught.
///
/// Displayed as its message; `{:?}` adds the place, and the backtrace of where it was raised.
pub struct Panic(Box<Parts>);

struct Parts {
    message: String,
    place: String,
    /// Return addresses, less one.
    backtrace: Vec<usize>,
    payload: Option<Box<dyn Any + Send>>,
    is_goexit: bool,
}

impl Panic {
    /// What `panic!` said.
    pub fn message(&self) -> &str {
        &self.0.message
    }
    /// Where it was raised: `file:line:column`.
    pub fn place(&self) -> &str {
        &self.0.place
    }
    /// The value of [`panic_with`], or `std::panic::panic_any`. `None`: there is only a message.
    pub fn payload(&self) -> Option<&(dyn Any + Send)> {
        self.0.payload.as_deref()
    }
    /// As [`payload`](Self::payload).
    pub fn into_payload(self) -> Option<Box<dyn Any + Send>> {
        self.0.payload
    }
    /// The stack as it was when the panic was raised, innermost frame first: addresses of calls.
    /// Empty in a build without frame pointers.
    pub fn backtrace(&self) -> &[usize] {
        &self.0.backtrace
    }
    /// Whether it is no panic: an [`isolated`] goroutine has called [`goexit`].
    pub fn is_goexit(&self) -> bool {
        self.0.is_goexit
    }
    /// Panics again, with the same message, place and payload, and the first backtrace.
    #[doc(alias = "resume_unwind")]
    pub fn resume(self) -> ! {
        if self.0.is_goexit {
            goexit()
        }
        let g = getg();
        let state = g.catching.load(Relaxed);
        if !on_g0() && state & ARMED != 0 && why_not(g, state).is_none() {
            g.catching.store(state | PANICKING, Relaxed);
            self.raise();
        }
        panic!("{} [raised at {}]", self.message(), self.place())
    }

    /// For the machine: the value of a panic that comes with one, and not only with a message.
    pub fn set_payload(&mut self, value: Box<dyn Any + Send>) {
        self.0.payload = Some(value);
    }
    /// For the machine, after [`begin`]: unwinds to the `recover`.
    pub fn raise(self) -> ! {
        let back = machine::raise(Box::new(self), false).downcast();
        let panic: Box<Panic> = back.unwrap_or_else(|_| unreachable!("what was raised"));
        getg().catching.store(0, Relaxed);
        let (message, place) = (panic.message(), panic.place());
        panic!("{message} [raised at {place}; a frame on the stack cannot be unwound]")
    }

    fn of_goexit() -> Self {
        let message = "the goroutine has called goexit".into();
        let (place, backtrace) = (String::new(), Vec::new());
        Panic(Box::new(Parts { message, place, backtrace, payload: None, is_goexit: true }))
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}
impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n\tat {}", self.message(), self.place())?;
        for &pc in self.backtrace() {
            write!(f, "\n\t{pc:#x} ")?;
            if !machine::symbol(pc, f) {
                f.write_str("?")?;
            }
        }
        Ok(())
    }
}
impl core::error::Error for Panic {}

/// For the machine's panic handler: a panic begins. `Ok`: the goroutine unwinds from here on; the
/// caller [raises](Panic::raise) it. `Err`: it is the end; if there is somebody who would catch it,
/// with the reason why it is nevertheless.
pub fn begin(
    message: fmt::Arguments<'_>,
    place: Option<&Location<'_>>,
) -> Result<Panic, Option<&'static str>> {
    if on_g0() {
        let armed = curg().is_some_and(|g| g.catching.load(Relaxed) & ARMED != 0);
        return Err(armed.then_some("it was raised on g0"));
    }
    let g = getg();
    let state = g.catching.load(Relaxed);
    if state & (ARMED | EXITING) == 0 {
        return Err(None);
    }
    let why = why_not(g, state).or(is_out_of_memory(place).then_some("memory has run out"));
    g.catching.store(state | PANICKING | TELLING, Relaxed);
    if let Some(why) = why {
        let met = why == IN_A_DESTRUCTOR && is(message, CANNOT_UNWIND);
        return Err(Some(if met {
            "it met a function that cannot unwind (extern \"C\")"
        } else {
            why
        }));
    }
    let above = |at| own_frame(at).filter(|&(next, pc)| pc != 0 && (next == 0 || next > at));
    let chain = core::iter::successors(above(frame_pointer()), |&(next, _)| above(next));
    let mut backtrace = Vec::with_capacity(PANIC_FRAMES);
    if keeps_frame_pointers() {
        backtrace.extend(chain.map(|(_, pc)| pc - 1).take(PANIC_FRAMES));
    }
    let (message, place) = (message.to_string(), place.map(|at| at.to_string()));
    let place = place.unwrap_or_default();
    let parts = Parts { message, place, backtrace, payload: None, is_goexit: false };
    g.catching.store(state | PANICKING, Relaxed);
    Ok(Panic(Box::new(parts)))
}

/// For the machine's panic handler: whether a panic at this place says that memory has run out in a
/// collection, which cannot be recovered.
pub fn is_out_of_memory(place: Option<&Location<'_>>) -> bool {
    place.is_some_and(|place| place.file().ends_with(OUT_OF_MEMORY_AT))
}

/// Where Rust panics when memory runs out, in a function that must not unwind. (On Linux std aborts
/// without a panic.)
const OUT_OF_MEMORY_AT: &str = "library/alloc/src/alloc.rs";
/// What Rust's core says when a panic comes to such a function: a panic of its own.
const CANNOT_UNWIND: &str = "panic in a function that cannot unwind";
const IN_A_DESTRUCTOR: &str = "it was raised in a destructor, while the goroutine unwinds";

/// Whether a message is this one.
fn is(message: fmt::Arguments<'_>, words: &str) -> bool {
    struct Rest<'a>(&'a str);
    impl fmt::Write for Rest<'_> {
        fn write_str(&mut self, s: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(s).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    let mut rest = Rest(words);
    fmt::write(&mut rest, message).is_ok() && rest.0.is_empty()
}

/// Why the goroutine may not unwind now (UNWIND-CLEAN).
fn why_not(g: &G, state: u8) -> Option<&'static str> {
    let here = 0u8;
    if !g.stack().contains((&raw const here).addr()) {
        Some("it was raised in a handler")
    } else if !can_park() {
        Some("it was raised pinned, or with a spin lock held")
    } else if state & TELLING != 0 {
        Some("it was raised by a panic's message")
    } else if state & (PANICKING | EXITING) != 0 {
        Some(IN_A_DESTRUCTOR)
    } else {
        None
    }
}
