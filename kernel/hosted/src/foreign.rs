//! Threads that are not CPUs: how GS comes to point at a block there too.
//!
//! Linux copies GS base to a new thread, so a thread that a goroutine makes would take itself for
//! the goroutine's CPU. So `pthread_create`, which makes all threads of std and of C libraries, is
//! replaced here: a new thread first sets its GS base to 0. Its first call of the executive then
//! faults at an address below a block's size. The handler of that fault gives the thread a block
//! ([`Foreign`]) and lets it try again. So no function of the executive has to ask whether it runs
//! on a CPU, and a thread that never calls one pays nothing.
//!
//! Before `run` there is no such handler: std's stays, and reports a stack overflow. Until then
//! each thread gets its block when it begins, the first one before `main` ([`BEFORE_MAIN`]). That
//! thread gives it back when `run` makes it CPU 0.
//!
//! When its thread ends, a block is kept for another thread. It is never freed, because a `Waker`
//! may point into it.
//!
//! Rejected: a `#[thread_local]` that each function looks at (a few instructions in each lock), and
//! a block for every thread that is ever made (12 KiB that most threads never use).
#![allow(unsafe_code)] // pthreads, GS, memory that a signal handler takes

use crate::cpu::set_gs_base;
use core::cell::Cell;
use core::ffi::c_void;
use core::ptr::null;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use executive::foreign::Foreign;
use std::sync::Mutex;

type Start = extern "C-unwind" fn(*mut c_void) -> *mut c_void; // pthread_exit unwinds
type Create = unsafe extern "C" fn(
    *mut libc::pthread_t,
    *const libc::pthread_attr_t,
    Start,
    *mut c_void,
) -> libc::c_int;

/// libc's `pthread_create`; 0: not looked up yet.
static REAL: AtomicUsize = AtomicUsize::new(0);

/// The pthread key for a thread's block, for [`farewell`]. It is below 32, so that setting a value
/// allocates nothing. [`NO_KEY`]: there is none yet, and no thread can get a block.
static KEY: AtomicU32 = AtomicU32::new(NO_KEY);
const NO_KEY: u32 = u32::MAX;

/// The handler of faults is installed, and [`welcome`]s each thread that calls the executive.
static WELCOMES: AtomicBool = AtomicBool::new(false);

/// Accesses by GS fault below this address while GS base is 0.
const REACH: usize = 128;

/// libc calls it before `main`, on the first thread, which may call the executive from then on.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = {
    extern "C" fn before_main() {
        let mut key = 0;
        // SAFETY: `farewell` takes what `arrive` sets: a guest.
        let r = unsafe { libc::pthread_key_create(&mut key, Some(farewell)) };
        assert!(r == 0, "hosted: pthread_key_create: {}", std::io::Error::from_raw_os_error(r));
        KEY.store(key, Ordering::Relaxed);
        arrive();
    }
    before_main
};

/// Checks that threads can be told apart.
pub fn init() {
    // Named, so that the linker takes this one.
    core::hint::black_box((pthread_create as *const (), &BEFORE_MAIN));
    assert!(
        KEY.load(Ordering::Relaxed) != NO_KEY,
        "hosted: libc does not call the functions in .init_array"
    );
    real();
}

/// The handler of faults is installed, and the calling thread, about to be a CPU, gives its block
/// back.
pub fn is_no_guest() {
    // Release: partner of the Acquire in `begins`.
    WELCOMES.store(true, Ordering::Release);
    if let Some(guest) = guest() {
        // SAFETY: the key's value is null from here on, so `farewell` is not called twice.
        unsafe {
            libc::pthread_setspecific(KEY.load(Ordering::Relaxed), null());
            farewell(guest.cast_mut());
        }
    }
}

/// The block of this thread, if it has one.
fn guest() -> Option<*const c_void> {
    // SAFETY: asks for this thread's own value.
    let guest = unsafe { libc::pthread_getspecific(KEY.load(Ordering::Relaxed)) };
    (!guest.is_null()).then_some(guest.cast_const())
}

fn real() -> Create {
    let mut real = REAL.load(Ordering::Relaxed);
    if real == 0 {
        // SAFETY: a C string.
        real = unsafe { libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr()) } as usize;
        assert!(real != 0, "hosted: no pthread_create found: libc must be linked dynamically");
        REAL.store(real, Ordering::Relaxed);
    }
    // SAFETY: libc's function of that name.
    unsafe { core::mem::transmute::<usize, Create>(real) }
}

