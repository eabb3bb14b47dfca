//! A thread that cannot be made, when a test wants one.
#![allow(unsafe_code)] // A signal that ends the process.

use std::sync::atomic::Ordering::Relaxed;

/// The `n`-th thread from now on will not be made: there are too many (EAGAIN). And in a minute the
/// process ends, whatever hangs.
pub fn missing(n: usize) {
    hosted::REFUSED_THREAD.store(n, Relaxed);
    // SAFETY: a signal that ends the process.
    unsafe { libc::alarm(60) };
}
