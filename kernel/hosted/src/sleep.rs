//! wait and wake: a futex, and a flag that saves the waker the system call.
//!
//! Why no wake is lost. The waiter sets `asleep`, then (in Linux) compares the word; the waker
//! changes the word, then reads `asleep`. Both have a full fence in between, so at least one of
//! them sees the other's write:
//! - The waker sees `asleep` and calls FUTEX_WAKE. If the waiter is queued by then it is woken. If
//!   not, Linux compares the word after the wake, under the lock of the same futex bucket, and sees
//!   the new one.
//! - The waker does not see `asleep`. Then the waiter's comparison sees the new word, and it does
//!   not sleep.
//!
//! Rejected: a handshake without fences by a three-state word (awake, asleep, woken). It costs the
//! waiter a second locked instruction and saves the waker nothing.
#![allow(unsafe_code)] // the futex system call

use crate::cpu;
use core::sync::atomic::{AtomicU32, Ordering};
use executive::atomic::full_fence;
use executive::machine::NEVER;

pub fn wait(word: &AtomicU32, expect: u32, deadline: u64) {
    let me = cpu::table(cpu::this_cpu());
    // SeqCst: on x86 an exchange, which is the full fence. Partner: `full_fence` in `wake`.
    me.asleep.swap(true, Ordering::SeqCst);
    let until = timespec(deadline);
    let until = if deadline == NEVER { core::ptr::null() } else { &raw const until };
    // SAFETY: `word` and `until` outlive the call. Its result (woken, EAGAIN, EINTR, ETIMEDOUT)
    // does not matter: `wait` may return early, and the caller looks at the word.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            // BITSET: the time is absolute, by CLOCK_MONOTONIC.
            libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG,
            expect,
            until,
            core::ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        );
    }
    // Relaxed: a waker that still sees `true` makes a system call for nothing, no more.
    me.asleep.store(false, Ordering::Relaxed);
}

pub fn wake(cpu: usize, word: &AtomicU32) {
    // The caller's change of the word comes before our load of the flag. Partner: the swap in
    // `wait`.
    full_fence();
    if cpu::table(cpu).asleep.load(Ordering::Relaxed) {
        // SAFETY: wakes whoever sleeps on this address; touches no memory of ours.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                word.as_ptr(),
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                1,
            );
        }
    }
}

/// CLOCK_MONOTONIC in nanoseconds, by the vDSO: about 25 ns, no system call. Async-signal-safe.
pub fn now() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes `t`. It cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

pub fn timespec(ns: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: (ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (ns % 1_000_000_000) as libc::c_long,
    }
}
