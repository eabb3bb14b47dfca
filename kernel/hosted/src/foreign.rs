//! Threads that are no CPU: how GS comes to point at something there too.
//!
//! Linux copies GS base to a new thread, so a thread made by a goroutine would take itself for its CPU. So
//! `pthread_create`, which all threads of std and of C libraries come from, is ours here: a new thread's first act is
//! to set its GS base to 0, which is also what a thread older than `run` has. Its first call of the executive then
//! faults at an address below a block's size, and the handler of that fault gives the thread a block
//! ([`Foreign`]) and lets it try again. So no entry asks where it is, and who never calls pays nothing.
//!
//! Before `run` there is no such handler, so that std's is left alone: who overflows a stack there is told so by
//! std. Until then each thread is given its block as it begins, the first one before `main` ([`BEFORE_MAIN`]). That
//! one gives it back as `run` makes it CPU 0.
//!
//! A block goes back when its thread ends, for the next thread; it is never freed (a `Waker` may point into it).
//!
//! Left: a `#[thread_local]` to look at in each entry (a few instructions in each lock), and a block made with each
//! thread that there ever is (12 KiB that most threads never use).
#![allow(unsafe_code)] // pthreads, GS, memory that a signal handler gets

use crate::cpu::set_gs_base;
use core::cell::Cell;
use core::ffi::c_void;
use core::ptr::null;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use executive::foreign::Foreign;
use std::sync::Mutex;

type Start = extern "C-unwind" fn(*mut c_void) -> *mut c_void; // pthread_exit unwinds
type Create =
    unsafe extern "C" fn(*mut libc::pthread_t, *const libc::pthread_attr_t, Start, *mut c_void) -> libc::c_int;

/// libc's `pthread_create`; 0: not looked up yet.
static REAL: AtomicUsize = AtomicUsize::new(0);

/// What a thread's block is noted under, for [`farewell`]. Below 32, so that to set it allocates nothing.
/// [`NO_KEY`]: there is none yet, and nobody can arrive.
static KEY: AtomicU32 = AtomicU32::new(NO_KEY);
const NO_KEY: u32 = u32::MAX;

/// The handler of faults is there, and [`welcome`]s whoever calls the executive.
static WELCOMES: AtomicBool = AtomicBool::new(false);

/// Where an access by GS faults while GS base is 0.
const REACH: usize = 128;

/// libc calls it before `main`, on the first thread: that one may call the executive from then on.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = {
    extern "C" fn before_main() {
        let mut key = 0;
        // SAFETY: `farewell` takes what `arrive` sets.
        let r = unsafe { libc::pthread_key_create(&mut key, Some(farewell)) };
        assert!(r == 0, "hosted: pthread_key_create: {}", std::io::Error::from_raw_os_error(r));
        KEY.store(key, Ordering::Relaxed);
        arrive();
    }
    before_main
};

/// Makes sure that threads are told apart.
pub fn init() {
    // Named, so that the linker takes ours.
    core::hint::black_box((pthread_create as *const (), &BEFORE_MAIN));
    assert!(KEY.load(Ordering::Relaxed) != NO_KEY, "hosted: libc does not call what stands in .init_array");
    real();
}

/// The handler of faults is there. The calling thread is about to be a CPU, and no guest any more.
pub fn is_no_guest() {
    // Release: partner of the Acquire in `begins`.
    WELCOMES.store(true, Ordering::Release);
    if let Some(guest) = guest() {
        // SAFETY: none is noted any more, so this is not said twice.
        unsafe {
            libc::pthread_setspecific(KEY.load(Ordering::Relaxed), null());
            farewell(guest.cast_mut());
        }
    }
}

/// The block that this thread has.
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
        assert!(real != 0, "hosted: there is no pthread_create");
        REAL.store(real, Ordering::Relaxed);
    }
    // SAFETY: libc's function of that name.
    unsafe { core::mem::transmute::<usize, Create>(real) }
}

/// What a thread was made to do.
struct Begin {
    start: Start,
    arg: *mut c_void,
}

/// For tests: the n-th thread from now on is refused, as Linux does when there are too many. 0: none.
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
    // SAFETY: the caller's promise; `begin` is the new thread's from here on.
    let r = unsafe { real()(thread, attr, begins, begin.cast()) };
    if r != 0 {
        // SAFETY: there is no thread: it is ours again.
        drop(unsafe { Box::from_raw(begin) });
    }
    r
}

extern "C-unwind" fn begins(begin: *mut c_void) -> *mut c_void {
    set_gs_base(null()); // what it inherited is its maker's
    // SAFETY: made for this thread, above.
    let Begin { start, arg } = *unsafe { Box::from_raw(begin.cast::<Begin>()) };
    if !WELCOMES.load(Ordering::Acquire) && KEY.load(Ordering::Relaxed) != NO_KEY {
        arrive(); // nobody would welcome it later
    }
    start(arg)
}

/// One for each foreign thread there was at once that called the executive.
struct Guest {
    foreign: Foreign,
    next: Cell<*const Guest>,
}
// SAFETY: `next` is under the mutex of `FREE`; of the rest a thread has what it has begun.
unsafe impl Sync for Guest {}

/// What a new one is copied from: the stack of a handler is too small to make one on.
static NOBODY: Guest = Guest { foreign: Foreign::new(), next: Cell::new(null()) };

/// Those whose threads have ended.
struct Free(*const Guest);
// SAFETY: under the mutex.
unsafe impl Send for Free {}
static FREE: Mutex<Free> = Mutex::new(Free(null()));

/// This thread is no CPU and faulted at `address`. If it did because its GS base is 0, that is a block's from here on, and `true`.
///
/// In a signal handler, but one that comes only where an instruction of the executive's touches GS, and so not within
/// libc or the mutex here. Allocates nothing all the same: the program's allocator may use locks of the executive's.
pub fn welcome(address: usize) -> bool {
    let faulted_so = address < REACH && guest().is_none();
    if faulted_so {
        arrive();
    }
    faulted_so
}

/// This thread, which has no block, has one from here on.
fn arrive() {
    static ARRIVED: AtomicUsize = AtomicUsize::new(0);
    let guest = a_guest();
    // SAFETY: a key of ours, and a guest for `farewell`.
    unsafe { libc::pthread_setspecific(KEY.load(Ordering::Relaxed), core::ptr::from_ref(guest).cast()) };
    set_gs_base(guest.foreign.begin(ARRIVED.fetch_add(1, Ordering::Relaxed)));
}

/// One that nobody uses.
fn a_guest() -> &'static Guest {
    let mut free = FREE.lock().unwrap();
    // SAFETY: what is free is a guest, and they are never freed.
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
        executive::machine::write(b"hosted: no memory for a thread that is no CPU\n");
        std::process::abort()
    }
    let guest = memory.cast::<Guest>();
    // SAFETY: a page-aligned place for a Guest that nobody else knows, and that stays.
    unsafe {
        guest.copy_from_nonoverlapping(&NOBODY, 1);
        &*guest
    }
}

/// A thread that has a guest ends. What else is called on it meanwhile finds GS base 0, as at first.
unsafe extern "C" fn farewell(guest: *mut c_void) {
    let guest = guest.cast::<Guest>().cast_const();
    set_gs_base(null());
    let mut free = FREE.lock().unwrap();
    // SAFETY: `welcome` noted it here, and its thread uses it no more.
    unsafe { &*guest }.next.set(free.0);
    free.0 = guest;
}
