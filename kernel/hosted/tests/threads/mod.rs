//! A thread that cannot be made, when a test wants one: this program's own `pthread_create` goes
//! before libc's.
#![allow(unsafe_code)] // A function of libc's, replaced.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// 0: none is missing. Else the `n`-th from now on will be.
static MISSING: AtomicUsize = AtomicUsize::new(0);

/// The `n`-th thread from now on will not be made: there are too many (EAGAIN). And in a minute the
/// process ends, whatever hangs.
pub fn missing(n: usize) {
    MISSING.store(n, Relaxed);
    // SAFETY: a signal that ends the process.
    unsafe { libc::alarm(60) };
}

type Create = unsafe extern "C" fn(*mut c_void, *const c_void, *const c_void, *mut c_void) -> c_int;

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut c_void,
    attributes: *const c_void,
    start: *const c_void,
    argument: *mut c_void,
) -> c_int {
    if MISSING.try_update(Relaxed, Relaxed, |n| n.checked_sub(1)) == Ok(1) {
        return libc::EAGAIN;
    }
    // SAFETY: the function that would be called if it were not for us, of this type, gets what we
    // got.
    unsafe {
        let libcs = libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr());
        assert!(!libcs.is_null());
        core::mem::transmute::<*mut c_void, Create>(libcs)(thread, attributes, start, argument)
    }
}
