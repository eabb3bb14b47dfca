//! catch and raise: a goroutine's stack is unwound by libgcc, which unwinds Rust's panics, too.
//!
//! std counts panics in a thread-local: up where one is raised, down where it is caught. That would
//! be wrong on both threads when a destructor parks and its goroutine goes on on another thread,
//! and for every other goroutine on the thread meanwhile (`std::thread::panicking`, and with it
//! std's poisoned locks). So no exception of std's ever unwinds a goroutine. std raises one by
//! `_Unwind_RaiseException`, which is replaced here: it catches that exception on the spot, which
//! sets std's count back before a destructor has run, and raises one of ours with the same payload.
//! Nothing of ours is kept by thread, and libgcc keeps what it needs in the exception.
//!
//! Nobody but [`catch`] catches ours: std's `catch_unwind` on a goroutine sees a foreign exception,
//! and aborts.
#![allow(unsafe_code)] // The unwinder's interface, and the frame at which it stops.

use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};
use executive::machine::Raised;
use executive::recover::Panic;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An exception as libgcc sees it (Itanium C++ ABI: Exception Handling, 1.2), and its value.
#[repr(C, align(16))]
struct Exception {
    class: u64,
    cleanup: Option<extern "C" fn(c_int, *mut Exception)>,
    private: [usize; 2],
    value: Raised,
}

const CLASS: u64 = u64::from_be_bytes(*b"GOEXHOST");

// What personality routines are told, and what they and the unwinder answer.
const SEARCH_PHASE: c_int = 1;
const HANDLER_FRAME: c_int = 4;
const END: c_int = 16;
const NO_REASON: c_int = 0;
const END_OF_STACK: c_int = 5;
const HANDLER_FOUND: c_int = 6;
const INSTALL_CONTEXT: c_int = 7;
const CONTINUE_UNWIND: c_int = 8;

type Stop = extern "C" fn(c_int, c_int, u64, *mut c_void, *mut c_void, *mut c_void) -> c_int;
type Raise = unsafe extern "C-unwind" fn(*mut c_void) -> c_int;

unsafe extern "C-unwind" {
    fn _Unwind_ForcedUnwind(exception: *mut c_void, stop: Stop, arg: *mut c_void) -> c_int;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
    fn _Unwind_SetIP(context: *mut c_void, ip: usize);
    fn _Unwind_SetGR(context: *mut c_void, register: c_int, value: usize);

    /// Calls `f(arg)`. Null: it returned; else the exception of ours that ended it.
    fn _hosted_catch(f: extern "C-unwind" fn(*mut c_void), arg: *mut c_void) -> *mut c_void;
    /// Where it goes on then.
    static _hosted_caught: u8;
}

core::arch::global_asm!(
    ".pushsection .text._hosted_catch, \"ax\", @progbits",
    ".hidden _hosted_catch, _hosted_caught",
    ".globl _hosted_catch, _hosted_caught",
    ".type _hosted_catch, @function",
    "_hosted_catch:",
    ".cfi_startproc",
    ".cfi_personality 0x1b, {personality}", // its address is relative, in four bytes
    "push rbp",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbp, -16",
    "mov rbp, rsp",
    ".cfi_def_cfa_register rbp",
    "mov rax, rdi",
    "mov rdi, rsi",
    "call rax",
    "xor eax, eax",
    "_hosted_caught:", // rax = what `personality` has set; the rest is as after the call
    "pop rbp",
    ".cfi_def_cfa rsp, 8",
    "ret",
    ".cfi_endproc",
    ".size _hosted_catch, . - _hosted_catch",
    ".popsection",
    personality = sym personality,
);

/// The unwinder has come to a frame of `_hosted_catch`.
extern "C" fn personality(
    _version: c_int,
    actions: c_int,
    class: u64,
    exception: *mut c_void,
    context: *mut c_void,
) -> c_int {
    if class != CLASS {
        CONTINUE_UNWIND
    } else if actions & SEARCH_PHASE != 0 {
        HANDLER_FOUND
    } else if actions & HANDLER_FRAME != 0 {
        const RAX: c_int = 0; // in DWARF's numbers
        // SAFETY: the unwinder's own context, which it lets a handler's frame change.
        unsafe {
            _Unwind_SetGR(context, RAX, exception as usize);
            _Unwind_SetIP(context, &raw const _hosted_caught as usize);
        }
        INSTALL_CONTEXT
    } else {
        CONTINUE_UNWIND
    }
}

