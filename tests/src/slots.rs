//! How many machines may run at a time: as many as the host has CPUs. Most of a boot is one
//! thread's work; with more than that each machine's clock runs too slowly to be called a test of
//! anything but patience.

use std::sync::{Condvar, LazyLock, Mutex};

static FREE: LazyLock<Mutex<usize>> =
    LazyLock::new(|| Mutex::new(std::thread::available_parallelism().map_or(1, |n| n.get())));
static GIVEN_BACK: Condvar = Condvar::new();

/// The right to run one machine, until it is dropped.
pub struct Slot(());

pub fn take() -> Slot {
    let free = FREE.lock().expect("nobody panics with it");
    *GIVEN_BACK.wait_while(free, |free| *free == 0).expect("nobody panics with it") -= 1;
    Slot(())
}

impl Drop for Slot {
    fn drop(&mut self) {
        *FREE.lock().expect("nobody panics with it") += 1;
        GIVEN_BACK.notify_one();
    }
}