/// What a new thread is to call.
struct Begin {
    start: Start,
    arg: *mut c_void,
}

/// For tests: the n-th thread from now on is refused, as Linux does when there are too many. 0:
/// none.
pub static REFUSED: AtomicUsize = AtomicUsize::new(0);

/// In place of libc's.
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attr: *const libc::pthread_attr_t,
    start: Start,
    arg: *mut c_void,
) -> libc::c_int {
    if REFUSED.try_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)) == Ok(1) {
        return libc::EAGAIN;
    }
    let begin = Box::into_raw(Box::new(Begin { start, arg }));
    // SAFETY: the caller's promise; from here on `begin` belongs to the new thread.
    let r = unsafe { real()(thread, attr, begins, begin.cast()) };
    if r != 0 {
        // SAFETY: there is no thread, so it is ours again.
        drop(unsafe { Box::from_raw(begin) });
    }
    r
}

extern "C-unwind" fn begins(begin: *mut c_void) -> *mut c_void {
    set_gs_base(null()); // it has inherited its maker's
    // SAFETY: made above, for this thread.
    let Begin { start, arg } = *unsafe { Box::from_raw(begin.cast::<Begin>()) };
    if !WELCOMES.load(Ordering::Acquire) && KEY.load(Ordering::Relaxed) != NO_KEY {
        arrive(); // there is no handler to welcome it later
    }
    start(arg)
}

/// A block for a foreign thread that has called the executive. There are as many as there ever were
/// such threads at the same time.
struct Guest {
    foreign: Foreign,
    next: Cell<*const Guest>,
}
// SAFETY: the mutex of `FREE` guards `next`; the rest belongs to the thread that has begun it.
unsafe impl Sync for Guest {}

/// New guests are copies of it: the stack of a signal handler is too small to make one on.
static NOBODY: Guest = Guest { foreign: Foreign::new(), next: Cell::new(null()) };

/// Those whose threads have ended.
struct Free(*const Guest);
// SAFETY: the mutex guards it.
unsafe impl Send for Free {}
static FREE: Mutex<Free> = Mutex::new(Free(null()));

/// For a thread that is not a CPU and faulted at `address`. If it did because its GS base is 0,
/// gives it a block and returns `true`.
///
/// It runs in a signal handler, but one that interrupts only instructions of the executive that
/// touch GS, and so neither libc nor a holder of the mutex here. Still it allocates nothing: the
/// program's allocator may use the executive's locks.
pub fn welcome(address: usize) -> bool {
    let faulted_so = address < REACH && guest().is_none();
    if faulted_so {
        arrive();
    }
    faulted_so
}

/// Gives this thread, which has none, a block.
fn arrive() {
    static ARRIVED: AtomicUsize = AtomicUsize::new(0);
    let guest = a_guest();
    // SAFETY: our key, and a guest for `farewell`.
    unsafe {
        libc::pthread_setspecific(KEY.load(Ordering::Relaxed), core::ptr::from_ref(guest).cast())
    };
    set_gs_base(guest.foreign.begin(ARRIVED.fetch_add(1, Ordering::Relaxed)));
}

/// A guest that no thread uses.
fn a_guest() -> &'static Guest {
    let mut free = FREE.lock().unwrap();
    // SAFETY: the list has guests, which are never freed.
    if let Some(guest) = unsafe { free.0.as_ref::<'static>() } {
        free.0 = guest.next.get();
        return guest;
    }
    drop(free);
    // SAFETY: a new anonymous mapping at an address that the kernel chooses.
    let memory = unsafe {
        libc::mmap(
            core::ptr::null_mut(),
            size_of::<Guest>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if memory == libc::MAP_FAILED {
        executive::machine::write(b"hosted: no memory for a thread that is not a CPU\n");
        std::process::abort()
    }
    let guest = memory.cast::<Guest>();
    // SAFETY: page-aligned memory for a Guest that nobody else knows, never unmapped.
    unsafe {
        guest.copy_from_nonoverlapping(&NOBODY, 1);
        &*guest
    }
}

/// A thread that has a guest ends. If it calls the executive again, it finds GS base 0, as at
/// first.
unsafe extern "C" fn farewell(guest: *mut c_void) {
    let guest = guest.cast::<Guest>().cast_const();
    set_gs_base(null());
    let mut free = FREE.lock().unwrap();
    // SAFETY: `welcome` has set it, and its thread uses it no more.
    unsafe { &*guest }.next.set(free.0);
    free.0 = guest;
}