pub fn catch(mut body: &mut dyn FnMut()) -> Option<Raised> {
    extern "C-unwind" fn call(body: *mut c_void) {
        // SAFETY: `catch`'s local, used by nobody else meanwhile.
        unsafe { (*body.cast::<&mut dyn FnMut()>())() }
    }
    // SAFETY: `call` fits its argument.
    let exception = unsafe { _hosted_catch(call, (&raw mut body).cast()) };
    // SAFETY: `raise` has made it, and nobody else has it.
    (!exception.is_null()).then(|| unsafe { Box::from_raw(exception.cast::<Exception>()) }.value)
}

pub fn raise(value: Raised, to_the_end: bool) -> Raised {
    let exception = Exception { class: CLASS, cleanup: None, private: [0; 2], value };
    let exception = Box::into_raw(Box::new(exception)).cast::<c_void>();
    // SAFETY: an exception as the unwinder wants it. It comes back only if no frame was left.
    unsafe {
        // A frame that must not be unwound counts as a handler, and panics: so it is found even on
        // the way to the end, before the unwinding that asks nobody.
        if real()(exception) == END_OF_STACK && to_the_end {
            _Unwind_ForcedUnwind(exception, stop, core::ptr::null_mut());
        }
        Box::from_raw(exception.cast::<Exception>()).value
    }
}

/// Called for each frame of an unwinding to the end.
extern "C" fn stop(
    _version: c_int,
    actions: c_int,
    _class: u64,
    exception: *mut c_void,
    context: *mut c_void,
    _arg: *mut c_void,
) -> c_int {
    if actions & END == 0 {
        return NO_REASON;
    }
    // SAFETY: the unwinder's context, and `raise`'s exception, which nobody needs any more.
    let pc = unsafe {
        drop(Box::from_raw(exception.cast::<Exception>()));
        _Unwind_GetIP(context)
    };
    executive::unwound(pc)
}

thread_local! {
    /// A panic that std is about to raise. It is set and taken with nothing between that could
    /// switch goroutines.
    static BEGUN: Cell<Option<Panic>> = const { Cell::new(None) };
}

/// The panic hook's last step for a panic that is caught: std raises it next.
///
/// Never inlined: see [`crate::cpu::this`].
#[inline(never)]
pub fn has_begun(panic: Panic) {
    BEGUN.set(Some(panic));
}

#[inline(never)]
fn begun() -> Option<Panic> {
    BEGUN.try_with(Cell::take).ok().flatten()
}

/// libgcc's; 0: not looked up yet.
static REAL: AtomicUsize = AtomicUsize::new(0);

fn real() -> Raise {
    let mut real = REAL.load(Ordering::Relaxed);
    if real == 0 {
        // SAFETY: a C string.
        real = unsafe { libc::dlsym(libc::RTLD_NEXT, c"_Unwind_RaiseException".as_ptr()) } as usize;
        assert!(real != 0, "hosted: no _Unwind_RaiseException found");
        REAL.store(real, Ordering::Relaxed);
    }
    // SAFETY: libgcc's function of that name.
    unsafe { core::mem::transmute::<usize, Raise>(real) }
}

/// In place of libgcc's.
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn _Unwind_RaiseException(exception: *mut c_void) -> c_int {
    let Some(mut panic) = begun() else {
        // SAFETY: the caller's promise.
        return unsafe { real()(exception) };
    };
    // SAFETY: as above.
    match catch_unwind(AssertUnwindSafe(|| unsafe { real()(exception) })) {
        Ok(refused) => refused,
        Err(payload) => {
            if !payload.is::<&'static str>() && !payload.is::<String>() {
                panic.set_payload(payload);
            }
            panic.raise()
        }
    }
}

/// Looks the real one up, and names ours, so that the linker takes it.
pub fn init() {
    core::hint::black_box(_Unwind_RaiseException as *const ());
    real();
}
